"""Adding a run to a record that there is: one record of several runs, with running numbers and one last line.

A run writes to a file of its own first, which becomes part of the record when it is over. So several may be under way
at once, and one that is killed leaves the record as it was.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import tempfile
from typing import IO, Any

from capwrap.observe.events_file import EventsError

_TAIL = 8 << 20  # more than the two longest lines that a run writes
_PIECE = 1 << 20  # bytes that are written at a time
_ID = re.compile(rb'(\{"type":"[a-z]+","id":)([0-9]+)')
_SUMS = ("refusals", "absent", "accesses", "lost")


class Appended:
    """A record to which a run is added. Raises EventsError where it is no record."""

    def __init__(self, where: str) -> None:
        if where.startswith("fd:"):
            raise EventsError(f"--append: {where} is no file; name one with --events FILE")
        self._where = where
        try:
            fd = os.open(where, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY, 0o666)
            # Without a buffer: what could not be written is not to be tried again.
            self._record: IO[bytes] = open(fd, "r+b", buffering=0)  # noqa: SIM115 (closed by `merge`)
            self._own: IO[bytes] = tempfile.TemporaryFile(dir=os.path.dirname(os.path.abspath(where)))  # noqa: SIM115
        except OSError as error:
            raise EventsError(f"--events {where}: {error.strerror}; name a file that can be written") from None
        self._last_line()

    def destination(self) -> int:
        """A descriptor for the run's own lines, which becomes the caller's."""
        return fcntl.fcntl(self._own.fileno(), fcntl.F_DUPFD_CLOEXEC, 10)

    def merge(self) -> str | None:
        """The run is over: its lines become part of the record; why not, if they did not.

        Then the runs before it are there as they were, and the last line says that something is missing.
        """
        with self._own as own, self._record as record:
            fcntl.flock(record, fcntl.LOCK_EX)
            at, before, used = self._last_line()
            try:
                record.truncate(record.seek(at))
                if _add(own, record, before, used):
                    return None
                problem = None  # there was no room for its own last line, which has been told
            except OSError as error:
                problem = f"{self._where}: the record could not be written: {error.strerror}; it is not complete"
            try:
                record.truncate(record.seek(at))
                if before:
                    _write(record, [_line(before | {"complete": False})])
            except OSError as error:
                # Without a last line it claims nothing.
                return problem or f"{self._where}: the record could not be written: {error.strerror}"
            return problem

    def _last_line(self) -> tuple[int, dict[str, Any], int]:
        """Where the last line begins, what it says, and the last running number; 0, {} and 0 for an empty file."""
        size = self._record.seek(0, os.SEEK_END)
        if not size:
            return 0, {}, 0
        self._record.seek(max(size - _TAIL, 0))
        lines = self._record.read().splitlines(keepends=True)
        try:
            last = json.loads(lines[-1])
            if last["type"] != "end" or not lines[-1].endswith(b"\n"):
                raise ValueError
            sums = {name: int(last[name]) for name in _SUMS}
            numbers = (int(found[2]) for line in reversed(lines) if (found := _ID.match(line)) is not None)
            return size - len(lines[-1]), last | sums, next(numbers, 0)
        except (ValueError, KeyError, TypeError):
            raise EventsError(
                f"--events {self._where}: not a whole record, so nothing can be added to it; name another file"
            ) from None


def _add(own: IO[bytes], record: IO[bytes], before: dict[str, Any], used: int) -> bool:
    """Write the lines of a run behind those that there are; whether the last of them was its last line."""
    own.seek(0)
    lines: list[bytes] = []
    size = 0
    ended = False
    for line in own:
        found = _ID.match(line)
        if found is not None:
            lines.append(b"%s%d%s" % (found[1], int(found[2]) + used, line[found.end() :]))
        elif line.startswith(b'{"type":"end",'):
            lines.append(_joined(before, json.loads(line)))
            ended = True
        else:
            lines.append(line)
        size += len(line)
        if size >= _PIECE:
            _write(record, lines)
            lines.clear()
            size = 0
    _write(record, lines)
    return ended


def _write(record: IO[bytes], lines: list[bytes]) -> None:
    view = memoryview(b"".join(lines))
    while view:
        view = view[record.write(view) :]


def _joined(before: dict[str, Any], end: dict[str, Any]) -> bytes:
    """The last line of both: counts are added up, and it ended as the last run did."""
    for name in _SUMS:
        end[name] += before.get(name, 0)
    end["complete"] = end["complete"] and before.get("complete", True) is True
    return _line(end)


def _line(record: dict[str, Any]) -> bytes:
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"
