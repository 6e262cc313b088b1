"""The file and line of an address, from one line number program.

Source: DWARF 5, section 6.2, and DWARF 4 for the older header.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

from capwrap.elf.errors import ElfError

if TYPE_CHECKING:
    from collections.abc import Callable

    from capwrap.elf.binary import Budget, Data

PROGRAM_MAX = 32 << 20
NAMES_MAX = 1 << 16


class LineProgram:
    """One program; `text(form, at, data)` reads a string form of DWARF 5's tables."""

    def __init__(self, data: Data, offset: int, path: str, text: Callable[[int, int, bytes, int], tuple[object, int]]):
        self._path = path
        head = data.exactly(offset, 12)
        (length,) = struct.unpack_from("<I", head)
        wide = length == 0xFFFFFFFF
        if wide:
            (length,) = struct.unpack_from("<Q", head, 4)
        start = offset + (12 if wide else 4)
        if length > PROGRAM_MAX:
            raise ElfError(path, f"has a line program of {length} bytes", "look at it with addr2line")
        self._size = 8 if wide else 4
        self._bytes = program = data.exactly(start, length)
        try:
            self._parse(program, text)
        except (IndexError, struct.error) as error:
            raise ElfError(path, "has a malformed line program", "rebuild the file") from error

    def _parse(self, data: bytes, text: Callable[[int, int, bytes, int], tuple[object, int]]) -> None:
        (self.version,) = struct.unpack_from("<H", data)
        if not 2 <= self.version <= 5:
            raise ElfError(self._path, f"has a line program of version {self.version}", "look at it with addr2line")
        at = 4 if self.version >= 5 else 2  # address and segment selector sizes
        length = int.from_bytes(data[at : at + self._size], "little")
        at += self._size
        self._begin = at + length
        self._minimum = data[at]
        at += 2 if self.version >= 4 else 1  # operations of one instruction: there is no VLIW x86
        self._line_base, self._line_range, self._opcode_base = struct.unpack_from("<xbBB", data, at)
        at += 4
        self._lengths = data[at : at + self._opcode_base - 1]
        at += self._opcode_base - 1
        self.directories: list[str] = []
        self.files: list[tuple[str, int]] = []
        if self.version >= 5:
            entries, at = _entries(data, at, text, self._size)
            self.directories = [str(entry.get(1, "")) for entry in entries]
            entries, at = _entries(data, at, text, self._size)
            self.files = [(str(entry.get(1, "")), _number(entry.get(2, 0))) for entry in entries]
            return
        self.directories.append("")
        while data[at] and len(self.directories) < NAMES_MAX:
            name, at = _text(data, at)
            self.directories.append(name)
        at += 1
        self.files.append(("", 0))
        while data[at] and len(self.files) < NAMES_MAX:
            name, at = _text(data, at)
            directory, at = uleb(data, at)
            _, at = uleb(data, at)
            _, at = uleb(data, at)
            self.files.append((name, directory))

    def file(self, number: int, compiled_in: str) -> str | None:
        """The path of a file of this program; relative ones start where the compiler ran."""
        if not 0 <= number < len(self.files) or not self.files[number][0]:
            return None
        name, directory = self.files[number]
        where = self.directories[directory] if 0 <= directory < len(self.directories) else ""
        return os.path.normpath(os.path.join(compiled_in, where, name))

    def find(self, address: int, budget: Budget) -> tuple[int, int] | None:
        """File number and line of an address."""
        try:
            return self._run(address, budget)
        except (IndexError, struct.error) as error:
            raise ElfError(self._path, "has a malformed line program", "rebuild the file") from error

    def _run(self, address: int, budget: Budget) -> tuple[int, int] | None:
        data, end = self._bytes, len(self._bytes)
        at, steps = self._begin, 0
        base, line_range, minimum, line_base = self._opcode_base, self._line_range or 1, self._minimum, self._line_base
        pc, file, line = 0, 1, 1
        before: tuple[int, int, int] | None = None
        while at < end:
            steps += 1
            if not steps & 0xFFF:
                budget.check(self._path)
            op = data[at]
            at += 1
            row = ends = False
            if op >= base:
                op -= base
                pc += op // line_range * minimum
                line += line_base + op % line_range
                row = True
            elif op == 0:
                size, at = uleb(data, at)
                kind = data[at] if size else 0
                if kind == 1:  # DW_LNE_end_sequence
                    row = ends = True
                elif kind == 2:  # DW_LNE_set_address
                    pc = int.from_bytes(data[at + 1 : at + size], "little")
                at += size
            elif op == 1:  # DW_LNS_copy
                row = True
            elif op == 2:  # DW_LNS_advance_pc
                step, at = uleb(data, at)
                pc += step * minimum
            elif op == 3:  # DW_LNS_advance_line
                step, at = sleb(data, at)
                line += step
            elif op == 4:  # DW_LNS_set_file
                file, at = uleb(data, at)
            elif op == 8:  # DW_LNS_const_add_pc
                pc += (255 - base) // line_range * minimum
            elif op == 9:  # DW_LNS_fixed_advance_pc
                (step,) = struct.unpack_from("<H", data, at)
                at += 2
                pc += step
            else:
                for _ in range(self._lengths[op - 1]):
                    _, at = uleb(data, at)
            if row:
                if before is not None and before[0] <= address < pc:
                    return before[1], before[2]
                before = (pc, file, line)
            if ends:
                pc, file, line = 0, 1, 1
                before = None
        return None


def uleb(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned LEB128 number and where it ends. Raises IndexError."""
    byte = data[at]
    at += 1
    if byte < 0x80:
        return byte, at
    value, shift = byte & 0x7F, 7
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 70:
            raise IndexError


def sleb(data: bytes, at: int) -> tuple[int, int]:
    """A signed LEB128 number and where it ends. Raises IndexError."""
    start = at
    value, at = uleb(data, at)
    return (value - (1 << 7 * (at - start)) if data[at - 1] & 0x40 else value), at


def _text(data: bytes, at: int) -> tuple[str, int]:
    end = data.find(b"\0", at)
    if end < 0:
        raise IndexError
    return os.fsdecode(data[at:end]), end + 1


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _entries(
    data: bytes, at: int, text: Callable[[int, int, bytes, int], tuple[object, int]], size: int
) -> tuple[list[dict[int, object]], int]:
    """One of DWARF 5's two tables: formats, then entries by content type (1: path, 2: directory)."""
    formats = []
    count, at = data[at], at + 1
    for _ in range(count):
        content, at = uleb(data, at)
        form, at = uleb(data, at)
        formats.append((content, form))
    count, at = uleb(data, at)
    entries = []
    if count > NAMES_MAX:
        raise IndexError
    for _ in range(count):
        entry = {}
        for content, form in formats:
            entry[content], at = text(form, size, data, at)
        entries.append(entry)
    return entries, at
