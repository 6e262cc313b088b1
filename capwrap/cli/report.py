"""capwrap report: one HTML page that shows what recorded runs did."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from capwrap.cli.base import Command, complete_files, given_options
from capwrap.cli.launch import given_of
from capwrap.cli.messages import Failure, emit, printable, say
from capwrap.cli.options import POLICY

if TYPE_CHECKING:
    from capwrap.observe.replay import Replay
    from capwrap.policy import Policy


@click.command("report", cls=Command, short_help="Write an HTML page that shows what recorded runs did.")
@click.option(
    "-o", "--output", metavar="FILE.html", shell_complete=complete_files, help="Write the page here, not to stdout."
)
@given_options(*POLICY)
@click.argument("events", metavar="[EVENTS]...", nargs=-1, shell_complete=complete_files)
def command(events: tuple[str, ...], output: str | None, **values: Any) -> int:
    """Write one HTML page, which needs nothing else, of the records EVENTS: processes over time, names by what was done
    with them, refusals with their backtraces and remedies. Without EVENTS the record is read from standard input.

    With the options of run that say what may be done, it also tells which of these grants nobody used.
    """
    from capwrap.cli.compile import write_whole
    from capwrap.cli.progress import Progress
    from capwrap.observe.reading import open_events, size_of
    from capwrap.observe.report import Report
    from capwrap.observe.report_page import page

    policy = given_of(values).policy() if any(values.values()) else None
    names = events or ("-",)
    if output is not None and any(_same(output, name) for name in names):
        raise Failure(f"-o {printable(output)}: it is one of the records; name another file")
    report = Report()
    replay: Replay | None = None
    with Progress([size_of(name) for name in names]) as progress:
        for name in names:
            record = open_events(name, progress.tell)
            if replay is None and policy is not None:
                replay = _replay(policy, record.run.get("argv"))
            report.read(record, replay)
            progress.next_record()
    pieces = page(report.document(replay))
    if output is not None:
        write_whole(output, pieces)
    else:
        for piece in pieces:
            emit(piece.decode())
    for problem in report.problems:
        say(f"{printable(problem)}; what the run did then is not in the report")
    return 0


def _same(output: str, name: str) -> bool:
    try:
        return os.path.samefile(output, name)
    except (OSError, ValueError):
        return False


def _replay(policy: Policy, argv: list[str] | None) -> Replay:
    from capwrap.cli.launch import current_directory
    from capwrap.observe.places import settled
    from capwrap.observe.replay import Replay
    from capwrap.policy.build import build_namespace
    from capwrap.policy.items import Grant

    space = build_namespace(policy, command=argv or None, cwd=current_directory(), environ=os.environ)
    for item in policy.items:
        if isinstance(item, Grant) and item.where is None:
            node = space.index.get(settled(item.virtual) if item.virtual else space.host.walk(item.path).path)
            if node is not None:
                node.origin = node.origin or "the command line"  # as what nobody wrote down has none
    return Replay(space)
