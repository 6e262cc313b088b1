"""Rules of calls that take an address range: none touches the pad."""

from __future__ import annotations

import errno

from capwrap.policy import _pad
from capwrap.policy.bpf import Value
from capwrap.policy.seccomp_rules import ALLOW, RELOC_CAP_AUX, TRACE, Rules, refuse

# asm-generic/mman-common.h, linux/mman.h
_MAP_SHARED, _MAP_FIXED, _MAP_FIXED_NOREPLACE = 0x01, 0x10, 0x100000
_PROT_READ, _PROT_WRITE, _PROT_EXEC = 1, 2, 4
_MREMAP_FIXED = 2


def _rule_mmap(r: Rules) -> None:
    asm = r.asm
    # Without a fixed address the kernel looks for free space, and the pad is mapped before the first instruction.
    r.lo(3)
    asm.jset(_MAP_FIXED | _MAP_FIXED_NOREPLACE, None, ALLOW)
    # With both flags the kernel takes NOREPLACE.
    asm.jset(_MAP_FIXED_NOREPLACE, "mmap.noreplace")
    r.no_huge_page(0, refuse(errno.EPERM))
    r.untouched(0, 1, refuse(errno.EPERM))
    asm.goto(ALLOW)
    asm.label("mmap.noreplace")
    # The supervisor has every process make these two calls at its exec stop; they are harmless at any other time.
    for aux, base, size, prot in (
        (_pad.AUX_PAD, _pad.PAD_BASE, _pad.PAD_SIZE, _PROT_READ | _PROT_EXEC),
        (_pad.AUX_RESULT, _pad.PAD_RESULT, _pad.PAD_RESULT_SIZE, _PROT_READ | _PROT_WRITE),
    ):
        other = asm.fresh("mmap.other")
        r.lo(4)
        asm.jeq(Value(aux, RELOC_CAP_AUX), None, other)
        r.equal(0, base, other)
        r.equal(1, size, other)
        r.equal(2, prot, other)
        r.equal(3, _MAP_SHARED | _MAP_FIXED_NOREPLACE, other)
        r.equal(5, 0, other)
        asm.goto(ALLOW)
        asm.label(other)
    r.untouched(0, 1, refuse(errno.EEXIST))
    asm.goto(ALLOW)


def _rule_mremap(r: Rules) -> None:
    # Growing in place stops at the pad; a length of 0 makes a second mapping of the same pages elsewhere.
    r.untouched(0, 1, refuse(errno.EPERM))
    r.lo(3)
    r.asm.jset(_MREMAP_FIXED, None, ALLOW)
    r.no_huge_page(4, refuse(errno.EPERM))
    r.untouched(4, 2, refuse(errno.EPERM))
    r.asm.goto(ALLOW)


def _rule_range(r: Rules) -> None:
    # munmap, mprotect, pkey_mprotect, remap_file_pages; madvise: DONTFORK works on a sealed mapping.
    r.untouched(0, 1, refuse(errno.EPERM))
    r.asm.goto(ALLOW)


def _rule_brk(r: Rules) -> None:
    # The kernel refuses to grow the heap into the mapped pad; this does not rest on it. brk(2) knows no errno: 0 is
    # a break below the one that was asked for, which C libraries take for failure, and -EPERM one above it.
    r.hi(0)
    r.asm.jeq(0, None, ALLOW)
    r.lo(0)
    r.asm.within(_pad.PAD_BASE, _pad.PAD_END, refuse(0), ALLOW)


def _rule_shmat(r: Rules) -> None:
    # How long a segment is no register says, so nothing is attached below the end of the pad.
    r.hi(1)
    r.asm.jeq(0, None, TRACE)
    r.lo(1)
    r.asm.jeq(0, TRACE)
    r.asm.jge(_pad.PAD_END, TRACE, refuse(errno.EINVAL))
