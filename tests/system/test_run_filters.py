"""Programs that put themselves behind a seccomp filter of their own see of it what they see natively."""

from __future__ import annotations

from support.compare import Bench, copying
from support.programs import Programs
from support.run import require

FILES = {"box/file": "text\n", "box/denied": "no\n"}


def test_an_allow_list_of_the_targets_own_kills_for_its_own_calls_only(each_bench: Bench, programs: Programs) -> None:
    script = "ln -sf file box/link; echo | ./allowlist"
    setup = copying(programs("system/allowlist"), then=FILES)
    # A carved-out name makes every open a hand-over.
    for options in ((), ("--deny", str(each_bench.work / "box/denied"))):
        pair = each_bench.compare(script, setup=setup, options=options)
        assert pair.native.stdout.count(b"ended with 0\n") == 2, pair.native.describe()
        assert pair.native.stdout.count(b"ended with 0x1f\n") == 2, pair.native.describe()


def test_a_filter_kills_no_sibling_that_its_process_made(each_bench: Bench, programs: Programs) -> None:
    """CLONE_PARENT: whose filter a child has is not told by whose child it is."""
    pair = each_bench.compare(["./siblings"], setup=copying(programs("system/siblings")))
    assert pair.native.stdout == b"101 ended, 0 killed, 0 failed\n", pair.native.describe()


def test_file_which_has_an_allow_list_tells_what_it_tells_natively(each_bench: Bench) -> None:
    require("file")
    pair = each_bench.compare(["file", "box/file", "/bin/sh", "box"], files=FILES)
    assert b"box/file: ASCII text" in pair.native.stdout
