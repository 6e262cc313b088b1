"""The one exception of capwrap.elf."""

from __future__ import annotations

import os


class ElfError(Exception):
    """A file cannot be analysed: `path` is the file, `what` the reason, `remedy` what to do about it."""

    def __init__(self, path: str, what: str, remedy: str) -> None:
        self.path = path
        self.what = what
        self.remedy = remedy
        super().__init__(f"{printable(path)}: {what}; {remedy}")


def printable(text: str) -> str:
    """`text` (a file name as os.fsdecode gives it) with what is not UTF-8, and control characters, as escapes."""
    decoded = os.fsencode(text).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in decoded)
