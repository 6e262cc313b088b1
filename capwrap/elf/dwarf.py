"""DWARF 2 to 5, as far as it takes to say which functions, inlined ones included, and which line an address belongs to.

pyelftools is not used here: it reads whole sections, follows what the file says as far as it goes, and takes half a
second for what one unit's entries tell in milliseconds. tests/unit/test_elf_dwarf.py holds this against addr2line.
Of the file only one unit at a time is read, and every loop looks at the budget.
Source: DWARF 5, sections 2 and 7; GCC's and binutils' GNU forms for what stands in a supplementary file.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from capwrap.elf.errors import ElfError
from capwrap.elf.lines import LineProgram, sleb, uleb

if TYPE_CHECKING:
    from capwrap.elf.binary import Binary, Budget, Data

UNIT_MAX = 16 << 20
UNITS_MAX = 1 << 17
ABBREVS_MAX = 1 << 18
"""Bytes of one unit's abbreviations."""
ARANGES_MAX = 32 << 20
RANGES_MAX = 1 << 16
HOPS_MAX = 16
DEPTH_MAX = 64

TAG_LEXICAL_BLOCK, TAG_INLINED, TAG_SUBPROGRAM, TAG_NAMESPACE, TAG_MODULE = 0x0B, 0x1D, 0x2E, 0x39, 0x1E
AT_SIBLING, AT_NAME, AT_STMT_LIST, AT_LOW_PC, AT_HIGH_PC, AT_COMP_DIR = 0x01, 0x03, 0x10, 0x11, 0x12, 0x1B
AT_ABSTRACT_ORIGIN, AT_SPECIFICATION, AT_RANGES, AT_CALL_FILE, AT_CALL_LINE = 0x31, 0x47, 0x55, 0x58, 0x59
AT_LINKAGE_NAME, AT_STR_OFFSETS_BASE, AT_ADDR_BASE, AT_RNGLISTS_BASE = 0x6E, 0x72, 0x73, 0x74
AT_MIPS_LINKAGE_NAME = 0x2007

FORM_ADDR, FORM_IMPLICIT_CONST, FORM_INDIRECT = 0x01, 0x21, 0x16
_ADDRESS_INDEX = frozenset({0x1B, 0x29, 0x2A, 0x2B, 0x2C, 0x1F01})
_STRING_INDEX = frozenset({0x1A, 0x25, 0x26, 0x27, 0x28, 0x1F02})
_UNIT_REFERENCE = frozenset({0x11, 0x12, 0x13, 0x14, 0x15})
_FIXED = {
    0x0B: 1, 0x05: 2, 0x06: 4, 0x07: 8, 0x0C: 1, 0x11: 1, 0x12: 2, 0x13: 4, 0x14: 8, 0x1C: 4, 0x1E: 16, 0x20: 8,
    0x24: 8, 0x25: 1, 0x26: 2, 0x27: 3, 0x28: 4, 0x29: 1, 0x2A: 2, 0x2B: 3, 0x2C: 4, 0x19: 0,
}  # fmt: skip
_OFFSETS = frozenset({0x0E, 0x17, 0x1D, 0x1F, 0x1F20, 0x1F21})
_ULEBS = frozenset({0x0F, 0x15, 0x1A, 0x1B, 0x22, 0x23, 0x1F01, 0x1F02})
_BLOCKS = {0x0A: 1, 0x03: 2, 0x04: 4}

Attribute = tuple[int, int, int]
"""Name, form, value of an implicit constant."""
Die = dict[int, tuple[int, int | bytes]]
"""Form and value by attribute."""


@dataclass(frozen=True, slots=True)
class Place:
    """One function of an address: innermost first; `symbol` None where the ELF symbol is to be taken."""

    symbol: str | None
    file: str | None
    line: int | None
    inlined: bool


def read_form(form: int, size: int, data: bytes, at: int, wide: int = 8) -> tuple[int | bytes, int]:
    """The value of a form and where it ends: numbers, offsets and references as int, text and blocks as bytes. `size`:
    of offsets, `wide`: of addresses. Raises IndexError."""
    fixed = _FIXED.get(form)
    if fixed is None:
        if form in _OFFSETS:
            fixed = size
        elif form in (FORM_ADDR, 0x10):  # DW_FORM_ref_addr: as wide as an offset, since DWARF 3
            fixed = wide if form == FORM_ADDR else size
        elif form in _ULEBS:
            return uleb(data, at)
        elif form == 0x0D:
            return sleb(data, at)
        elif form == 0x08:
            end = data.find(b"\0", at)
            if end < 0:
                raise IndexError
            return data[at:end], end + 1
        elif form in _BLOCKS or form in (0x09, 0x18):
            if form in _BLOCKS:
                length, at = int.from_bytes(data[at : at + _BLOCKS[form]], "little"), at + _BLOCKS[form]
            else:
                length, at = uleb(data, at)
            return data[at : at + length], at + length
        elif form == FORM_INDIRECT:
            form, at = uleb(data, at)
            if form in (FORM_INDIRECT, FORM_IMPLICIT_CONST):
                raise IndexError
            return read_form(form, size, data, at, wide)
        else:
            raise IndexError
    if at + fixed > len(data):
        raise IndexError
    return (1 if form == 0x19 else int.from_bytes(data[at : at + fixed], "little")), at + fixed


