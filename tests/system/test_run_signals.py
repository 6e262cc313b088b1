"""Signals that arrive while a call is decided, performed or waited for: the program sees what it would see natively."""

from __future__ import annotations

from support.compare import Bench
from support.programs import Programs

FILES = {"file": "hello\n", "box/denied": "no\n"}
SCRIPT = "ln -s file link; mkfifo box/fifo; exec {program} box/fifo"


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
