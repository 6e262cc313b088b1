"""What every command shares: help that knows when it could not be written, options, and completion of file names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from capwrap.cli.messages import emit

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.shell_completion import CompletionItem

    from capwrap.cli.options import Option

    Decorated = TypeVar("Decorated", bound=Callable[..., Any])

HELP_NAMES = ["-h", "--help"]


def _help(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        emit(ctx.get_help() + "\n")
        ctx.exit()


def help_option() -> click.Option:
    """-h and --help, written past Python's buffers."""
    return click.Option(
        HELP_NAMES, is_flag=True, is_eager=True, expose_value=False, callback=_help, help="Show this message."
    )


class Command(click.Command):
    """A command of capwrap."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments. What click says of an option without its value does not tell of which command."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """The help option."""
        return help_option()


def complete_files(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """For `shell_complete=`: leave it to the shell's completion of file names."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def given_options(*options: Option) -> Callable[[Decorated], Decorated]:
    """Add options to a command's function, which takes them all as keywords."""

    def add(function: Decorated) -> Decorated:
        for option in reversed(options):
            function = _clicked(option)(function)
        return function

    return add


def _clicked(option: Option) -> Callable[[Decorated], Decorated]:
    names = [option.name] if option.short is None else [option.short, option.name]
    if option.kind == "flag":
        return click.option(*names, is_flag=True, help=option.help)
    if option.kind == "count":
        return click.option(*names, count=True, help=option.help)
    types: dict[str, Any] = {"choice": click.Choice(option.choices), "whole": click.IntRange(0), "seconds": float}
    return click.option(
        *names,
        type=types.get(option.kind, str),
        metavar=option.metavar,
        multiple=option.many,
        default=option.default,
        shell_complete=complete_files if option.kind == "path" else None,
        help=option.help,
    )


def command_argument(function: Decorated) -> Decorated:
    """Add COMMAND and its arguments, as `argv`."""
    return click.argument("argv", metavar="COMMAND [ARG]...", nargs=-1, required=True, shell_complete=complete_files)(
        function
    )
