"""The fixture that compiles what the tests run."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.programs import Programs


def test_what_does_not_compile_says_so_to_each_test_and_hinders_no_other(tmp_path: Path) -> None:
    programs = Programs(tmp_path / "programs")
    for _ in range(2):
        with pytest.raises(pytest.fail.Exception, match="No such file"):
            programs("system/absent")
    assert programs("system/nothing").is_file()
