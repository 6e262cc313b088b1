"""What the seccomp program, its stops and its notifications rest on: rules 5, 6 and 9 of ARCHITECTURE.md."""

from __future__ import annotations

import pytest

from kernel.conftest import Fact


def test_a_call_edited_at_its_stop_into_another_traced_call_is_not_judged_again(fact: Fact) -> None:
    fact("trace_edited")


def test_of_two_filters_that_trace_the_newer_ones_data_is_delivered(fact: Fact) -> None:
    fact("newer_trace_data")


def test_call_numbers_and_descriptors_are_32_bits_of_their_registers(fact: Fact) -> None:
    fact("upper_halves")


def test_numbers_without_a_call_reach_program_tracer_and_listener(fact: Fact) -> None:
    fact("unassigned_numbers")


def test_a_program_sees_from_which_instruction_a_call_is_made(fact: Fact) -> None:
    fact("instruction_pointer")


def test_a_notification_hands_over_an_open_file_as_the_calls_result_and_no_path_descriptor(fact: Fact) -> None:
    fact("addfd")


def test_a_call_at_its_stop_can_be_made_into_one_that_is_notified_of(fact: Fact) -> None:
    fact("deliver_at_stop")


def test_a_second_listener_is_busy_while_the_first_is_held(fact: Fact) -> None:
    fact("second_listener")


def test_a_notification_outranks_a_trace(fact: Fact) -> None:
    fact("notify_before_trace")


@pytest.mark.parametrize("how", ["interruptible", "killable"])
def test_a_signal_interrupts_the_wait_for_an_answer_unless_it_is_killable_only(fact: Fact, how: str) -> None:
    fact("notify_interrupted", how)
