from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from elf_writer import DF_1_PIE, EM_386, EM_AARCH64, ET_EXEC, GLIBC_LOADER, ElfSpec
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from support.run import require

from capwrap.elf import ElfError
from capwrap.elf.errors import printable
from capwrap.elf.reader import FileView, read_elf

REAL = [
    path
    for path in (
        "/bin/ls",
        sys.executable,
        "/lib64/ld-linux-x86-64.so.2",
        "/lib/x86_64-linux-gnu/libc.so.6",
        "/usr/lib64/libc.so.6",
        "/lib32/libc.so.6",
        "/usr/bin/busybox",
        "/lib/ld-musl-x86_64.so.1",
    )
    if os.path.isfile(path)
]


def written(tmp_path: Path, data: bytes) -> str:
    path = tmp_path / "file"
    path.write_bytes(data)
    return str(path)


def test_every_field_that_was_written_is_read_back(tmp_path: Path) -> None:
    path = ElfSpec(
        interpreter=GLIBC_LOADER,
        needed=("liba.so", "libb.so.1"),
        soname="me.so",
        rpath="/r",
        runpath="$ORIGIN/x",
        flags_1=DF_1_PIE,
    ).write(tmp_path / "f")
    elf = read_elf(path)
    assert elf is not None
    assert (elf.path, elf.bits, elf.little, elf.loadable_here) == (path, 64, True, True)
    assert (elf.interpreter, elf.needed, elf.soname) == (GLIBC_LOADER, ("liba.so", "libb.so.1"), "me.so")
    assert (elf.rpath, elf.runpath, elf.flags_1) == ("/r", "$ORIGIN/x", DF_1_PIE)


@pytest.mark.parametrize(("bits", "order", "machine"), [(32, "<", EM_386), (32, ">", 8), (64, ">", 22)])
def test_other_classes_and_byte_orders_are_read_and_not_loadable(
    tmp_path: Path, bits: int, order: str, machine: int
) -> None:
    spec = ElfSpec(bits=bits, order=order, machine=machine, needed=("libx.so",), interpreter="/lib/ld.so")
    elf = read_elf(spec.write(tmp_path / "f"))
    assert elf is not None
    assert (elf.bits, elf.little, elf.needed, elf.interpreter) == (bits, order == "<", ("libx.so",), "/lib/ld.so")
    assert not elf.loadable_here


def test_another_64_bit_machine_is_not_loadable(tmp_path: Path) -> None:
    elf = read_elf(ElfSpec(machine=EM_AARCH64).write(tmp_path / "f"))
    assert elf is not None
    assert not elf.loadable_here


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\n", b"\x7fEL", b"hello"])
def test_a_file_without_the_magic_is_not_elf(tmp_path: Path, data: bytes) -> None:
    assert read_elf(written(tmp_path, data)) is None


def patched(offset: int, layout: str, value: int, spec: ElfSpec | None = None) -> bytes:
    data = bytearray((spec or ElfSpec(interpreter=GLIBC_LOADER, needed=("liba.so",))).build())
    struct.pack_into("<" + layout, data, offset, value)
    return bytes(data)


PHDR = 64
INTERP = PHDR + 56
DYNAMIC = PHDR + 2 * 56


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\x7fELF", "no valid ELF header"),
        (ElfSpec().build()[:60], "shorter"),
        (patched(4, "B", 7), "no valid ELF header"),
        (patched(32, "Q", 2**63), "lies outside"),
        (patched(54, "H", 1), "program headers of 1 bytes"),
        (patched(56, "H", 65535), "more than the kernel reads"),
        (patched(INTERP + 8, "Q", 2**64 - 1), "PT_INTERP lies outside"),
        (patched(INTERP + 32, "Q", 2**62), "PT_INTERP of"),
        (patched(INTERP + 32, "Q", 1), "PT_INTERP of 1 bytes"),
        (patched(INTERP + 32, "Q", 5), "does not end with NUL"),
        (patched(DYNAMIC + 8, "Q", 2**40), "dynamic section lies outside"),
        (patched(DYNAMIC + 32, "Q", 2**40), "dynamic section of"),
        (patched(PHDR + 32, "Q", 16), "outside its segments"),
        (ElfSpec(dynamic=True, needed=tuple(f"l{i}" for i in range(5000))).build(), "names 5000 libraries"),
        (ElfSpec(needed=("x" * 5000,)).build(), "no string"),
    ],
)
def test_a_malformed_file_is_an_error_with_path_reason_and_remedy(tmp_path: Path, data: bytes, what: str) -> None:
    path = written(tmp_path, data)
    with pytest.raises(ElfError, match=re.escape(what)) as caught:
        read_elf(path)
    assert caught.value.path == path
    assert caught.value.remedy
    assert str(caught.value).startswith(path + ": ")


