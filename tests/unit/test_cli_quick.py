"""What `capwrap run` reads without click is what click would have read."""

from __future__ import annotations

from typing import Any

import click
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from capwrap.cli.options import POLICY, RUN
from capwrap.cli.quick import COMPLETION, values_of_run
from capwrap.cli.run import command

SPELLINGS = [*(o.name for o in (*POLICY, *RUN)), "-q", "-v", "-vq", "-vv", "-h", "--help", "--ro-", "--pur", "-x", "--"]
VALUES = ["", "-", "--", "-v", "a", "a=b", "=", "/usr=/u", "base", "none", "auto", "0", "007", "-1", "1_0", "1.5",
          "inf", "nan", " 2 ", "1e3", "0x10", "٣", "tcp:127.0.0.1:80", "\udcff", "é\n"]  # fmt: skip

words = st.lists(
    st.sampled_from([*SPELLINGS, *VALUES])
    | st.tuples(st.sampled_from(SPELLINGS), st.sampled_from(VALUES)).map("=".join)
    | st.text(max_size=4),
    max_size=9,
)


def read_by_click(arguments: list[str]) -> dict[str, Any] | None:
    """The keywords, or None where click does something else than to run the command."""
    try:
        return command.make_context("run", list(arguments)).params
    except (click.ClickException, click.exceptions.Exit):
        return None


@given(words)
@example([])
@example(["sh"])
@example(["--", "sh"])
@example(["sh", "--", "--pure"])
@example(["--ro", "--", "--", "-v"])
@example(["--ro=/usr", "--ro", "/bin", "--pure", "-v", "-v", "--pass-fd", "3", "--timeout=1", "sh", "-c", ":"])
@example(["--net", "none", "--net", "host", "true"])
@example(["--timeout", "nan", "true"])
def test_what_is_read_quickly_is_what_click_reads(arguments: list[str]) -> None:
    quick = values_of_run(["run", *arguments], {})
    if quick is not None:
        assert repr(sorted(quick.items())) == repr(sorted((read_by_click(arguments) or {}).items()))


@pytest.mark.parametrize(
    "arguments",
    [
        ["sh", "-c", "--help"],
        ["--", "-v"],
        ["--pure", "--rox", "/usr", "--deny=*.key", "-q", "-v", "make", "-j2"],
        ["--events", "fd:3", "--pass-fd", "4", "--timeout", "1.5", "--method", "ptrace", "-"],
    ],
)
def test_usual_words_need_no_click(arguments: list[str]) -> None:
    assert values_of_run(["run", *arguments], {}) == read_by_click(arguments)


@pytest.mark.parametrize(
    "words",
    [[], ["run"], ["trace", "sh"], ["--version"], ["run", "--help"], ["run", "--net", "x", "sh"], ["run", "--ro"]],
)
def test_all_else_is_left_to_click(words: list[str]) -> None:
    assert values_of_run(words, {}) is None


def test_completion_is_left_to_click() -> None:
    assert values_of_run(["run", "sh"], {COMPLETION: "bash_complete"}) is None


def test_every_option_of_run_is_known() -> None:
    keywords = {parameter.name for parameter in command.params}
    assert keywords == {option.keyword for option in (*POLICY, *RUN)} | {"argv"}