class Dwarf:
    """The debugging information of one file."""

    def __init__(self, binary: Binary, budget: Budget) -> None:
        self._binary = binary
        self.budget = budget
        self.path = binary.path
        self._info = self.section(".debug_info")
        self._units: dict[int, Unit] = {}
        self._abbrevs: dict[int, dict[int, tuple[int, bool, tuple[Attribute, ...]]]] = {}

    def section(self, name: str) -> Data | None:
        """The content of a section."""
        return self._binary.data(name)

    def fail(self, what: str) -> ElfError:
        """The error for malformed information."""
        return ElfError(self.path, f"has malformed debugging information: {what}", "rebuild the file")

    def find(self, address: int) -> list[Place]:
        """The functions and lines of an address, innermost first; empty where nothing is known. Raises ElfError."""
        if self._info is None:
            return []
        try:
            offset = self._unit_of(address)
            return [] if offset is None else self.unit(offset).find(address)
        except (IndexError, struct.error, RecursionError) as error:
            raise self.fail(str(error) or "a value lies outside its section") from error

    def unit(self, offset: int) -> Unit:
        """The unit that starts at an offset of .debug_info."""
        unit = self._units.get(offset)
        if unit is None:
            if len(self._units) > 4:
                self._units.clear()
            assert self._info is not None
            unit = self._units[offset] = Unit(self, self._info, offset)
        return unit

    def unit_with(self, offset: int) -> Unit:
        """The unit that an entry at an offset of .debug_info lies in."""
        for start, end in self._spans:
            if start <= offset < end:
                return self.unit(start)
        raise self.fail("a reference into no unit")

    @cached_property
    def _spans(self) -> list[tuple[int, int]]:
        spans: list[tuple[int, int]] = []
        at = 0
        assert self._info is not None
        while at < self._info.size and len(spans) < UNITS_MAX:
            head = self._info.upto(at, 12)
            if len(head) < 12:
                break
            (length,) = struct.unpack_from("<I", head)
            end = at + 4 + length if length != 0xFFFFFFFF else at + 12 + int.from_bytes(head[4:], "little")
            if not len(spans) & 0xFF:
                self.budget.check(self.path)
            spans.append((at, end))
            at = end
        return spans

    @cached_property
    def _ranges(self) -> list[tuple[int, int, int]]:
        """Start, end and unit of addresses, from .debug_aranges."""
        data = self.section(".debug_aranges")
        result: list[tuple[int, int, int]] = []
        at = 0
        while data is not None and at < min(data.size, ARANGES_MAX):
            self.budget.check(self.path)
            head = data.upto(at, 32)
            if len(head) < 16:
                break
            (length,) = struct.unpack_from("<I", head)
            if length == 0xFFFFFFFF or length > ARANGES_MAX:
                break
            _, unit, address_size, segment_size = struct.unpack_from("<HIBB", head, 4)
            first = at + 16  # the tuples begin at a multiple of their size
            end = at + 4 + length
            if address_size == 8 and segment_size == 0:
                body = data.upto(first, end - first)
                for start, size in struct.iter_unpack("<QQ", body[: len(body) - len(body) % 16]):
                    if size:
                        result.append((start, start + size, unit))
            at = end
        result.sort()
        return result

    def _unit_of(self, address: int) -> int | None:
        import bisect

        ranges = self._ranges
        at = bisect.bisect_right(ranges, (address, 1 << 64, 1 << 64))
        for start, end, unit in reversed(ranges[max(at - 4, 0) : at]):
            if start <= address < end:
                return unit
        # clang writes no .debug_aranges, and assembly has units that are not in it
        known = {unit for _, _, unit in ranges}
        for start, _ in self._spans:
            if start in known:
                continue
            self.budget.check(self.path)
            assert self._info is not None
            try:
                head = Unit(self, self._info, start, whole=False)
                if head.covers(head.root, address):
                    return start
            except (ElfError, IndexError, struct.error):
                continue
        return None

    def abbrevs(self, offset: int) -> dict[int, tuple[int, bool, tuple[Attribute, ...]]]:
        """The abbreviations at an offset: tag, whether children follow, attributes."""
        table = self._abbrevs.get(offset)
        if table is not None:
            return table
        section = self.section(".debug_abbrev")
        data = b"" if section is None else section.upto(offset, ABBREVS_MAX)
        table = {}
        at = 0
        while True:
            code, at = uleb(data, at)
            if code == 0:
                break
            tag, at = uleb(data, at)
            children, at = data[at] != 0, at + 1
            attributes = []
            while True:
                name, at = uleb(data, at)
                form, at = uleb(data, at)
                constant = 0
                if form == FORM_IMPLICIT_CONST:
                    constant, at = sleb(data, at)
                if name == 0 and form == 0:
                    break
                attributes.append((name, form, constant))
            table[code] = (tag, children, tuple(attributes))
        if len(self._abbrevs) > 16:
            self._abbrevs.clear()
        self._abbrevs[offset] = table
        return table


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
        if form in _STRING_INDEX:
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
        return self._indexed(value) if form in _ADDRESS_INDEX else value

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
        if form != FORM_ADDR and form not in _ADDRESS_INDEX:
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
                if form in _UNIT_REFERENCE:
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
            if isinstance(value, bytes) or form in _STRING_INDEX or form in (0x0E, 0x1F):
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
        if form in _UNIT_REFERENCE and isinstance(value, int) and at <= value <= len(self._data):
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
                if form in _UNIT_REFERENCE and isinstance(value, int) and at <= value <= len(self._data):
                    at = value
                else:
                    depth += 1
        return at
