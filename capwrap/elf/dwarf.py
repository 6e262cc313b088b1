"""DWARF 2 to 5, as far as it takes to say which functions, inlined ones included, and which line an address belongs to.

pyelftools is not used here: it reads whole sections, follows what the file says as far as it goes, and takes half a
second for what one unit's entries tell in milliseconds. tests/unit/test_elf_dwarf.py holds this against addr2line.
Of the file only one unit at a time is read, and every loop looks at the budget.
Source: DWARF 5, sections 2 and 7; GCC's and binutils' GNU forms for what stands in a supplementary file.
"""

from __future__ import annotations

import struct
from functools import cached_property
from typing import TYPE_CHECKING

from capwrap.elf.dwarf_forms import FORM_IMPLICIT_CONST
from capwrap.elf.dwarf_unit import Unit
from capwrap.elf.errors import ElfError
from capwrap.elf.lines import sleb, uleb

if TYPE_CHECKING:
    from capwrap.elf.binary import Binary, Budget, Data
    from capwrap.elf.dwarf_unit import Place

UNITS_MAX = 1 << 17
ABBREVS_MAX = 1 << 18
"""Bytes of one unit's abbreviations."""
ARANGES_MAX = 32 << 20

Attribute = tuple[int, int, int]
"""Name, form, value of an implicit constant."""


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
