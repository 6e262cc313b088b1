"""Symbols of addresses, from every table that a file or its separate debug file may have: .symtab, .dynsym, and the
.symtab in .gnu_debugdata; separate files by build-id and by .gnu_debuglink.

Sources: the ELF gABI, chapter 4; GDB's manual, "Separate Debug Files" and "MiniDebugInfo".
"""

from __future__ import annotations

import bisect
import os
import struct
import zlib
from typing import TYPE_CHECKING

from capwrap.elf.binary import Binary, Bytes, open_regular
from capwrap.elf.errors import ElfError

if TYPE_CHECKING:
    from capwrap.elf.binary import Budget, Data

TABLE_MAX = 24 << 20
"""Bytes of a symbol table that are looked at."""
DEBUGDATA_MAX = 64 << 20
"""Bytes of .gnu_debugdata, and of what it unpacks to."""
CHECKED_MAX = 256 << 20
"""Bytes of a debug file whose checksum is computed."""
DEBUG_ROOT = "/usr/lib/debug"

_SYMBOL = struct.Struct("<IBBHQQ")
_CHUNK = 24 * 8192
_FUNCTIONS = (0, 2, 10)  # STT_NOTYPE (assembly), STT_FUNC, STT_GNU_IFUNC
_GLOBAL = (1, 2, 10)


class SymbolTable:
    """One symbol table. It is sorted when it is first asked."""

    def __init__(self, binary: Binary, name: str, budget: Budget) -> None:
        self._strings: Data | None = None
        found: list[tuple[int, int, int, int]] = []
        section = binary.section(name)
        data = binary.data(name)
        if section is not None and data is not None:
            binary.memory.take(6 * min(data.size, TABLE_MAX), binary.path)
            self._strings = binary.linked(section)
            for at in range(0, min(data.size, TABLE_MAX), _CHUNK):
                budget.check(binary.path)
                part = data.upto(at, _CHUNK)
                for text, info, _, index, value, size in _SYMBOL.iter_unpack(part[: len(part) - len(part) % 24]):
                    if info & 15 in _FUNCTIONS and index and value and text:
                        # of several names of one place the last in this order is taken: functions, sized, global
                        rank = (info & 15 != 0) * 4 + (size != 0) * 2 + (info >> 4 in _GLOBAL)
                        found.append((value, rank, size, text))
        found.sort()
        self._found = found
        self._starts = [value for value, _, _, _ in found]

    def find(self, address: int) -> str | None:
        """The name of the function that holds an address."""
        at = bisect.bisect_right(self._starts, address)
        best = None
        names: list[str] = []
        for value, rank, size, text in reversed(self._found[max(at - 16, 0) : at]):
            if best is None:
                if address >= value + size and (size or value != self._starts[at - 1]):
                    continue
                best = value, rank
            if (value, rank) == best and self._strings is not None:
                names.append(self._strings.string(text))
        # of equals the one that a program would use
        return min(names, key=lambda name: (name.startswith("_"), len(name), name), default=None) or None

    def __bool__(self) -> bool:
        return bool(self._found)


def symbol_address(binary: Binary, wanted: str) -> int | None:
    """The address of a symbol in .symtab; None where there is none."""
    section, data = binary.section(".symtab"), binary.data(".symtab")
    strings = None if section is None else binary.linked(section)
    if data is None or strings is None:
        return None
    names = strings.upto(0, TABLE_MAX)
    place = names.find(b"\0" + wanted.encode() + b"\0") + 1
    for at in range(0, min(data.size, TABLE_MAX) if place else 0, _CHUNK):
        part = data.upto(at, _CHUNK)
        for text, _, _, _, value, _ in _SYMBOL.iter_unpack(part[: len(part) - len(part) % 24]):
            if text == place:
                return int(value)
    return None


def debug_file(binary: Binary, budget: Budget, root: str = DEBUG_ROOT) -> Binary | None:
    """The separate debug file of a binary, found as GDB finds it; the caller closes it."""
    build_id = binary.build_id
    if build_id is not None and len(build_id) > 2:
        found = _opened(f"{root}/.build-id/{build_id[:2]}/{build_id[2:]}.debug", binary, follow=True)
        if found is not None:
            if found.build_id == build_id:
                return found
            found.close()
    link = binary.data(".gnu_debuglink")
    if link is None:
        return None
    content = link.upto(0, 4096)
    name = content.split(b"\0", 1)[0]
    at = -(-(len(name) + 1) // 4) * 4
    if not name or b"/" in name or name in (b".", b"..") or at + 4 > len(content):
        return None
    (checksum,) = struct.unpack_from("<I", content, at)
    directory, text = os.path.dirname(binary.path), os.fsdecode(name)
    for path, follow in (
        (f"{directory}/{text}", False),
        (f"{directory}/.debug/{text}", False),
        (f"{root}{directory}/{text}", True),
    ):
        found = _opened(path, binary, follow=follow)
        if found is None:
            continue
        try:
            if found.view.identity != binary.view.identity and _checksum(found, budget) == checksum:
                return found
        except ElfError:
            pass
        found.close()
    return None


def _opened(path: str, of: Binary, *, follow: bool) -> Binary | None:
    file = open_regular(path, follow=follow)
    if file is None:
        return None
    try:
        return Binary(file, of.memory)
    except ElfError:
        file.close()
        return None


def _checksum(binary: Binary, budget: Budget) -> int | None:
    size, value = binary.view.size, 0
    if size > CHECKED_MAX:
        return None
    for at in range(0, size, 1 << 20):
        budget.check(binary.path)
        value = zlib.crc32(binary.view.upto(at, 1 << 20), value)
    return value


def mini_debug(binary: Binary) -> Binary | None:
    """What .gnu_debugdata holds: an ELF file with the symbols that are not in .dynsym. Raises ElfError."""
    import lzma

    data = binary.data(".gnu_debugdata")
    if data is None or data.size > DEBUGDATA_MAX:
        return None
    try:
        decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=128 << 20)
        plain = decompressor.decompress(data.upto(0, data.size), DEBUGDATA_MAX)
    except (lzma.LZMAError, EOFError) as error:
        raise ElfError(binary.path, f"has a .gnu_debugdata that is no xz: {error}", "rebuild the file") from error
    binary.memory.take(len(plain), binary.path)
    return Binary(Bytes(plain, binary.path), binary.memory)
