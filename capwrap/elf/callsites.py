"""The `syscall` instructions of an x86-64 ELF file.

The executable segments are searched for the bytes 0f 05. x86 code cannot be told from data without executing it, so a
hit inside another instruction or in a jump table counts too: the total is an upper bound, the numbered sites are nearly
always real. Numbered are those directly behind `mov $nr,%eax` (b8) or `mov $nr,%rax` (48 c7 c0), as compilers and libcs
write them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from capwrap.elf.reader import PF_X, PT_LOAD, FileView, Phdr

CHUNK = 1 << 20
SCAN_MAX = 1 << 30
"""Bytes of code that are searched; what lies behind them is not counted, and `CallSites.complete` says so."""

_SYSCALL = b"\x0f\x05"
_MOV_EAX, _MOV_RAX = b"\xb8", b"\x48\xc7\xc0"
_OVERLAP = len(_MOV_RAX) + 4 + len(_SYSCALL) - 1


@dataclass(frozen=True)
class CallSites:
    """`total` syscall instructions, of which `numbered` stand behind their number: pairs (number, sites), most frequent
    first. `complete` is False where more than SCAN_MAX bytes of code were found."""

    total: int
    numbered: tuple[tuple[int, int], ...]
    complete: bool

    @property
    def known(self) -> int:
        """How many sites have a number."""
        return sum(count for _, count in self.numbered)


def find_call_sites(view: FileView, phdrs: Iterable[Phdr]) -> CallSites:
    """The call sites in the executable PT_LOAD segments. Bytes that several segments map count once."""
    numbers: Counter[int] = Counter()
    total = 0
    budget = SCAN_MAX
    complete = True
    for start, behind_last in _executable_ranges(phdrs, view.size):
        end = min(behind_last, start + budget)
        complete = complete and end == behind_last
        budget -= end - start
        at = start
        while at < end:
            # A site belongs to the chunk in which its 0f 05 ends; bytes before the chunk are read again for its mov.
            behind = min(_OVERLAP, at - start)
            data = view.upto(at - behind, min(CHUNK, end - at) + behind)
            hit = data.find(_SYSCALL, max(0, behind - 1))
            while hit >= 0:
                total += 1
                before = data[max(0, hit - 7) : hit]
                if before[-5:-4] == _MOV_EAX or before[-7:-4] == _MOV_RAX:
                    numbers[int.from_bytes(before[-4:], "little")] += 1
                hit = data.find(_SYSCALL, hit + 1)
            at += CHUNK
    ordered = sorted(numbers.items(), key=lambda item: (-item[1], item[0]))
    return CallSites(total, tuple(ordered), complete)


def _executable_ranges(phdrs: Iterable[Phdr], size: int) -> list[tuple[int, int]]:
    """File ranges (start, end) of executable segments, ascending, merged, cut at the end of the file."""
    ranges = sorted(
        (phdr.p_offset, min(phdr.p_offset + phdr.p_filesz, size))
        for phdr in phdrs
        if phdr.p_type == PT_LOAD and phdr.p_flags & PF_X and phdr.p_offset < size
    )
    merged: list[tuple[int, int]] = []
    for start, end in ranges:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        elif end > start:
            merged.append((start, end))
    return merged
