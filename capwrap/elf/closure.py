"""The files that a command needs before its own code runs.

`command_files` follows what execvp(3), the kernel and ld.so(8) would do, without running anything: PATH, `#!` and
env(1), PT_INTERP, DT_NEEDED. What a program opens later by itself (dlopen, plug-ins, data) is not in its headers; only
the libraries that glibc loads on its own are added (LAZY).

Not followed: binfmt_misc, and a loader that is named as COMMAND itself (`ld-linux-x86-64.so.2 PROGRAM`).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from capwrap.elf.errors import ElfError
from capwrap.elf.reader import Elf, FileView, parse_elf, read_elf
from capwrap.elf.search import Hit, Loaded, Search, absolute, probe
from capwrap.elf.shebang import BINPRM_BUF_SIZE, DEPTH_MAX, env_command, parse_shebang
from capwrap.elf.witness import NOBODY, Witness

LAZY = ("libgcc_s.so.1", "libnss_files.so.2", "libnss_dns.so.2")
"""What glibc's libc.so.6 dlopens in ordinary programs: libgcc_s for pthread_cancel, pthread_exit and backtrace
(pthread_cancel aborts without it), and the name service modules, which glibc 2.34 made part of libc. Added where they
exist."""
DEFAULT_PATH = "/bin:/usr/bin"
"""What execvp(3) searches without PATH: confstr(_CS_PATH)."""
LOADER_GLIBC = "/lib64/ld-linux-x86-64.so.2"
LOADER_MUSL = "/lib/ld-musl-x86_64.so.1"
PRELOAD_FILE = "/etc/ld.so.preload"
LIBRARIES_MAX = 4096
PROGRAMS_MAX = 64
"""Programs that one command may lead to (env(1) running env(1) ...)."""


@dataclass(frozen=True)
class Library:
    """One library of a closure: `name` as in DT_NEEDED, `by` the path of the object that first names it, `path` where
    it was found (None: missing), `rule` the part of ld.so(8) that found it, `problem` why the loader would refuse the
    file."""

    name: str
    by: str
    path: str | None
    rule: str
    problem: str | None


@dataclass(frozen=True)
class Closure:
    """What the loader maps: `loader` is PT_INTERP as looked up (None: static, or a library), whether it exists or
    not."""

    loader: str | None
    libraries: tuple[Library, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        """The libraries' paths in load order, without duplicates and missing ones."""
        return tuple(dict.fromkeys(library.path for library in self.libraries if library.path is not None))


@dataclass(frozen=True)
class CommandFile:
    """One file that a command needs; `execute`: it is a program, `#!` interpreter or loader, not only mapped."""

    path: str
    execute: bool


def command_files(command: Sequence[str], *, environ: Mapping[str, str], cwd: str) -> tuple[str, ...]:
    """The files that COMMAND needs to start, as absolute paths the way they are looked up (symlinks and `..` stay).

    `command` is COMMAND with its arguments, `environ` the environment and `cwd` the absolute directory that it would
    start with. Each path stands once: program, its loader, its libraries, then the next program. Empty where COMMAND
    does not exist. Raises ElfError where the program, or an interpreter on the way to it, is malformed or for another
    machine.
    """
    return tuple(file.path for file in classified_files(command, environ=environ, cwd=cwd))


