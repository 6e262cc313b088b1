"""What every command shares: help that knows when it could not be written, and completion of file names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from capwrap.cli.messages import emit

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

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
