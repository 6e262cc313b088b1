"""What a program does with its descriptors' numbers comes to the same, wherever the capabilities lie."""

from __future__ import annotations

import resource

import pytest
from support.compare import Bench, copying
from support.programs import Programs


@pytest.mark.parametrize("soft", [1024, 8192])
def test_close_range_reaches_over_the_capabilities(bench: Bench, programs: Programs, soft: int) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] < 8192:
        pytest.fail("the hard limit of open files is below 8192: raise it (ulimit -Hn)", pytrace=False)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    try:
        pair = bench.compare(["./close_range"], setup=copying(programs("system/close_range")))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert b"interrupted: 0 of 300 wrong" in pair.native.stdout, pair.native.describe()


@pytest.mark.parametrize("whose", ["own", "left-alone"])
def test_a_thread_acts_on_the_descriptors_of_its_own_table(each_bench: Bench, programs: Programs, whose: str) -> None:
    # Its process's first thread has other files under the same numbers, or has ended.
    setup = copying(programs("system/own_table"))
    pair = each_bench.compare(["./own_table", whose], setup=setup, options=("--net", "loopback"))
    assert b"connect" in pair.native.stdout, pair.native.describe()
