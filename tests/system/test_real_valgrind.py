"""valgrind keeps its own descriptors above those of its client, where capwrap has its capabilities."""

from __future__ import annotations

import resource

import pytest
from support.compare import Bench
from support.run import require

_PROGRAM = """
#include <stdlib.h>
int main(void)
{
	int *array = malloc(4 * sizeof(int));

	return array[4] == 42;
}
"""
_SCRIPT = """
    cc -g -o wrong wrong.c
    valgrind --error-exitcode=9 --leak-check=full ./wrong 2>&1 | sed -E 's/==[0-9]+==//; s/0x[0-9A-F]+/ADDRESS/g'
    exit ${PIPESTATUS[0]}
"""


@pytest.mark.parametrize("limit", [1024, 4096])
def test_valgrind_finds_what_it_finds_natively(each_bench: Bench, limit: int) -> None:
    require("valgrind")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        found = each_bench.compare(["bash", "-c", _SCRIPT], files={"wrong.c": _PROGRAM}, status=9)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "Invalid read of size 4" in found.native.text, found.native.describe()
