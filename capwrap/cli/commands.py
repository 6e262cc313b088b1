"""All commands, as click knows them. One module a command, imported when that command is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import click

from capwrap._version import VERSION
from capwrap.cli.base import help_option
from capwrap.cli.messages import FAILED, emit, printable, say

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = ("run", "trace", "explain", "suggest", "deps", "check", "report", "inspect", "compile", "doctor")


class Commands(click.Group):
    """A group whose commands are modules of this package; each is loaded when it is named."""

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """The help option."""
        return help_option()

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order in which the help shows them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"capwrap.cli.{cmd_name}").command
        return command


def _version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        emit(f"capwrap {VERSION}\n")
        ctx.exit()


@click.group(
    cls=Commands,
    no_args_is_help=False,  # it is an error with a message, as everywhere
    epilog="capwrap(1) has it all; capwrap(7) says what it protects against and what not.",
)
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Show the version.")
def group() -> None:
    """Run unmodified programs in capability mode: what was not granted does not exist."""


def invoke(words: Sequence[str]) -> int:
    """Read the words after `capwrap`, and do what they say; the exit status. Raises what the commands raise."""
    try:
        status = group.main(list(words), prog_name="capwrap", standalone_mode=False)
    except click.Abort:
        return FAILED
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx is not None else "capwrap"
        say(f"{printable(error.format_message())}\ntry `{path} --help`")
        return FAILED
    except click.ClickException as error:
        say(printable(error.format_message()))
        return FAILED
    return status if isinstance(status, int) else 0
