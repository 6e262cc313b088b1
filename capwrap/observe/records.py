"""The engine's event records, decoded (rewriters/events.h).

A record may be longer than what is known of it, and of an unknown type: the first lets its end, the second the whole
record pass by. Anything that contradicts the layout raises RecordError, and nothing else does.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

NONE = 0xFFFFFFFF
"""CW_NONE: no grant"""

HEADER = struct.Struct("<IBBHQiiqQII8I")
"""struct cw_event"""

_ID = struct.Struct("<Q")


class RecordError(ValueError):
    """Bytes that are no event record; the message says where and why."""


class EventType(IntEnum):
    """enum cw_event_type."""

    ACCESS = 1
    REFUSAL = 2
    ABSENT = 3
    PROCESS = 4
    LOST = 5
    STACK = 6


class ProcessEvent(IntEnum):
    """enum cw_process_event."""

    START = 1
    EXEC = 2
    EXIT = 3


KINDS = (
    "none",
    "not-granted",
    "right-missing",
    "escape",
    "syscall",
    "signal",
    "process",
    "network",
    "exec",
    "descriptor",
)
"""enum cw_event_kind, as the published record spells it"""


class Event(NamedTuple):
    """One record. A tuple and no dataclass: a traced build makes a hundred thousand of them."""

    type: int
    kind: int
    nr: int
    t: int
    """ns since the start of the run"""
    pid: int
    tid: int
    result: int
    rights: int
    grant: int
    grant2: int
    path: str
    path2: str
    host: str
    extra: bytes
    asked: str = ""
    """the path as it was asked for, joined to its directory; "" where that is `path`"""
    asked2: str = ""
    via: str = ""
    """the last symbolic link on the way"""
    registers: bytes = b""
    """of REFUSAL and ABSENT, and in a trace of ACCESS: the arguments as they were in the six registers, 8 bytes each"""
    stack: int = 0
    """of a REFUSAL: the id of the STACK record before it that has its stack (`result` there); 0: none"""

    @property
    def kind_name(self) -> str:
        """The kind's published name; a number of a later engine is at least a refused call."""
        return KINDS[self.kind] if 0 < self.kind < len(KINDS) else "syscall"


def text(raw: bytes) -> str:
    """A path or argument as Python has it: UTF-8, other bytes as lone surrogates (os.fsdecode)."""
    return raw.decode("utf-8", "surrogateescape")


def decode(batch: bytes) -> Iterator[Event]:
    """The known records of a batch, in order. Raises RecordError at the first byte that fits no record."""
    offset, end = 0, len(batch)
    known = frozenset(EventType)
    while offset < end:
        if end - offset < HEADER.size:
            raise RecordError(f"record at byte {offset}: {end - offset} bytes are less than a header")
        (size, kind_of, kind, nr, t, pid, tid, result, rights, grant, grant2, *lengths) = HEADER.unpack_from(
            batch, offset
        )
        if size < HEADER.size or size % 8 or size > end - offset:
            raise RecordError(f"record at byte {offset}: impossible size {size}")
        if sum(lengths) > size - HEADER.size:
            raise RecordError(f"record at byte {offset}: strings of {sum(lengths)} bytes in a record of {size}")
        if kind_of in known:
            at = offset + HEADER.size
            strings = []
            for length in lengths:
                strings.append(batch[at : at + length])
                at += length
            at += (offset - at) % 8  # the strings' padding
            known_stack = kind_of == EventType.REFUSAL and offset + size - at >= _ID.size
            yield Event(
                kind_of,
                kind,
                nr,
                t,
                pid,
                tid,
                result,
                rights,
                grant,
                grant2,
                text(strings[0]),
                text(strings[1]),
                text(strings[2]),
                strings[3],
                text(strings[4]),
                text(strings[5]),
                text(strings[6]),
                strings[7],
                _ID.unpack_from(batch, at)[0] if known_stack else 0,
            )
        offset += size


def arguments(extra: bytes) -> tuple[str, ...]:
    """argv of an exec event: every argument ends with a NUL; what a cut record leaves behind counts too."""
    if not extra:
        return ()
    return tuple(text(part) for part in extra.removesuffix(b"\0").split(b"\0"))


def registers(raw: bytes) -> tuple[int, ...]:
    """The argument registers of a call as numbers without a sign; () where there are none."""
    return struct.unpack("<6Q", raw) if len(raw) == 48 else ()


class Processes:
    """What is known of the target's processes: their current argv and directory, from events."""

    def __init__(self, argv: tuple[str, ...] = ()) -> None:
        self._first = argv
        self._argv: dict[int, tuple[str, ...]] = {}
        self._cwd: dict[int, str] = {}

    def see(self, event: Event) -> None:
        """Take note of a process event; others tell nothing."""
        if event.type != EventType.PROCESS:
            return
        if event.kind == ProcessEvent.START:
            self._argv[event.pid] = self.argv(event.result)
            self._cwd[event.pid] = event.path2
        elif event.kind == ProcessEvent.EXEC:
            self._argv[event.pid] = arguments(event.extra)
            self._cwd[event.pid] = event.path2
        elif event.kind == ProcessEvent.EXIT:
            self._argv.pop(event.pid, None)
            self._cwd.pop(event.pid, None)

    def moved(self, event: Event) -> None:
        """Take note of a change of directory that succeeded."""
        self._cwd[event.pid] = event.path

    def cwd(self, pid: int) -> str | None:
        """The directory that a process is in; None where that is not known."""
        return self._cwd.get(pid) or None

    def argv(self, pid: int) -> tuple[str, ...]:
        """argv of a process; of one that was never seen, COMMAND's own."""
        return self._argv.get(pid, self._first)
