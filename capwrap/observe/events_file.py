"""The NDJSON record that --events writes (capwrap-events(5), events.schema.json).

A batch is written whole or counts as lost: where a write fails in the middle of a batch and the file can be cut, it is
cut back to the last whole batch, so that what stands in it stays readable line by line.
"""

from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING, Any

from capwrap.observe.output import Output
from capwrap.observe.records import EventType, ProcessEvent, arguments

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from capwrap.elf.backtrace import StackFrame
    from capwrap.observe.kept import Kept
    from capwrap.observe.records import Event
    from capwrap.observe.refusals import Reader, Refusal

VERSION = 1
"""`v` of the first line; it changes when a line changes its meaning, never when fields or types are added"""

_FIRST_FREE = 10  # descriptors are moved out of the way of 0, 1 and 2, which the caller may have closed


class EventsError(Exception):
    """The record's destination cannot be used; the message says why and what to do."""


def is_named(where: str) -> bool:
    """Whether a destination is a file that is opened by its name, and to which nobody else is to write."""
    return not where.startswith("fd:")


def open_destination(where: str) -> int:
    """The descriptor behind `--events FILE|fd:N`, close-on-exec and above 2. Raises EventsError."""
    import fcntl

    if where.startswith("fd:"):
        digits = where.removeprefix("fd:")
        if not (digits.isascii() and digits.isdigit()):
            raise EventsError(f"--events {where}: no descriptor number behind fd:; name it like fd:3")
        try:
            number = int(digits)
            flags = fcntl.fcntl(number, fcntl.F_GETFL)
            if flags & os.O_ACCMODE == os.O_RDONLY or flags & getattr(os, "O_PATH", 0):
                raise EventsError(f"--events {where}: the descriptor is not open for writing; use {number}>FILE")
            return fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no such number"
            raise EventsError(f"--events {where}: {reason}; open the descriptor in the shell, e.g. 3>FILE") from None
    try:
        fd = os.open(where, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOCTTY, 0o666)
        try:
            return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)
        finally:
            os.close(fd)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise EventsError(f"--events {where}: {reason}; name a file that can be written, or fd:N") from None


def put_text(record: dict[str, Any], name: str, value: str | None) -> None:
    """Set a text field; what is not UTF-8 stands as base64 of its bytes under NAME_b64."""
    if value is not None and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            record[f"{name}_b64"] = _base64(value)
            return
    record[name] = value


def put_list(record: dict[str, Any], name: str, values: Sequence[str]) -> None:
    """Set a list of texts; if one of them is not UTF-8, the whole list stands as base64 under NAME_b64."""
    try:
        for value in values:
            if not value.isascii():
                value.encode()
    except UnicodeEncodeError:
        record[f"{name}_b64"] = [_base64(value) for value in values]
        return
    record[name] = list(values)


def _put_way(record: dict[str, Any], asked: str | None, asked2: str | None, via: str | None) -> None:
    for name, value in (("asked", asked), ("asked2", asked2), ("via", via)):
        if value:
            put_text(record, name, value)


def _put_cwd(record: dict[str, Any], event: Event) -> None:
    if event.path2:
        put_text(record, "cwd", event.path2)


def _frame(frame: StackFrame) -> dict[str, Any]:
    """One frame; what is not known is left out."""
    record: dict[str, Any] = {}
    if frame.module is not None:
        put_text(record, "module", frame.module)
    if frame.build_id is not None:
        record["build_id"] = frame.build_id
    if frame.offset is not None:
        record["offset"] = frame.offset
    for name, value in (("symbol", frame.symbol), ("file", frame.file)):
        if value is not None:
            put_text(record, name, value)
    if frame.line is not None:
        record["line"] = frame.line
    if frame.inlined:
        record["inlined"] = True
    if frame.language is not None:
        record["language"] = frame.language
    return record


def _base64(value: str) -> str:
    import base64

    return base64.b64encode(value.encode("utf-8", "surrogateescape")).decode("ascii")


def errno_name(result: int) -> str:
    """The name of a -errno (or errno), e.g. ENOENT; of an unknown one its number."""
    return errno.errorcode.get(abs(result), str(abs(result)))


def _kept(fd: int) -> Kept | None:
    from capwrap.observe.kept import Kept

    try:
        return Kept(fd)
    except ValueError:
        return None


