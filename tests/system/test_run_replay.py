"""check --against on real runs: replayed on the policy that it ran under, a record is refused what the run was."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.compare import Bench
from support.run import Outcome, require, tool

SCRIPT = "cc -c a.c && cc a.o && ./a.out && git init -q r && python3 -c 'import json' && mv a.o b.o && rm b.o"
WORKSPACE = 'extends = ["workspace"]\n'


@pytest.fixture
def recorded(bench: Bench) -> Bench:
    require("cc", "git", "python3")
    bench.fresh({"a.c": "int main(void) { return 0; }\n", "p.toml": WORKSPACE})
    done = bench.confined(["/bin/sh", "-c", f"{SCRIPT}; cat /etc/shadow"], options=("-q", "--events", bench.events))
    assert b"shadow" in done.stderr, done.describe()
    return bench


def check(bench: Bench, policy: str) -> Outcome:
    (bench.work / "p.toml").write_text(policy)
    command: list[str | bytes | Path] = [tool("capwrap"), "check", "p.toml", "--against", bench.events]
    return bench.runner.native(command, cwd=bench.work, env=bench.env)


def test_the_policy_of_the_run_refuses_what_the_run_was_refused_and_nothing_else(recorded: Bench) -> None:
    told = check(recorded, WORKSPACE)
    assert told.status == 1, told.describe()
    assert told.text.splitlines()[0].startswith("1 call of ")
    assert "/etc/shadow" in told.text.splitlines()[1]


def test_with_that_granted_nothing_would_be_refused(recorded: Bench) -> None:
    told = check(recorded, WORKSPACE + 'ro = ["/etc/shadow"]\n')
    assert told.status == 0, told.describe()


def test_a_policy_without_the_compiler_is_told_what_it_lacks(recorded: Bench) -> None:
    told = check(recorded, 'extends = ["runtime"]\nworkdir = "rwx"\n')
    assert told.status == 1, told.describe()
    assert "cc1: execve: needs fexecve" in told.text
    assert f"{recorded.work}/a.c" not in told.text
