"""The command line. One module a command, imported when that command is asked for."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import click

from capwrap._version import VERSION
from capwrap.cli.base import help_option
from capwrap.cli.messages import FAILED, Failure, emit, printable, say

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = ("run", "trace", "explain", "suggest", "deps", "check", "inspect", "compile", "doctor")


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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status. Nothing that goes wrong ends in a traceback (CAPWRAP_DEBUG shows it)."""
    _natural_signals()
    try:
        status = group.main(None if arguments is None else list(arguments), prog_name="capwrap", standalone_mode=False)
        code = status if isinstance(status, int) else 0
    except click.Abort:
        code = FAILED
    except Exception as error:  # the one place where everything ends
        code = _report(error)
    return _flushed(code)


def _natural_signals() -> None:
    """Ctrl-C ends capwrap as it ends any program; a run hands the signal to the engine."""
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _report(error: Exception) -> int:
    """Tell an error: what is foreseen as a message, anything else as an internal error."""
    if isinstance(error, Failure):
        say(str(error))
        return error.status
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx is not None else "capwrap"
        say(f"{printable(error.format_message())}\ntry `{path} --help`")
        return FAILED
    if isinstance(error, click.ClickException):
        say(printable(error.format_message()))
        return FAILED
    if type(error).__name__ in ("PolicyError", "ElfError", "EngineError", "EventsError"):
        say("\n".join(printable(line) for line in str(error).split("\n")))
        return FAILED
    if os.environ.get("CAPWRAP_DEBUG"):
        import traceback

        say(traceback.format_exc())
    if isinstance(error, OSError) and error.strerror:
        name = os.fsdecode(error.filename) + ": " if isinstance(error.filename, (str, bytes)) else ""
        say(printable(f"{name}{error.strerror}"))
        return FAILED
    remedy = "set CAPWRAP_DEBUG=1 for the traceback, and report it"
    say(printable(f"internal error: {type(error).__name__}: {error}; {remedy}"))
    return FAILED


def _flushed(code: int) -> int:
    """click's help goes through sys.stdout: a failure to write it belongs to us, not to the interpreter's end."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError) as error:
        say(f"standard output: {getattr(error, 'strerror', None) or error}")
        code = code or FAILED
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        except OSError:
            os._exit(code)
    return code
