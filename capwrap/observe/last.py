"""The small record of the previous run, which `capwrap explain --last` reads: what was refused, and by whom.

It lies in the user's state directory (XDG Base Directory Specification) and is bounded. It is never the reason why a
run fails, and CAPWRAP_NO_LAST switches it off. An empty file is a run in which nothing was refused.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from capwrap.policy.files import user_directory

if TYPE_CHECKING:
    from collections.abc import Iterable

    from capwrap.observe.records import Event
    from capwrap.observe.refusals import Reader, Refusal

OFF = "CAPWRAP_NO_LAST"
NAME = "last.ndjson"
REFUSALS_MAX = 200
"""different refusals that are kept"""
TEXT_MAX = 1 << 18
"""characters of paths and command lines that are kept"""
_PROCESSES_MAX = 1 << 14
_CHAIN_MAX = 64


def state_directory() -> str | None:
    """Where it lies; None where there is no home."""
    return user_directory("XDG_STATE_HOME", ".local/state")


def last_path() -> str | None:
    """The record of the previous run, whether it exists or not; None where none is kept."""
    directory = None if os.environ.get(OFF) else state_directory()
    return None if directory is None else os.path.join(directory, NAME)


def forget() -> None:
    """The run that ended refused nothing: a record of an earlier one is emptied, and none is made for it."""
    path = last_path()
    if path is None:
        return
    try:
        fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return
    try:
        status = os.fstat(fd)
        if status.st_size and stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
            os.ftruncate(fd, 0)
    except OSError:
        pass
    finally:
        os.close(fd)


class Last:
    """Collects what is kept of a run while its events pass."""

    def __init__(self) -> None:
        self._processes: dict[int, list[Event]] = {}
        self._kept: list[tuple[Event, Refusal | None]] = []
        self._written: set[int] = set()
        self._times: dict[tuple[object, ...], list[int]] = {}
        self._text = 0
        self.dropped = 0
        """refusals of which nothing is kept"""

    @property
    def refused(self) -> bool:
        """Whether there is anything to keep."""
        return bool(self._times)

    def take(self, events: Iterable[tuple[Event, Refusal | None]]) -> None:
        """Take note of events, in order, with the diagnosis of refusals."""
        from capwrap.observe.records import EventType, ProcessEvent

        for event, refusal in events:
            if event.type == EventType.PROCESS:
                if event.kind == ProcessEvent.START:
                    if len(self._processes) >= _PROCESSES_MAX:
                        self._processes.pop(next(iter(self._processes)))
                    self._processes.pop(event.pid, None)
                    self._processes[event.pid] = [event]
                elif event.kind == ProcessEvent.EXEC and event.pid in self._processes:
                    self._processes[event.pid][1:] = [event]
                elif event.kind == ProcessEvent.EXIT:
                    self._processes.pop(event.pid, None)
            elif refusal is not None and not refusal.absent:
                self._refusal(event, refusal)

    def _refusal(self, event: Event, refusal: Refusal) -> None:
        key = _key(refusal)
        times = self._times.get(key)
        if times is not None:
            times[0] += 1
            return
        length = len(event.path) + len(event.path2) + len(event.asked) + sum(map(len, refusal.argv))
        if len(self._times) >= REFUSALS_MAX or self._text + length > TEXT_MAX:
            self.dropped += 1
            return
        self._times[key] = [1]
        self._text += length
        for each in self._chain(event.pid):
            if id(each) not in self._written:
                self._written.add(id(each))
                self._text += len(each.extra)
                self._kept.append((each, None))
        self._kept.append((event, refusal))

    def _chain(self, pid: int) -> list[Event]:
        """The start and the last exec of a process and of those that it comes from, the first one first."""
        found: list[list[Event]] = []
        while pid in self._processes and len(found) < _CHAIN_MAX:
            found.append(self._processes[pid])
            parent = found[-1][0].result
            if parent == pid:
                break
            pid = parent
        return [event for events in reversed(found) for event in events]

    def write(
        self, reader: Reader, run: dict[str, Any], jail: dict[str, Any], *, status: int | None, signal: int | None
    ) -> None:
        """Put it in the place of the record before. Whatever goes wrong, nothing is kept: not the one before either,
        which would pass for this one.
        """
        from capwrap.observe.events_file import EventsFile

        path = last_path()
        if path is None:
            return
        directory = os.path.dirname(path)
        beside = f"{path}.{os.getpid()}"
        try:
            # ~/.local, ~/.local/state and capwrap; what is said to be the home directory and does not exist is none
            above = os.path.dirname(directory)
            for each in (os.path.dirname(above), above, directory):
                with suppress(FileExistsError):
                    os.mkdir(each, mode=0o700)
            if not _ours(os.stat(directory)):
                return
        except OSError:
            return
        try:
            fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError:
            _remove(path)
            return
        file = EventsFile(fd, reader, run, times=self._counts())
        file.begin(jail)
        file.take(self._kept)
        done = file.end(status=status, signal=signal, lost=self.dropped, complete=not self.dropped)
        if done:
            with suppress(OSError):
                os.rename(beside, path)
        else:
            _remove(beside)
            _remove(path)

    def _counts(self) -> dict[int, int]:
        """How often what an event tells of happened, by the event's identity."""
        return {id(event): self._times[_key(refusal)][0] for event, refusal in self._kept if refusal is not None}


def _key(refusal: Refusal) -> tuple[object, ...]:
    return (refusal.object, refusal.kind, refusal.needs, refusal.syscall, refusal.argv[:1])


def _remove(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)


def _ours(status: os.stat_result) -> bool:
    """Whether nobody but this user (and root) can have put something there."""
    return status.st_uid in (os.geteuid(), 0) and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
