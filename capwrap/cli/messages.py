"""What capwrap says and where: its own messages to stderr, results to stdout, and the exit statuses.

Both go past Python's buffers, so that a closed or full stream is an error at this place and none at exit.
"""

from __future__ import annotations

import errno
import os

TIMED_OUT = 124
FAILED = 125
NOT_RUNNABLE = 126
NOT_FOUND = 127
REFUSED = 120


class Failure(Exception):
    """capwrap cannot do what was asked: object, reason and remedy as text; `status` is the exit status."""

    def __init__(self, message: str, status: int = FAILED) -> None:
        super().__init__(message)
        self.status = status


def say(message: str) -> None:
    """A message on stderr, every line behind `capwrap: `. Where stderr is closed it has nowhere to go."""
    lines = "".join(f"capwrap: {line}\n" for line in message.splitlines())
    try:
        _write(2, lines.encode("utf-8", "backslashreplace"))
    except OSError:
        return


def emit(text: str, errors: str = "backslashreplace") -> None:
    """A result on stdout. Raises Failure where it cannot be written.

    `errors`: what becomes of bytes of names that are not UTF-8: "surrogateescape" writes them as they are.
    """
    try:
        _write(1, text.encode("utf-8", errors))
    except OSError as error:
        what = "it is closed" if error.errno == errno.EBADF else error.strerror
        raise Failure(f"standard output: {what}; the result could not be written") from None


def printable(text: str) -> str:
    """Text for a terminal: control characters and bytes that are not UTF-8 as escapes."""
    if text.isprintable():
        return text
    from capwrap.observe.summary import printable as escape

    return escape(text)


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
