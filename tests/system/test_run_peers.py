"""A program that parts its processes by their ids, or closes one of them to the others, stays parted."""

from __future__ import annotations

import os

import pytest
from support.compare import Bench, copying
from support.programs import Programs


@pytest.mark.parametrize("how", ["same", "dropped"])
def test_a_process_may_do_to_another_what_it_may_natively(each_bench: Bench, programs: Programs, how: str) -> None:
    pair = each_bench.compare(["./peers", how], setup=copying(programs("system/peers")))
    parted = how == "dropped" and each_bench.runner.uid is None and os.geteuid() == 0
    assert (b"maps: EACCES" in pair.native.stdout) == parted, pair.native.describe()


def test_a_process_that_closed_itself_is_closed_to_the_others(each_bench: Bench, programs: Programs) -> None:
    # Root looks into it all the same natively, with a capability that it does not keep in here.
    setup = copying(programs("system/peers"))
    if each_bench.runner.uid is not None or os.geteuid() != 0:
        each_bench.compare(["./peers", "closed"], setup=setup)
        return
    setup(each_bench.work)
    confined = each_bench.confined(["./peers", "closed"])
    assert confined.status == 0, confined.describe()
    assert b"maps: EACCES" in confined.stdout, confined.describe()
