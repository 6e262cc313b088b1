"""The GNU notes of an ELF file, and the name of its machine: what pyelftools has the tables for.

pyelftools gets a copy of the header and of one note segment at a time, so that it can read nothing else. It was not
written for hostile input and raises what it happens to raise; all of that becomes ElfError here.
Sources: the x86-64 psABI, "Program Property"; include/uapi/linux/elf.h.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

from capwrap.elf.errors import ElfError
from capwrap.elf.reader import PT_NOTE, Elf, FileView

NOTES_MAX = 1 << 20
"""Bytes of one note segment."""
SEGMENTS_MAX = 64

GNU_PROPERTY_X86_FEATURE_1_AND = 0xC0000002
GNU_PROPERTY_X86_ISA_1_NEEDED = 0xC0008002
_FEATURES = ((1, "IBT"), (2, "SHSTK"))
_ISA = ((1, "x86-64-baseline"), (2, "x86-64-v2"), (4, "x86-64-v3"), (8, "x86-64-v4"))


@dataclass(frozen=True)
class Notes:
    """`build_id` in hexadecimal; `properties`: IBT and SHSTK where all of the file's code supports them, and the x86-64
    levels that it needs."""

    build_id: str | None
    properties: tuple[str, ...]


def machine_name(elf: Elf) -> str:
    """The machine in words, e.g. `x64`; `e_machine N` where pyelftools has no name for it."""
    from elftools.elf.elffile import ELFFile

    try:
        name = ELFFile(io.BytesIO(elf.header)).get_machine_arch()
    except Exception:  # see the module's docstring
        return f"e_machine {elf.e_machine}"
    return f"e_machine {elf.e_machine}" if name == "<unknown>" else name


def read_notes(view: FileView, elf: Elf) -> Notes:
    """The notes of all PT_NOTE segments. Raises ElfError where a note is malformed or too large."""
    from elftools.elf.elffile import ELFFile
    from elftools.elf.notes import iter_notes

    build_id = None
    properties: dict[str, None] = {}
    segments = [phdr for phdr in elf.phdrs if phdr.p_type == PT_NOTE]
    if len(segments) > SEGMENTS_MAX:
        raise ElfError(elf.path, f"has {len(segments)} note segments", "rebuild or reinstall the file")
    for phdr in segments:
        if phdr.p_filesz > NOTES_MAX:
            raise ElfError(elf.path, f"has a note segment of {phdr.p_filesz} bytes", "rebuild or reinstall the file")
        data = elf.header + view.exactly(phdr.p_offset, phdr.p_filesz, "a note segment")
        try:
            for note in iter_notes(ELFFile(io.BytesIO(data)), len(elf.header), phdr.p_filesz):
                if note["n_name"] != "GNU":
                    continue
                if note["n_type"] == "NT_GNU_BUILD_ID" and build_id is None:
                    build_id = str(note["n_desc"])
                elif note["n_type"] == "NT_GNU_PROPERTY_TYPE_0":
                    for prop in note["n_desc"]:
                        properties |= dict.fromkeys(_property_names(prop["pr_type"], prop["pr_data"]))
        except Exception as error:
            raise ElfError(elf.path, f"has a malformed note ({error})", "rebuild or reinstall the file") from error
    return Notes(build_id, tuple(properties))


def _property_names(kind: object, value: object) -> list[str]:
    """The words for one property; pyelftools gives the kinds that it knows as names, and the others as numbers."""
    if not isinstance(value, int):
        return []
    if kind in ("GNU_PROPERTY_X86_FEATURE_1_AND", GNU_PROPERTY_X86_FEATURE_1_AND):
        return [name for bit, name in _FEATURES if value & bit]
    if kind in ("GNU_PROPERTY_X86_ISA_1_NEEDED", GNU_PROPERTY_X86_ISA_1_NEEDED):
        return [name for bit, name in _ISA if value & bit]
    return []
