"""One run being observed: batches of the engine's records in, the NDJSON record and the collected refusals out."""

from __future__ import annotations

import os
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from capwrap.engine import Engine, Outcome
    from capwrap.observe.chrome import ChromeFile
    from capwrap.observe.events_file import EventsFile
    from capwrap.observe.last import Last
    from capwrap.observe.records import Event
    from capwrap.observe.refusals import Access, Reader, Refusal
    from capwrap.observe.stacks import Later, Stacks
    from capwrap.observe.summary import Summary

    Watch = Callable[[Reader, Event, Refusal | None], None]

_DIGEST = slice(24, 56)  # sha256 in struct cw_image_header
_POSTPONED = 1 << 20  # bytes of records that wait for the end of the run where nobody reads them before


class Recording:
    """What is kept of a run: its record (`events`, a descriptor that becomes this object's own), and values in memory
    (`keep`, for the API). Without either, records wait for the end, so that no Python runs while the target does.
    """

    def __init__(
        self,
        engine: Engine,
        image: bytes,
        argv: Sequence[str],
        *,
        method: str = "ptrace",
        events: int | None = None,
        named: bool = False,
        where: str | None = None,
        keep: bool = False,
        remember: bool = False,
        traced: bool = False,
        watch: Watch | None = None,
        layout: str = "ndjson",
    ) -> None:
        """`named`: `events` was opened by its name (events_file.is_named). `where`: what messages call it, where it has
        no name. `remember`: a small record of the run is kept for `capwrap explain --last`. `traced`: the target is not
        confined. `watch` is told of every record as it comes. `layout`: how `events` is written, ndjson or chrome.
        """
        self._image = image
        self._argv = tuple(argv)
        self.refusals: list[Refusal] = []
        self.accesses: list[Access] = []
        self.lost = 0
        """records that are missing; valid after `finish`"""
        self.complete = True
        """whether everything that the target did was seen and kept; valid after `finish`"""
        self.problems: list[str] = []
        """what to tell loudly about the record; valid after `finish`"""
        self._keep = keep
        self._remember = remember and not os.environ.get("CAPWRAP_NO_LAST")
        self._last: Last | None = None
        self._coarse = ""
        self._method = method
        self._began = time.time()
        self._traced = traced
        self._watch = watch
        self._waiting: list[bytes] = []
        self._waiting_size = 0
        self._reported_lost = 0
        self._unreadable: str | None = None
        self._file: EventsFile | ChromeFile | None = None
        self._stacks: Stacks | None = None
        self._later: Later | None = None
        self._lost_later = 0
        self._landlock_abi = 0
        self._where = ""
        if events is not None:
            self._where = where or os.readlink(f"/proc/self/fd/{events}")
            self._landlock_abi = 0 if self._traced else max(engine.probe().landlock_abi, 0)
            if layout == "chrome":
                from capwrap.observe.chrome import ChromeFile

                self._file = ChromeFile(events, self.reader, self._header())
            else:
                from capwrap.observe.events_file import EventsFile

                self._file = EventsFile(events, self.reader, self._header(), named=named)

    def _header(self) -> dict[str, Any]:
        from capwrap._version import VERSION

        header: dict[str, Any] = {
            "argv": list(self._argv),
            "time": round(self._began, 6),
            "policy": f"sha256:{self._image[_DIGEST].hex()}",
            "method": self._method,
            "kernel": os.uname().release,
            "capwrap": VERSION,
        }
        if self._traced:
            header["mode"] = "trace"
        return header

    def _jail(self) -> dict[str, Any]:
        return {
            "landlock": {"abi": self._landlock_abi, "coarse": self._coarse or None},
            "seccomp": not self._traced,
            "no_new_privs": not (self._traced and _may_install_programs()),
        }

    # Made when they are first needed: a run without a refusal starts and ends without them.

    @cached_property
    def reader(self) -> Reader:
        """What the records are read with."""
        from capwrap.observe.refusals import Reader

        return Reader(self._image, self._argv)

    @cached_property
    def summary(self) -> Summary:
        """The refusals and absent names so far, grouped."""
        from capwrap.observe.summary import Summary

        return Summary()

    @property
    def observed(self) -> bool:
        """Whether there is anything in the summary."""
        return "summary" in self.__dict__

    @property
    def recording_accesses(self) -> bool:
        """Whether the engine has to emit accesses and processes too."""
        return self._keep or self._file is not None or self._watch is not None

    @property
    def recording_stacks(self) -> bool:
        """Whether the engine has to look where refused calls were made."""
        return self._file is not None

    def jailed(self, coarse: str) -> None:
        """The jail stands: write the first line. `coarse`: where Landlock is coarser than the policy."""
        self._coarse = coarse
        if self._file is not None:
            self._file.begin(self._jail())

    def sink(self, batch: bytes) -> bool:
        """A batch of records; whether it was kept."""
        if not self.recording_accesses and self._waiting_size + len(batch) <= _POSTPONED:
            self._waiting.append(batch)
            self._waiting_size += len(batch)
            return True
        return self._take(batch)

    def _take(self, batch: bytes) -> bool:
        from capwrap.observe.records import EventType, RecordError, decode

        try:
            events = list(decode(batch))
        except RecordError as error:
            self._unreadable = self._unreadable or str(error)
            return False
        if self._later is None and not any(event.type == EventType.STACK for event in events):
            return self._read(events)
        from capwrap.observe.stacks import Later, Stacks

        if self._stacks is None or self._later is None:
            self._stacks = Stacks()
            self._later = Later(self._read_later)
        self._stacks.see(events)
        self._later.put(events)
        return True

    def _read_later(self, events: list[Event]) -> None:
        if not self._read(events):
            self._lost_later += len(events)

    def _read(self, events: list[Event]) -> bool:
        from capwrap.observe.records import EventType

        read = self.reader.read(events)
        if self._stacks is not None:
            from dataclasses import replace

            stacks = self._stacks
            read = [
                (event, replace(refusal, stack=stacks.of(event)) if refusal is not None and event.stack else refusal)
                for event, refusal in read
            ]
        if self._remember:
            if self._last is None:
                from capwrap.observe.last import Last

                self._last = Last()
            self._last.take(read)
        for event, refusal in read:
            if self._watch is not None:
                self._watch(self.reader, event, refusal)
            if refusal is not None:
                self.summary.add(refusal)
                if self._keep and not refusal.absent:
                    self.refusals.append(refusal)
            elif event.type == EventType.LOST:
                self._reported_lost += max(event.result, 0)
            elif self._keep and event.type == EventType.ACCESS:
                self.accesses.append(self.reader.access(event))
        return self._file is None or self._file.take(read)

    def finish(self, outcome: Outcome, *, status: int | None, signal: int | None) -> None:
        """The run is over: read what waits, write the last line, settle what is to be said about the record.

        `status` and `signal`: how the run ended, one of them None.
        """
        for batch in self._waiting:
            self._take(batch)
        self._waiting.clear()
        if self._later is not None and self._stacks is not None:
            self._stacks.hurry()
            self._later.finish()
            self._stacks.close()
        if self._remember:
            self._keep_last(status, signal)
        self.lost = max(outcome.lost, self._reported_lost) + self._lost_later
        self.complete = not (self.lost or outcome.incomplete or self._unreadable)
        file = self._file
        if file is not None and not file.end(status=status, signal=signal, lost=self.lost, complete=self.complete):
            self.complete = False
            if file.changed is not None:
                self.problems.append(
                    f"{self._where}: the record was {file.changed} while it was written, by the target or by somebody "
                    "else; it is not complete. Name a file that the target cannot write"
                )
            else:
                reason = "unknown reason" if file.failure is None else file.failure.strerror
                self.problems.append(f"{self._where}: the record could not be written: {reason}; it is not complete")
        if self.lost:
            records = "1 record was" if self.lost == 1 else f"{self.lost} records were"
            self.problems.append(f"{records} lost; what is listed is not complete")
        if self._unreadable:
            reason = self._unreadable
            self.problems.append(f"the engine's records could not be read: {reason}; what is listed is not complete")
        if outcome.incomplete and not self.lost:  # the engine calls a run incomplete that lost records, too
            self.problems.append("something of the target went unobserved; what is listed is not complete")

    def _keep_last(self, status: int | None, signal: int | None) -> None:
        from capwrap.observe.last import forget

        if self._last is None or not self._last.refused:
            forget()
            return
        from capwrap.engine import landlock_abi

        self._landlock_abi = self._landlock_abi or (0 if self._traced else max(landlock_abi(), 0))
        self._last.write(self.reader, self._header(), self._jail(), status=status, signal=signal)


def _may_install_programs() -> bool:
    """CAP_SYS_ADMIN: who has it gives nothing up for a seccomp program (seccomp(2))."""
    with open("/proc/self/status", encoding="ascii") as status:
        fields = dict(line.rstrip("\n").split(":", 1) for line in status)
    return bool(int(fields["CapEff"], 16) >> 21 & 1) and fields["NoNewPrivs"].strip() == "0"
