"""What the rules of the seccomp program are written with: verdicts, relocations, and steps that they share.

Two principles. A rule that *denies* looks at what the kernel looks at: descriptors, commands and most flags are
the low 32 bits of their register. A rule that *passes* by an address looks at all 64 bits. The value of RET_TRACE
is always 0 and means nothing: a filter of the target's own can replace it (seccomp(2)), so the engine decides by
the number.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from capwrap.policy import _pad
from capwrap.policy.bpf import (
    ALU_AND,
    ALU_SUB_X,
    JGT_X,
    LD_IMM,
    TAX,
    Assembler,
    Target,
    Value,
    Verdict,
    arg_hi,
    arg_lo,
)

#: enum cw_net of rewriters/image.h.
NET_NONE, NET_LOOPBACK, NET_HOST = 0, 1, 2

#: enum cw_reloc_kind of rewriters/image.h.
RELOC_CAP_RO, RELOC_CAP_RW, RELOC_CAP_AUX, RELOC_CAP_END = 0, 1, 2, 3

ALLOW = Verdict(0x7FFF0000)
TRACE = Verdict(0x7FF00000)
USER_NOTIF = Verdict(0x7FC00000)
#: For what the listener answers; the launcher makes it TRACE where it could not.
ANSWER = Verdict(0x7FC00000 | _pad.RET_ANSWER)

CAP_RO = Value(0, RELOC_CAP_RO)
CAP_RW = Value(0, RELOC_CAP_RW)
CAP_AUX = Value(0, RELOC_CAP_AUX)
CAP_END = Value(0, RELOC_CAP_END)


def refuse(number: int) -> Verdict:
    """The call returns -``number`` (0: it returns 0)."""
    return Verdict(0x00050000 | number)


@dataclass(frozen=True)
class Options:
    """What a policy and its jail say of the program: the arguments of `seccomp.build`."""

    net: int
    allow_ioctls: frozenset[int]
    limit_processes: bool
    landlock_scopes: bool
    hold_truncation: bool


@dataclass(frozen=True)
class Rules:
    """An assembler with what the rules have in common. Every rule ends in a verdict on all of its ways."""

    options: Options
    asm: Assembler = field(default_factory=Assembler)

    def lo(self, index: int) -> None:
        """A = the low 32 bits of an argument."""
        self.asm.load(arg_lo(index))

    def hi(self, index: int) -> None:
        """A = its high 32 bits."""
        self.asm.load(arg_hi(index))

    def capability(self, index: int, yes: Target, no: Target | None = None) -> None:
        """Is this descriptor one of the capability range?"""
        self.lo(index)
        self.asm.within(CAP_RO, CAP_END, yes, no)

    def equal(self, index: int, value: int, no: Target) -> None:
        """All 64 bits of the argument are ``value``, or ``no``."""
        self.hi(index)
        self.asm.jeq(value >> 32, None, no)
        self.lo(index)
        self.asm.jeq(value & 0xFFFFFFFF, None, no)

    def untouched(self, addr: int, length: int, touched: Target) -> None:
        """Continues where [addr, addr+length) is clear of the pad; else, or where it is no range, ``touched``.

        An address or a length with a bit above 46 is refused whatever it touches: it could wrap, and with LAM the
        kernel drops high bits of addresses after this program has looked at them. So the sum has no carry out of 64
        bits, and beneath the pad no carry out of 32.
        """
        asm, clear = self.asm, self.asm.fresh("clear")
        self.hi(length)
        asm.jge(0x8000, touched)
        self.hi(addr)
        asm.jge(0x8000, touched)
        asm.jeq(0, None, clear)
        self.lo(addr)
        asm.jge(_pad.PAD_END, clear)
        asm.jge(_pad.PAD_BASE, touched)
        # It begins beneath the pad: the length decides, against PAD_BASE - addr.
        asm.op(TAX)
        asm.op(LD_IMM, _pad.PAD_BASE)
        asm.op(ALU_SUB_X)
        asm.op(TAX)
        self.hi(length)
        asm.jeq(0, None, touched)
        self.lo(length)
        asm.jump(JGT_X, 0, touched, None)
        asm.label(clear)

    def no_huge_page(self, addr: int, touched: Target) -> None:
        """Refuses a fixed address at which a mapping of 1 GiB pages would begin beneath the pad and cover it.

        mmap and mremap round the length up to the huge page size of the file or the flags (Linux 3.10, mm/mmap.c), so
        the length of the call does not tell. Smaller huge pages end at PAD_BASE, which is aligned to them.
        """
        asm, clear = self.asm, self.asm.fresh("clear")
        self.hi(addr)
        asm.jeq(0, None, clear)
        self.lo(addr)
        asm.jset(0x3FFFFFFF, clear)
        asm.jge(_pad.PAD_END, None, touched)
        asm.label(clear)

    def slot(self, region: tuple[int, int], stride: int, yes: Target, no: Target, at: int = 0) -> None:
        """A is exactly ``at`` behind the start of a slot of the region (which is aligned to its stride)."""
        self.asm.within(region[0], region[1], None, no)
        self.asm.op(ALU_AND, stride - 1)
        self.asm.jeq(at, yes, no)
