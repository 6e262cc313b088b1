"""What `capwrap inspect` tells about one file. The file is read, never run; capwrap.elf.render puts the result into
words."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from capwrap.elf.callsites import CallSites, find_call_sites
from capwrap.elf.closure import DEFAULT_PATH, Closure, CommandFile, Library, classified_files, elf_closure
from capwrap.elf.errors import ElfError
from capwrap.elf.ldcache import PATH as CACHE_PATH
from capwrap.elf.notes import machine_name, read_notes
from capwrap.elf.reader import (
    DF_1_PIE,
    EM_X86_64,
    ET_CORE,
    ET_DYN,
    ET_EXEC,
    ET_REL,
    PF_X,
    PT_GNU_STACK,
    Elf,
    FileView,
    parse_elf,
)
from capwrap.elf.render import as_json, render
from capwrap.elf.search import CACHE_RULE, absolute
from capwrap.elf.shebang import BINPRM_BUF_SIZE, Shebang, parse_shebang

__all__ = ["Call", "Grant", "Inspection", "as_json", "inspect", "render"]


@dataclass(frozen=True)
class Call:
    """A syscall that stands in the code: `name` is None where capwrap's table does not know `number`."""

    number: int
    name: str | None
    sites: int


@dataclass(frozen=True)
class Grant:
    """One option that `capwrap run --pure` would need, e.g. flag `--rox` and a host path."""

    flag: str
    path: str


@dataclass(frozen=True)
class Inspection:
    """All that is known of one file. Strings from the file are as os.fsdecode gives them.

    kind: static, static-pie, dynamic executable, pie, shared object, relocatable, core, script or other
    bits: 32 or 64; 0 of a script (as machine, and all that only ELF files have, is None or empty there)
    interpreter: PT_INTERP or the `#!` interpreter, as it stands in the file; argument: what follows it in a `#!` line
    libraries: the closure of a program or library, of a script's last interpreter otherwise
    exec_stack: what PT_GNU_STACK asks for; None without that header
    sites: `syscall` instructions, an upper bound (see capwrap.elf.callsites); None where it is not x86-64 code
    calls: those whose number stands in front of them
    problems: what was malformed or will keep it from running under capwrap, one sentence each
    """

    path: str
    kind: str
    bits: int
    machine: str | None
    interpreter: str | None
    argument: str | None
    needed: tuple[str, ...]
    soname: str | None
    rpath: str | None
    runpath: str | None
    libraries: tuple[Library, ...]
    build_id: str | None
    properties: tuple[str, ...]
    exec_stack: bool | None
    sites: int | None
    calls: tuple[Call, ...]
    grants: tuple[Grant, ...]
    problems: tuple[str, ...]


def inspect(path: str, *, environ: Mapping[str, str] | None = None, cwd: str | None = None) -> Inspection:
    """Reads `path` (relative to `cwd`, by default the current directory). `environ` is what the program would start
    with; by default only this process's PATH, as a target does not inherit LD_LIBRARY_PATH.

    Raises ElfError where the file cannot be read, or where it has an ELF magic and headers that make no sense. Smaller
    damage, and what the closure lacks, stands in `problems`.
    """
    cwd = os.getcwd() if cwd is None else cwd
    environ = {"PATH": os.environ.get("PATH", DEFAULT_PATH)} if environ is None else environ
    if not path or "\0" in path:
        raise ElfError(path, "is no file name", "name a program or a library")
    with FileView(absolute(path, cwd)) as view:
        elf = parse_elf(view)
        if elf is None:
            return _inspect_other(view, environ, cwd)
        return _inspect_elf(view, elf, environ, cwd)


def _inspect_elf(view: FileView, elf: Elf, environ: Mapping[str, str], cwd: str) -> Inspection:
    problems: list[str] = []
    build_id, properties = None, tuple[str, ...]()
    try:
        notes = read_notes(view, elf)
        build_id, properties = notes.build_id, notes.properties
    except ElfError as error:
        problems.append(error.what)
    closure = Closure(elf.interpreter, ())
    if elf.loadable_here:
        closure = elf_closure(elf, environ=environ, cwd=cwd)
    elif elf.bits == 32:
        problems.append("a 32-bit file: capwrap refuses every 32-bit call, so it cannot run")
    else:
        problems.append("for another machine: it cannot run here")
    kind = _kind(elf)
    files: tuple[CommandFile, ...] = ()
    if kind == "shared object" and elf.loadable_here:
        files = tuple(CommandFile(path, False) for path in dict.fromkeys((elf.path, *closure.paths)))
    elif elf.loadable_here and elf.e_type in (ET_EXEC, ET_DYN):
        files = _files_of(elf.path, environ, cwd, problems)
    problems += _closure_problems(closure)
    sites = find_call_sites(view, elf.phdrs) if elf.e_machine == EM_X86_64 else None
    if sites is not None and not sites.complete:
        problems.append("has more code than is searched for call sites")
    return Inspection(
        path=elf.path,
        kind=kind,
        bits=elf.bits,
        machine=machine_name(elf),
        interpreter=elf.interpreter,
        argument=None,
        needed=elf.needed,
        soname=elf.soname,
        rpath=elf.rpath,
        runpath=elf.runpath,
        libraries=closure.libraries,
        build_id=build_id,
        properties=properties,
        exec_stack=next((bool(p.p_flags & PF_X) for p in elf.phdrs if p.p_type == PT_GNU_STACK), None),
        sites=None if sites is None else sites.total,
        calls=() if sites is None else _calls(sites),
        grants=_grants(files, closure),
        problems=tuple(problems),
    )


