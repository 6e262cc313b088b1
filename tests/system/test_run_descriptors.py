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
