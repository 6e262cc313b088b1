"""No fact is written down and not tried."""

from __future__ import annotations

import re
from pathlib import Path

from support.run import REPO


def test_every_program_of_this_room_is_run_by_a_test() -> None:
    written = {path.stem for path in (REPO / "tests/programs/kernel").glob("*.c")}
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert set(re.findall(r'fact\("(\w+)"', tests)) == written
