"""Makes capwrap-attacks(7): every attack of tests/escape and tests/races, what stops it, and what came of it for whom.

``python tests/attacks.py`` takes what runs of the tests left in build/attacks.json into tests/attacks.json, and writes
the page. ``--check`` writes nothing and exits with 1 where an attack is missing, marked otherwise or was not held, or
where the page is not what would be written. Who is not root collects fewer cases than root ran, and compares none.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import json
import os
import platform
import re
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from escape.results import MECHANISMS, Run, results_file

ROOT = Path(__file__).resolve().parent.parent
RECORD = Path("tests/attacks.json")
PAGE = Path("man/capwrap-attacks.7")
ROOMS = ("tests/escape", "tests/races")
ENVIRONMENTS = ("workspace", "pure", "container")
COLUMNS = tuple(f"{who}-{environment}" for who in ("root", "user") for environment in ENVIRONMENTS)


@dataclass(frozen=True)
class Came:
    """What came of the cases of one claim in one column: how many there were, how many held, why some prove less."""

    tried: int
    held: int
    unshown: Mapping[str, int]


@dataclass
class Claim:
    """One attack test: what stops it, and by column the node ids of its cases."""

    stopped_by: tuple[str, ...]
    cases: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """tests/attacks.json: the kernel of the last run, and what came of each claim, by column."""

    kernel: str
    claims: Mapping[str, tuple[tuple[str, ...], Mapping[str, Came]]]

    @classmethod
    def read(cls) -> Record:
        if not (ROOT / RECORD).exists():
            return cls("", {})
        data = json.loads((ROOT / RECORD).read_text())
        return cls(
            data["kernel"],
            {
                name: (tuple(claim["stopped_by"]), {column: Came(**came) for column, came in claim["came"].items()})
                for name, claim in data["claims"].items()
            },
        )

    def text(self) -> str:
        """One line a claim, so that a difference can be read."""
        lines = []
        for name, (stopped_by, came) in self.claims.items():
            value = {"stopped_by": stopped_by, "came": {column: vars(each) for column, each in came.items()}}
            lines.append(f"  {json.dumps(name)}: {json.dumps(value)}")
        return f'{{\n "kernel": {json.dumps(self.kernel)},\n "claims": {{\n' + ",\n".join(lines) + "\n }\n}\n"


class _Collector:
    def __init__(self) -> None:
        self.items: list[pytest.Item] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.items = list(session.items)


def _column(item: pytest.Item, mark: pytest.Mark) -> str:
    """Who attacks, and where: as `arena`, or `who` (`each_bench`) and `policy`, say; else the caller, by default."""
    callspec = getattr(item, "callspec", None)
    params = {} if callspec is None else callspec.params
    who, environment = str(params.get("arena", "self-workspace")).split("-")
    if "nobody" in (params.get("each_bench"), params.get("who")):
        who = "user"
    environment = str(params.get("policy", environment))
    if who == "self":
        who = "root" if os.geteuid() == 0 else "user"
    return f"{who}-{mark.kwargs.get('inside', environment)}"


def collect() -> dict[str, Claim]:
    """The claims of both rooms, as pytest finds them; SystemExit where a test says neither what stops it nor that it is
    no attack, or names an unknown mechanism."""
    collector, said = _Collector(), io.StringIO()
    with contextlib.redirect_stdout(said):
        code = pytest.main(
            ["--collect-only", "-q", "-p", "no:cacheprovider", f"--rootdir={ROOT}", *(str(ROOT / r) for r in ROOMS)],
            plugins=[collector],
        )
    if code:
        raise SystemExit(said.getvalue())
    claims: dict[str, Claim] = {}
    for item in collector.items:
        name = item.nodeid.removeprefix("tests/").split("[", 1)[0]
        mark = item.get_closest_marker("stopped_by")
        if mark is None:
            if item.get_closest_marker("no_attack") is None:
                raise SystemExit(f"{name}: mark what stops it (stopped_by), or that it is no attack (no_attack)")
            continue
        if not mark.args or not set(mark.args) <= MECHANISMS.keys():
            raise SystemExit(f"{name}: {mark.args} is not of {', '.join(MECHANISMS)}")
        claim = claims.setdefault(name, Claim(mark.args))
        claim.cases.setdefault(_column(item, mark), []).append(item.nodeid)
    return claims


def merged(claims: Mapping[str, Claim], old: Record) -> Record:
    """The record with what build/attacks.json adds; SystemExit where a case was never run.

    A column of a claim is replaced where all its cases were run; what a caller cannot run stays.
    """
    path = results_file(ROOT)
    runs: dict[str, Run] = json.loads(path.read_text()) if path.exists() else {}
    made: dict[str, tuple[tuple[str, ...], Mapping[str, Came]]] = {}
    missing = []
    for name, claim in claims.items():
        kept = old.claims[name][1] if name in old.claims else {}
        # Root tries every column there is; who is not root leaves those that he cannot try.
        came = {} if os.geteuid() == 0 else dict(kept)
        for column, ids in claim.cases.items():
            found = [runs[i] for i in ids if i in runs]
            if len(found) == len(ids):
                reasons = Counter(why for run in found for why in run["unshown"])
                held = sum(run["outcome"] == "passed" for run in found)
                came[column] = Came(len(ids), held, dict(sorted(reasons.items())))
            elif column in kept and kept[column].tried == len(ids):
                came[column] = kept[column]
            else:
                missing.append(f"tests/{name} ({column})")
        made[name] = claim.stopped_by, {column: came[column] for column in COLUMNS if column in came}
    if missing:
        raise SystemExit("run these as root first:\n" + "\n".join(missing))
    return Record(".".join(platform.release().split(".")[:2]), made)


def problems(claims: Mapping[str, Claim], record: Record) -> Iterator[str]:
    """Where the record is not what the tests say, one line each."""
    for name in sorted(record.claims.keys() - claims.keys()):
        yield f"tests/{name} is in {RECORD} and is no test"
    for name, claim in claims.items():
        if name not in record.claims:
            yield f"tests/{name} is not in {RECORD}"
            continue
        stopped_by, came = record.claims[name]
        if stopped_by != claim.stopped_by:
            yield f"tests/{name} is marked {claim.stopped_by}, and in {RECORD} {stopped_by}"
        tried = {column: len(ids) for column, ids in claim.cases.items()}
        if os.geteuid() == 0 and tried != {column: each.tried for column, each in came.items()}:
            yield f"tests/{name} has other cases than in {RECORD}"
        for column, each in came.items():
            if each.held != each.tried:
                yield f"tests/{name}: {column} held {each.held} of {each.tried} attacks"


def _sentence(name: str) -> str:
    words = name.rsplit("::", 1)[1].removeprefix("test_").replace("_", " ")
    return words[0].upper() + words[1:] + "."


def _roff(text: str) -> list[str]:
    """Text lines of mdoc, none of which begins with a control character."""
    return [re.sub(r"^([.'])", r"\\&\1", line).replace("-", "\\-") for line in textwrap.wrap(text, 78)]


def _cell(came: Came | None) -> str:
    if came is None:
        return "\\-"
    return str(came.held) if came.held == came.tried else f"{came.held}/{came.tried}"


def _native(came: Mapping[str, Came]) -> str:
    """What was not shown to work without capwrap, or nothing."""
    tried = sum(each.tried for each in came.values())
    reasons: Counter[str] = Counter()
    for each in came.values():
        reasons.update(each.unshown)
    if not reasons:
        return ""
    share = "" if sum(reasons.values()) >= tried else f" in {sum(reasons.values())} of {tried} cases"
    return f"Not shown natively{share}: {'; '.join(reasons)}."


def page(record: Record) -> str:
    """man/capwrap-attacks.7"""
    columns = [each for _, came in record.claims.values() for each in came.values()]
    out = [
        f'.\\" Made by tests/attacks.py from the attack tests and {RECORD}: do not edit.',
        ".Dd November 22, 2026",
        ".Dt CAPWRAP-ATTACKS 7",
        ".Os",
        ".Sh NAME",
        ".Nm capwrap-attacks",
        ".Nd what was tried against capwrap, and what stopped it",
        ".Sh DESCRIPTION",
        "Each line below is a claim, and each number the cases of an attack on it that",
        f"were tried and held; {sum(each.held for each in columns)} of {sum(each.tried for each in columns)} cases"
        f" of {len(record.claims)} claims were, on Linux {record.kernel}.",
        "A case that did not hold would stand as",
        ".Dq held/tried ,",
        "and",
        ".Dq \\-",
        "says that nothing was tried.",
        "Unless it says otherwise, every attack was first shown to work without",
        ".Nm capwrap ,",
        "or, where it is on its own mechanism, against a stand-in without the defence.",
        ".Pp",
        "The columns, first for root and then for an ordinary user:",
        ".Bl -tag -width Ds -compact",
        ".It W",
        "the default policy,",
        ".Cm workspace ,",
        "with grants",
        ".It P",
        ".Fl \\-pure",
        "and grants: nothing else is there",
        ".It C",
        "the default policy inside of what docker's default profile allows: its seccomp",
        "denials, its set of capabilities,",
        ".Xr clone3 2",
        "as",
        ".Er ENOSYS",
        ".El",
        ".Pp",
        "For a user under",
        ".Fl \\-pure ,",
        "and in a container, the first case of each claim stands for the others.",
        ".Ss Mechanisms",
        "What stops an attack; what it meets first stands first.",
        "Where several are named, the later ones stand behind the earlier.",
        ".Bl -tag -width Ds",
    ]
    for name, words in MECHANISMS.items():
        out += [f".It Em {name}", *_roff(words + ".")]
    out += [".El", ".Sh ATTACKS"]
    heading = ""
    for name, (stopped_by, came) in record.claims.items():
        source = name.split("::", 1)[0]
        if source != heading:
            title = Path(source).stem.removeprefix("test_").replace("_", " ")
            words = (ast.get_docstring(ast.parse((ROOT / "tests" / source).read_text())) or "").split("\n\n")[0]
            out += [".El"] * bool(heading)
            out += [f".Ss {title[0].upper()}{title[1:]}", *_roff(" ".join(words.split()))]
            out += ['.Bl -column "Wwww" "Pppp" "Cccc" "Wwww" "Pppp" "Cccc" "claim"']
            out += [".It W Ta P Ta C Ta W Ta P Ta C Ta claim, and what stops the attack"]
            heading = source
        out += [f".It {' Ta '.join(_cell(came.get(column)) for column in COLUMNS)} Ta"]
        out += [*_roff(_sentence(name)), f".Em {' , '.join(stopped_by)} ."]
        out += _roff(_native(came))
    out += [
        ".El",
        ".Sh SEE ALSO",
        ".Xr capwrap 1 ,",
        ".Xr capwrap 7 ,",
        ".Xr capwrap-syscalls 7",
        "",
    ]
    return "\n".join(out)


def main(arguments: list[str] | None = None) -> int:
    """The program; returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where something is stale")
    check = parser.parse_args(arguments).check
    claims, record = collect(), Record.read()
    if not check:
        record = merged(claims, record)
        (ROOT / RECORD).write_text(record.text())
        (ROOT / PAGE).write_text(page(record))
    found = list(problems(claims, record))
    if not (ROOT / PAGE).exists() or (ROOT / PAGE).read_text() != page(record):
        found.append(f"{PAGE} is stale: run python tests/attacks.py")
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
