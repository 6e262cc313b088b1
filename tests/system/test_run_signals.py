"""A signal does to a confined program what it does natively, and one that is ignored does nothing."""

from __future__ import annotations

import pytest
from support.compare import Bench, copying
from support.programs import Programs

FILES = {"file": "hello\n", "box/denied": "no\n"}
SCRIPT = "ln -s file link; mkfifo box/fifo; exec {program} box/fifo"


def test_an_ignored_signal_interrupts_nothing(each_bench: Bench, programs: Programs) -> None:
    pair = each_bench.compare(["./ignored"], setup=copying(programs("system/ignored")))
    lines = pair.native.text.splitlines()
    # Natively each call waits until the signal comes that is handled.
    assert all(line.endswith(": -1 EINTR, 1 handled") for line in lines), pair.native.text
    assert len(lines) == 30


def test_signals_change_nothing_of_calls_that_they_do_not_end(each_bench: Bench, programs: Programs) -> None:
    program = programs("system/interrupted")
    script = SCRIPT.format(program=program)
    each_bench.fresh(FILES)
    native = each_bench.runner.native(["sh", "-c", script], cwd=each_bench.work, env=each_bench.env)
    assert b"looks under a storm: 0 wrong" in native.stdout, native.describe()
    # A carved-out name makes `box` a grant whose calls are all performed: the open of its FIFO waits in the supervisor.
    for options in ((), ("--deny", each_bench.work / "box/denied")):
        each_bench.fresh(FILES)
        confined = each_bench.confined(script, options=("-q", "--rox", program.parent, *options))
        assert confined.stdout == native.stdout, confined.describe()
        assert confined.status == native.status, confined.describe()


@pytest.mark.parametrize("how", ["plain", "pending", "signalled", "awaited"])
def test_a_look_that_its_thread_is_stopped_for_is_answered_whatever_the_thread(
    each_bench: Bench, programs: Programs, how: str
) -> None:
    # With a record, a refused name takes a stop for its stack (stack.c).
    pair = each_bench.compare(["./looks", how, "/ungranted/name"], setup=copying(programs("system/looks")))
    assert pair.native.text == "ENOENT\n"


def test_a_call_whose_signal_another_thread_takes_is_answered_once(each_bench: Bench, programs: Programs) -> None:
    program = programs("system/taken")
    script = f"mkfifo box/fifo; exec {program}"
    each_bench.fresh({"box/file": "hello\n", "box/denied": "no\n"})
    native = each_bench.runner.native(["sh", "-c", script], cwd=each_bench.work, env=each_bench.env)
    assert native.text.count(": 0 wrong") == 6, native.describe()
    # The carved-out name has descriptors handed over.
    each_bench.fresh({"box/file": "hello\n", "box/denied": "no\n"})
    denied = each_bench.work / "box/denied"
    confined = each_bench.confined(script, options=("-q", "--rox", program.parent, "--deny", denied))
    assert confined.stdout == native.stdout, confined.describe()
    assert confined.status == native.status, confined.describe()
