"""The unwind information of one address: .eh_frame_hdr is bisected, and one FDE decoded.

pyelftools decodes it, from a copy of that FDE and its CIE alone, so that it can read nothing else and its work is
bounded by their lengths; what it raises on malformed input becomes ElfError.
Sources: the Linux Standard Base, "Exception Frames"; DWARF 5, section 6.4.
"""

from __future__ import annotations

import io
import struct
from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

from capwrap.elf.binary import Binary, Budget
from capwrap.elf.errors import ElfError
from capwrap.elf.lines import uleb

FDE_MAX = 1 << 16
CIE_MAX = 1 << 12
ENTRIES_MAX = 1 << 24
INDEXED_MAX = 16 << 20
"""Bytes of .eh_frame where it has no table."""
RETURN_ADDRESS = 16
"""rip's number among DWARF's registers (the x86-64 psABI)."""

_TABLE = 0x3B  # DW_EH_PE_datarel | DW_EH_PE_sdata4: the one that linkers write, and that can be bisected
_COUNT = 0x03  # DW_EH_PE_udata4
_POINTERS = {0x1B: ("<i", True), 0x03: ("<I", False), 0x0B: ("<i", False)}


@dataclass(frozen=True, slots=True)
class Rule:
    """How to find the caller's value of one register, or the CFA: `how` is register, offset (of memory at CFA + value),
    value (CFA + value), expression (memory at its result), value_expression, same, undefined."""

    how: str
    value: int = 0
    register: int = 0
    code: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """The rules at one address, by register number; `signal`: the frame that a signal's handler returns to."""

    cfa: Rule
    rules: dict[int, Rule]
    signal: bool


def find_row(binary: Binary, address: int, budget: Budget) -> Row | None:
    """The rules for the instruction at `address`; None where the file says nothing of it. Raises ElfError."""
    place = _bisect(binary, address) if binary.eh_frame_hdr is not None else _from_index(binary, address, budget)
    if place is None:
        return None
    start, fde_address = place
    fde = _entry(binary, fde_address, FDE_MAX)
    (back,) = struct.unpack_from("<I", fde, 4)
    cie = _entry(binary, fde_address + 4 - back, CIE_MAX)
    if back == 0 or struct.unpack_from("<I", cie, 4)[0] != 0:
        raise ElfError(binary.path, "has an FDE without a CIE", "rebuild or reinstall the file")
    return _decode(binary, cie, fde, address - start)


