"""The assembler of classic BPF lays out what it is told, and refuses what cannot be laid out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seccomp_calls import U32

from capwrap.policy import bpf


def test_a_jump_that_eight_bits_do_not_reach_is_lengthened() -> None:
    asm = bpf.Assembler()
    asm.load(bpf.NR)
    asm.jeq(1, "far", "farther")
    for _ in range(300):
        asm.op(bpf.ALU_AND, 0)
    asm.label("far")
    asm.goto(bpf.Verdict(1))
    for _ in range(300):
        asm.op(bpf.ALU_AND, 0)
    asm.label("farther")
    asm.goto(bpf.Verdict(2))
    made = asm.assemble()
    assert bpf.run(made, 1) == 1
    assert bpf.run(made, 0) == 2


@given(st.dictionaries(st.integers(0, U32), st.integers(1, 9)), st.integers(0, U32))
def test_search_finds_every_case_and_nothing_else(cases: dict[int, int], other: int) -> None:
    asm = bpf.Assembler()
    asm.load(bpf.NR)
    asm.search({value: bpf.Verdict(action) for value, action in cases.items()}, bpf.Verdict(0))
    made = asm.assemble()
    for value in (*cases, other, 0, U32):
        assert bpf.run(made, value) == cases.get(value, 0)


def test_the_assembler_refuses_what_cannot_be_laid_out() -> None:
    asm = bpf.Assembler()
    asm.label("twice")
    with pytest.raises(bpf.AssemblyError, match="twice"):
        asm.label("twice")
    asm.load(bpf.NR)
    asm.jeq(1, "nowhere")
    asm.goto(bpf.Verdict(0))
    with pytest.raises(bpf.AssemblyError, match="no label nowhere"):
        asm.assemble()
    back = bpf.Assembler()
    back.label("back")
    back.load(bpf.NR)
    back.jeq(1, "back")
    back.goto(bpf.Verdict(0))
    with pytest.raises(bpf.AssemblyError, match="ahead"):
        back.assemble()
    long = bpf.Assembler()
    for _ in range(bpf.MAX_INSNS):
        long.op(bpf.ALU_AND, 0)
    long.goto(bpf.Verdict(0))
    with pytest.raises(bpf.AssemblyError, match="4097 instructions"):
        long.assemble()
