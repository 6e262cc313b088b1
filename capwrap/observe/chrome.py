"""A run as a trace that chrome://tracing, Perfetto and Speedscope draw: the JSON array form of the Trace Event Format.

Each process is a track with a name; each program that it ran is a complete event (`X`) from its exec, or the fork, to
the next exec or the end; calls on names are instants (`i`) of the thread that made them. Events go out as they come, so
they are in the order of their ends, which the format permits. A regular file is closed by its bracket after every
batch, which the next batch takes the place of: between two batches, what stands in it is JSON.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from capwrap.observe.callformat import format_call
from capwrap.observe.events_file import errno_name
from capwrap.observe.output import Output
from capwrap.observe.processes import LIVE_MAX, cut
from capwrap.observe.records import EventType, ProcessEvent, arguments

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from capwrap.observe.records import Event
    from capwrap.observe.refusals import Reader, Refusal

_TAIL = b"\n]\n"
_NAME_MAX = 120  # characters of a command line in a name


@dataclass(slots=True)
class _Program:
    """What a process runs since when, in ns."""

    since: int
    argv: tuple[str, ...]
    parent: int | None
    threads: set[int] = field(default_factory=set)
    """those that have a name"""


class ChromeFile:
    """One trace being written to a descriptor, which it owns. It stands in the place of an EventsFile."""

    def __init__(self, fd: int, reader: Reader, run: dict[str, Any]) -> None:
        self._output = Output(fd)
        self._reader = reader
        self._run = run
        self._begun = False
        self._encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode
        self.counts = {"refusals": 0, "absent": 0, "accesses": 0}
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        self._rewinds = stat.S_ISREG(os.fstat(fd).st_mode) and not flags & os.O_APPEND
        self._empty = True
        self._last = 0
        self._live: dict[int, _Program] = {}
        self.changed: str | None = None
        """as in an EventsFile; the events are written in one another's place, so it is not known of them"""

    @property
    def failure(self) -> OSError | None:
        """Why a write failed, if one did."""
        return self._output.failure

    def begin(self, jail: dict[str, Any]) -> bool:
        """Write the first event, which says what was run and how; whether that was possible."""
        if self._begun:
            return self.failure is None
        self._begun = True
        run = {name: list(map(_clean, value)) if name == "argv" else value for name, value in self._run.items()}
        first = _event("i", f"run {_command(self._run['argv'])}", 0, os.getpid(), os.getpid(), run | {"jail": jail})
        return self._send([_metadata("process_name", os.getpid(), os.getpid(), "capwrap"), first | {"s": "g"}])

    def take(self, events: Iterable[tuple[Event, Refusal | None]]) -> bool:
        """Write a batch; whether it was kept."""
        counts = dict(self.counts)
        made = [one for event, refusal in events for one in self._events(event, refusal)]
        if self.failure is None and (not made or self._send(made)):
            return True
        self.counts = counts
        return False

    def end(self, *, status: int | None, signal: int | None, lost: int, complete: bool) -> bool:
        """Write what is still running, and the last event; close. Whether the whole trace has been written."""
        left = [one for pid in list(self._live) for one in self._over(pid, self._last, {})]
        how = {"status": status, "signal": signal, **self.counts, "lost": lost, "complete": complete}
        left.append(_event("i", "end", self._last, os.getpid(), os.getpid(), how) | {"s": "g"})
        self._send(left)
        if not self._rewinds and self.failure is None:
            self._output.put(_TAIL)
        return self._output.close()

    def _send(self, events: list[dict[str, Any]]) -> bool:
        data = ("[\n" if self._empty else ",\n") + ",\n".join(map(self._encode, events))
        raw = data.encode("utf-8", "replace")
        if not self._rewinds:
            done = self._output.put(raw)
        else:
            if not self._empty:
                os.lseek(self._output.fd, -len(_TAIL), os.SEEK_CUR)
            done = self._output.put(raw + _TAIL)
            if not done and not self._empty:  # it was cut where the bracket had been
                self._output.put(_TAIL)
        self._empty = self._empty and not done
        return done

    def _events(self, event: Event, refusal: Refusal | None) -> Iterator[dict[str, Any]]:
        self._last = max(self._last, event.t)
        if event.type == EventType.PROCESS:
            yield from self._process(event)
            return
        if event.type == EventType.ACCESS:
            self.counts["accesses"] += 1
            call = self._reader.syscall_name(event.nr)
            told: dict[str, Any] = {"path": _clean(event.path)}
            if event.path2:
                told["path2"] = _clean(event.path2)
            if event.asked:
                told["asked"] = _clean(event.asked)
            told["rights"] = list(self._reader.right_names(event.rights))
            told["result"] = event.result if event.result >= 0 else errno_name(event.result)
            made = _event("i", call, event.t, event.pid, event.tid, told) | {"cat": "access"}
        elif refusal is not None:
            which = "absent" if refusal.absent else "refusal"
            self.counts["absent" if refusal.absent else "refusals"] += 1
            made = _event("i", f"{refusal.syscall} {which}", event.t, event.pid, event.tid, _why(refusal))
            made["cat"] = which
        else:
            return
        yield from self._thread(event)
        yield made | {"s": "t"}

    def _thread(self, event: Event) -> Iterator[dict[str, Any]]:
        """A name for a thread that is seen for the first time."""
        program = self._live.get(event.pid)
        if program is not None and event.tid != event.pid and event.tid not in program.threads:
            program.threads.add(event.tid)
            yield _metadata("thread_name", event.pid, event.tid, f"thread {event.tid}")

    def _process(self, event: Event) -> Iterator[dict[str, Any]]:
        if event.kind == ProcessEvent.START:
            parent = self._live.get(event.result)
            argv = parent.argv if parent is not None else tuple(self._run["argv"])
            if len(self._live) < LIVE_MAX:
                self._live[event.pid] = _Program(event.t, argv, event.result)
            yield from _named(event.pid, argv)
        elif event.kind == ProcessEvent.EXEC:
            former = self._live.get(event.pid)
            if former is not None and event.t > former.since:
                yield from self._over(event.pid, event.t, {"ended": "exec"})
            argv = cut(list(arguments(event.extra)))
            self._live[event.pid] = _Program(event.t, argv, None if former is None else former.parent)
            yield from _named(event.pid, argv)
        elif event.kind == ProcessEvent.EXIT:
            word = event.result & 0xFFFF
            killed = os.WIFSIGNALED(word)
            how = {"signal": os.WTERMSIG(word)} if killed else {"status": os.WEXITSTATUS(word)}
            yield from self._over(event.pid, event.t, how)

    def _over(self, pid: int, until: int, how: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The program that a process ran is at its end."""
        program = self._live.pop(pid, None)
        if program is None:
            return
        told = {"argv": list(map(_clean, program.argv)), "parent": program.parent, **how}
        made = _event("X", _command(program.argv), program.since, pid, pid, told)
        yield made | {"cat": "process", "dur": round((until - program.since) / 1000, 3)}


def _event(ph: str, name: str, t: int, pid: int, tid: int, args: dict[str, Any]) -> dict[str, Any]:
    """An event. `t`: ns since the start of the run; the format has microseconds."""
    return {"name": name, "ph": ph, "ts": round(t / 1000, 3), "pid": pid, "tid": tid, "args": args}


def _metadata(what: str, pid: int, tid: int, name: str) -> dict[str, Any]:
    return {"name": what, "ph": "M", "ts": 0, "pid": pid, "tid": tid, "args": {"name": name}}


def _named(pid: int, argv: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    yield _metadata("process_name", pid, pid, _command(argv))
    yield _metadata("thread_name", pid, pid, _clean(os.path.basename(argv[0])) if argv else "?")


def _command(argv: Iterable[str]) -> str:
    words = list(argv)
    text = _clean(" ".join([os.path.basename(words[0]), *words[1:]] if words else ["?"]))
    return text if len(text) <= _NAME_MAX else text[:_NAME_MAX] + "..."


def _why(refusal: Refusal) -> dict[str, Any]:
    paths = (refusal.asked or refusal.path, refusal.asked2 or refusal.path2)
    told: dict[str, Any] = {
        "call": format_call(refusal.syscall, refusal.registers, paths),
        "path": _clean(refusal.path),
        "kind": refusal.kind,
        "needs": list(refusal.needs),
        "errno": refusal.errno,
        "allow": refusal.allow,
    }
    if refusal.path2:
        told["path2"] = _clean(refusal.path2)
    if refusal.address:
        told["address"] = _clean(refusal.address)
    if refusal.hint is not None:
        told["hint"] = refusal.hint
    if refusal.stack:
        told["stack"] = [
            _clean(f"{frame.symbol or '?'} ({frame.file}:{frame.line})" if frame.file else frame.symbol or "?")
            for frame in refusal.stack
        ]
    return told


def _clean(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