def _bisect(binary: Binary, address: int) -> tuple[int, int] | None:
    """Where the function that holds `address` starts, and the address of its FDE."""
    place = binary.eh_frame_hdr
    if place is None:
        return None
    hdr, size = place
    head = binary.at_address(hdr, 12)
    if len(head) < 12 or head[0] != 1 or head[2] != _COUNT or head[3] != _TABLE or head[1] not in _POINTERS:
        return None
    (count,) = struct.unpack_from("<I", head, 8)
    count = min(count, ENTRIES_MAX, (size - 12) // 8)
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        entry = binary.at_address(hdr + 12 + 8 * middle, 8)
        if len(entry) < 8:
            return None
        if hdr + struct.unpack("<ii", entry)[0] <= address:
            low = middle + 1
        else:
            high = middle
    if low == 0:
        return None
    start, fde = struct.unpack("<ii", binary.at_address(hdr + 12 + 8 * (low - 1), 8))
    return hdr + start, hdr + fde


def _from_index(binary: Binary, address: int, budget: Budget) -> tuple[int, int] | None:
    """The same where there is no table, as in static programs: .eh_frame is passed once, for where its FDEs begin."""
    index = binary.notes.get("eh_frame")
    if index is None:
        index = binary.notes["eh_frame"] = _index(binary, budget)
    at = bisect_right(index, (address, 1 << 64))
    return index[at - 1] if at else None


def _index(binary: Binary, budget: Budget) -> list[tuple[int, int]]:
    section = binary.section(".eh_frame")
    if section is None or not section.address:
        return []
    if section.size > INDEXED_MAX:
        raise ElfError(binary.path, "has much unwind information and no table of it", "link it with --eh-frame-hdr")
    binary.memory.take(8 * section.size, binary.path)
    data = binary.at_address(section.address, section.size)
    encodings: dict[int, int | None] = {}
    index = []
    at = 0
    while at + 8 <= len(data):
        length, back = struct.unpack_from("<II", data, at)
        if length == 0xFFFFFFFF:
            break
        if length and back:
            cie = at + 4 - back
            if cie not in encodings:
                budget.check(binary.path)
                encodings[cie] = _pointer_encoding(data[cie : cie + CIE_MAX]) if cie >= 0 else None
            encoding = encodings[cie]
            start = None if encoding is None else _pointer(data, at + 8, encoding, section.address)
            if start is not None:
                index.append((start, section.address + at))
        at += 4 + length
    index.sort()
    return index


def _pointer_encoding(cie: bytes) -> int | None:
    """How a CIE says that its FDEs' addresses are written (DW_EH_PE_*)."""
    end = cie.find(b"\0", 9)
    letters = cie[9:end] if end > 0 else b""
    if not letters.startswith(b"z"):
        return 0
    at = end + 1
    try:
        _, at = uleb(cie, at)  # code and data alignment, return address register, length
        _, at = uleb(cie, at)
        _, at = uleb(cie, at)
        _, at = uleb(cie, at)
        for letter in letters[1:]:
            if letter == ord("R"):
                return cie[at]
            if letter == ord("L"):
                at += 1
            elif letter == ord("P"):
                at += 1 + _SIZES[cie[at] & 15]
            elif letter != ord("S"):
                break
    except (IndexError, KeyError):
        pass
    return None


_SIZES = {0: 8, 2: 2, 3: 4, 4: 8, 10: 2, 11: 4, 12: 8}


def _pointer(data: bytes, at: int, encoding: int, address: int) -> int | None:
    size = _SIZES.get(encoding & 15)
    if size is None or encoding & 0x70 not in (0, 0x10) or at + size > len(data):
        return None
    value = int.from_bytes(data[at : at + size], "little", signed=bool(encoding & 8))
    return value + (address + at if encoding & 0x10 else 0)


def _entry(binary: Binary, address: int, limit: int) -> bytes:
    """A CIE or FDE with its length before it."""
    head = binary.at_address(address, 4)
    length = int.from_bytes(head, "little")
    if len(head) < 4 or not 4 <= length <= limit:
        raise ElfError(binary.path, f"has unwind information of {length} bytes", "rebuild or reinstall the file")
    data = binary.at_address(address, 4 + length)
    if len(data) != 4 + length:
        raise ElfError(binary.path, "has unwind information outside its segments", "rebuild or reinstall the file")
    return data


def _decode(binary: Binary, cie: bytes, fde: bytes, distance: int) -> Row | None:
    from elftools.dwarf.callframe import FDE, CallFrameInfo
    from elftools.dwarf.structs import DWARFStructs

    # the two, with the FDE's pointer to its CIE as it has to be here, and the terminator
    section = cie + fde[:4] + struct.pack("<I", len(cie) + 4) + fde[8:] + bytes(4)
    structs = DWARFStructs(little_endian=True, dwarf_format=32, address_size=8)
    try:
        info = CallFrameInfo(io.BytesIO(section), len(section), 0, structs, for_eh_frame=True)
        entry = next(entry for entry in info.get_entries() if isinstance(entry, FDE))
        if distance >= entry["address_range"]:
            return None
        first = entry["initial_location"]
        table = entry.get_decoded().table
        row: dict[Any, Any] | None = None
        for each in table:
            if each["pc"] - first > distance:
                break
            row = each
        if row is None:
            return None
        signal = entry.cie is not None and b"S" in entry.cie["augmentation"]
        rules = {number: _rule(rule) for number, rule in row.items() if isinstance(number, int)}
        cfa = row["cfa"]
        if cfa.expr is not None:
            return Row(Rule("expression", code=tuple(cfa.expr)), rules, signal)
        return Row(Rule("register", cfa.offset, cfa.reg), rules, signal)
    except Exception as error:  # pyelftools was not written for hostile input
        raise ElfError(binary.path, f"has malformed unwind information ({error})", "rebuild the file") from error


_RULES = {
    "SAME_VALUE": "same",
    "UNDEFINED": "undefined",
    "OFFSET": "offset",
    "VAL_OFFSET": "value",
    "REGISTER": "register",
    "EXPRESSION": "expression",
    "VAL_EXPRESSION": "value_expression",
}


def _rule(rule: Any) -> Rule:
    how = _RULES.get(rule.type, "undefined")
    if how in ("offset", "value"):
        return Rule(how, int(rule.arg))
    if how == "register":
        return Rule(how, register=int(rule.arg))
    if how in ("expression", "value_expression"):
        return Rule(how, code=tuple(rule.arg))
    return Rule(how)