def test_what_is_no_regular_file_is_never_opened(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path in (str(fifo), str(tmp_path), "/dev/null"):
        with pytest.raises(ElfError, match="not a regular file"):
            read_elf(path)
    for path in (str(tmp_path / "absent"), "nul\0in name"):
        with pytest.raises(ElfError, match="cannot be opened"):
            read_elf(path)


def test_a_read_never_goes_beyond_the_file(tmp_path: Path) -> None:
    with FileView(written(tmp_path, b"0123456789")) as view:
        assert view.upto(8, 2**62) == b"89"
        assert view.upto(-1, 4) == view.upto(10, 4) == view.upto(2**70, 4) == view.upto(0, -4) == b""
        with pytest.raises(ElfError, match="the thing lies outside"):
            view.exactly(8, 3, "the thing")


def test_a_name_that_is_not_utf8_survives_and_prints(tmp_path: Path) -> None:
    elf = read_elf(ElfSpec(needed=("lib\udcff.so",)).write(tmp_path / "f"))
    assert elf is not None
    assert elf.needed == ("lib\udcff.so",)
    assert printable(elf.needed[0]) == "lib\\xff.so"
    assert printable("a\x1b[31m\n") == "a\\x1b[31m\\n"


@pytest.mark.parametrize("path", REAL)
def test_it_agrees_with_pyelftools(path: str) -> None:
    elf = read_elf(path)
    assert elf is not None
    with ELFFile.load_from_path(path) as other:
        assert elf.bits == other.elfclass
        assert [(p.p_offset, p.p_vaddr, p.p_filesz, p.p_memsz, p.p_flags) for p in elf.phdrs] == [
            tuple(s[key] for key in ("p_offset", "p_vaddr", "p_filesz", "p_memsz", "p_flags"))
            for s in other.iter_segments()
        ]
        tags = [t for s in other.iter_segments() if isinstance(s, DynamicSegment) for t in s.iter_tags()]

        def names(tag: str, attribute: str) -> list[str]:  # pyelftools adds the attribute to the tags that have it
            return [getattr(t, attribute) for t in tags if t.entry.d_tag == tag]

        assert list(elf.needed) == names("DT_NEEDED", "needed")
        assert [name for name in (elf.soname,) if name is not None] == names("DT_SONAME", "soname")


@pytest.mark.parametrize("path", REAL)
def test_it_agrees_with_readelf(path: str) -> None:
    require("readelf")
    elf = read_elf(path)
    assert elf is not None
    out = subprocess.run(["readelf", "-dlW", path], capture_output=True, text=True, check=True).stdout
    assert list(elf.needed) == re.findall(r"\(NEEDED\).*\[(.*)\]", out)
    assert [p for p in (elf.runpath,) if p is not None] == re.findall(r"\(RUNPATH\).*\[(.*)\]", out)
    assert [p for p in (elf.interpreter,) if p is not None] == re.findall(r"interpreter: (.*)\]", out)


def test_a_static_file_has_nothing_dynamic(tmp_path: Path) -> None:
    elf = read_elf(ElfSpec(e_type=ET_EXEC).write(tmp_path / "f"))
    assert elf is not None
    assert (elf.interpreter, elf.dynamic, elf.needed) == (None, False, ())
