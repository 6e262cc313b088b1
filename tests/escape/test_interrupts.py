"""What comes between a call and its end, a signal above all, shows nothing of the inside, and lets nothing through."""

from __future__ import annotations

import pytest

from escape.harness import Arena


@pytest.mark.stopped_by("supervisor", "rewriter")
@pytest.mark.parametrize("way", ["jump-out", "stepping"])
def test_a_handler_that_strikes_during_a_call_gets_nothing_of_it(arena: Arena, way: str) -> None:
    arena.holds("escape/interrupts", way)


@pytest.mark.stopped_by("supervisor", "rewriter")
def test_a_handler_with_its_stack_in_the_pad_gets_nothing(arena: Arena) -> None:
    arena.holds("escape/interrupts", "stack-in-pad", standin=True)


@pytest.mark.stopped_by("capability form", "rewriter")
def test_a_call_that_the_kernel_takes_out_of_the_stub_leaves_nothing_to_use(arena: Arena) -> None:
    arena.holds("escape/interrupts", "sequence")


@pytest.mark.stopped_by("pad")
def test_no_answer_is_written_into_the_pad(arena: Arena) -> None:
    arena.holds("escape/interrupts", "answers", standin=True)
