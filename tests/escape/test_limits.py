"""Whatever is done to the limit of open files, and when: no capability is hurt, and nothing gets out."""

from __future__ import annotations

import pytest

from escape.harness import Arena


@pytest.mark.stopped_by("seccomp", "rewriter")
@pytest.mark.parametrize("game", ["lowered", "raised", "highest", "by-sibling", "shared-table"])
def test_no_limit_of_open_files_uncovers_a_capability(arena: Arena, game: str) -> None:
    arena.holds("escape/limits", game, standin=True)


@pytest.mark.stopped_by("seccomp")
def test_no_capability_is_lost_in_an_exec_with_a_low_limit(arena: Arena) -> None:
    arena.holds("escape/limits", "inherited", standin=True, static=True)


@pytest.mark.stopped_by("rewriter", "Landlock")
def test_a_table_that_is_nearly_full_opens_no_way_out(arena: Arena) -> None:
    arena.holds("escape/limits", "nearly-full")


@pytest.mark.stopped_by("rewriter", "supervisor")
def test_a_supervisor_without_a_free_descriptor_lets_nothing_through(arena: Arena) -> None:
    arena.holds("escape/limits", "crowd", inner=["prlimit", "--nofile=256:2048", "--"])
