"""What the engine copied of a refused call's thread (struct cw_stack_head in rewriters/events.h)."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from capwrap.elf.cpython import PythonFrame, read_python

RSP, RBP, RIP = 7, 6, 16

_HEAD = struct.Struct("<17QIIII")
_CODE = struct.Struct("<4Q4I")
_WORD = struct.Struct("<Q")
_OCTAL = re.compile(rb"\\012")


@dataclass(frozen=True, slots=True)
class Code:
    """An executable mapping, as /proc/PID/maps has it. `path`: bytes that are not UTF-8 are lone surrogates."""

    start: int
    end: int
    offset: int
    device: tuple[int, int]
    inode: int
    path: str
    deleted: bool

    @property
    def key(self) -> tuple[str, tuple[int, int], int]:
        """What names the file."""
        return self.path, self.device, self.inode


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Registers by DWARF number (rip is the last one), the code that the stack refers to, bytes from rsp up, and
    the functions that CPython is in."""

    registers: tuple[int, ...]
    codes: tuple[Code, ...]
    window: bytes
    python: tuple[PythonFrame, ...] = ()

    def word(self, address: int) -> int | None:
        """Eight bytes of the stack; None where they were not copied."""
        at = address - self.registers[RSP]
        if 0 <= at <= len(self.window) - 8:
            return int(_WORD.unpack_from(self.window, at)[0])
        return None

    def code_at(self, address: int) -> Code | None:
        """The mapping that holds an address."""
        for code in self.codes:
            if code.start <= address < code.end:
                return code
        return None


def read_snapshot(data: bytes) -> Snapshot | None:
    """The snapshot in a STACK record; None where its bytes contradict each other."""
    if len(data) < _HEAD.size:
        return None
    *registers, n_codes, window, python, _ = _HEAD.unpack_from(data)
    at = _HEAD.size
    codes = []
    for _ in range(n_codes):
        if at + _CODE.size > len(data):
            return None
        start, end, offset, inode, major, minor, length, _ = _CODE.unpack_from(data, at)
        at += _CODE.size
        name = _OCTAL.sub(b"\n", data[at : at + length])
        at += -(-length // 8) * 8
        deleted = name.endswith(b" (deleted)")
        path = name.removesuffix(b" (deleted)").decode("utf-8", "surrogateescape")
        codes.append(Code(start, end, offset, (major, minor), inode, path, deleted))
    end = at + window
    if end + python > len(data):
        return None
    return Snapshot(tuple(registers), tuple(codes), data[at:end], read_python(data[end : end + python]))
