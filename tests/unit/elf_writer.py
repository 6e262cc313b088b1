"""Writes small ELF files for the tests: headers, interpreter, dynamic section, notes, code, and nothing else."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_NOTE, PT_GNU_STACK = 1, 2, 3, 4, 0x6474E551
DT_NEEDED, DT_STRTAB, DT_STRSZ, DT_SONAME, DT_RPATH, DT_RUNPATH, DT_FLAGS_1 = 1, 5, 10, 14, 15, 29, 0x6FFFFFFB
ET_REL, ET_EXEC, ET_DYN = 1, 2, 3
EM_386, EM_X86_64, EM_AARCH64 = 3, 62, 183
DF_1_PIE, DF_1_NODEFLIB = 0x8000000, 0x800
GLIBC_LOADER = "/lib64/ld-linux-x86-64.so.2"


def note(kind: int, desc: bytes, name: bytes = b"GNU\0") -> bytes:
    """One note, padded to 4 bytes."""
    return struct.pack("<III", len(name), len(desc), kind) + name + desc + bytes(-len(desc) % 4)


def build_id_note(build_id: bytes) -> bytes:
    """NT_GNU_BUILD_ID."""
    return note(3, build_id)


def property_note(kind: int, value: int) -> bytes:
    """NT_GNU_PROPERTY_TYPE_0 with one 4-byte property, padded to 8 as in 64-bit files."""
    return note(5, struct.pack("<III4x", kind, 4, value))


@dataclass
class ElfSpec:
    """An ELF file to write; `None` and empty leave the part out."""

    e_type: int = ET_DYN
    machine: int = EM_X86_64
    bits: int = 64
    order: str = "<"
    interpreter: str | None = None
    needed: tuple[str, ...] = ()
    soname: str | None = None
    rpath: str | None = None
    runpath: str | None = None
    flags_1: int = 0
    code: bytes = b""
    notes: bytes = b""
    exec_stack: bool | None = False
    dynamic: bool | None = None
    extra_phdrs: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    """(type, flags, offset, vaddr, filesz) each."""

    def build(self) -> bytes:
        """The bytes. One PT_LOAD maps the whole file at address 0, readable and executable."""
        wide = self.bits == 64
        ehsize, phsize = (64, 56) if wide else (52, 32)
        strings = bytearray(b"\0")

        def string(text: str) -> int:
            at = len(strings)
            strings.extend(text.encode("utf-8", "surrogateescape") + b"\0")
            return at

        tags = [(DT_NEEDED, string(name)) for name in self.needed]
        for tag, text in ((DT_SONAME, self.soname), (DT_RPATH, self.rpath), (DT_RUNPATH, self.runpath)):
            if text is not None:
                tags.append((tag, string(text)))
        if self.flags_1:
            tags.append((DT_FLAGS_1, self.flags_1))
        has_dynamic = bool(tags) or self.interpreter is not None if self.dynamic is None else self.dynamic
        blobs: list[tuple[int, bytes]] = []
        if self.interpreter is not None:
            blobs.append((PT_INTERP, self.interpreter.encode("utf-8", "surrogateescape") + b"\0"))
        if self.notes:
            blobs.append((PT_NOTE, self.notes))
        count = 1 + len(blobs) + has_dynamic + (self.exec_stack is not None) + len(self.extra_phdrs)
        body = bytearray(ehsize + count * phsize)

        def place(data: bytes) -> int:
            body.extend(bytes(-len(body) % 16))
            at = len(body)
            body.extend(data)
            return at

        phdrs = [(kind, 4, at, at, len(data)) for kind, data in blobs for at in (place(data),)]
        if has_dynamic:
            table = place(bytes(strings))
            tags += [(DT_STRTAB, table), (DT_STRSZ, len(strings)), (0, 0)]
            entry = self.order + ("QQ" if wide else "II")
            data = b"".join(struct.pack(entry, *tag) for tag in tags)
            at = place(data)
            phdrs.append((PT_DYNAMIC, 6, at, at, len(data)))
        entry_point = place(self.code)
        if self.exec_stack is not None:
            phdrs.append((PT_GNU_STACK, 7 if self.exec_stack else 6, 0, 0, 0))
        phdrs = [(PT_LOAD, 5, 0, 0, len(body)), *phdrs, *self.extra_phdrs]
        ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if self.order == "<" else 2, 1]) + bytes(9)
        word = "Q" if wide else "I"
        body[:ehsize] = ident + struct.pack(
            f"{self.order}HHI{word}{word}{word}IHHHHHH",
            *(self.e_type, self.machine, 1, entry_point, ehsize, 0, 0, ehsize, phsize, len(phdrs), 0, 0, 0),
        )
        for index, (kind, flags, offset, vaddr, size) in enumerate(phdrs):
            fields = (
                struct.pack(self.order + "IIQQQQQQ", kind, flags, offset, vaddr, vaddr, size, size, 16)
                if wide
                else struct.pack(self.order + "IIIIIIII", kind, offset, vaddr, vaddr, size, size, flags, 16)
            )
            body[ehsize + index * phsize : ehsize + (index + 1) * phsize] = fields
        return bytes(body)

    def write(self, path: Path, mode: int = 0o755) -> str:
        """Writes the file, with its directories; its path as a string."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.build())
        path.chmod(mode)
        return str(path)
