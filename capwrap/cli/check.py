"""capwrap check: is a policy valid, what does it make of this host, and would it do for a recorded run?"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from capwrap.cli.base import Command, complete_files
from capwrap.cli.messages import emit, printable, say

if TYPE_CHECKING:
    from capwrap.observe.replay import Replay
    from capwrap.policy import Policy

REFUSED = 1
"""exit status where the policy would refuse something"""


@click.command("check", cls=Command, short_help="Validate a policy, or hold a record against it.")
@click.option(
    "--against",
    metavar="EVENTS",
    multiple=True,
    shell_complete=complete_files,
    help="Tell what the policy would refuse of a record, and which grants nobody used; 1 if it would refuse.",
)
@click.argument("policy", metavar="POLICY", shell_complete=complete_files)
def command(policy: str, against: tuple[str, ...]) -> int:
    """Validate the policy file POLICY and show the namespace that it makes here.

    Rules without effect and device nodes in grants are warned of on stderr. With --against nothing is shown of the
    namespace, but what it would do to a recorded run.
    """
    from capwrap.cli.launch import current_directory
    from capwrap.policy import Policy
    from capwrap.policy.build import build_namespace
    from capwrap.policy.check import tree, warnings

    loaded = Policy.load(policy)
    if against:
        return _replay(loaded, against)
    space = build_namespace(loaded, command=None, cwd=current_directory(), environ=os.environ)
    emit("".join(printable(line) + "\n" for line in tree(space)))
    for warning in warnings(space):
        say(f"warning: {printable(warning)}")
    return 0


def _replay(policy: Policy, names: tuple[str, ...]) -> int:
    from capwrap.cli.launch import current_directory
    from capwrap.cli.progress import Progress
    from capwrap.observe.reading import open_events, size_of
    from capwrap.observe.replay import Replay
    from capwrap.policy.build import build_namespace

    replay: Replay | None = None
    problems: list[str] = []
    with Progress([size_of(name) for name in names]) as progress:
        for name in names:
            events = open_events(name, progress.tell)
            if replay is None:
                argv = events.run.get("argv") or None
                space = build_namespace(policy, command=argv, cwd=current_directory(), environ=os.environ)
                replay = Replay(space)
            replay.take(events)
            problems += events.problems
            progress.next_record()
    assert replay is not None  # there is a name at least
    _tell(replay)
    for problem in problems:
        say(f"{printable(problem)}; what the run did then is not in it")
    return REFUSED if replay.count else 0


def _tell(replay: Replay) -> None:
    from capwrap.observe.summary import count

    lines: list[str] = []
    if replay.count:
        lines.append(f"{count(replay.count, 'call')} of {replay.calls} would be refused:")
        told = 0
        for group in replay.refused.values():
            times = f" ({group.count} times)" if group.count > 1 else ""
            needs = f" needs {', '.join(group.needs)};" if group.needs else ""
            lines.append(
                f"  {printable(group.object)}: {'/'.join(group.calls)}:{needs} {printable(group.reason)}{times}"
            )
            told += group.count
        if told < replay.count:
            lines.append(f"  and {replay.count - told} more")
    else:
        lines.append(f"nothing of {count(replay.calls, 'call')} would be refused")
    unused = list(replay.unused())
    own = [each for each in unused if not each[2].startswith("profile ")]
    if own:
        lines.append("no call used:")
        lines += [f"  {printable(path)}  [{rights}, {printable(origin)}]" for path, rights, origin in own]
    if len(own) < len(unused):
        lines.append(f"and {count(len(unused) - len(own), 'grant')} of built-in profiles")
    emit("".join(line + "\n" for line in lines))
