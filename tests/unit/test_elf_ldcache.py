from __future__ import annotations

import re
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.run import path_of, require_file

from capwrap.elf.ldcache import CacheEntry, parse_cache, read_cache

X86_64, I386 = 0x0303, 0x0003


def make_cache(
    entries: list[tuple[int, str, str, int]], hwcaps: tuple[str, ...] = (), prefix: bytes = b"", endian: int = 2
) -> bytes:
    """A cache of (flags, name, path, hwcap); offsets count from behind `prefix`, as glibc's do."""
    strings = bytearray()
    base = 48 + 24 * len(entries)

    def string(text: str) -> int:
        at = base + len(strings)
        strings.extend(text.encode() + b"\0")
        return at

    rows = b"".join(struct.pack("<iIIIQ", f, string(n), string(p), 0, h) for f, n, p, h in entries)
    names = [string(name) for name in hwcaps]
    strings.extend(bytes(-(base + len(strings)) % 4))
    extension = len(prefix) + base + len(strings) if hwcaps else 0
    header = struct.pack("<20sIIB3xI12x", b"glibc-ld.so.cache1.1", len(entries), len(strings), endian, extension)
    tail = b""
    if hwcaps:
        tail = struct.pack("<IIIIII", 0xEAA42174, 1, 1, 0, extension + 24, 4 * len(names))
        tail += struct.pack(f"<{len(names)}I", *names)
    return prefix + header + rows + bytes(strings) + tail


PLAIN = (X86_64, "libz.so.1", "/lib/libz.so.1", 0)


def test_names_lead_to_paths_and_other_architectures_are_left_out() -> None:
    data = make_cache([PLAIN, (I386, "libz.so.1", "/lib32/libz.so.1", 0), (X86_64, "rel", "no/absolute", 0)])
    assert parse_cache(data) == {"libz.so.1": (CacheEntry("/lib/libz.so.1", None),)}


def test_the_table_behind_the_older_format_is_found() -> None:
    old = b"ld.so-1.7.0\0" + struct.pack("<I", 1) + bytes(12)
    old += bytes(-len(old) % 8)
    assert parse_cache(make_cache([PLAIN], prefix=old)) == {"libz.so.1": (CacheEntry("/lib/libz.so.1", None),)}


def test_hwcaps_subdirectories_have_their_names() -> None:
    better = (X86_64, "libz.so.1", "/lib/glibc-hwcaps/x86-64-v3/libz.so.1", (1 << 62) | (4 << 32) | 1)
    legacy = (X86_64, "libz.so.1", "/lib/haswell/libz.so.1", 1 << 9)
    unknown = (X86_64, "libz.so.1", "/lib/v9/libz.so.1", (1 << 62) | 7)
    data = make_cache([better, PLAIN, legacy, unknown], hwcaps=("x86-64-v2", "x86-64-v3"))
    assert parse_cache(data)["libz.so.1"] == (
        CacheEntry("/lib/glibc-hwcaps/x86-64-v3/libz.so.1", "x86-64-v3"),
        CacheEntry("/lib/libz.so.1", None),
    )


@pytest.mark.parametrize(
    "data",
    [b"", b"glibc-ld.so.cache1.1", make_cache([PLAIN], endian=3), make_cache([PLAIN])[:60], b"x" * 100,
     struct.pack("<20sIIB3xI12x", b"glibc-ld.so.cache1.1", 2**32 - 1, 0, 2, 0)],
)  # fmt: skip
def test_what_ld_so_ignores_as_invalid_is_empty(data: bytes) -> None:
    assert parse_cache(data) == {}


def test_an_absent_cache_is_empty(tmp_path: Path) -> None:
    assert read_cache(str(tmp_path / "none")) == {}


GOOD = make_cache([PLAIN, (X86_64, "a", "/a", (1 << 62) | 0)], hwcaps=("x86-64-v2",))


@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), max_size=8), st.integers(0, len(GOOD)))
def test_no_damage_makes_the_parser_raise(flips: list[tuple[int, int]], length: int) -> None:
    data = bytearray(GOOD)
    for at, value in flips:
        data[at] = value
    parse_cache(bytes(data[:length]))


def test_it_agrees_with_ldconfig() -> None:
    require_file("/etc/ld.so.cache", "libc-bin")
    out = subprocess.run([path_of("ldconfig"), "-p"], capture_output=True, text=True, check=True).stdout
    listed = re.findall(r"^\t(\S+) \(libc6,x86-64[^)]*\) => (\S+)$", out, re.MULTILINE)
    ours = [(name, entry.path) for name, entries in read_cache().items() for entry in entries]
    assert sorted(ours) == sorted(listed)
