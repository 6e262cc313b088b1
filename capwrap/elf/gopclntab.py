"""Go's table of functions, which every Go program carries, stripped or not: names, lines, and how far the stack pointer
is from the return address.

Sources: src/runtime/symtab.go, src/internal/abi/symtab.go and src/debug/gosym/pclntab.go of Go 1.18 to 1.26.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property

from capwrap.elf.binary import Binary, Data
from capwrap.elf.cfi import RETURN_ADDRESS, Row, Rule
from capwrap.elf.errors import ElfError
from capwrap.elf.snapshot import RBP, RSP

MAGICS = (0xFFFFFFF0, 0xFFFFFFF1)  # Go 1.18 and 1.20
TABLE_MAX = 1 << 16
"""Bytes of the program that gives one value to the addresses of one function."""

_FUNC = struct.Struct("<IiiIIIIII")  # struct _func up to cuOffset
_TOP_FRAME, _SP_WRITE = 1, 2


@dataclass(frozen=True, slots=True)
class GoFunction:
    """What the table says of one address: symbol, file and line, and how it is unwound (None: it is the last frame)."""

    symbol: str
    file: str | None
    line: int | None
    row: Row | None


class GoTable:
    """The table of one file; None of its answers need more than a few short reads."""

    def __init__(self, binary: Binary, data: Data) -> None:
        self._binary = binary
        self._data = data
        head = data.exactly(0, 72)
        magic, _, _, quantum, pointer = struct.unpack_from("<IBBBB", head)
        if magic not in MAGICS or pointer != 8 or quantum != 1:
            raise ElfError(binary.path, "has a Go table of another version", "look at it with go tool")
        (self._count, _, self._text, self._names, self._units, self._files, self._programs, self._functions) = (
            struct.unpack_from("<8Q", head, 8)
        )

    @cached_property
    def text(self) -> int:
        """What the table's addresses count from: in the header before Go 1.26, then runtime.text."""
        if self._text:
            return int(self._text)
        from capwrap.elf.symbols import symbol_address

        address = symbol_address(self._binary, "runtime.text")
        if address is None:
            section = self._binary.section(".text")
            address = 0 if section is None else section.address
        return address

    def find(self, address: int) -> GoFunction | None:
        """The function that holds an address of the file."""
        low, high = 0, min(self._count, self._data.size // 8)
        wanted = address - self.text
        while low < high:
            middle = (low + high) // 2
            (start,) = struct.unpack("<I", self._data.exactly(self._functions + 8 * middle, 4))
            if start <= wanted:
                low = middle + 1
            else:
                high = middle
        if low == 0:
            return None
        _, place, end = struct.unpack("<III", self._data.exactly(self._functions + 8 * (low - 1), 12))
        if wanted >= end:
            return None
        at = self._functions + place
        entry, name, _, _, pcsp, pcfile, pcln, _, unit = _FUNC.unpack(self._data.exactly(at, _FUNC.size))
        # startLine came with Go 1.20; funcID and flag are the bytes before the count of funcdata
        flag = self._data.exactly(at + 40, 4)[1] if self._magic20 else self._data.exactly(at + 36, 4)[1]
        distance = wanted - entry
        file = self._value(pcfile, distance)
        line = self._value(pcln, distance)
        return GoFunction(
            self._data.string(self._names + name),
            None if file is None or file < 0 else self._file(unit, file),
            None if line is None or line <= 0 else line,
            None if flag & _TOP_FRAME else self._row(pcsp, distance),
        )

    @cached_property
    def _magic20(self) -> bool:
        return int.from_bytes(self._data.exactly(0, 4), "little") == MAGICS[1]

    def _row(self, pcsp: int, distance: int) -> Row | None:
        size = self._value(pcsp, distance)
        if size is None or size < 0:
            return None
        # the word below the return address has the caller's rbp in every function that has a frame
        rules = {RETURN_ADDRESS: Rule("offset", -8)}
        if size >= 8:
            rules[RBP] = Rule("offset", -16)
        return Row(Rule("register", size + 8, RSP), rules, signal=False)

    def _file(self, unit: int, number: int) -> str | None:
        (offset,) = struct.unpack("<I", self._data.exactly(self._units + 4 * (unit + number), 4))
        return None if offset == 0xFFFFFFFF else self._data.string(self._files + offset)

    def _value(self, program: int, distance: int) -> int | None:
        """The value at `distance` from the function's start: pairs of differences, of the value and of the address."""
        if program == 0:
            return None
        data = self._data.upto(self._programs + program, TABLE_MAX)
        at, value, pc = 0, -1, 0
        try:
            while True:
                step, at = _leb(data, at)
                if step == 0 and at > 1:
                    return None
                value += ~(step >> 1) if step & 1 else step >> 1
                advance, at = _leb(data, at)
                pc += advance
                if distance < pc:
                    return value
        except IndexError:
            return None


def _leb(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value & 0xFFFFFFFF, at


def go_table(binary: Binary) -> GoTable | None:
    """The table of a file that Go made, else None. Raises ElfError where it cannot be read."""
    for name in (".gopclntab", ".data.rel.ro.gopclntab"):
        data = binary.data(name)
        if data is not None:
            return GoTable(binary, data)
    return None
