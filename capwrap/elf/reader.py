"""The program headers and the dynamic section of an ELF file: the part that the kernel and ld.so read before a program
runs.

Every launch reads a closure of these, so the four records are unpacked with `struct`; pyelftools needs 30 ms to import
and 2 ms a file for the same. tests/unit/test_elf_reader.py holds this reader against pyelftools and readelf.

The file is hostile. Sizes are compared with the limits below before anything is read, offsets with the size of the
file, and only regular files are opened. What does not fit raises ElfError; a file without the ELF magic is None.
Source: the ELF gABI (chapters 4 and 5), fs/binfmt_elf.c for the kernel's limits.
"""

from __future__ import annotations

import os
import stat
import struct
from dataclasses import dataclass
from typing import Self

from capwrap.elf.errors import ElfError

ELFCLASS32, ELFCLASS64 = 1, 2
ELFDATA2LSB, ELFDATA2MSB = 1, 2
ET_REL, ET_EXEC, ET_DYN, ET_CORE = 1, 2, 3, 4
EM_386, EM_X86_64 = 3, 62
PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_NOTE = 1, 2, 3, 4
PT_GNU_STACK = 0x6474E551
PF_X = 1
DT_NULL, DT_NEEDED, DT_STRTAB, DT_STRSZ, DT_SONAME, DT_RPATH, DT_RUNPATH = 0, 1, 5, 10, 14, 15, 29
DT_FLAGS_1 = 0x6FFFFFFB
DF_1_NODEFLIB, DF_1_PIE = 0x800, 0x8000000

PATH_MAX = 4096
PHDRS_MAX = 65536
"""Bytes of program headers; load_elf_phdrs() refuses more."""
DYNAMIC_MAX = 1 << 20
"""Bytes of the dynamic section: 65536 entries of a 64-bit file."""
RPATH_MAX = 1 << 16
NEEDED_MAX = 4096

_REMEDY = "rebuild or reinstall the file"


@dataclass(frozen=True)
class Phdr:
    """One program header; offsets and sizes in bytes."""

    p_type: int
    p_flags: int
    p_offset: int
    p_vaddr: int
    p_filesz: int
    p_memsz: int


@dataclass(frozen=True)
class Elf:
    """What the headers of one ELF file say. `bits` is 32 or 64; strings are as os.fsdecode gives them."""

    path: str
    bits: int
    little: bool
    e_type: int
    e_machine: int
    header: bytes
    phdrs: tuple[Phdr, ...]
    interpreter: str | None
    dynamic: bool
    needed: tuple[str, ...]
    soname: str | None
    rpath: str | None
    runpath: str | None
    flags_1: int
    identity: tuple[int, int]
    """st_dev and st_ino."""

    @property
    def loadable_here(self) -> bool:
        """Whether a 64-bit x86 process can map it. x32 objects are ELFCLASS32, and so excluded."""
        return self.bits == 64 and self.little and self.e_machine == EM_X86_64


class FileView:
    """Bounded reads of one regular file; a context manager that owns the descriptor."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = -1
        try:
            # Opening a device can do things, opening a FIFO can block: look first, and again at what was opened.
            if not stat.S_ISREG(os.stat(path).st_mode):
                raise ElfError(path, "is not a regular file", "name a program or a library")
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
            status = os.fstat(self._fd)
        except (OSError, ValueError) as error:
            self.close()
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise ElfError(path, f"cannot be opened: {reason}", "name a file that exists and is readable") from error
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise ElfError(path, "is not a regular file", "name a program or a library")
        self.size = status.st_size
        self.identity = (status.st_dev, status.st_ino)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the descriptor; a second call does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def upto(self, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset`; fewer where the file ends or shrinks."""
        if offset < 0 or offset >= self.size or size <= 0:
            return b""
        size = min(size, self.size - offset)
        try:
            data = os.pread(self._fd, size, offset)
            while data and len(data) < size:  # a single read gives at most 2 GiB, and network file systems less
                more = os.pread(self._fd, size - len(data), offset + len(data))
                if not more:
                    break
                data += more
        except OSError as error:
            raise ElfError(self.path, f"cannot be read: {error.strerror}", "check the file system") from error
        return data

    def exactly(self, offset: int, size: int, what: str) -> bytes:
        """`size` bytes from `offset`, or ElfError: `what` lies outside the file."""
        data = self.upto(offset, size)
        if len(data) != size:
            raise ElfError(self.path, f"{what} lies outside the file", _REMEDY)
        return data


