"""Classic BPF as seccomp(2) takes it: an assembler with labels, and a simulator.

The assembler knows nothing of system calls beyond the layout of ``struct seccomp_data`` (linux/seccomp.h):
nr, arch, instruction pointer, six arguments of 64 bits, low half first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: linux/audit.h: EM_X86_64, 64 bits, little-endian.
AUDIT_ARCH_X86_64 = 0xC000003E

#: linux/bpf_common.h BPF_MAXINSNS: the kernel takes no longer program.
MAX_INSNS = 4096

NR, ARCH, IP_LO, IP_HI = 0, 4, 8, 12

LD_ABS = 0x20  # BPF_LD | BPF_W | BPF_ABS: A = data[k]
LD_IMM = 0x00
ALU_AND = 0x54
ALU_SUB_X = 0x1C
TAX = 0x07
JA = 0x05
JEQ, JGT, JGE, JSET = 0x15, 0x25, 0x35, 0x45
JGT_X = 0x2D
RET = 0x06

_MASK = 0xFFFFFFFF


def arg_lo(index: int) -> int:
    """Offset of the low half of argument 0..5 in ``struct seccomp_data``."""
    return 16 + 8 * index


def arg_hi(index: int) -> int:
    """Offset of the high half of argument 0..5."""
    return 20 + 8 * index


@dataclass(frozen=True, slots=True)
class Insn:
    """``struct sock_filter``: 16, 8, 8 and 32 bits."""

    code: int
    jt: int
    jf: int
    k: int


@dataclass(frozen=True, slots=True)
class Reloc:
    """At launch, ``insns[index].k`` grows by the value of ``kind`` (enum cw_reloc_kind of rewriters/image.h)."""

    index: int
    kind: int


@dataclass(frozen=True, slots=True)
class Program:
    """A program that the kernel takes once ``link`` has applied its relocations."""

    insns: tuple[Insn, ...]
    relocs: tuple[Reloc, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where a jump may lead besides a label: out of the program, with this SECCOMP_RET_* value."""

    action: int


@dataclass(frozen=True, slots=True)
class Value:
    """A constant; with ``reloc``, one that is only known at launch, relative to the value of that kind."""

    k: int
    reloc: int | None = None


Target = str | Verdict
Constant = int | Value


class AssemblyError(Exception):
    """A program that cannot be assembled: a label that is missing or lies behind, too many instructions."""


@dataclass(slots=True)
class _Item:
    """One instruction before layout. A conditional jump grows by a JA for each side that 8 bits do not reach."""

    code: int
    k: int = 0
    reloc: int | None = None
    jt: str | None = None  # None: the next instruction
    jf: str | None = None
    far_t: bool = False
    far_f: bool = False

    @property
    def size(self) -> int:
        return 1 + self.far_t + self.far_f