class EventsFile:
    """One record being written to a descriptor, which it owns."""

    def __init__(
        self,
        fd: int,
        reader: Reader,
        run: dict[str, Any],
        times: dict[int, int] | None = None,
        *,
        named: bool = False,
    ) -> None:
        """Of an event whose identity stands in `times`, the line says how often it happened. `named`: as is_named says;
        at the end such a file has to say what was written to it.
        """
        self._output = Output(fd)
        self._reader = reader
        self._run = run
        self._times = times or {}
        self._begun = False
        self._id = 0
        self._encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode
        self.counts = {"refusals": 0, "absent": 0, "accesses": 0}
        self.changed: str | None = None
        """what somebody else did to the file; valid after `end`"""
        self._kept = _kept(fd) if named else None

    @property
    def failure(self) -> OSError | None:
        """Why a write failed, if one did."""
        return self._output.failure

    def begin(self, jail: dict[str, Any]) -> bool:
        """Write the first line; whether that was possible."""
        if self._begun:
            return self.failure is None
        self._begun = True
        record: dict[str, Any] = {"type": "run", "v": VERSION}
        for name, value in self._run.items():
            if name == "argv":
                put_list(record, name, value)
            else:
                record[name] = value
        record["jail"] = jail
        return self._write([record])

    def take(self, events: Iterable[tuple[Event, Refusal | None]]) -> bool:
        """Write a batch: events, with their diagnosis where they are refusals or absent names. Whether it was kept."""
        first, counts = self._id, dict(self.counts)
        records = [record for event, refusal in events if (record := self._record(event, refusal)) is not None]
        if self.failure is None and self._write(records):
            return True
        self._id, self.counts = first, counts
        return False

    def end(self, *, status: int | None, signal: int | None, lost: int, complete: bool) -> bool:
        """Write the last line and close; whether the whole record has been written, and nobody else changed it."""
        if self._kept is not None:
            changed = self._kept.close()
            self.changed = changed if self.failure is None else None
        complete = complete and self.changed is None
        record = {"type": "end", "status": status, "signal": signal, **self.counts, "lost": lost, "complete": complete}
        self._write([record])
        return self._output.close() and self.changed is None

    def _next_id(self) -> int:
        self._id += 1
        return self._id

    def _record(self, event: Event, refusal: Refusal | None) -> dict[str, Any] | None:
        if event.type == EventType.PROCESS:
            return self._process(event)
        if event.type == EventType.ACCESS:
            self.counts["accesses"] += 1
            record = self._head("access", event)
            put_text(record, "path", event.path)
            put_text(record, "grant", self._reader.grant_path(event.grant))
            if event.path2:
                put_text(record, "path2", event.path2)
                put_text(record, "grant2", self._reader.grant_path(event.grant2))
            _put_way(record, event.asked, event.asked2, event.via)
            record["rights"] = list(self._reader.right_names(event.rights))
            record["result"] = event.result
            return record
        if refusal is None:
            return None
        absent = event.type == EventType.ABSENT
        self.counts["absent" if absent else "refusals"] += 1
        record = self._head("absent" if absent else "refusal", event)
        put_text(record, "path", refusal.path)
        if refusal.path2 is not None:
            put_text(record, "path2", refusal.path2)
        _put_way(record, refusal.asked, refusal.asked2, refusal.via)
        put_text(record, "host", refusal.host)
        if refusal.address is not None:
            put_text(record, "address", refusal.address)
        record["kind"] = refusal.kind
        record["needs"] = list(refusal.needs)
        if refusal.has:
            record["has"] = list(refusal.has)
        if refusal.denied is not None:
            put_text(record, "denied", refusal.denied)
        put_text(record, "nearest", refusal.nearest)
        record["errno"] = refusal.errno
        record["allow"] = refusal.allow
        if refusal.hint is not None:
            put_text(record, "hint", refusal.hint)
        if refusal.registers:
            record["args"] = [f"{value:#x}" for value in refusal.registers]
        put_list(record, "argv", refusal.argv)
        if refusal.cwd is not None:
            put_text(record, "cwd", refusal.cwd)
        if self._times.get(id(event), 1) > 1:
            record["times"] = self._times[id(event)]
        if refusal.stack:
            record["stack"] = [_frame(frame) for frame in refusal.stack]
        return record

    def _head(self, kind: str, event: Event) -> dict[str, Any]:
        return {
            "type": kind,
            "id": self._next_id(),
            "t": round(event.t / 1e9, 6),
            "pid": event.pid,
            "tid": event.tid,
            "syscall": self._reader.syscall_name(event.nr),
        }

    def _process(self, event: Event) -> dict[str, Any] | None:
        names = {ProcessEvent.START: "start", ProcessEvent.EXEC: "exec", ProcessEvent.EXIT: "exit"}
        if event.kind not in names:
            return None
        record: dict[str, Any] = {
            "type": "process",
            "id": self._next_id(),
            "t": round(event.t / 1e9, 6),
            "event": names[ProcessEvent(event.kind)],
            "pid": event.pid,
        }
        if event.kind == ProcessEvent.START:
            record["parent"] = event.result
            _put_cwd(record, event)
        elif event.kind == ProcessEvent.EXEC:
            if event.path:
                put_text(record, "path", event.path)
            put_list(record, "argv", arguments(event.extra))
            _put_cwd(record, event)
        elif os.WIFSIGNALED(event.result & 0xFFFF):
            record["status"], record["signal"] = None, os.WTERMSIG(event.result & 0xFFFF)
        else:
            record["status"], record["signal"] = (event.result >> 8) & 0xFF, None
        return record

    def _write(self, records: list[dict[str, Any]]) -> bool:
        data = "".join(self._encode(record) + "\n" for record in records).encode("utf-8", "replace")
        written = self._output.put(data)
        if written and self._kept is not None:
            self._kept.wrote(data)
        return written
