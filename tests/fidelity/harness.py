"""Run a program of tests/programs/fidelity natively and confined, and compare what it observed line by line."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest
from support.compare import Bench, copying
from support.programs import Programs
from support.run import Outcome, require, run

EXPECTED = Path(__file__).with_name("expected.toml")

REDUCED = "-all,+chown,+dac_override,+fowner,+fsetid,+setuid,+setgid"
"""What root keeps, confined. Natively it is given no more, so that what differs is not what it was not granted."""

FORMS: Mapping[str, tuple[str, ...]] = {
    # The working directory is one whole grant: opens are the target's own, beneath a capability.
    "beneath": (),
    # Something is carved out of it, a name that nobody uses: every lookup is walked and every open performed.
    "walked": ("--deny", "{work}/carved-out"),
}
"""How the working directory is granted: the same rights either way, by the two ways that the engine has."""

TRACED = "traced"
"""By `capwrap trace`, which confines nothing: here no difference is expected at all."""

LINES = 3
"""Lines that a failure message shows of each kind of difference."""


@dataclass(frozen=True)
class Program:
    """A program that prints what it observes, `label TAB value` a line, and how it is to be run."""

    source: str
    args: tuple[str, ...] = ()
    tree: bool = False
    """It asks observer.c for a tree to try calls on."""
    forms: tuple[str, ...] = ("beneath", "walked")
    options: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    cc: str = "cc"
    flags: tuple[str, ...] = ()
    lines: int = 1
    """At least as many must be printed, or the program did not do what it is for."""

    def __str__(self) -> str:
        return "-".join([self.source, *self.args])


Lines = Mapping[str, str]


def parse(outcome: Outcome, program: Program) -> Lines:
    """The lines of a run by their labels; a label that comes again is numbered."""
    lines: dict[str, str] = {}
    for line in os.fsdecode(outcome.stdout).split("\n")[:-1]:
        label, _, value = line.partition("\t")
        name, again = label, 1
        while name in lines:
            again += 1
            name = f"{label} #{again}"
        lines[name] = value
    if outcome.status != 0 or len(lines) < program.lines:
        pytest.fail(f"{program} did not run to its end ({len(lines)} lines): {outcome.describe()}", pytrace=False)
    return lines


@dataclass(frozen=True)
class Difference:
    """One row of expected.toml: what differs, and why it has to. Labels and values are regular expressions."""

    label: re.Pattern[str]
    native: re.Pattern[str]
    confined: re.Pattern[str]
    programs: tuple[str, ...]
    forms: tuple[str, ...]
    users: tuple[str, ...]
    reason: str

    def applies(self, program: Program, form: str, user: str) -> bool:
        """Is it about this run?"""
        return program.source in self.programs and form in self.forms and user in self.users

    def explains(self, label: str, native: str, confined: str) -> bool:
        """Is it this difference?"""
        given = ((self.label, label), (self.native, native), (self.confined, confined))
        return all(pattern.fullmatch(text) for pattern, text in given)


@cache
def expected() -> tuple[Difference, ...]:
    """The table of differences that the kernel leaves no way around, each with its reason."""
    rows = tomllib.loads(EXPECTED.read_text(encoding="utf-8")).get("difference", [])
    return tuple(
        Difference(
            label=re.compile(row["label"], re.DOTALL),
            native=re.compile(row.get("native", ".*"), re.DOTALL),
            confined=re.compile(row.get("confined", ".*"), re.DOTALL),
            programs=tuple(row["programs"]),
            forms=tuple(row.get("forms", FORMS)),
            users=tuple(row.get("users", ("root", "user"))),
            reason=row["reason"],
        )
        for row in rows
    )


class Observer:
    """Runs programs for one user. What one observed natively is kept: every form is compared with the same lines."""

    def __init__(self, bench: Bench, programs: Programs) -> None:
        self.bench = bench
        self.programs = programs
        self._native: dict[Program, Lines] = {}

    @property
    def user(self) -> str:
        """`root` or `user`, which is what decides what the kernel permits."""
        return "root" if self.bench.runner.uid is None and os.geteuid() == 0 else "user"

    def native(self, program: Program) -> Lines:
        """What it observes natively."""
        if program not in self._native:
            argv = self.fresh(program)
            prefix = (*self._reduced(program), *self.bench.runner.prefix)
            done = run([*prefix, *argv], cwd=self.bench.work, env=self.env(program))
            self._native[program] = parse(done, program)
        return self._native[program]

    def traced(self, program: Program) -> Lines:
        """What it observes while a trace looks on, in which nearly all of it is permitted, or nothing is."""
        argv = self.fresh(program)
        options = ["-q", *program.options] if self.user == "root" else ["-q", "--pure"]
        runner = replace(self.bench.runner, prefix=(*self._reduced(program), *self.bench.runner.prefix), verb="trace")
        done = runner.confined(argv, cwd=self.bench.work, env=self.env(program), options=options)
        return parse(done, program)

    def confined(self, program: Program, form: str) -> Lines:
        """What it observes confined, with its directory granted in one of the ways of `FORMS`."""
        options = [word.format(work=self.bench.work) for word in FORMS[form]]
        named = [word for name, _ in program.env for word in ("--env", name)]
        argv = self.fresh(program)
        runner = replace(self.bench.runner, prefix=(*self.prefix(program), *self.bench.runner.prefix))
        done = runner.confined(
            argv, cwd=self.bench.work, env=self.env(program), options=["-q", *options, *named, *program.options]
        )
        return parse(done, program)

    def prefix(self, program: Program) -> tuple[str, ...]:
        if not program.tree:
            return ()
        uid = os.geteuid() if self.bench.runner.uid is None else self.bench.runner.uid
        return (str(self.programs("fidelity/observer")), str(uid))

    def _reduced(self, program: Program) -> tuple[str, ...]:
        if self.user != "root":
            return self.prefix(program)
        require("setpriv")
        return (*self.prefix(program), "setpriv", f"--bounding-set={REDUCED}", "--inh-caps=-all")

    def env(self, program: Program) -> dict[str, str]:
        return self.bench.env | {name: value.format(work=self.bench.work) for name, value in program.env}

    def fresh(self, program: Program) -> Sequence[str]:
        compiled = self.programs(f"fidelity/{program.source}", cc=program.cc, flags=program.flags)
        self.bench.fresh(setup=copying(compiled))
        return [f"./{program.source}", *program.args]


def compare(observer: Observer, program: Program, form: str) -> None:
    """Fail unless a program observes the same natively and confined, but for the differences that are expected."""
    native = observer.native(program)
    confined = observer.traced(program) if form == TRACED else observer.confined(program, form)
    table = [row for row in expected() if row.applies(program, form, observer.user)]
    seen: set[Difference] = set()
    wrong: dict[tuple[str, str], list[str]] = {}
    for label in [*native, *(label for label in confined if label not in native)]:
        left, right = native.get(label, "(no such line)"), confined.get(label, "(no such line)")
        if left == right:
            continue
        row = next((row for row in table if row.explains(label, left, right)), None)
        if row is None:
            wrong.setdefault((left, right), []).append(label)
        else:
            seen.add(row)
    report = [
        f"natively {left}\nconfined {right}\n"
        + "\n".join(f"    {label}" for label in labels[:LINES])
        + (f"\n    and {len(labels) - LINES} more" if len(labels) > LINES else "")
        for (left, right), labels in wrong.items()
    ]
    if report:
        pytest.fail(f"{program}, {form}: confined, it observes something else\n" + "\n".join(report), pytrace=False)
    stale = [f"{row.label.pattern}: {row.reason}" for row in table if row not in seen]
    assert not stale, f"{EXPECTED.name} expects differences that {program}, {form}, does not show: {stale}"