def classified_files(
    command: Sequence[str], *, environ: Mapping[str, str], cwd: str, witness: Witness = NOBODY
) -> tuple[CommandFile, ...]:
    """The same, each with what is done with it.

    `witness` is told of all that the answer rests on but `cwd`, the name of COMMAND and the variables that say where to
    search (PATH, LD_LIBRARY_PATH, LD_PRELOAD).
    """
    files: dict[str, bool] = {}
    argv = list(command)
    programs: set[str] = set()
    while argv and len(programs) < PROGRAMS_MAX:
        program = find_command(argv[0], environ=environ, cwd=cwd, witness=witness)
        if program is None or program in programs:
            break
        programs.add(program)
        end = _follow_scripts(program, argv, cwd, files, witness)
        if end is None:
            break
        program, argv, elf = end
        closure = elf_closure(elf, environ=environ, cwd=cwd, witness=witness)
        if closure.loader is not None and os.path.isfile(closure.loader):
            files[closure.loader] = True
        for path in closure.paths:
            files.setdefault(path, False)
        if os.path.basename(program) != "env":
            break
        inner = env_command(argv[1:], environ, witness)
        if inner is None or len(inner.command) < len(command):  # the program's name is one of COMMAND's arguments
            witness.arguments()
        if inner is None:
            break
        argv, environ = list(inner.command), inner.environ
        cwd = cwd if inner.chdir is None else absolute(inner.chdir, cwd)
    return tuple(CommandFile(path, execute) for path, execute in files.items())


def find_command(name: str, *, environ: Mapping[str, str], cwd: str, witness: Witness = NOBODY) -> str | None:
    """The file that execvp(3) runs for `name`: an executable one, else the first that exists; None: ENOENT."""
    if not name or "\0" in name:
        return None
    if "/" in name:
        path = absolute(name, cwd)
        witness.content(path)
        return path if _is_file(path) else None
    refused = None
    for element in environ.get("PATH", DEFAULT_PATH).split(":"):
        path = absolute(os.path.join(element, name), cwd)
        witness.content(path)
        if not _is_file(path):
            continue
        if os.access(path, os.X_OK):
            return path
        refused = refused or path
    return refused


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def _follow_scripts(
    program: str, argv: list[str], cwd: str, files: dict[str, bool], witness: Witness
) -> tuple[str, list[str], Elf] | None:
    """From a program through its `#!` interpreters to the ELF file: its path, the argv that it gets, its headers.

    All paths on the way go into `files`. None where execve would fail, or where a file can be executed but not read.
    """
    for _ in range(DEPTH_MAX + 1):
        witness.content(program)
        if not _is_file(program):
            return None
        files[program] = True
        if not os.access(program, os.X_OK | os.R_OK):
            return None
        with FileView(program) as view:
            elf = parse_elf(view)
            head = view.upto(0, BINPRM_BUF_SIZE)
        if elf is not None:
            _refuse_foreign(elf)
            return program, argv, elf
        shebang = parse_shebang(head)
        if shebang is None or not shebang.interpreter:
            return None
        argument = [] if shebang.argument is None else [shebang.argument]
        argv = [shebang.interpreter, *argument, program, *argv[1:]]
        program = absolute(shebang.interpreter, cwd)
    return None


def _refuse_foreign(elf: Elf) -> None:
    if elf.bits == 32:
        what = "is a 32-bit program, and capwrap refuses every 32-bit call"
        raise ElfError(elf.path, what, "use the 64-bit x86 build")
    if not elf.loadable_here:
        raise ElfError(elf.path, f"is for another machine (e_machine {elf.e_machine})", "use the 64-bit x86 build")


def closure(path: str, *, environ: Mapping[str, str], cwd: str) -> Closure:
    """The libraries that the loader maps for the ELF file `path` (a program or a library). Raises ElfError, also where
    it is no ELF file."""
    elf = read_elf(absolute(path, cwd))
    if elf is None:
        raise ElfError(path, "is not an ELF file", "name a program or a library")
    return elf_closure(elf, environ=environ, cwd=cwd)


def elf_closure(elf: Elf, *, environ: Mapping[str, str], cwd: str, witness: Witness = NOBODY) -> Closure:
    """The same of a file that has been read."""
    loader = absolute(elf.interpreter, cwd) if elf.interpreter is not None else None
    if not elf.dynamic or (loader is None and not elf.needed):
        return Closure(loader, ())
    return Closure(loader, tuple(_Walk(elf, loader, environ, cwd, witness).run()))


