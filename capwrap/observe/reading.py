"""Reading a record back (capwrap-events(5)), a line at a time, in memory that does not grow with the record.

A record may come from anywhere: whatever stands in a line, it is either used as it was meant or an EventsError that
names the line. Readers ignore fields and types that they do not know.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, TypeAlias

from capwrap.observe.events_file import VERSION, EventsError
from capwrap.observe.records import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

Record: TypeAlias = dict[str, Any]

LINE_MAX = 4 << 20
"""bytes of a line; the longest that a run writes has two paths, their origins and an argv of 4 KiB, all escaped"""

_TEXTS = (
    "path",
    "path2",
    "asked",
    "asked2",
    "via",
    "host",
    "address",
    "grant",
    "grant2",
    "nearest",
    "denied",
    "hint",
    "cwd",
)
_LISTS = ("argv", "args")
_WHOLE = ("id", "pid", "tid", "parent", "result", "status", "signal", "times")
_CALL = ("id", "pid", "syscall", "path")
_NEEDED: dict[str, tuple[str, ...]] = {
    "access": (*_CALL, "rights", "result"),
    "refusal": (*_CALL, "kind", "needs", "errno"),
    "absent": (*_CALL, "kind", "needs", "errno"),
    "process": ("event", "pid"),
    "end": (),
}
_LARGEST = (1 << 63) - 1
_SYSCALL = re.compile(r"[a-z0-9_]{1,64}\Z")
_ERRNO = re.compile(r"(?:E[A-Z0-9]{1,30}|[0-9]{1,10})\Z")
_NAME = re.compile(r"[a-z_]{1,64}\Z")
_KNOWN_NAMES: set[tuple[str, ...]] = set()


def began_at(run: Record) -> float | None:
    """When a run began, by its first line, in seconds since 1970; None where that does not tell."""
    time = run.get("time")
    return float(time) if isinstance(time, (int, float)) and 0 <= time < 1e11 else None


@dataclass
class Events:
    """A record being read: iterate over it for its lines, from the second on, with the texts decoded.

    `run` is the first line. `problems`, valid after the last line, says why what was read is not everything.
    """

    name: str
    """what messages call it"""
    stream: IO[bytes]
    tell: Callable[[int], None] = lambda _done: None
    """told how many bytes have been read, now and then"""
    next_run: Callable[[Record], None] = lambda _run: None
    """told the `run` line of each further run, which stands before its lines in a record to which runs were added"""
    problems: list[str] = field(default_factory=list)
    run: Record = field(default_factory=dict)
    end: Record | None = None
    _line: int = 0
    _done: int = 0

    def __post_init__(self) -> None:
        try:
            self.run = self._first()
        except BaseException:
            self._close()
            raise

    def _first(self) -> Record:
        raw = self._read()
        remedy = "write one with `capwrap run --events FILE`"
        if not raw:
            raise EventsError(f"{self.name}: it is empty; {remedy}")
        try:
            run = self._parsed(raw)
        except EventsError as error:
            raise EventsError(f"{error}; is it a record? {remedy}") from None
        if run.get("type") != "run":
            raise EventsError(f"{self.name}: its first line is no `run` line, so it is no record; {remedy}")
        if run.get("v") != VERSION:
            version = str(run.get("v"))[:20]
            raise EventsError(f"{self.name}: version {version} of the format; this capwrap reads {VERSION}")
        return run

    def __iter__(self) -> Iterator[Record]:
        """The lines between the first and the last, once. The stream is closed behind them."""
        try:
            yield from self._lines()
        finally:
            self._close()

    def _lines(self) -> Iterator[Record]:
        whole = True
        while raw := self._read():
            if not self._line & 0xFFF:
                self.tell(self._done)
            try:
                record = self._parsed(raw)
            except EventsError:
                if raw.endswith(b"\n") or len(raw) > LINE_MAX:
                    raise
                whole = False  # what a writer left that was killed in the middle of a line
                break
            if self.end is not None:
                raise EventsError(f"{self.name}:{self._line}: a line behind the `end` line; are these two records?")
            if record["type"] == "end":
                self.end = record
            elif record["type"] == "run":
                self.next_run(record)
            elif record["type"] in _NEEDED:
                yield record
        self.tell(self._done)
        if self.end is None or not whole:
            self.problems.append(f"{self.name}: the record was cut short after {self._line} lines")
        elif self.end.get("complete") is not True:
            self.problems.append(f"{self.name}: its run says that the record is not complete")

    def _read(self) -> bytes:
        try:
            raw = self.stream.readline(LINE_MAX + 1)
        except OSError as error:
            raise EventsError(f"{self.name}: {error.strerror}") from None
        if raw:
            self._line += 1
            self._done += len(raw)
        return raw

    def _close(self) -> None:
        if self.stream is not sys.stdin.buffer:
            self.stream.close()

    def _parsed(self, raw: bytes) -> Record:
        where = f"{self.name}:{self._line}"
        if len(raw) > LINE_MAX:
            raise EventsError(f"{where}: a line of more than {LINE_MAX} bytes, which no run writes")
        try:
            record = _DECODER.decode(raw.decode())
        except (ValueError, RecursionError) as error:
            raise EventsError(f"{where}: no JSON: {_short(error)}") from None
        if not isinstance(record, dict) or not isinstance(record.get("type"), str):
            raise EventsError(f"{where}: no object with a `type`")
        if b"\\u" in raw and not _is_of_characters(record):
            raise EventsError(f"{where}: half of a surrogate pair, which is no character")
        try:
            _check(record)
        except (ValueError, OverflowError) as error:
            raise EventsError(f"{where}: {error}") from None
        return record


def _is_of_characters(record: Record) -> bool:
    """Whether texts hold no escaped half of a pair, which nobody could write as UTF-8. U+DC80 to U+DCFF are bytes."""
    try:
        json.dumps(record, ensure_ascii=False).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_number)


def _short(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 at byte {error.start}"
    return str(error)[:120]


def _check(record: Record) -> None:
    """Decode the texts of a record in place, and make sure that every field that is known is what it is to be."""
    if any(name.endswith("_b64") for name in record):
        _decode(record)
    for name, value in record.items():
        check = _CHECKS.get(name)
        if check is not None and value is not None and not check(value):
            raise ValueError(f"`{name}` is {_IS_NOT[check]}")
    for name in _NEEDED.get(record["type"], ()):
        if record.get(name) is None:
            raise ValueError(f"`{name}` is missing in a line of type `{record['type']}`")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value


def _is_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) and "\0" not in each for each in value)


def _is_names(value: object) -> bool:
    if not isinstance(value, list):
        return False
    key = tuple(value) if all(isinstance(each, str) for each in value) else None
    if key is None:
        return False
    if key in _KNOWN_NAMES:
        return True
    if not all(_NAME.match(each) for each in key):
        return False
    if len(_KNOWN_NAMES) < 4096:
        _KNOWN_NAMES.add(key)
    return True


def _is_whole(value: object) -> bool:
    return type(value) is int and -_LARGEST <= value <= _LARGEST


def _is_time(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value < 1e10  # type: ignore[operator]


def _is_syscall(value: object) -> bool:
    return isinstance(value, str) and _SYSCALL.match(value) is not None


def _is_errno(value: object) -> bool:
    return isinstance(value, str) and _ERRNO.match(value) is not None


def _is_kind(value: object) -> bool:
    return value in KINDS


def _is_event(value: object) -> bool:
    return value in ("start", "exec", "exit")


_IS_NOT: dict[Callable[[object], bool], str] = {
    _is_text: "no text without NUL",
    _is_list: "no list of texts without NUL",
    _is_names: "no list of names",
    _is_whole: "no whole number of 64 bits",
    _is_time: "no time in seconds",
    _is_syscall: "no name of a call",
    _is_errno: "no name of an error",
    _is_kind: "no kind that this capwrap knows",
    _is_event: "neither start, exec nor exit",
}
_CHECKS: dict[str, Callable[[object], bool]] = {
    **dict.fromkeys((*_TEXTS, "allow"), _is_text),
    **dict.fromkeys(_LISTS, _is_list),
    **dict.fromkeys(("needs", "rights", "has"), _is_names),
    **dict.fromkeys(_WHOLE, _is_whole),
    "t": _is_time,
    "syscall": _is_syscall,
    "errno": _is_errno,
    "kind": _is_kind,
    "event": _is_event,
}


def _decode(record: Record) -> None:
    import base64
    import binascii

    def text(value: object) -> str:
        if not isinstance(value, str):
            raise ValueError("base64 that is no text")
        try:
            return base64.b64decode(value, validate=True).decode("utf-8", "surrogateescape")
        except (binascii.Error, ValueError):
            raise ValueError("base64 that cannot be read") from None

    for name in [name for name in record if name.endswith("_b64")]:
        plain, value = name.removesuffix("_b64"), record.pop(name)
        if plain in _LISTS:
            if not isinstance(value, list):
                raise ValueError(f"`{name}` is no list")
            record[plain] = [text(each) for each in value]
        elif plain in _TEXTS:
            record[plain] = text(value)


def open_events(name: str, tell: Callable[[int], None] | None = None) -> Events:
    """The record in a file, or `-` for standard input. Raises EventsError for what cannot be read or is none."""
    shown = "standard input" if name == "-" else name
    try:
        stream: IO[bytes] = sys.stdin.buffer if name == "-" else open(name, "rb", buffering=1 << 18)  # noqa: SIM115
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise EventsError(f"{shown}: {reason}; name a record of `capwrap run --events`") from None
    return Events(shown, stream, tell or (lambda _done: None))


def size_of(name: str) -> int | None:
    """Bytes of a record in a regular file; None for what has no size beforehand."""
    import stat

    try:
        status = os.fstat(0) if name == "-" else os.stat(name)
    except (OSError, ValueError):
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None
