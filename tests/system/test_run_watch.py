"""inotify: a watch is on what the path leads to, whoever decides the path."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.compare import Bench, Setup, copying
from support.programs import Programs

# A directory whose calls the target makes itself, and one of which something is denied, so that each path is walked.
OPTIONS = {"whole": (), "carved": ("--deny", "nothing-here")}


def watched(programs: Programs) -> Setup:
    def setup(work: Path) -> None:
        copying(programs("system/watch"), then={"d/f": "x", "f": "x"})(work)
        (work / "link").symlink_to("f")
        os.mkfifo(work / "fifo")

    return setup


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_a_watch_tells_what_it_tells_natively(each_bench: Bench, programs: Programs, options: tuple[str, ...]) -> None:
    each_bench.compare(["./watch", "d", "f"], setup=watched(programs), options=options)


@pytest.mark.parametrize("options", [(), ("--deny", "{work}/nothing-here")], ids=["whole", "walked"])
def test_the_end_of_what_is_watched_is_told_at_once(
    each_bench: Bench, programs: Programs, options: tuple[str, ...]
) -> None:
    """A descriptor that capwrap left open in the target would keep it in being."""
    chosen = [word.format(work=each_bench.work) for word in options]
    each_bench.compare(["./watch", "d", "f", "remove"], setup=watched(programs), options=chosen)
