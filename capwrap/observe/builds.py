"""One record of a whole build, parted: each process that a make or ninja in it starts is an action, with its children.

What the make or ninja reads itself, such as its makefiles, is no action's. A make that an action runs starts actions of
its own, to any depth. What is beneath no make is one action, the record's.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from capwrap.observe.deps import Action
    from capwrap.observe.reading import Record

BUILDERS = frozenset(("make", "gmake", "gnumake", "ninja", "ninja-build", "samu"))
"""programs whose children are actions, by the last part of their `argv[0]`"""

Chain = tuple[tuple[int, "Action"], ...]
"""from the outermost on: the number of a make, and which of its actions"""


@dataclass(slots=True)
class _Process:
    action: Action
    builder: int | None = None
    """the number of the make that it is"""
    fresh: bool = False
    """whether its action is to be named after what it executes"""


class Build:
    """Follows the process lines of one record. `first` is the record's own action; `make` makes another one."""

    def __init__(self, first: Action, make: Callable[[], Action]) -> None:
        self._first = first
        self._make = make
        self._live: dict[int, _Process] = {}
        self._builders = 0

    def see(self, record: Record) -> None:
        """Take note of a process line."""
        pid, event = record["pid"], record["event"]
        if event == "start":
            parent = self._live.get(record.get("parent") or 0)
            if parent is None:
                self._live[pid] = _Process(self._first)
            elif parent.builder is None:
                self._live[pid] = _Process(parent.action)
            else:
                action = self._make()
                action.chain = (*parent.action.chain, (parent.builder, action))
                self._live[pid] = _Process(action, fresh=True)
        elif event == "exec":
            self._execs(self._live.setdefault(pid, _Process(self._first)), record)
        else:
            self._live.pop(pid, None)

    def _execs(self, process: _Process, record: Record) -> None:
        argv = record.get("argv") or []
        if process.fresh:
            process.fresh = False
            process.action.argv = list(argv)
            process.action.cwd = record.get("cwd")
        builds = bool(argv) and os.path.basename(argv[0]) in BUILDERS
        if builds and process.builder is None:
            process.builder = self._builders
            self._builders += 1
        elif not builds:
            process.builder = None  # of a make that executes itself again, when a makefile was made, all is one

    def action(self, pid: int) -> Action | None:
        """Whose call it is; None for what a make does itself."""
        process = self._live.get(pid)
        if process is None:
            return self._first
        return process.action if process.builder is None else None
