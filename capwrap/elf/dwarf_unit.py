"""One unit of .debug_info: its entries, and which functions of it an address belongs to."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from capwrap.elf.dwarf_forms import (
    ADDRESS_INDEX,
    FORM_ADDR,
    FORM_IMPLICIT_CONST,
    STRING_INDEX,
    UNIT_REFERENCE,
    read_form,
)
from capwrap.elf.errors import ElfError
from capwrap.elf.lines import LineProgram, uleb

if TYPE_CHECKING:
    from capwrap.elf.binary import Data
    from capwrap.elf.dwarf import Dwarf

UNIT_MAX = 16 << 20
RANGES_MAX = 1 << 16
HOPS_MAX = 16
DEPTH_MAX = 64

TAG_LEXICAL_BLOCK, TAG_INLINED, TAG_SUBPROGRAM, TAG_NAMESPACE, TAG_MODULE = 0x0B, 0x1D, 0x2E, 0x39, 0x1E
AT_SIBLING, AT_NAME, AT_STMT_LIST, AT_LOW_PC, AT_HIGH_PC, AT_COMP_DIR = 0x01, 0x03, 0x10, 0x11, 0x12, 0x1B
AT_ABSTRACT_ORIGIN, AT_SPECIFICATION, AT_RANGES, AT_CALL_FILE, AT_CALL_LINE = 0x31, 0x47, 0x55, 0x58, 0x59
AT_LINKAGE_NAME, AT_STR_OFFSETS_BASE, AT_ADDR_BASE, AT_RNGLISTS_BASE = 0x6E, 0x72, 0x73, 0x74
AT_MIPS_LINKAGE_NAME = 0x2007

Die = dict[int, tuple[int, int | bytes]]
"""Form and value by attribute."""


@dataclass(frozen=True, slots=True)
class Place:
    """One function of an address: innermost first; `symbol` None where the ELF symbol is to be taken."""

    symbol: str | None
    file: str | None
    line: int | None
    inlined: bool


class Unit:
    """One unit of .debug_info. `whole=False`: only what its first entry says."""

    def __init__(self, dwarf: Dwarf, info: Data, offset: int, *, whole: bool = True) -> None:
        self._dwarf = dwarf
        self.offset = offset
        head = info.upto(offset, 64)
        (length,) = struct.unpack_from("<I", head)
        at, self._size = 4, 4
        if length == 0xFFFFFFFF:
            (length,) = struct.unpack_from("<Q", head, 4)
            at, self._size = 12, 8
        if length > UNIT_MAX:
            raise dwarf.fail(f"a unit of {length} bytes")
        self.end = offset + at + length
        self._data = info.upto(offset, min(at + length, at + length if whole else 4096))
        (self.version,) = struct.unpack_from("<H", head, at)
        at += 2
        kind = 1
        if self.version >= 5:
            kind, wide = head[at], head[at + 1]
            abbrevs = int.from_bytes(head[at + 2 : at + 2 + self._size], "little")
            at += 2 + self._size
        else:
            abbrevs = int.from_bytes(head[at : at + self._size], "little")
            wide = head[at + self._size]
            at += self._size + 1
        if not 2 <= self.version <= 5 or wide != 8:
            raise dwarf.fail(f"a unit of version {self.version}")
        if kind in (4, 5):  # DW_UT_skeleton, split_compile: an id follows
            at += 8
        elif kind in (2, 6):  # DW_UT_type, split_type: they have no code
            at += 8 + self._size
        self._abbrevs = dwarf.abbrevs(abbrevs)
        self._first = at
        self._str_offsets = self._addr = self._rnglists = 0
        _, self._inside, self.root, self._second = self._read(at)
        for name, field in (
            (AT_STR_OFFSETS_BASE, "_str_offsets"),
            (AT_ADDR_BASE, "_addr"),
            (AT_RNGLISTS_BASE, "_rnglists"),
        ):
            setattr(self, field, self._number(self.root, name) or 0)
        self.low = self._address(self.root, AT_LOW_PC) or 0
        self.compiled_in = self._text(self.root, AT_COMP_DIR) or ""

    # Entries and their attributes

    def _read(self, at: int) -> tuple[int, bool, Die, int]:
        """Tag (0: the end of a list of children), whether children follow, attributes, and where the entry ends."""
        code, at = uleb(self._data, at)
        if code == 0:
            return 0, False, {}, at
        found = self._abbrevs.get(code)
        if found is None:
            raise self._dwarf.fail("an abbreviation that is not defined")
        tag, children, attributes = found
        die: Die = {}
        data, size = self._data, self._size
        for name, form, constant in attributes:
            if form == FORM_IMPLICIT_CONST:
                die[name] = form, constant
                continue
            value, at = read_form(form, size, data, at)
            die[name] = form, value
        return tag, children, die, at

    def _number(self, die: Die, name: int) -> int | None:
        value = die.get(name, (0, None))[1]
        return value if isinstance(value, int) else None

    def _text(self, die: Die, name: int) -> str | None:
        form, value = die.get(name, (0, None))
        if value is None:
            return None
        return self.text_of(form, value)

    def text_of(self, form: int, value: int | bytes) -> str | None:
        """The text that a string form stands for; None where it lies in a supplementary file."""
        if isinstance(value, bytes):
            return os.fsdecode(value)
        if form in STRING_INDEX:
            offsets = self._dwarf.section(".debug_str_offsets")
            if offsets is None:
                return None
            value = int.from_bytes(offsets.exactly(self._str_offsets + value * self._size, self._size), "little")
            form = 0x0E
        section = self._dwarf.section({0x0E: ".debug_str", 0x1F: ".debug_line_str"}.get(form, ""))
        return None if section is None else section.string(value)

    def _address(self, die: Die, name: int) -> int | None:
        form, value = die.get(name, (0, None))
        if not isinstance(value, int):
            return None
        return self._indexed(value) if form in ADDRESS_INDEX else value

    def _indexed(self, index: int) -> int:
        section = self._dwarf.section(".debug_addr")
        if section is None:
            raise self._dwarf.fail("addresses in another file")
        return int.from_bytes(section.exactly(self._addr + 8 * index, 8), "little")

    def covers(self, die: Die, address: int) -> bool:
        """Whether an entry's code holds an address."""
        if AT_RANGES in die:
            return self._in_ranges(*die[AT_RANGES], address)
        low = self._address(die, AT_LOW_PC)
        if low is None or AT_HIGH_PC not in die:
            return False
        form, _ = die[AT_HIGH_PC]
        high = self._address(die, AT_HIGH_PC) or 0
        if form != FORM_ADDR and form not in ADDRESS_INDEX:
            high += low
        return low <= address < high

    def _in_ranges(self, form: int, value: int | bytes, address: int) -> bool:
        if not isinstance(value, int):
            return False
        base = self.low
        if self.version < 5:
            section = self._dwarf.section(".debug_ranges")
            for at in range(value, value + 16 * RANGES_MAX, 16):
                start, end = struct.unpack("<QQ", b"" if section is None else section.upto(at, 16))
                if start == end == 0:
                    return False
                if start == (1 << 64) - 1:
                    base = end
                elif base + start <= address < base + end:
                    return True
            return False
        section = self._dwarf.section(".debug_rnglists")
        if section is None:
            return False
        if form == 0x23:  # DW_FORM_rnglistx
            entry = section.exactly(self._rnglists + value * self._size, self._size)
            value = self._rnglists + int.from_bytes(entry, "little")
        data, at = section.upto(value, 17 * RANGES_MAX), 0
        while True:
            kind, at = data[at], at + 1
            if kind == 0:  # DW_RLE_end_of_list
                return False
            if kind in (1, 2, 3):  # base_addressx, startx_endx, startx_length
                index, at = uleb(data, at)
                start = self._indexed(index)
                if kind == 1:
                    base = start
                    continue
                other, at = uleb(data, at)
                end = self._indexed(other) if kind == 2 else start + other
            elif kind == 4:  # offset_pair
                start, at = uleb(data, at)
                end, at = uleb(data, at)
                start, end = base + start, base + end
            elif kind in (5, 6, 7):  # base_address, start_end, start_length
                start, at = int.from_bytes(data[at : at + 8], "little"), at + 8
                if kind == 5:
                    base = start
                    continue
                if kind == 6:
                    end, at = int.from_bytes(data[at : at + 8], "little"), at + 8
                else:
                    other, at = uleb(data, at)
                    end = start + other
            else:
                raise self._dwarf.fail("an unknown kind of range")
            if start <= address < end:
                return True

    def name_of(self, die: Die, hops: int = 0) -> str | None:
        """A function's linkage name, else its name, there or where it was declared."""
        for attribute in (AT_LINKAGE_NAME, AT_MIPS_LINKAGE_NAME):
            name = self._text(die, attribute)
            if name:
                return name
        if hops < HOPS_MAX:
            for attribute in (AT_ABSTRACT_ORIGIN, AT_SPECIFICATION):
                form, value = die.get(attribute, (0, None))
                if not isinstance(value, int):
                    continue
                if form in UNIT_REFERENCE:
                    _, _, other, _ = self._read(value)
                    name = self.name_of(other, hops + 1)
                elif form == 0x10:
                    unit = self._dwarf.unit_with(value)
                    _, _, other, _ = unit._read(value - unit.offset)
                    name = unit.name_of(other, hops + 1)
                if name:
                    return name
        return self._text(die, AT_NAME)

    # What an address is

    @cached_property
    def lines(self) -> LineProgram | None:
        """The unit's line program."""
        offset = self._number(self.root, AT_STMT_LIST)
        section = self._dwarf.section(".debug_line")
        if offset is None or section is None:
            return None

        def text(form: int, size: int, data: bytes, at: int) -> tuple[object, int]:
            value, at = read_form(form, size, data, at)
            if isinstance(value, bytes) or form in STRING_INDEX or form in (0x0E, 0x1F):
                return (self.text_of(form, value) or ""), at
            return value, at

        return LineProgram(section, offset, self._dwarf.path, text)

    def find(self, address: int) -> list[Place]:
        """The functions that hold an address, innermost first, each with the line where it goes on."""
        try:
            chain = self._chain(address)
        except (ElfError, IndexError, struct.error):
            chain = []  # the line can be known all the same
        lines = self.lines
        found = None if lines is None else lines.find(address, self._dwarf.budget)
        places = []
        for die, inlined in reversed(chain or [({}, False)]):
            file, line = found if found is not None else (None, None)
            name = None if lines is None or file is None else lines.file(file, self.compiled_in)
            symbol = self.name_of(die) if inlined else None
            places.append(Place(symbol, name, line or None, inlined))
            found = None
            number, line = self._number(die, AT_CALL_FILE), self._number(die, AT_CALL_LINE)
            if number is not None and line is not None:
                found = number, line
        return places if chain or found is not None or places[0].line else []

    def _chain(self, address: int) -> list[tuple[Die, bool]]:
        """The function at an address and the inlined ones in it, outermost first."""
        chain: list[tuple[Die, bool]] = []
        if not self._inside:
            return chain
        at, depth, steps = self._second, 0, 0
        ends = [-1]  # depths of the entries in `chain`
        while at < len(self._data):
            steps += 1
            if not steps & 0xFF:
                self._dwarf.budget.check(self._dwarf.path)
            tag, children, die, at = self._read(at)
            if tag == 0:
                depth -= 1
                if depth <= ends[-1] or depth < 0:
                    return chain
                continue
            enter = tag in (TAG_NAMESPACE, TAG_MODULE)
            if tag in (TAG_SUBPROGRAM, TAG_INLINED):
                enter = self.covers(die, address)
                if enter:
                    chain.append((die, tag == TAG_INLINED))
                    if not children:
                        return chain
                    ends.append(depth)
            elif tag == TAG_LEXICAL_BLOCK:
                enter = (AT_LOW_PC not in die and AT_RANGES not in die) or self.covers(die, address)
            if not children:
                continue
            if enter and depth < DEPTH_MAX:
                depth += 1
            else:
                at = self._behind(die, at)
        return chain

    def _behind(self, die: Die, at: int) -> int:
        """Where the children of an entry end."""
        form, value = die.get(AT_SIBLING, (0, None))
        if form in UNIT_REFERENCE and isinstance(value, int) and at <= value <= len(self._data):
            return value
        depth = 1
        steps = 0
        while depth and at < len(self._data):
            steps += 1
            if not steps & 0xFF:
                self._dwarf.budget.check(self._dwarf.path)
            tag, children, each, at = self._read(at)
            if tag == 0:
                depth -= 1
            elif children:
                form, value = each.get(AT_SIBLING, (0, None))
                if form in UNIT_REFERENCE and isinstance(value, int) and at <= value <= len(self._data):
                    at = value
                else:
                    depth += 1
        return at
