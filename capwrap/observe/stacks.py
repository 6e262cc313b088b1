"""Where refused calls were made: snapshots that the engine took, turned into frames behind the target's back.

The engine waits while it hands a batch over, and the target with it. So from the first snapshot on, batches are read by
a thread of their own; what is done at once is to open the files of the snapshot, which may soon be gone.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from capwrap.elf.backtrace import Backtraces
from capwrap.observe.records import EventType

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from capwrap.elf.backtrace import StackFrame
    from capwrap.elf.snapshot import Snapshot
    from capwrap.observe.records import Event

WAITING_MAX = 48
"""Batches that wait to be read; when there are more, the target waits."""
KNOWN_MAX = 4096
"""Stacks that are remembered; of refusals that repeat older ones, none is recorded."""
SECONDS_AFTER = 10.0
"""Time for what is still to be done when the target has ended; what is left then is recorded without a stack."""


class Stacks:
    """The stacks of one run, by their ids."""

    def __init__(self) -> None:
        self._backtraces = Backtraces()
        self._snapshots: dict[int, Snapshot] = {}
        self._known: dict[int, tuple[StackFrame, ...]] = {}

    def see(self, events: Sequence[Event]) -> None:
        """Take the snapshots among events; quick, and for any thread."""
        for event in events:
            if event.type == EventType.STACK:
                snapshot = self._backtraces.hold(event.extra)
                if snapshot is not None:
                    self._snapshots[event.result] = snapshot

    def of(self, event: Event) -> tuple[StackFrame, ...]:
        """The frames of a refusal, innermost first; none where nothing is known."""
        if not event.stack:
            return ()
        snapshot = self._snapshots.pop(event.stack, None)
        if snapshot is not None:
            self._known[event.stack] = self._backtraces.frames(snapshot)
            if len(self._known) > KNOWN_MAX:
                del self._known[next(iter(self._known))]
        return self._known.get(event.stack, ())

    def hurry(self) -> None:
        """The target has ended, and the user waits."""
        self._backtraces.budget.limit(SECONDS_AFTER)

    def close(self) -> None:
        """Closes the files."""
        self._backtraces.close()


class Later:
    """Work that a thread does in order, each on the events of one batch."""

    def __init__(self, work: Callable[[list[Event]], None]) -> None:
        self._work = work
        self._waiting: deque[list[Event] | None] = deque()
        self._changed = threading.Condition()
        self.error: BaseException | None = None
        """what the work raised, if anything; nothing is done after it"""
        self._thread = threading.Thread(target=self._run, name="capwrap-stacks", daemon=True)
        self._thread.start()

    def put(self, events: list[Event] | None) -> None:
        """One batch more; None: the last one was it."""
        with self._changed:
            while len(self._waiting) >= WAITING_MAX and events is not None:
                self._changed.wait()
            self._waiting.append(events)
            self._changed.notify_all()

    def finish(self) -> None:
        """Wait until all is done; what the work raised is raised here."""
        self.put(None)
        self._thread.join()
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    self._changed.wait()
                events = self._waiting.popleft()
                self._changed.notify_all()
            if events is None:
                return
            if self.error is None:
                try:
                    self._work(events)
                except BaseException as error:  # raised again in finish
                    self.error = error
