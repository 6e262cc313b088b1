"""From a snapshot of a thread to the addresses of its calls, innermost first.

Each module is asked for the rules of its code: `.eh_frame`, or Go's own table. Code that has none, such as what a
just-in-time compiler made, is passed where it keeps frame pointers, and only as far as they are plausible.
Sources: DWARF 5, sections 2.5 and 6.4; the x86-64 psABI, section 3.4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from capwrap.elf.cfi import RETURN_ADDRESS, Row, Rule
from capwrap.elf.errors import ElfError
from capwrap.elf.snapshot import RBP, RIP, RSP, Code

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from capwrap.elf.snapshot import Snapshot

FRAMES_MAX = 128
STEPS_MAX = 512
"""Operations of one DWARF expression."""

_PRESERVED = (3, RBP, 12, 13, 14, 15)
_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Frame:
    """One call: where it goes on, the mapping that this lies in, and whether the instruction before it made the call
    (not so where a signal came between)."""

    pc: int
    code: Code | None
    called: bool


class Rules(Protocol):
    """What the unwinder asks of the modules."""

    def row(self, code: Code, pc: int) -> Row | None:
        """The rules at an address of the process; None where nothing is known of that code. Raises ElfError."""


def unwind(snapshot: Snapshot, rules: Rules) -> list[Frame]:
    """The frames, innermost first: as many as could be found."""
    registers: dict[int, int] = dict(enumerate(snapshot.registers))
    frames: list[Frame] = []
    called = True
    while len(frames) < FRAMES_MAX:
        pc = registers[RIP]
        code = snapshot.code_at(pc)
        frames.append(Frame(pc, code, called))
        if code is None:
            break
        # a call may be the last instruction of its function: what is looked up is the call itself
        try:
            row = rules.row(code, pc - called)
        except ElfError:
            row = None
        if row is not None and row.signal:
            frames[-1] = Frame(pc, code, False)
        following = _by_frame_pointer(snapshot, registers) if row is None else _by_rules(snapshot, registers, row)
        if following is None or following[RSP] <= registers[RSP] or following[RIP] == 0:
            break
        if snapshot.code_at(following[RIP]) is None and row is None:
            break
        registers = following
        called = row is None or not row.signal
    return frames


def _by_rules(snapshot: Snapshot, registers: dict[int, int], row: Row) -> dict[int, int] | None:
    """The caller's registers; those that are lost are left out."""
    try:
        if row.cfa.how == "register":
            cfa = registers[row.cfa.register] + row.cfa.value & _MASK
        else:
            cfa = _evaluate(row.cfa.code, snapshot, registers, None)
        result = {number: registers[number] for number in _PRESERVED if number in registers}
        result[RSP] = cfa
        for number, rule in row.rules.items():
            value = _recover(rule, number, cfa, snapshot, registers)
            if value is None:
                result.pop(number, None)
            else:
                result[number] = value
    except LookupError:
        return None
    if RETURN_ADDRESS not in row.rules or RIP not in result:
        return None
    return result


def _recover(rule: Rule, number: int, cfa: int, snapshot: Snapshot, registers: dict[int, int]) -> int | None:
    if rule.how == "offset":
        return snapshot.word(cfa + rule.value & _MASK)
    if rule.how == "value":
        return cfa + rule.value & _MASK
    if rule.how == "register":
        return registers.get(rule.register)
    if rule.how == "same":
        return registers.get(number)
    if rule.how == "expression":
        return snapshot.word(_evaluate(rule.code, snapshot, registers, cfa))
    if rule.how == "value_expression":
        return _evaluate(rule.code, snapshot, registers, cfa)
    return None


def _by_frame_pointer(snapshot: Snapshot, registers: dict[int, int]) -> dict[int, int] | None:
    """The caller's registers where the function keeps a frame pointer, as the psABI proposes."""
    base = registers.get(RBP)
    if base is None or base % 8 or base < registers[RSP]:
        return None
    saved, back = snapshot.word(base), snapshot.word(base + 8)
    if saved is None or back is None or snapshot.code_at(back) is None:
        return None
    return {RBP: saved, RSP: base + 16, RIP: back}


def _evaluate(code: Sequence[int], snapshot: Snapshot, registers: dict[int, int], cfa: int | None) -> int:
    """A DWARF expression, of the operations that unwind information is made of. Raises LookupError where it uses
    others, or what is not known."""
    stack = [] if cfa is None else [cfa]
    at = steps = 0

    def fixed(size: int, signed: bool) -> int:
        nonlocal at
        at += size
        if at > len(code):
            raise IndexError
        return int.from_bytes(bytes(code[at - size : at]), "little", signed=signed)

    def leb(signed: bool) -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = code[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value - (1 << shift) if signed and byte & 0x40 else value
            if shift > 70:
                raise IndexError

    while at < len(code):
        steps += 1
        if steps > STEPS_MAX or len(stack) > 64:
            raise IndexError
        op = code[at]
        at += 1
        if op == 0x06:  # DW_OP_deref
            word = snapshot.word(stack.pop())
            if word is None:
                raise KeyError
            stack.append(word)
        elif 0x08 <= op <= 0x0F:  # DW_OP_const1u ... const8s
            stack.append(fixed(1 << (op - 8) // 2, bool(op & 1)) & _MASK)
        elif op in (0x10, 0x11):  # DW_OP_constu, consts
            stack.append(leb(op == 0x11) & _MASK)
        elif op == 0x12:  # DW_OP_dup
            stack.append(stack[-1])
        elif op == 0x13:  # DW_OP_drop
            stack.pop()
        elif op == 0x16:  # DW_OP_swap
            stack[-1], stack[-2] = stack[-2], stack[-1]
        elif op == 0x23:  # DW_OP_plus_uconst
            stack.append(stack.pop() + leb(False) & _MASK)
        elif op in _BINARY:
            right, left = stack.pop(), stack.pop()
            stack.append(_BINARY[op](left, right) & _MASK)
        elif 0x30 <= op <= 0x4F:  # DW_OP_lit0 ... lit31
            stack.append(op - 0x30)
        elif 0x70 <= op <= 0x8F:  # DW_OP_breg0 ... breg31
            stack.append(registers[op - 0x70] + leb(True) & _MASK)
        elif op != 0x96:  # DW_OP_nop
            raise KeyError
    return stack[-1]


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


_BINARY: dict[int, Callable[[int, int], int]] = {
    0x1A: lambda left, right: left & right,
    0x1C: lambda left, right: left - right,
    0x21: lambda left, right: left | right,
    0x22: lambda left, right: left + right,
    0x24: lambda left, right: left << min(right, 64),
    0x25: lambda left, right: left >> min(right, 64),
    0x27: lambda left, right: left ^ right,
    0x29: lambda left, right: int(left == right),
    0x2A: lambda left, right: int(_signed(left) >= _signed(right)),
    0x2B: lambda left, right: int(_signed(left) > _signed(right)),
    0x2C: lambda left, right: int(_signed(left) <= _signed(right)),
    0x2D: lambda left, right: int(_signed(left) < _signed(right)),
    0x2E: lambda left, right: int(left != right),
}
