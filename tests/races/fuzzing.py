"""Building the call fuzzer (tests/programs/fuzz) and its command line."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path

from support.programs import Programs
from support.run import REPO, Runner

from capwrap.policy._syscalls import ROWS
from races.outside import Outside

NOFILE = "512:2048"
"""Soft and hard: few enough that the capability range is found by guessing."""

LIMITS = ("--limit", "file-size=1M", "--limit", "memory=256M")
"""A fuzzer fills disks and memories."""

_KINDS = {
    "pass": "KIND_PASS",
    "refuse": "KIND_REFUSE",
    "check": "KIND_CHECK",
    "trace": "KIND_TRACE",
    "notify": "KIND_NOTIFY",
}
_SOURCES = ("values", "paths", "structures", "watch", "twins", "makers")


def write_table(path: Path) -> None:
    """The table of calls, as a C header."""
    roles = sorted({role for row in ROWS for role in row.roles})
    lines = ["enum role {", *(f"\tROLE_{role}," for role in roles), "};", "", "static const struct row rows[] = {"]
    for row in ROWS:
        error = getattr(errno, row.error) if row.error else 0
        words = ", ".join(f"ROLE_{role}" for role in row.roles)
        lines.append(f'\t{{{row.number}, "{row.name}", {_KINDS[row.kind]}, {error}, {len(row.roles)}, {{{words}}}}},')
    path.write_text("\n".join([*lines, "};", ""]))


@dataclass(frozen=True)
class Built:
    """The fuzzer, and the program that must not run."""

    calls: Path
    outsider: Path


def build(programs: Programs, table: Path) -> Built:
    """Compiles both, so that they need no loader; `table` is a directory for the header."""
    table.mkdir(parents=True, exist_ok=True)
    write_table(table / "fuzz_table.h")
    directory = REPO / "tests/programs/fuzz"
    flags = ["-static", "-O2", f"-I{table}", f"-I{REPO}", *(str(directory / f"{name}.c") for name in _SOURCES)]
    return Built(programs("fuzz/calls", flags=flags), programs("fuzz/outsider", flags=["-static"]))


def fuzz_command(
    built: Built, place: Outside, seed: int, seconds: float, *more: str, mode: str = "fuzz"
) -> list[str | Path]:
    """The fuzzer's command line."""
    return [
        *(built.calls, mode, str(seed), str(place.tree.base), f"seconds={seconds}"),
        *(*place.options(), *more),
    ]


def limited(runner: Runner) -> list[str]:
    """A prefix that lowers the limits and becomes the user."""
    return ["prlimit", f"--nofile={NOFILE}", "--", *runner.prefix]
