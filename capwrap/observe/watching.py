"""Calls as they come, one line each as strace would print it, for who watches a trace."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from capwrap.observe.callformat import format_call
from capwrap.observe.events_file import errno_name
from capwrap.observe.records import EventType, ProcessEvent, arguments, registers
from capwrap.observe.refusals import quote
from capwrap.observe.summary import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from capwrap.observe.records import Event
    from capwrap.observe.refusals import Reader, Refusal


class Watcher:
    """Tells of each record by a line, to `out`."""

    def __init__(self, out: Callable[[str], None]) -> None:
        self._out = out

    def tell(self, reader: Reader, event: Event, refusal: Refusal | None) -> None:
        """One record."""
        line = _line(reader, event, refusal)
        if line is not None:
            self._out(line)


def _line(reader: Reader, event: Event, refusal: Refusal | None) -> str | None:
    if event.type == EventType.PROCESS:
        return _process(event)
    if refusal is not None:
        paths = (refusal.asked or refusal.path, refusal.asked2 or refusal.path2)
        call = format_call(refusal.syscall, refusal.registers, paths)
        if refusal.address:
            call += f" [{printable(refusal.address)}]"
        if refusal.absent:
            return f"{event.tid} {call}: nothing is there, {refusal.errno} in a run"
        needs = f", needs {', '.join(refusal.needs)}" if refusal.needs else ""
        allow = f"; {refusal.allow} allows it" if refusal.allow is not None else ""
        return f"{event.tid} {call}: REFUSED in a run: {refusal.errno}, {refusal.kind}{needs}{allow}"
    if event.type != EventType.ACCESS or not (event.path or event.rights):
        return None  # of a descriptor that it holds, a program learns no more than it has
    call = format_call(
        reader.syscall_name(event.nr),
        registers(event.registers),
        (event.asked or event.path, event.asked2 or event.path2),
    )
    return f"{event.tid} {call} = {_result(event)}"


def _result(event: Event) -> str:
    """As strace -y has it: with the file behind a link that was opened, the error with its meaning."""
    if event.result < 0:
        return f"-1 {errno_name(event.result)} ({os.strerror(-event.result)})"
    leads = f"<{printable(event.path)}>" if event.asked and event.result else ""
    return f"{event.result}{leads}"


def _process(event: Event) -> str | None:
    if event.kind == ProcessEvent.START:
        return f"{event.pid} started by {event.result}"
    if event.kind == ProcessEvent.EXEC:
        return f"{event.pid} runs {' '.join(quote(argument) for argument in arguments(event.extra))}"
    if event.kind != ProcessEvent.EXIT:
        return None
    status = event.result & 0xFFFF
    if os.WIFSIGNALED(status):
        return f"{event.pid} killed by signal {os.WTERMSIG(status)}"
    return f"{event.pid} exited with {os.WEXITSTATUS(status)}"
