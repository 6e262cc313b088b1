"""An ELF file that frames of a stack lie in: opened safely, its sections read piece by piece.

The file is hostile, and it may be changed while it is read: it is not mapped, all reads are bounded by the caller, and
what does not fit is ElfError. A budget of time stands behind the bounds of size.
Source: the ELF gABI, chapters 4 and 5.
"""

from __future__ import annotations

import os
import stat
import struct
import time
import zlib
from dataclasses import dataclass
from functools import cached_property

from capwrap.elf.errors import ElfError
from capwrap.elf.reader import PT_LOAD, PT_NOTE, FileView, parse_headers

PT_GNU_EH_FRAME = 0x6474E550
SHF_COMPRESSED = 0x800
SHT_NOTE = 7
SHT_NOBITS = 8
ELFCOMPRESS_ZLIB = 1
SECTIONS_MAX = 4096
NAMES_MAX = 1 << 18
INFLATED_MAX = 64 << 20
"""Bytes of one section after decompression."""
MEMORY_MAX = 512 << 20
"""Bytes for what is kept of all files of a run."""
NOTE_MAX = 4096
NOTES = 32
NT_GNU_BUILD_ID = 3
PAGE = 4096

_REMEDY = "rebuild or reinstall the file"


class Budget:
    """Time that may be spent: seconds from now."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def spent(self) -> bool:
        """Whether it is over."""
        return time.monotonic() > self._end

    def check(self, path: str) -> None:
        """Raises ElfError where it is."""
        if self.spent:
            raise ElfError(path, "takes too long to read", "look at it with gdb or addr2line")

    def within(self, seconds: float) -> Budget:
        """A budget of its own for one piece of work, which ends with this one at the latest."""
        part = Budget(seconds)
        part._end = min(part._end, self._end)
        return part

    def limit(self, seconds: float) -> None:
        """It ends in `seconds` at the latest."""
        self._end = min(self._end, time.monotonic() + seconds)


class Memory:
    """Memory that may be used for all files together: bytes."""

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, size: int, path: str) -> None:
        """Raises ElfError where there is not as much left."""
        if size > self._left:
            raise ElfError(path, "takes too much memory to read", "look at it with gdb or addr2line")
        self._left -= size


class HeldFile(FileView):
    """A regular file by a descriptor, which it owns."""

    def __init__(self, fd: int, path: str) -> None:
        self.path = path
        self._fd = fd
        status = os.fstat(fd)
        self.size = status.st_size
        self.identity = (status.st_dev, status.st_ino)

    def fileno(self) -> int:
        """Its descriptor."""
        return self._fd


class Bytes(FileView):
    """Bytes in memory that are read like a file."""

    def __init__(self, data: bytes, path: str) -> None:
        self.path = path
        self._fd = -1
        self._data = data
        self.size = len(data)
        self.identity = (0, 0)

    def upto(self, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset`."""
        return self._data[offset : offset + size] if offset >= 0 and size > 0 else b""


