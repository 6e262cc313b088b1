"""capwrap trace: COMMAND unconfined, and what the policy would have refused."""

from __future__ import annotations

from typing import Any

import click

from capwrap.cli.base import Command, command_argument, given_options
from capwrap.cli.launch import launch
from capwrap.cli.options import POLICY, Option, launch_options


@click.command(
    "trace",
    cls=Command,
    context_settings={"allow_interspersed_args": False},
    short_help="Run COMMAND unconfined, and say what a policy would have refused.",
    epilog="Exit status: COMMAND's own, or of its signal; 120 a call would have been refused (--fail-on-violation), "
    "124 timed out, 125 capwrap failed, 126 not runnable, 127 not found.",
)
@given_options(
    *POLICY,
    *launch_options(
        chdir="Start in this directory.",
        pass_fd="As for run; all are left open here.",
        best_effort="As for run; a trace needs nothing of the kernel to confine with.",
        quiet="No warning at first, and no summary at the end.",
        verbose="Tell of every call as it comes.",
    ),
    Option(
        "--format",
        "How --events is written: a record, or a trace for chrome://tracing and Perfetto.",
        "ndjson|chrome",
        "choice",
        choices=("ndjson", "chrome"),
        default="ndjson",
    ),
    Option("--append", "Add to the record of --events instead of overwriting it.", kind="flag"),
)
@command_argument
def command(**values: Any) -> int:
    """Run COMMAND unconfined, and record what it reached and every call that the policy would have refused.

    The options of run make the policy, workspace by default. Nothing is held back: this is no sandbox.
    """
    return launch(traced=True, layout=values.pop("format"), **values)
