"""/etc/ld.so.cache, as ld.so reads it.

Only the format "glibc-ld.so.cache1.1" (glibc 2.2 and later), alone or behind the older one's table. Source: glibc,
sysdeps/generic/dl-cache.h (struct cache_file_new, struct cache_extension) and elf/dl-cache.c (search_cache).
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass

from capwrap.elf.errors import ElfError
from capwrap.elf.reader import FileView

PATH = "/etc/ld.so.cache"
SIZE_MAX = 64 << 20

_MAGIC_OLD = b"ld.so-1.7.0"
_MAGIC = b"glibc-ld.so.cache1.1"
_HEADER = struct.Struct("<20sIIB3xI12x")
_ENTRY = struct.Struct("<iIIIQ")
_EXTENSION_MAGIC = 0xEAA42174
_TAG_GLIBC_HWCAPS = 1
_FLAGS_X86_64 = 0x0303  # FLAG_X8664_LIB64 | FLAG_ELF_LIBC6
_BIG_ENDIAN = 3
_HWCAP_EXTENSION = 1 << 62
_HWCAP_ISA_LEVEL_MASK = 0x3FF << 32


@dataclass(frozen=True)
class CacheEntry:
    """One 64-bit x86 library: `path`, and the glibc-hwcaps subdirectory that it is for (None: every processor)."""

    path: str
    hwcap: str | None


def read_cache(path: str = PATH) -> dict[str, tuple[CacheEntry, ...]]:
    """The x86-64 entries of a cache by library name; empty where there is none, or where ld.so would ignore it as
    invalid."""
    try:
        with FileView(path) as view:
            if view.size > SIZE_MAX:
                return {}
            return parse_cache(view.upto(0, view.size))
    except ElfError:
        return {}


def parse_cache(data: bytes) -> dict[str, tuple[CacheEntry, ...]]:
    """The same of the cache's bytes. Entries that point outside of `data` are left out; never raises."""
    start = 0
    if data.startswith(_MAGIC_OLD) and len(data) >= 16:
        (count,) = struct.unpack_from("<I", data, 12)
        start = (16 + count * 12 + 7) & ~7
    if len(data) - start < _HEADER.size:
        return {}
    magic, count, _, flags, extension = _HEADER.unpack_from(data, start)
    table = start + _HEADER.size
    if magic != _MAGIC or flags & 3 == _BIG_ENDIAN or count * _ENTRY.size > len(data) - table:
        return {}
    hwcaps = _hwcap_names(data, start, extension)
    found: dict[str, list[CacheEntry]] = {}
    for entry_flags, key, value, _, hwcap in _ENTRY.iter_unpack(data[table : table + count * _ENTRY.size]):
        if entry_flags != _FLAGS_X86_64:
            continue
        name, library = _string(data, start + key), _string(data, start + value)
        if name is None or library is None or not library.startswith("/"):
            continue
        subdirectory = None
        if hwcap:
            if hwcap & ~_HWCAP_ISA_LEVEL_MASK & ~0xFFFFFFFF != _HWCAP_EXTENSION:
                continue  # a legacy hwcap bit mask; ld.so stopped reading these with glibc 2.37
            index = hwcap & 0xFFFFFFFF
            if index >= len(hwcaps):
                continue
            subdirectory = hwcaps[index]
        found.setdefault(name, []).append(CacheEntry(library, subdirectory))
    return {name: tuple(entries) for name, entries in found.items()}


def _string(data: bytes, offset: int) -> str | None:
    if not 0 <= offset < len(data):
        return None
    end = data.find(b"\0", offset, offset + 4096)
    return None if end < 0 else os.fsdecode(data[offset:end])


def _hwcap_names(data: bytes, start: int, offset: int) -> list[str]:
    """The glibc-hwcaps extension: names such as `x86-64-v3`, by index. Empty where it is absent or invalid."""
    if offset == 0 or offset % 4 or offset + 8 > len(data):
        return []
    magic, count = struct.unpack_from("<II", data, offset)
    if magic != _EXTENSION_MAGIC or offset + 8 + count * 16 > len(data):
        return []
    for tag, _, base, size in struct.iter_unpack("<IIII", data[offset + 8 : offset + 8 + count * 16]):
        if tag == _TAG_GLIBC_HWCAPS and size % 4 == 0 and base + size <= len(data):
            names = [_string(data, start + at) for (at,) in struct.iter_unpack("<I", data[base : base + size])]
            return [name or "" for name in names]
    return []