class Assembler:
    """Collects instructions; ``assemble`` lays them out. Jumps go forward only, as classic BPF has it."""

    def __init__(self) -> None:
        self._items: list[_Item] = []
        self._labels: dict[str, int] = {}  # -> index of the item behind it
        self._pending: dict[int, str] = {}  # action -> label of a return that is still to be placed
        self._serial = 0
        self._oldest_pending = 0

    def fresh(self, stem: str) -> str:
        """A label that nobody else has."""
        self._serial += 1
        return f"{stem}.{self._serial}"

    def label(self, name: str) -> None:
        """``name`` is the next instruction."""
        if name in self._labels:
            raise AssemblyError(f"label {name} stands twice")
        self._labels[name] = len(self._items)

    def load(self, offset: int) -> None:
        """A = the 32 bits at ``offset`` of struct seccomp_data."""
        self._items.append(_Item(LD_ABS, offset))

    def op(self, code: int, k: int = 0) -> None:
        """Any instruction that neither jumps nor returns."""
        self._items.append(_Item(code, k))

    def jump(self, code: int, k: Constant, yes: Target | None = None, no: Target | None = None) -> None:
        """A conditional jump; None is the next instruction."""
        value = k if isinstance(k, Value) else Value(k)
        self._items.append(_Item(code, value.k, value.reloc, self._resolve(yes), self._resolve(no)))

    def jeq(self, k: Constant, yes: Target | None = None, no: Target | None = None) -> None:
        """A == k"""
        self.jump(JEQ, k, yes, no)

    def jge(self, k: Constant, yes: Target | None = None, no: Target | None = None) -> None:
        """A >= k, unsigned"""
        self.jump(JGE, k, yes, no)

    def jset(self, k: int, yes: Target | None = None, no: Target | None = None) -> None:
        """A & k"""
        self.jump(JSET, k, yes, no)

    def within(self, first: Constant, end: Constant, yes: Target | None = None, no: Target | None = None) -> None:
        """first <= A < end, unsigned"""
        below = self.fresh("within") if no is None else no
        self.jge(first, None, below)
        self.jge(end, below, yes)
        if isinstance(below, str) and no is None:
            self.label(below)

    def goto(self, target: Target) -> None:
        """Continue at a label, or return."""
        if isinstance(target, Verdict):
            self._items.append(_Item(RET, target.action))
        else:
            self._items.append(_Item(JA, jt=target))

    def flush(self) -> None:
        """Place the returns that jumps since the last flush lead to. Nothing may fall through to here."""
        for action, name in self._pending.items():
            self.label(name)
            self._items.append(_Item(RET, action))
        self._pending.clear()

    def search(self, cases: Mapping[int, Target], default: Target) -> None:
        """Binary search for A among ``cases``. Nothing falls through."""
        starts: list[tuple[int, Target]] = [(0, default)]
        for value in sorted(cases):
            if starts[-1][0] == value:
                starts.pop()
            starts.append((value, cases[value]))
            if value < _MASK:
                starts.append((value + 1, default))
        merged = [starts[0]]
        for start in starts[1:]:
            if start[1] != merged[-1][1]:
                merged.append(start)
        self._search(merged)

    def _search(self, ranges: Sequence[tuple[int, Target]]) -> None:
        if len(ranges) <= 2:
            if len(ranges) == 1:
                self.goto(ranges[0][1])
            else:
                self.jge(ranges[1][0], ranges[1][1], ranges[0][1])
            # Returns are placed where jumps of 8 bits still reach them.
            if self._pending and len(self._items) - self._oldest_pending > 100:
                self.flush()
            return
        middle = len(ranges) // 2
        right = self.fresh("right")
        self.jge(ranges[middle][0], right)
        self._search(ranges[:middle])
        self.label(right)
        self._search(ranges[middle:])

    def _resolve(self, target: Target | None) -> str | None:
        if not isinstance(target, Verdict):
            return target
        if not self._pending:
            self._oldest_pending = len(self._items)
        if target.action not in self._pending:
            self._pending[target.action] = self.fresh("return")
        return self._pending[target.action]

    def _positions(self) -> list[int]:
        """Position of every item, and of the end."""
        out = [0]
        for item in self._items:
            out.append(out[-1] + item.size)
        return out

    def _distance(self, index: int, target: str, positions: list[int]) -> int:
        if target not in self._labels:
            raise AssemblyError(f"no label {target}")
        distance = positions[self._labels[target]] - positions[index + 1]
        if distance < 0 or self._labels[target] >= len(self._items):
            raise AssemblyError(f"label {target} does not lie ahead of a jump to it")
        return distance

    def _reach(self, index: int, positions: list[int]) -> tuple[bool, bool]:
        """Which sides of a conditional jump need a JA. Once one does, it keeps it, so that layout comes to an end."""
        item = self._items[index]
        # The jump stands up to two instructions before the end of its item, from where distances count.
        far_t = item.far_t or (item.jt is not None and self._distance(index, item.jt, positions) + item.far_f > 255)
        far_f = item.far_f or (item.jf is not None and self._distance(index, item.jf, positions) + far_t > 255)
        return far_t, far_f

    def assemble(self) -> Program:
        """Lay out what was collected; AssemblyError where that is not possible."""
        self.flush()
        while True:
            positions = self._positions()
            far = [(i, *self._reach(i, positions)) for i, item in enumerate(self._items) if item.code not in (RET, JA)]
            grown = [(i, t, f) for i, t, f in far if (t, f) != (self._items[i].far_t, self._items[i].far_f)]
            if not grown:
                break
            for i, t, f in grown:
                self._items[i].far_t, self._items[i].far_f = t, f
        insns: list[Insn] = []
        relocs: list[Reloc] = []
        for index, item in enumerate(self._items):
            if item.reloc is not None:
                relocs.append(Reloc(len(insns), item.reloc))
            extra = item.size - 1
            to = {name: self._distance(index, name, positions) for name in (item.jt, item.jf) if name is not None}
            if item.code == JA and item.jt is not None:
                insns.append(Insn(JA, 0, 0, to[item.jt]))
                continue
            leaps: list[Insn] = []
            short: list[int] = []
            for name, is_far in ((item.jt, item.far_t), (item.jf, item.far_f)):
                if name is not None and is_far:
                    short.append(len(leaps))
                    leaps.append(Insn(JA, 0, 0, to[name] + extra - len(leaps) - 1))
                else:
                    short.append((to[name] if name is not None else 0) + extra)
            jumps = item.jt is not None or item.jf is not None
            insns.append(Insn(item.code, short[0] if jumps else 0, short[1] if jumps else 0, item.k & _MASK))
            insns.extend(leaps)
        if len(insns) > MAX_INSNS:
            raise AssemblyError(f"{len(insns)} instructions; the kernel takes {MAX_INSNS}")
        return Program(tuple(insns), tuple(relocs))