def open_regular(path: str, *, follow: bool = False) -> HeldFile | None:
    """A regular file, opened without waiting for anything and, unless `follow`, through no link of that name."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | (0 if follow else os.O_NOFOLLOW)
    try:
        # opening a device can do things: look first, and again at what was opened
        if not stat.S_ISREG(os.stat(path, follow_symlinks=follow).st_mode):
            return None
        fd = os.open(path, flags)
    except (OSError, ValueError):
        return None
    try:
        if stat.S_ISREG(os.fstat(fd).st_mode):
            return HeldFile(fd, path)
    except OSError:
        pass
    os.close(fd)
    return None


@dataclass(frozen=True, slots=True)
class Section:
    """One section header; sizes in bytes."""

    name: str
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int


class Data:
    """The content of a section: read from the file where it lies as it is, from memory where it had to be inflated."""

    def __init__(self, view: FileView, offset: int, size: int) -> None:
        self._view = view
        self._offset = offset
        self.size = max(0, min(size, view.size - offset))

    def upto(self, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset`."""
        return self._view.upto(self._offset + offset, min(size, self.size - offset)) if 0 <= offset < self.size else b""

    def exactly(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`, or ElfError."""
        data = self.upto(offset, size)
        if len(data) != size:
            raise ElfError(self._view.path, "has a section that is shorter than it says", _REMEDY)
        return data

    def string(self, offset: int, limit: int = 4096) -> str:
        """The text at `offset`; what is longer is cut."""
        return os.fsdecode(self.upto(offset, limit).split(b"\0", 1)[0])


class Binary:
    """One little-endian 64-bit file. Raises ElfError where it is none."""

    def __init__(self, view: FileView, memory: Memory | None = None) -> None:
        self.memory = memory or Memory(MEMORY_MAX)
        found = parse_headers(view)
        if found is None or found[1:3] != (64, "<"):
            raise ElfError(view.path, "is no 64-bit ELF file", _REMEDY)
        self.view = view
        self._header, _, _, self._phdrs = found
        self.path = view.path
        self._data: dict[str, Data | None] = {}
        self.notes: dict[str, list[tuple[int, int]]] = {}
        """what others worked out about this file"""

    def close(self) -> None:
        """Closes the file."""
        self.view.close()

    @cached_property
    def build_id(self) -> str | None:
        """In hexadecimal; None where the file has none."""
        # a separate debug file has the program headers of the other one, and other offsets
        places = [(each.offset, each.size) for each in self._headers if each.kind == SHT_NOTE]
        places += [(each.p_offset, each.p_filesz) for each in self._phdrs if each.p_type == PT_NOTE]
        for offset, size in places[:NOTES]:
            found = _build_id(self.view.upto(offset, min(size, NOTE_MAX)))
            if found is not None:
                return found
        return None

    def address_of(self, offset: int) -> int | None:
        """The address that the file gives to the byte at `offset` of it; None where no segment has it."""
        for phdr in self._phdrs:
            if phdr.p_type == PT_LOAD and phdr.p_offset & -PAGE <= offset < phdr.p_offset + phdr.p_filesz:
                return offset - phdr.p_offset + phdr.p_vaddr
        return None

    def offset_of(self, address: int) -> int | None:
        """The opposite."""
        for phdr in self._phdrs:
            if phdr.p_type == PT_LOAD and 0 <= address - phdr.p_vaddr < phdr.p_filesz:
                return address - phdr.p_vaddr + phdr.p_offset
        return None

    def at_address(self, address: int, size: int) -> bytes:
        """At most `size` bytes of what is loaded at `address`."""
        offset = self.offset_of(address)
        return b"" if offset is None else self.view.upto(offset, size)

    @cached_property
    def eh_frame_hdr(self) -> tuple[int, int] | None:
        """Address and size of the table that leads to the unwind information."""
        for phdr in self._phdrs:
            if phdr.p_type == PT_GNU_EH_FRAME:
                return phdr.p_vaddr, phdr.p_filesz
        return None

    @cached_property
    def _headers(self) -> list[Section]:
        (offset,) = struct.unpack_from("<Q", self._header, 40)
        entsize, count, names = struct.unpack_from("<HHH", self._header, 58)
        if not offset or entsize != 64 or not 0 < count <= SECTIONS_MAX:
            return []
        table = self.view.upto(offset, count * 64)
        raw = list(struct.iter_unpack("<IIQQQQIIQQ", table[: len(table) - len(table) % 64]))
        if names >= len(raw):
            return []
        strings = self.view.upto(raw[names][4], min(raw[names][5], NAMES_MAX))
        result = []
        for name, kind, flags, address, at, size, link, _, _, _ in raw:
            end = strings.find(b"\0", name)
            text = strings[name:end].decode("latin-1") if end >= 0 else ""
            result.append(Section(text, kind, flags, address, at, size, link))
        return result

    def section(self, name: str) -> Section | None:
        """The header of the first section of that name that has content."""
        for section in self._headers:
            if section.name == name and section.kind != SHT_NOBITS:
                return section
        return None

    def linked(self, section: Section) -> Data | None:
        """The content of the section that another refers to, a string table."""
        if not 0 < section.link < len(self._headers):
            return None
        return self._content(self._headers[section.link])

    def data(self, name: str) -> Data | None:
        """The content of a section, or None. Raises ElfError where it cannot be inflated."""
        if name not in self._data:
            section = self.section(name)
            if section is not None:
                self._data[name] = self._content(section)
            elif name.startswith(".debug_") and (old := self.section(".z" + name[1:])) is not None:
                self._data[name] = self._old_compressed(old)
            else:
                self._data[name] = None
        return self._data[name]

    def _content(self, section: Section) -> Data | None:
        if section.kind == SHT_NOBITS:
            return None
        if not section.flags & SHF_COMPRESSED:
            return Data(self.view, section.offset, section.size)
        header = self.view.exactly(section.offset, 24, "a compressed section")
        kind, _, size, _ = struct.unpack("<IIQQ", header)
        if kind != ELFCOMPRESS_ZLIB:  # zstd: the standard library knows it from Python 3.14 on
            return None
        return self._inflated(section.offset + 24, section.size - 24, size)

    def _old_compressed(self, section: Section) -> Data | None:
        header = self.view.exactly(section.offset, 12, "a compressed section")
        if header[:4] != b"ZLIB":
            return None
        return self._inflated(section.offset + 12, section.size - 12, int.from_bytes(header[4:], "big"))

    def _inflated(self, offset: int, size: int, want: int) -> Data:
        if want > INFLATED_MAX or size > INFLATED_MAX:
            raise ElfError(self.path, f"has a compressed section of {want} bytes", _REMEDY)
        self.memory.take(want, self.path)
        try:
            data = zlib.decompressobj().decompress(self.view.upto(offset, size), want or 1)
        except zlib.error as error:
            raise ElfError(self.path, f"has a section that cannot be inflated: {error}", _REMEDY) from error
        return Data(Bytes(data, self.path), 0, len(data))


def _build_id(notes: bytes) -> str | None:
    at = 0
    while at + 12 <= len(notes):
        name_size, size, kind = struct.unpack_from("<III", notes, at)
        start = at + 12 + (name_size + 3 & ~3)
        if kind == NT_GNU_BUILD_ID and notes[at + 12 : start] == b"GNU\0" and size <= 64:
            return notes[start : start + size].hex() if start + size <= len(notes) else None
        at = start + (size + 3 & ~3)
    return None
