"""The progress bar: on a terminal, over itself, and nowhere else."""

from __future__ import annotations

import os
import time

import pytest

from capwrap.cli import progress


def drawn(monkeypatch: pytest.MonkeyPatch, sizes: list[int | None], *, terminal: bool) -> str:
    now = iter(range(1000))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(now)))
    monkeypatch.setattr(os, "isatty", lambda _fd: terminal)
    written: list[bytes] = []

    def write(_fd: int, data: bytes) -> int:
        written.append(data)
        return len(data)

    monkeypatch.setattr(os, "write", write)
    with progress.Progress(sizes) as bar:
        bar.tell(50)
        bar.next_record()
        bar.tell(100)
    monkeypatch.undo()
    return b"".join(written).decode()


def test_it_shows_the_share_over_all_records_and_clears_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    text = drawn(monkeypatch, [100, 100], terminal=True)
    assert "25%" in text
    assert "75%" in text
    assert text.endswith("\r\x1b[K")


def test_of_what_has_no_size_it_shows_what_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "MB read" in drawn(monkeypatch, [None], terminal=True)


def test_where_stderr_is_no_terminal_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert drawn(monkeypatch, [100], terminal=False) == ""
