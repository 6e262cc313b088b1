"""The closure of COMMAND, found with the environment that COMMAND will have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from capwrap.policy.errors import PolicyError
from capwrap.policy.host import Host

#: Variables that say where a program and its libraries are looked for: execvp(3), ld.so(8).
SEARCH_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "LD_PRELOAD")


def target_environ(rules: Sequence[tuple[str, str | None]], environ: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment as the rules leave it; a rule is (NAME or glob, value to set or None to pass)."""
    result: dict[str, str] = {}
    for name, value in rules:
        if value is not None:
            result[name] = value
        elif name in environ:
            result[name] = environ[name]
        else:
            result |= {key: text for key, text in environ.items() if fnmatchcase(key, name)}
    return result


def command_files(
    command: Sequence[str], *, rules: Sequence[tuple[str, str | None]], environ: Mapping[str, str], host: Host
) -> tuple[str, ...]:
    """The files that COMMAND needs to start, as absolute host paths before symlinks are followed.

    Everything that the search rests on is noted with ``host``. Empty where COMMAND is not found: the launcher reports
    that. Raises PolicyError from ElfError where COMMAND's files cannot be understood.
    """
    from capwrap.elf.closure import classified_files
    from capwrap.elf.errors import ElfError

    target = target_environ(rules, environ)
    search = {name: target[name] for name in SEARCH_VARIABLES if name in target}
    # PATH chooses the file that the launcher starts, whatever the target is told.
    if "PATH" in environ:
        search.setdefault("PATH", environ["PATH"])
    for name in SEARCH_VARIABLES:
        host.variable(name)
    try:
        files = classified_files(command, environ=target | search, cwd=host.cwd, witness=host)
    except ElfError as error:
        raise PolicyError(f"{error.path}: {error.what}", remedy=error.remedy) from error
    host.settled = host.settled and bool(files)
    return tuple(file.path for file in files)
