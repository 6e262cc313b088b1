"""How the values of attributes are written: the forms of DWARF 2 to 5 (section 7.5.6), and binutils' and GCC's own."""

from __future__ import annotations

from capwrap.elf.lines import sleb, uleb

FORM_ADDR, FORM_IMPLICIT_CONST, FORM_INDIRECT = 0x01, 0x21, 0x16
ADDRESS_INDEX = frozenset({0x1B, 0x29, 0x2A, 0x2B, 0x2C, 0x1F01})
STRING_INDEX = frozenset({0x1A, 0x25, 0x26, 0x27, 0x28, 0x1F02})
UNIT_REFERENCE = frozenset({0x11, 0x12, 0x13, 0x14, 0x15})
_FIXED = {
    0x0B: 1, 0x05: 2, 0x06: 4, 0x07: 8, 0x0C: 1, 0x11: 1, 0x12: 2, 0x13: 4, 0x14: 8, 0x1C: 4, 0x1E: 16, 0x20: 8,
    0x24: 8, 0x25: 1, 0x26: 2, 0x27: 3, 0x28: 4, 0x29: 1, 0x2A: 2, 0x2B: 3, 0x2C: 4, 0x19: 0,
}  # fmt: skip
_OFFSETS = frozenset({0x0E, 0x17, 0x1D, 0x1F, 0x1F20, 0x1F21})
_ULEBS = frozenset({0x0F, 0x15, 0x1A, 0x1B, 0x22, 0x23, 0x1F01, 0x1F02})
_BLOCKS = {0x0A: 1, 0x03: 2, 0x04: 4}


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