def read_elf(path: str) -> Elf | None:
    """The headers of the file `path`; None if it has no ELF magic. Raises ElfError: unreadable or malformed."""
    with FileView(path) as view:
        return parse_elf(view)


def parse_elf(view: FileView) -> Elf | None:
    """The same of an open file."""
    found = parse_headers(view)
    if found is None:
        return None
    header, bits, order, phdrs = found
    e_type, e_machine = struct.unpack_from(order + "HH", header, 16)
    interpreter = None
    dynamic = None
    for phdr in phdrs:
        if phdr.p_type == PT_INTERP and interpreter is None:
            interpreter = _read_interpreter(view, phdr)
        elif phdr.p_type == PT_DYNAMIC and dynamic is None:
            dynamic = phdr
    tags = _read_dynamic(view, dynamic, bits, order) if dynamic is not None else []
    values = dict(tags)  # of a tag that stands twice the last one counts, as in elf_get_dynamic_info() of glibc
    strings = _Strings(view, phdrs, values)
    needed = [value for tag, value in tags if tag == DT_NEEDED]
    if len(needed) > NEEDED_MAX:
        raise ElfError(view.path, f"names {len(needed)} libraries, more than {NEEDED_MAX}", _REMEDY)
    return Elf(
        path=view.path,
        bits=bits,
        little=order == "<",
        e_type=e_type,
        e_machine=e_machine,
        header=header,
        phdrs=phdrs,
        interpreter=interpreter,
        dynamic=dynamic is not None,
        needed=tuple(strings.at(value, PATH_MAX, "DT_NEEDED") for value in needed),
        soname=strings.optional(values.get(DT_SONAME), PATH_MAX, "DT_SONAME"),
        rpath=strings.optional(values.get(DT_RPATH), RPATH_MAX, "DT_RPATH"),
        runpath=strings.optional(values.get(DT_RUNPATH), RPATH_MAX, "DT_RUNPATH"),
        flags_1=values.get(DT_FLAGS_1, 0),
        identity=view.identity,
    )


def parse_headers(view: FileView) -> tuple[bytes, int, str, tuple[Phdr, ...]] | None:
    """The ELF header, 32 or 64, "<" or ">", and the program headers: what a separate debug file has too, whose segments
    are empty."""
    header = view.upto(0, 64)
    if header[:4] != b"\x7fELF":
        return None
    if len(header) < 52 or header[4] not in (ELFCLASS32, ELFCLASS64) or header[5] not in (ELFDATA2LSB, ELFDATA2MSB):
        raise ElfError(view.path, "has an ELF magic but no valid ELF header", _REMEDY)
    bits = 64 if header[4] == ELFCLASS64 else 32
    order = "<" if header[5] == ELFDATA2LSB else ">"
    if bits == 64 and len(header) < 64:
        raise ElfError(view.path, "is shorter than its ELF header", _REMEDY)
    return header, bits, order, _read_phdrs(view, header, bits, order)


