"""What is killed on its way is a process that was killed, and no more than that."""

from __future__ import annotations

import pytest
from support.compare import Bench
from support.programs import Programs


@pytest.mark.no_attack
def test_a_process_killed_in_an_exec_is_no_gap_in_the_record(each_bench: Bench, plain_programs: Programs) -> None:
    program = plain_programs("races/killedexec")
    done = each_bench.compare([program, "400"], options=["--rox", program], stdout=False)
    assert done.confined.stderr == b""
    (end,) = each_bench.records("end")
    assert end["complete"] is True
