"""The functions that a CPython interpreter is in, from what the engine copied (struct cw_python_frame).

Source: Objects/locations.md of CPython 3.11 to 3.13, for the line table.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_FRAME = struct.Struct("<qi3I2I")
FRAMES_MAX = 64


@dataclass(frozen=True, slots=True)
class PythonFrame:
    """One function: its qualified name, the file of its code, and the line that it is at, if that is known."""

    symbol: str
    file: str
    line: int | None


def read_python(data: bytes) -> tuple[PythonFrame, ...]:
    """The frames, innermost first; what contradicts itself ends them."""
    frames: list[PythonFrame] = []
    at = 0
    while at + _FRAME.size <= len(data) and len(frames) < FRAMES_MAX:
        instr, first, n_file, n_name, n_table, kind_file, kind_name = _FRAME.unpack_from(data, at)
        start = at + _FRAME.size
        end = start + n_file + n_name + n_table
        if end > len(data):
            break
        file = _text(data[start : start + n_file], kind_file)
        name = _text(data[start + n_file : start + n_file + n_name], kind_name)
        if file and name:
            frames.append(PythonFrame(name, file, _line(data[end - n_table : end], instr, first)))
        at = end + -end % 8
    return tuple(frames)


def _text(raw: bytes, kind: int) -> str:
    """A str of CPython's: 1, 2 or 4 bytes a character. Lone surrogates are bytes that were not UTF-8."""
    encoding = {1: "latin-1", 2: "utf-16-le", 4: "utf-32-le"}.get(kind)
    if encoding is None:
        return ""
    text = raw.decode(encoding, "surrogatepass" if kind > 1 else "strict") if _sound(raw, kind) else ""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape") if _escaped(text) else ""


def _sound(raw: bytes, kind: int) -> bool:
    if len(raw) % kind:
        return False
    return kind != 4 or all(code < 0x110000 for (code,) in struct.iter_unpack("<I", raw))


def _escaped(text: str) -> bool:
    """Whether its surrogates are those of os.fsdecode."""
    return all(not "\ud800" <= char <= "\udfff" or "\udc80" <= char <= "\udcff" for char in text)


def _line(table: bytes, instr: int, first: int) -> int | None:
    """The line of the instruction at `instr` bytes. One that ran no instruction yet is at its first line."""
    if instr < 0:
        return first if first > 0 else None
    at = address = 0
    line = first
    try:
        while at < len(table):
            head = table[at]
            at += 1
            kind = head >> 3 & 15
            length = ((head & 7) + 1) * 2
            known = kind != 15
            if kind in (13, 14):
                delta, at = _svarint(table, at)
                line += delta
                for _ in range(3 if kind == 14 else 0):
                    _, at = _varint(table, at)
            elif 10 <= kind <= 12:
                line += kind - 10
                at += 2
            elif kind < 10:
                at += 1
            if address <= instr < address + length:
                return line if known and line > 0 else None
            address += length
    except IndexError:
        pass
    return None


def _varint(table: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = table[at]
        at += 1
        value |= (byte & 63) << shift
        if not byte & 64:
            return value, at
        shift += 6
        if shift > 60:
            raise IndexError


def _svarint(table: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(table, at)
    return (-(value >> 1) if value & 1 else value >> 1), at