def _inspect_other(view: FileView, environ: Mapping[str, str], cwd: str) -> Inspection:
    shebang = parse_shebang(view.upto(0, BINPRM_BUF_SIZE)) or Shebang("", None)
    problems: list[str] = []
    files: tuple[CommandFile, ...] = ()
    closure = Closure(None, ())
    if shebang.interpreter:
        files = _files_of(view.path, environ, cwd, problems)
        closure = _last_closure(files, environ, cwd)
        if not os.path.isfile(absolute(shebang.interpreter, cwd)):
            problems.append(f"its interpreter {shebang.interpreter} does not exist")
        problems += _closure_problems(closure)
    else:
        problems.append("neither an ELF file nor a #! script: execve refuses it (ENOEXEC)")
    return Inspection(
        path=view.path,
        kind="script" if shebang.interpreter else "other",
        bits=0,
        machine=None,
        interpreter=shebang.interpreter or None,
        argument=shebang.argument,
        needed=(),
        soname=None,
        rpath=None,
        runpath=None,
        libraries=closure.libraries,
        build_id=None,
        properties=(),
        exec_stack=None,
        sites=None,
        calls=(),
        grants=_grants(files, closure),
        problems=tuple(problems),
    )


def _kind(elf: Elf) -> str:
    """The kind of an ELF file. A PIE and a library are both ET_DYN: DF_1_PIE tells them apart, and where an older
    linker did not set it, the soname and the interpreter do (libc.so.6 has both)."""
    if elf.e_type == ET_EXEC:
        return "static" if elf.interpreter is None else "dynamic executable"
    if elf.e_type == ET_DYN:
        if elf.flags_1 & DF_1_PIE:
            return "static-pie" if elf.interpreter is None else "pie"
        return "pie" if elf.interpreter is not None and elf.soname is None else "shared object"
    return {ET_REL: "relocatable", ET_CORE: "core"}.get(elf.e_type, "other")


def _files_of(path: str, environ: Mapping[str, str], cwd: str, problems: list[str]) -> tuple[CommandFile, ...]:
    if not os.access(path, os.X_OK):
        problems.append("has no execute permission")
        return (CommandFile(path, True),)
    try:
        return classified_files((path,), environ=environ, cwd=cwd)
    except ElfError as error:
        problems.append(str(error))
        return ()


def _last_closure(files: tuple[CommandFile, ...], environ: Mapping[str, str], cwd: str) -> Closure:
    """The closure of the program that a script ends at: the last one in `files` that is an ELF file with a loader."""
    for file in reversed(files):
        if not file.execute or not os.access(file.path, os.R_OK):
            continue
        with FileView(file.path) as view:
            elf = parse_elf(view)
        if elf is not None and elf.interpreter is not None:
            return elf_closure(elf, environ=environ, cwd=cwd)
    return Closure(None, ())


def _closure_problems(closure: Closure) -> list[str]:
    problems = []
    if closure.loader is not None and not os.path.isfile(closure.loader):
        problems.append(f"its loader {closure.loader} does not exist")
    for library in closure.libraries:
        if library.path is None:
            problems.append(f"library {library.name}, needed by {library.by}, is missing")
        elif library.problem is not None:
            problems.append(f"library {library.path}, needed by {library.by}, {library.problem}")
    return problems


def _grants(files: tuple[CommandFile, ...], closure: Closure) -> tuple[Grant, ...]:
    """The least options for `files`. Mapping a library as code needs no execute right; the loader reads its cache
    first."""
    grants = [Grant("--rox" if file.execute else "--ro", file.path) for file in files]
    if any(library.rule.endswith(CACHE_RULE) for library in closure.libraries):
        grants.append(Grant("--ro", CACHE_PATH))
    return tuple(grants)


def _calls(sites: CallSites) -> tuple[Call, ...]:
    from capwrap.policy._syscalls import ROWS

    names = {row.number: row.name for row in ROWS}
    return tuple(Call(number, names.get(number), count) for number, count in sites.numbered)
