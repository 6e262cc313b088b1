"""Where root lacks CAP_KILL and CAP_SYS_PTRACE, as in some containers, it still supervises what gave up being root."""

from __future__ import annotations

import os

from support.compare import Bench
from support.programs import Programs
from support.run import Outcome

LACKING = ["setpriv", "--bounding-set=-kill,-sys_ptrace", "--inh-caps=-kill,-sys_ptrace", "--"]


def confined(bench: Bench, programs: Programs, how: str, *options: str) -> Outcome:
    """A run of the program that gives up its user."""
    program = programs("system/gaveup")
    prefix = LACKING if os.geteuid() == 0 else []
    command = [*prefix, *bench.runner.capwrap, "run", "-q", "--rox", str(program.parent), *options, "--"]
    return bench.runner.native([*command, program, how, "/ungranted/name"], cwd=bench.work, env=bench.env)


def test_what_a_command_leaves_behind_ends_with_it(bench: Bench, programs: Programs) -> None:
    done = confined(bench, programs, "leaves")
    assert done.status == 0, done.describe()
    assert not os.path.exists(f"/proc/{done.text.strip()}/exe")


def test_a_time_out_ends_it(bench: Bench, programs: Programs) -> None:
    done = confined(bench, programs, "computes", "--timeout", "1")
    assert done.status == 124, done.describe()


def test_a_look_that_it_is_stopped_for_is_answered(bench: Bench, programs: Programs) -> None:
    done = confined(bench, programs, "looks")
    assert done.status == 0, done.describe()


def test_a_signal_on_the_way_makes_no_other_answer(bench: Bench, programs: Programs) -> None:
    done = confined(bench, programs, "many")
    assert (done.status, done.text) == (0, "0\n"), done.describe()