class _Walk:
    """The breadth-first walk of _dl_map_object_deps() in glibc, which is also musl's."""

    def __init__(self, elf: Elf, loader: str | None, environ: Mapping[str, str], cwd: str, witness: Witness) -> None:
        self._witness = witness
        musl = any(name == "libc.so" or name.startswith("libc.musl-") for name in elf.needed)
        self._search = Search(environ, cwd, loader or (LOADER_MUSL if musl else LOADER_GLIBC), witness)
        # $ORIGIN of the program comes from /proc/self/exe, of a library from the path that it was opened by.
        self._main = Loaded(elf.path, elf, None, os.path.dirname(os.path.realpath(elf.path)), {elf.path}, elf.identity)
        if elf.soname is not None:
            self._main.names.add(elf.soname)
        self._objects = [self._main]
        self._libraries: list[Library] = []
        self._missing: set[str] = set()
        self._preload = environ.get("LD_PRELOAD", "")
        self._loader = self._search.loader
        if loader is not None:
            self._add_loader(elf.interpreter or loader)

    def _add_loader(self, name: str) -> None:
        """The loader is in memory already: what needs it by name or soname finds it there."""
        self._witness.content(self._loader)
        hit = probe(self._loader)
        rtld = Loaded(self._loader, hit.elf if hit else None, None, os.path.dirname(self._loader), {name, self._loader})
        if rtld.elf is not None:
            rtld.identity = rtld.elf.identity
            if rtld.elf.soname is not None:
                rtld.names.add(rtld.elf.soname)
        self._objects.append(rtld)

    def run(self) -> list[Library]:
        """All libraries in the order in which the loader first asks for them."""
        for name in re.split("[ :]", self._preload):
            self._need(name, self._main, "LD_PRELOAD, ")
        if not self._search.musl:
            self._witness.content(PRELOAD_FILE)
            for name in preload_file():
                self._need(name, self._main, PRELOAD_FILE + ", ")
        self._descend(0)
        libc = next((o for o in self._objects if o.elf is not None and o.elf.soname == "libc.so.6"), None)
        if libc is not None and not self._search.musl:
            done = len(self._objects)
            for name in LAZY:
                self._need(name, libc, "loaded by libc when used, ", optional=True)
            self._descend(done)
        return self._libraries

    def _descend(self, index: int) -> None:
        while index < len(self._objects):
            current = self._objects[index]
            for name in current.elf.needed if current.elf is not None else ():
                self._need(name, current, "")
            index += 1

    def _need(self, name: str, by: Loaded, prefix: str, *, optional: bool = False) -> None:
        if not name or name in self._missing or self._search.reserved(name):
            return
        if any(name in loaded.names for loaded in self._objects):
            return
        hit = self._search.find(name, by, self._main)
        if hit is None:
            if not optional:
                self._missing.add(name)
                self._libraries.append(Library(name, by.path, None, prefix + "missing", None))
            return
        self._libraries.append(Library(name, by.path, hit.path, prefix + hit.rule, hit.problem))
        if len(self._libraries) > LIBRARIES_MAX:
            raise ElfError(self._main.path, f"needs more than {LIBRARIES_MAX} libraries", "check how it was built")
        self._load(name, hit, by)

    def _load(self, name: str, hit: Hit, by: Loaded) -> None:
        for loaded in self._objects:
            if hit.elf is not None and loaded.identity == hit.elf.identity:
                loaded.names.add(name)
                return
        elf = hit.elf if hit.problem is None else None
        names = {name, hit.path}
        if elf is not None and elf.soname is not None and not self._search.musl:
            names.add(elf.soname)
        identity = None if elf is None else elf.identity
        self._objects.append(Loaded(hit.path, elf, by, os.path.dirname(hit.path), names, identity))


def preload_file(path: str = PRELOAD_FILE) -> Iterable[str]:
    """The names in ld.so.preload: separated by blanks, colons or line ends, `#` begins a comment (ld.so(8))."""
    try:
        with FileView(path) as view:
            text = os.fsdecode(view.upto(0, 1 << 16))
    except ElfError:
        return []
    return [name for line in text.splitlines() for name in re.split(r"[\s:]+", line.split("#", 1)[0]) if name]