def _read_phdrs(view: FileView, header: bytes, bits: int, order: str) -> tuple[Phdr, ...]:
    if bits == 64:
        (offset,) = struct.unpack_from(order + "Q", header, 32)
        entsize, count = struct.unpack_from(order + "HH", header, 54)
        layout = struct.Struct(order + "IIQQQQQQ")
    else:
        (offset,) = struct.unpack_from(order + "I", header, 28)
        entsize, count = struct.unpack_from(order + "HH", header, 42)
        layout = struct.Struct(order + "IIIIIIII")
    if count == 0:
        return ()
    if entsize != layout.size:
        raise ElfError(view.path, f"has program headers of {entsize} bytes instead of {layout.size}", _REMEDY)
    if count * entsize > PHDRS_MAX:
        raise ElfError(view.path, f"has {count} program headers, more than the kernel reads", _REMEDY)
    table = view.exactly(offset, count * entsize, "the program header table")
    if bits == 64:
        return tuple(Phdr(t, f, off, va, fs, ms) for t, f, off, va, _, fs, ms, _ in layout.iter_unpack(table))
    return tuple(Phdr(t, f, off, va, fs, ms) for t, off, va, _, fs, ms, f, _ in layout.iter_unpack(table))


def _read_interpreter(view: FileView, phdr: Phdr) -> str:
    """PT_INTERP by load_elf_binary()'s rules: 2 to PATH_MAX bytes, the last one NUL."""
    if not 2 <= phdr.p_filesz <= PATH_MAX:
        raise ElfError(view.path, f"has a PT_INTERP of {phdr.p_filesz} bytes", _REMEDY)
    text = view.exactly(phdr.p_offset, phdr.p_filesz, "PT_INTERP")
    if text[-1]:
        raise ElfError(view.path, "has a PT_INTERP that does not end with NUL", _REMEDY)
    return os.fsdecode(text.split(b"\0", 1)[0])


def _read_dynamic(view: FileView, phdr: Phdr, bits: int, order: str) -> list[tuple[int, int]]:
    """The (tag, value) pairs before DT_NULL."""
    layout = struct.Struct(order + ("QQ" if bits == 64 else "II"))
    if phdr.p_filesz > DYNAMIC_MAX:
        raise ElfError(view.path, f"has a dynamic section of {phdr.p_filesz} bytes", _REMEDY)
    size = phdr.p_filesz - phdr.p_filesz % layout.size
    if size == 0:  # separate debug files keep the header and not the bytes
        return []
    tags = []
    for tag, value in layout.iter_unpack(view.exactly(phdr.p_offset, size, "the dynamic section")):
        if tag == DT_NULL:
            break
        tags.append((tag, value))
    return tags


class _Strings:
    """The dynamic string table. Only the strings that are asked for are read: libLLVM's table has megabytes."""

    def __init__(self, view: FileView, phdrs: tuple[Phdr, ...], values: dict[int, int]) -> None:
        self._view = view
        self._phdrs = phdrs
        self._values = values

    def _locate(self) -> tuple[int, int]:
        """File offset and size of the table."""
        address, size = self._values.get(DT_STRTAB), self._values.get(DT_STRSZ)
        if address is None or size is None:
            raise ElfError(self._view.path, "has a dynamic section without a string table", _REMEDY)
        for phdr in self._phdrs:
            if phdr.p_type == PT_LOAD and 0 <= address - phdr.p_vaddr < phdr.p_filesz:
                return phdr.p_offset + address - phdr.p_vaddr, size
        raise ElfError(self._view.path, "has a dynamic string table outside its segments", _REMEDY)

    def at(self, offset: int, limit: int, what: str) -> str:
        """The string at `offset`, of less than `limit` bytes; `what` names it in the error."""
        start, size = self._locate()
        data = self._view.upto(start + offset, min(limit, size - offset))
        end = data.find(b"\0")
        if end < 0:
            raise ElfError(self._view.path, f"has a {what} that is no string of its string table", _REMEDY)
        return os.fsdecode(data[:end])

    def optional(self, offset: int | None, limit: int, what: str) -> str | None:
        """The same of a tag that may be absent."""
        return None if offset is None else self.at(offset, limit, what)