def link(program: Program, values: Mapping[int, int]) -> Program:
    """The program with its relocations applied: ``values`` is kind -> value."""
    insns = list(program.insns)
    for reloc in program.relocs:
        insn = insns[reloc.index]
        insns[reloc.index] = Insn(insn.code, insn.jt, insn.jf, (insn.k + values[reloc.kind]) & _MASK)
    return Program(tuple(insns))


def run(program: Program, nr: int, args: Sequence[int] = (), arch: int = AUDIT_ARCH_X86_64, ip: int = 0) -> int:
    """The SECCOMP_RET_* value that a linked program answers with for a call. Arguments are 64-bit registers.

    ValueError for a program that is not linked, and for an instruction that the assembler does not make.
    """
    if program.relocs:
        raise ValueError("the program is not linked")
    data = {NR: nr & _MASK, ARCH: arch & _MASK, IP_LO: ip & _MASK, IP_HI: ip >> 32 & _MASK}
    for index, value in enumerate((*args, *(0,) * (6 - len(args)))):
        data[arg_lo(index)] = value & _MASK
        data[arg_hi(index)] = value >> 32 & _MASK
    a = x = at = 0
    while True:
        insn = program.insns[at]
        at += 1
        match insn.code:
            case 0x20:
                a = data[insn.k]
            case 0x00:
                a = insn.k
            case 0x54:
                a &= insn.k
            case 0x1C:
                a = (a - x) & _MASK
            case 0x07:
                x = a
            case 0x05:
                at += insn.k
            case 0x15:
                at += insn.jt if a == insn.k else insn.jf
            case 0x25:
                at += insn.jt if a > insn.k else insn.jf
            case 0x35:
                at += insn.jt if a >= insn.k else insn.jf
            case 0x45:
                at += insn.jt if a & insn.k else insn.jf
            case 0x2D:
                at += insn.jt if a > x else insn.jf
            case 0x06:
                return insn.k
            case _:
                raise ValueError(f"instruction {at - 1}: code {insn.code:#x} is none that the assembler makes")
