"""capwrap run: COMMAND in capability mode."""

from __future__ import annotations

from typing import Any

import click

from capwrap.cli.base import Command, command_argument, given_options
from capwrap.cli.launch import launch
from capwrap.cli.options import POLICY, RUN


@click.command(
    "run",
    cls=Command,
    context_settings={"allow_interspersed_args": False},
    short_help="Run COMMAND in capability mode.",
    epilog="Exit status: COMMAND's own, or of its signal; 120 refused (--fail-on-violation), 124 timed out, "
    "125 capwrap failed, 126 not runnable, 127 not found.",
)
@given_options(*POLICY, *RUN)
@command_argument
def command(**values: Any) -> int:
    """Run COMMAND in capability mode. What was not granted does not exist.

    Without --policy, --profile or --pure the policy is workspace: the system's programs and libraries, and the current
    directory read-write-execute.
    """
    return launch(**values)
