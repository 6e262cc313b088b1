"""What a trace says that a run would refuse, a run refuses: the same calls, names, rights and errors, call by call."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import USERS

from fidelity.conftest import Observing
from fidelity.harness import Observer, Program

Refusals = Counter[tuple[object, ...]]

BASE = ("--profile", "base")
TREE = ("paths", "openflags")

POLICIES = {
    "read-only": (*BASE, "--ro", "{work}"),
    "parts-denied": (*BASE, "--rw", "{work}", "--deny", "{work}/tree/dir/a", "--deny", "{work}/tree/dir/new",
                     "--deny", "{work}/tree/fi*", "--deny", "{work}/tree/dir/sub/*"),
    "odd-rights": (*BASE, "--grant", "lookup,fstat,fchdir,create,write,linkat_target,renameat_source,read:{work}",
                   "--on-violation", "errno:EIO"),
    "writable": (*BASE, "--rw", "{work}"),
}  # fmt: skip

# In the tree, every call is made on names that are planted anew if it changed anything: it does not matter that a trace
# lets it do so. The others do what they do where it is permitted, and are refused on the way.
CASES = [
    ("paths", "parts-denied", 4000, USERS[0]),
    ("paths", "odd-rights", 3000, USERS[0]),
    ("openflags", "read-only", 500, USERS[0]),
    ("openflags", "read-only", 500, USERS[-1]),
    ("sysv_objects", "writable", 0, USERS[0]),
    ("posix_ipc", "writable", 0, USERS[0]),
    ("sticky", "writable", 0, USERS[0]),
    ("places", "writable", 0, USERS[0]),
]


def refusals(observer: Observer, program: Program, policy: str, verb: str) -> Refusals:
    """What is refused in a run, or would be in a run as a trace has it; whether the name is there is not compared."""
    bench = observer.bench
    options = [word.format(work=bench.work) for word in POLICIES[policy]]
    argv = observer.fresh(program)
    runner = replace(bench.runner, prefix=(*observer.prefix(program), *bench.runner.prefix), verb=verb)
    ended = runner.confined(
        argv,
        cwd=bench.work,
        env=observer.env(program),
        options=["-q", *options, "--rox", bench.work / program.source, "--events", bench.work.parent / "events"],
    )
    assert ended.status == 0, ended.describe()
    return counted(bench.work.parent / "events", besides=runner.extra_env.get("LD_LIBRARY_PATH", "-"))


def counted(events: Path, *, besides: str) -> Refusals:
    """The refusals of a record, and the absent names, by what they say. `besides`: where only a trace's loader looks,
    for the sake of the Python that runs capwrap.
    """
    found: Refusals = Counter()
    with open(events, encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            if record["type"] not in ("refusal", "absent") or str(record.get("path")).startswith(besides):
                continue
            names = tuple(record.get(name) for name in ("path", "path_b64", "path2", "path2_b64"))
            found[(record["syscall"], *names, record["kind"], record["errno"], *record["needs"])] += 1
    return found


def is_more_of_a_trace(refusal: tuple[object, ...]) -> bool:
    """What capwrap-trace(1) says that a trace has besides: a call's second name, and what falls by registers alone."""
    syscall, path, kind = refusal[0], refusal[1], refusal[5]
    second = str(syscall).startswith(("rename", "link")) and refusal[7:] in (("renameat_target",), ("linkat_target",))
    return second or (not path and kind in ("syscall", "network"))


@pytest.mark.parametrize(("source", "policy", "least", "user"), CASES)
def test_a_trace_has_the_refusals_of_a_run(
    observing: Observing, source: str, policy: str, least: int, user: str
) -> None:
    observer = observing(user)
    program = Program(source, tree=source in TREE)
    run, trace = (refusals(observer, program, policy, verb) for verb in ("run", "trace"))
    assert run.total() >= least
    assert not run - trace
    assert not [refusal for refusal in trace - run if not is_more_of_a_trace(refusal)]
