"""Where ld.so looks for a shared library.

One Search is one program start: it knows the program's environment and loader, and caches what it read. Sources:
ld.so(8); glibc elf/dl-load.c (_dl_map_object, open_path, fillin_rpath), elf/dl-hwcaps.c; musl ldso/dynlink.c
(load_library).

Not modelled: LD_AUDIT, the legacy hardware directories (`tls`, `haswell`, ...; gone since glibc 2.37), GLIBC_TUNABLES.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from capwrap.elf import ldcache
from capwrap.elf.errors import ElfError
from capwrap.elf.reader import DF_1_NODEFLIB, Elf, FileView, parse_elf
from capwrap.elf.witness import NOBODY, Witness

DEFAULT_DIRS = (
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
)
"""The system directories of the distributions together (Debian's and the lib64 ones); the files' class tells them
apart."""
MUSL_DIRS = ("/lib", "/usr/local/lib", "/usr/lib")
MUSL_RESERVED = frozenset(("c", "pthread", "rt", "m", "dl", "util", "xnet"))
"""`lib<name>.` is musl's own libc, whatever follows."""
CACHE_RULE = "ld.so.cache"
MUSL_PATH_MAX = 1 << 16
_HWCAP_LEVELS = (
    ("x86-64-v2", frozenset(("cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3"))),
    ("x86-64-v3", frozenset(("avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"))),
    ("x86-64-v4", frozenset(("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"))),
)
_TOKEN = re.compile(r"\$(?:\{(ORIGIN|LIB|PLATFORM)\}|(ORIGIN|LIB|PLATFORM)(?![A-Za-z0-9_]))")


def absolute(path: str, cwd: str) -> str:
    """`path` as the kernel would look it up from `cwd`: `//` and `/./` go, `..` and symlinks stay."""
    parts = [part for part in os.path.join(cwd, path).split("/") if part not in ("", ".")]
    return "/" + "/".join(parts)


@dataclass
class Loaded:
    """One object of a process: `path` as looked up, `elf` (None: unreadable), `loader` the object that first needed
    it."""

    path: str
    elf: Elf | None
    loader: Loaded | None
    origin: str
    names: set[str] = field(default_factory=set)
    identity: tuple[int, int] | None = None


@dataclass(frozen=True)
class Hit:
    """A file that the loader would open, and the rule of ld.so(8) that led to it. `problem`: why it could not load
    it."""

    path: str
    rule: str
    elf: Elf | None
    problem: str | None


class Search:
    """The library search of one program start. `loader` is its PT_INTERP as looked up."""

    def __init__(self, environ: Mapping[str, str], cwd: str, loader: str, witness: Witness = NOBODY) -> None:
        self._witness = witness
        self.cwd = cwd
        self.loader = loader
        self.musl = os.path.basename(loader).startswith("ld-musl-")
        self._library_path = environ.get("LD_LIBRARY_PATH", "")
        self._cache: dict[str, tuple[ldcache.CacheEntry, ...]] | None = None
        self._hwcaps: tuple[str, ...] | None = None
        self._system: tuple[str, ...] | None = None
        self._opened: dict[str, Hit | None] = {}

    def find(self, name: str, by: Loaded, main: Loaded) -> Hit | None:
        """The file that `name`, needed by `by`, is loaded from; None if the loader would not find it."""
        if "/" in name:
            expanded = self._expand(name, by)
            return self._open(absolute(expanded, self.cwd), "its path", strict=True) if expanded is not None else None
        for directory, rule in self._musl_dirs(by) if self.musl else self._glibc_dirs_before_cache(by, main):
            hit = self._in_dir(directory, name, rule)
            if hit is not None:
                return hit
        if self.musl:
            return None
        nodeflib = bool(by.elf and by.elf.flags_1 & DF_1_NODEFLIB)
        hit = self._in_cache(name, nodeflib)
        if hit is None and not nodeflib:
            for directory in DEFAULT_DIRS:
                hit = self._in_dir(directory, name, "default directory")
                if hit is not None:
                    break
        return hit

    def reserved(self, name: str) -> bool:
        """Whether musl's loader takes `name` for itself."""
        return self.musl and name.startswith("lib") and "." in name and name[3:].split(".", 1)[0] in MUSL_RESERVED

    def _glibc_dirs_before_cache(self, by: Loaded, main: Loaded) -> Iterator[tuple[str, str]]:
        if by.elf is None or by.elf.runpath is None:
            seen_main = False
            link: Loaded | None = by
            while link is not None:
                yield from self._rpath_dirs(link)
                seen_main = seen_main or link is main
                link = link.loader
            if not seen_main:
                yield from self._rpath_dirs(main)
        yield from self._env_dirs(re.split("[:;]", self._library_path), main)
        if by.elf is not None and by.elf.runpath:
            for directory in self._split(by.elf.runpath, by):
                yield directory, f"RUNPATH of {by.path}"

    def _rpath_dirs(self, link: Loaded) -> Iterator[tuple[str, str]]:
        if link.elf is not None and link.elf.rpath and link.elf.runpath is None:
            for directory in self._split(link.elf.rpath, link):
                yield directory, f"RPATH of {link.path}"

    def _musl_dirs(self, by: Loaded) -> Iterator[tuple[str, str]]:
        """musl takes RUNPATH and RPATH for the same, inherited, and looks at LD_LIBRARY_PATH first."""
        yield from self._env_dirs(re.split("[:\n]", self._library_path), None)
        link: Loaded | None = by
        while link is not None:
            path = link.elf and (link.elf.runpath if link.elf.runpath is not None else link.elf.rpath)
            if path:
                for directory in self._split(path, link):
                    yield directory, f"RPATH of {link.path}"
            link = link.loader
        if self._system is None:
            self._system = musl_system_dirs(self.loader, self._witness)
        for directory in self._system:
            yield absolute(directory, self.cwd), "default directory"

    def _env_dirs(self, elements: list[str], main: Loaded | None) -> Iterator[tuple[str, str]]:
        if not self._library_path:
            return
        for element in elements:
            expanded = self._expand(element, main) if main is not None else element
            if expanded is not None and (element or not self.musl):
                yield absolute(expanded, self.cwd), "LD_LIBRARY_PATH"

    def _split(self, path: str, link: Loaded) -> Iterator[str]:
        """The directories of an RPATH; an empty element is the current directory (glibc) or nothing (musl)."""
        for element in path.split(":"):
            expanded = self._expand(element, link)
            if expanded is not None and (element or not self.musl):
                yield absolute(expanded, self.cwd)

    def _expand(self, text: str, link: Loaded) -> str | None:
        """$ORIGIN, $LIB and $PLATFORM; None where the loader drops the element (musl knows only $ORIGIN)."""
        if "$" not in text:
            return text
        values = {"ORIGIN": link.origin}
        if not self.musl:
            # Compiled into each ld.so; Debian's multiarch directory stands for Debian's value.
            multiarch = "lib/x86_64-linux-gnu"
            self._witness.content("/" + multiarch)
            values |= {"LIB": multiarch if os.path.isdir("/" + multiarch) else "lib64", "PLATFORM": "x86_64"}
        expanded = _TOKEN.sub(lambda m: values.get(m[1] or m[2], m[0]), text)
        return None if self.musl and "$" in expanded.replace(link.origin, "") else expanded

    def _in_dir(self, directory: str, name: str, rule: str) -> Hit | None:
        if not self.musl:
            better = os.path.join(directory, "glibc-hwcaps")
            self._witness.content(better)
            for level in self._levels() if os.path.isdir(better) else ():
                hit = self._open(os.path.join(better, level, name), rule)
                if hit is not None:
                    return hit
        return self._open(os.path.join(directory, name), rule)

    def _in_cache(self, name: str, nodeflib: bool) -> Hit | None:
        if self._cache is None:
            self._witness.content(ldcache.PATH)
            self._cache = ldcache.read_cache()
        entries = self._cache.get(name, ())
        if nodeflib:
            entries = tuple(entry for entry in entries if os.path.dirname(entry.path) not in DEFAULT_DIRS)
        if any(entry.hwcap for entry in entries):
            levels = self._levels()
            usable = [entry for entry in entries if entry.hwcap is None or entry.hwcap in levels]
            entries = tuple(sorted(usable, key=lambda e: len(levels) if e.hwcap is None else levels.index(e.hwcap)))
        # ld.so takes the first and does not try the next; the plain entry behind a better one is for another processor.
        return self._open(entries[0].path, CACHE_RULE, strict=True) if entries else None

    def _levels(self) -> tuple[str, ...]:
        if self._hwcaps is None:
            self._hwcaps = supported_levels(_cpu_flags())
        return self._hwcaps

    def _open(self, path: str, rule: str, *, strict: bool = False) -> Hit | None:
        """The file as the loader meets it. In a search (not `strict`), glibc passes over files for another machine."""
        if path not in self._opened:
            self._witness.content(path)
            self._opened[path] = probe(path)
        hit = self._opened[path]
        if hit is None:
            return None
        if hit.elf is not None and not hit.elf.loadable_here and not strict and not self.musl:
            return None
        return Hit(hit.path, rule, hit.elf, hit.problem)


def probe(path: str) -> Hit | None:
    """The readable regular file `path` without a rule; None if there is none. Never raises."""
    if not os.path.isfile(path) or not os.access(path, os.R_OK):
        return None
    problem: str | None = None
    elf = None
    try:
        with FileView(path) as view:
            elf = parse_elf(view)
        if elf is None:
            problem = "is not an ELF file"
        elif not elf.loadable_here:
            problem = "is for another machine"
    except ElfError as error:
        problem = error.what
    return Hit(path, "", elf, problem)


def musl_system_dirs(loader: str, witness: Witness = NOBODY) -> tuple[str, ...]:
    """The directories of <prefix>/etc/ld-musl-x86_64.path, <prefix> being two levels above the loader; musl's own
    without it."""
    prefix = os.path.dirname(os.path.dirname(loader)).rstrip("/")
    path = f"{prefix}/etc/ld-musl-x86_64.path"
    witness.content(path)
    try:
        with FileView(path) as view:
            text = os.fsdecode(view.upto(0, MUSL_PATH_MAX))
    except ElfError:
        return MUSL_DIRS
    return tuple(element for element in re.split("[:\n]", text) if element)


def supported_levels(flags: frozenset[str]) -> tuple[str, ...]:
    """The glibc-hwcaps subdirectories for a processor with these /proc/cpuinfo flags, best first."""
    levels: list[str] = []
    for name, wanted in _HWCAP_LEVELS:
        if not wanted <= flags:
            break
        levels.insert(0, name)
    return tuple(levels)


def _cpu_flags() -> frozenset[str]:
    try:
        with open("/proc/cpuinfo", "rb") as cpuinfo:
            head = cpuinfo.read(8192)  # the first processor's; the whole file has one block for each
    except OSError:
        return frozenset()
    match = re.search(rb"^flags\s*:(.*)$", head, re.MULTILINE)
    return frozenset(match[1].decode("ascii", "replace").split()) if match else frozenset()
