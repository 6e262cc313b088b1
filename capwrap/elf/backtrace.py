"""Backtraces: from what the engine copied at a refused call to named frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from capwrap.elf.binary import Budget
from capwrap.elf.modules import Modules
from capwrap.elf.snapshot import read_snapshot
from capwrap.elf.unwind import unwind

if TYPE_CHECKING:
    from capwrap.elf.snapshot import Snapshot


FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class StackFrame:
    """One frame, innermost first. What is not known is None; texts that are not UTF-8 have lone surrogates."""

    module: str | None
    """host path of the mapped file, a name such as [vdso], or None for memory of no file"""
    build_id: str | None
    """in hexadecimal"""
    offset: int | None
    """the address in the module, as its symbols count, where the frame goes on: one behind the call;
    None of a function of Python's"""
    symbol: str | None = None
    file: str | None = None
    line: int | None = None
    inlined: bool = False
    """inlined into the frame behind it, with which it shares `offset`"""
    language: str | None = None
    """"python" of a function that CPython runs; these come before the frames of the interpreter"""


class Backtraces:
    """The stacks of one run. `hold` what is seen at once; `frames` may take its time, within `budget`."""

    def __init__(self) -> None:
        self.budget = Budget(FOREVER)
        self._modules = Modules(self.budget)

    def hold(self, data: bytes) -> Snapshot | None:
        """The snapshot in a STACK record, and its files held open."""
        snapshot = read_snapshot(data)
        if snapshot is not None:
            self._modules.hold(snapshot.codes)
        return snapshot

    def frames(self, snapshot: Snapshot) -> tuple[StackFrame, ...]:
        """The frames of a stack; none where the time is over."""
        result = [
            StackFrame(None, None, None, frame.symbol, frame.file, frame.line, language="python")
            for frame in snapshot.python
        ]
        if self.budget.spent:
            return ()
        for frame in unwind(snapshot, self._modules):
            code = frame.code
            if code is None:
                result.append(StackFrame(None, None, frame.pc))
                continue
            module = self._modules.module(code)
            address = None if module is None else module.address_of(code, frame.pc)
            if module is None or address is None:
                result.append(StackFrame(code.path or None, None, frame.pc - code.start + code.offset))
                continue
            for place in module.places(address - frame.called):
                result.append(
                    StackFrame(code.path, module.build_id, address, place.symbol, place.file, place.line, place.inlined)
                )
        return tuple(result)

    def close(self) -> None:
        """Closes the files."""
        self._modules.close()
