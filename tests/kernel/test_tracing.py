"""What the supervisor rests on: rules 14, 17 and 18 of ARCHITECTURE.md, and how stops, execs and ends come about."""

from __future__ import annotations

from kernel.conftest import Fact


def test_a_terminal_signals_its_foreground_for_whoever_asks_for_input(fact: Fact) -> None:
    fact("async_owner")


def test_an_ignored_signal_ends_a_traced_epoll_wait_and_no_untraced_one(fact: Fact) -> None:
    fact("ignored_signal")


def test_the_pid_of_a_dead_process_is_not_reused_before_its_tracer_reaps_it(fact: Fact) -> None:
    fact("traced_zombie")


def test_the_result_of_an_exec_can_be_set_at_its_exit_and_not_at_its_event(fact: Fact) -> None:
    fact("exec_result")


def test_a_stop_sends_its_tracer_a_signal_unless_it_does_not_want_one(fact: Fact) -> None:
    fact("stop_sends_sigchld")


def test_a_wait_for_any_names_the_same_thread_again_though_others_have_waited_longer(fact: Fact) -> None:
    fact("wait_order")


def test_a_stop_can_be_looked_at_and_gone_on_from_without_being_taken(fact: Fact) -> None:
    fact("peeked_stop")


def test_a_tracers_death_ends_its_tracees(fact: Fact) -> None:
    fact("exit_kill")


def test_an_old_descriptor_of_a_processs_memory_reads_nothing_after_an_exec(fact: Fact) -> None:
    fact("memory_after_exec")


def test_a_process_that_is_not_dumpable_is_closed_to_a_tracer_without_privilege(fact: Fact) -> None:
    fact("not_dumpable")
