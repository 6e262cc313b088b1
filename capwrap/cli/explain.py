"""capwrap explain: why a recorded call was refused, and what would allow it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from capwrap.cli.base import Command, complete_files
from capwrap.cli.messages import Failure, emit, printable, say

if TYPE_CHECKING:
    from capwrap.observe.explain import Group, Groups

FORMATS = ("text", "json", "sarif", "github")


@click.command("explain", cls=Command, short_help="Tell why recorded calls were refused, and what would allow them.")
@click.option("--last", is_flag=True, help="Explain the previous run; so it is without EVENTS.")
@click.option(
    "--format",
    "layout",
    type=click.Choice(FORMATS),
    metavar="text|json|sarif|github",
    default="text",
    help="How to write it; text by default.",
)
@click.argument("events", metavar="[EVENTS]", required=False, shell_complete=complete_files)
@click.argument("number", metavar="[ID]", required=False)
def command(events: str | None, number: str | None, last: bool, layout: str) -> int:
    """Explain the refusals of the record EVENTS, or the one with the number ID: what was asked, why no grant did,
    where in the code, by which command, and what would allow it.

    Without EVENTS it is the previous run of this user that is explained.
    """
    from capwrap.cli.progress import Progress
    from capwrap.observe import explain
    from capwrap.observe.reading import open_events, size_of

    if last and number is not None:
        raise Failure("--last: it takes no EVENTS; leave the name of the record out")
    if number is None and events is not None and events.isascii() and events.isdigit() and not os.path.exists(events):
        events, number = None, events  # an ID of the previous run
    if last and events is not None:
        raise Failure("--last: it takes no EVENTS; leave the name of the record out")
    which = _number(number) if number is not None else None
    source = events or _last()
    if source is None:
        emit("the previous run refused nothing\n" if layout == "text" else "")
        return 0
    with Progress([size_of(source)]) as progress:
        record = open_events(source, progress.tell)
        if events is None and layout == "text":
            _say_which(record.run.get("argv") or [], source)
        found = explain.Groups()
        if which is None:
            found.read(record)
            groups = list(found.groups.values())
        else:
            groups = [explain.find(record, which)]
            found.refusals = groups[0].count
    _write(layout, groups, found, record.run.get("argv") or [])
    for problem in record.problems:
        say(f"{printable(problem)}; what is explained is not everything")
    return 0


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Failure(f"{printable(text)}: no ID; the `id` of a line in the record is a number")
    return int(text)


def _last() -> str | None:
    """The record of the previous run; None where nothing was refused in it."""
    from capwrap.observe.last import OFF, last_path

    path = last_path()
    if path is None:
        why = f"{OFF} is set" if os.environ.get(OFF) else "there is no home directory"
        raise Failure(f"no record of the previous run is kept: {why}; name a record of `capwrap run --events`")
    try:
        return path if os.stat(path).st_size else None
    except OSError:
        raise Failure(
            f"{printable(path)}: there is no record of a previous run; run something, or name a record of "
            "`capwrap run --events`"
        ) from None


def _say_which(argv: list[str], source: str) -> None:
    # Of runs at the same time it is the one that ended last, which the user may not have meant.
    import time

    from capwrap.observe.explain_text import command_line

    try:
        ended = time.localtime(os.stat(source).st_mtime)
    except OSError:  # the next run has just ended, and refused nothing
        return
    say(f"the previous run is {command_line(argv)}, which ended at {time.strftime('%H:%M:%S', ended)}")


def _write(layout: str, groups: list[Group], found: Groups, argv: list[str]) -> None:
    from capwrap.observe import explain, explain_text

    explanations = explain.explained(groups)
    if layout == "json":
        for piece in explain_text.json_document(explanations, found.refusals, found.untold):
            emit(piece)
    elif layout in ("sarif", "github"):
        from capwrap.cli.launch import current_directory
        from capwrap.observe.places import Places

        places = Places.of(current_directory(), os.environ)
        if layout == "sarif":
            from capwrap.observe import sarif

            pieces = sarif.document(explanations, argv=argv, places=places)
        else:
            pieces = explain_text.github(list(explanations), found.refusals, found.untold, places)
        for piece in pieces:
            emit(piece)
    else:
        for index, one in enumerate(explanations):
            emit(("\n" if index else "") + explain_text.as_text(one))
        if not groups:
            emit("nothing was refused\n")
        if found.untold:
            emit(f"\nand {found.untold} more refused calls of other kinds; name an ID to explain one\n")
