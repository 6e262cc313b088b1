"""How far a command is with a long record, on stderr where that is a terminal."""

from __future__ import annotations

import os
import time

_EVERY = 0.1  # seconds
_WIDTH = 30


class Progress:
    """A bar that is drawn over itself, and nothing where stderr is no terminal. Use it as a context."""

    def __init__(self, sizes: list[int | None]) -> None:
        self._total = sum(size or 0 for size in sizes) if all(sizes) else 0
        self._before = 0
        self._now = 0
        self._drawn = 0.0
        self._begun = time.monotonic()
        self._shown = False
        try:
            self._terminal = os.isatty(2)
        except OSError:
            self._terminal = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._shown:
            self._write("\r\x1b[K")

    def next_record(self) -> None:
        """Another record begins."""
        self._before += self._now
        self._now = 0

    def tell(self, done: int) -> None:
        """So many bytes of this record have been read."""
        self._now = done
        if not self._terminal:
            return
        now = time.monotonic()
        if now - self._drawn < _EVERY or now - self._begun < 5 * _EVERY:
            return
        self._drawn = now
        read = self._before + done
        if self._total:
            share = min(read / self._total, 1.0)
            full = round(share * _WIDTH)
            text = f"[{'#' * full}{'.' * (_WIDTH - full)}] {share:4.0%}"
        else:
            text = f"{read / 1e6:.0f} MB read"
        self._shown = True
        self._write(f"\r\x1b[K{text}")

    def _write(self, text: str) -> None:
        try:
            os.write(2, text.encode())
        except OSError:
            self._terminal = False
