"""Who started whom in a record: the command lines that led to a call, from its process lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from capwrap.observe.reading import Record

DEPTH_MAX = 64
"""ancestors that are remembered of a process"""
LIVE_MAX = 1 << 16
"""living processes that are remembered; of more, the oldest are forgotten"""
_ARGUMENTS = 2048  # characters of a command line that are kept


@dataclass(slots=True)
class Process:
    """A process as far as its lines tell. `argv`: its command line, cut where it is very long."""

    pid: int
    argv: tuple[str, ...]
    parent: Process | None
    depth: int
    own: bool
    """whether it executed something itself"""


class Tree:
    """Follows the process lines of one record. `first`: COMMAND with its arguments."""

    def __init__(self, first: list[str]) -> None:
        self._first = cut(first)
        self._live: dict[int, Process] = {}

    def see(self, record: Record) -> None:
        """Take note of a process line."""
        pid, event = record["pid"], record["event"]
        if event == "start":
            self._start(pid, record.get("parent"))
        elif event == "exec":
            former = self._live.get(pid) or self._start(pid, None)
            # What it was before, it is no more: the chain keeps its line until a child of that time is gone.
            process = Process(pid, cut(record.get("argv") or []), former.parent, former.depth, True)
            self._live[pid] = process
        else:
            self._live.pop(pid, None)

    def _start(self, pid: int, parent_pid: int | None) -> Process:
        parent = self._live.get(parent_pid) if parent_pid is not None else None
        depth = 0 if parent is None or parent.depth >= DEPTH_MAX else parent.depth + 1
        argv = self._first if parent is None else parent.argv
        if len(self._live) >= LIVE_MAX:
            self._live.pop(next(iter(self._live)))
        process = self._live[pid] = Process(pid, argv, parent if depth else None, depth, False)
        return process

    def chain(self, pid: int) -> tuple[tuple[int, tuple[str, ...]], ...]:
        """The command lines that led to a process, COMMAND's first: (pid, argv). A fork that executed nothing is left
        out, but for the process itself.
        """
        found: list[tuple[int, tuple[str, ...]]] = []
        process = self._live.get(pid)
        while process is not None:
            if process.own or not found:
                found.append((process.pid, process.argv))
            process = process.parent
        if len(found) > 1 and found[0][1] == found[1][1]:
            del found[1]  # the process is a mere fork of the next
        return tuple(reversed(found))


def cut(argv: list[str]) -> tuple[str, ...]:
    """A command line of bounded length; what is missing shows as `...`."""
    kept: list[str] = []
    room = _ARGUMENTS
    for argument in argv:
        if len(argument) > room:
            kept += [argument[:room] + "..."]
            break
        kept.append(argument)
        room -= len(argument) + 1
        if room <= 0:
            kept.append("...")
            break
    return tuple(kept)
