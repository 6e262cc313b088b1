"""capwrap deps: what recorded commands read, wrote and looked for in vain, as a dependency file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from capwrap.cli.base import Command, complete_files
from capwrap.cli.messages import Failure, emit, printable, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from capwrap.observe.declared import Comparison, Race, Rules
    from capwrap.observe.deps import Action

UNDECLARED = 1
"""exit status where something was used and not declared, or two actions race"""


@click.command("deps", cls=Command, short_help="Write what recorded commands depend on, as make, ninja or JSON.")
@click.option(
    "--format",
    "layout",
    type=click.Choice(("make", "ninja", "json")),
    metavar="make|ninja|json",
    default="make",
    help="How to write it; make by default.",
)
@click.option("-o", "target", metavar="TARGET", help="What depends on it, in the place of the files that were written.")
@click.option(
    "--absent",
    metavar="FILE",
    shell_complete=complete_files,
    help="Write the names that were looked for in vain to this file, one a line.",
)
@click.option(
    "--declared",
    metavar="FILE",
    shell_complete=complete_files,
    help="Compare with the rules of a makefile or depfile; 1 where something was used and not declared.",
)
@click.option("--split", is_flag=True, help="Each command that a make or ninja in a record starts is an action.")
@click.option("--all", "everything", is_flag=True, help="With --declared, files outside of the current directory too.")
@click.argument("events", metavar="[EVENTS]...", nargs=-1, shell_complete=complete_files)
def command(
    events: tuple[str, ...],
    layout: str,
    target: str | None,
    absent: str | None,
    declared: str | None,
    split: bool,
    everything: bool,
) -> int:
    """Write what the commands of the records EVENTS read, wrote and looked for in vain; standard input without them.

    Each record is one action of a build, or with --split and --declared each command of a make or ninja in it. With
    --declared, races between actions that no rule orders are told too.
    """
    from capwrap.cli.launch import current_directory
    from capwrap.cli.progress import Progress
    from capwrap.observe.deps import Collector
    from capwrap.observe.reading import open_events, size_of

    names = events or ("-",)
    if target is not None and len(names) > 1:
        raise Failure("-o: one target for several records; leave it out, or give one record")
    if target is not None and split:
        raise Failure("-o: one target for several actions; leave it out, or --split")
    cwd = current_directory()
    split = split or (declared is not None and target is None)
    collector, problems = Collector(split), list[str]()
    with Progress([size_of(name) for name in names]) as progress:
        for name in names:
            record = open_events(name, progress.tell)
            collector.read(record)
            problems += record.problems
            progress.next_record()
    for problem in problems:
        say(f"{printable(problem)}; what it depends on besides is not known")
    if absent is not None:
        _write_absent(absent, collector.actions, cwd)
    if declared is None:
        _write(collector.actions, layout, target, cwd, None, None)
        return 0
    from capwrap.observe.declared import by_recipe, compare, find_targets, races, read_rules

    rules = read_rules(declared, cwd)
    find_targets(collector.actions, rules)
    found = list(races(collector.actions, rules))
    recipes = by_recipe(collector.actions)
    compared = [compare(action, rules, None if everything else cwd) for action in recipes]
    _write(recipes, layout, target, cwd, compared, found)
    return UNDECLARED if _tell(recipes, compared, found, rules, cwd) else 0


def _write(
    actions: list[Action],
    layout: str,
    target: str | None,
    cwd: str,
    compared: list[Comparison] | None,
    found: list[Race] | None,
) -> None:
    from capwrap.observe import depfile

    shown = _relative_to(cwd)

    def skip(path: str) -> None:
        say(f"{printable(path)}: a depfile cannot hold this name; it is left out (--format json has it)")

    if layout == "json":
        made = (
            depfile.as_json(
                action,
                [target] if target is not None else list(action.targets) or action.outputs(),
                compared[index] if compared is not None else None,
            )
            for index, action in enumerate(actions)
        )
        for piece in depfile.document(made, None if found is None else map(depfile.race_json, found)):
            emit(piece)
        return
    for action in actions:
        targets = [target] if target is not None else action.outputs()
        if not targets and (action.chain or action.parted):
            continue
        if not targets:
            raise Failure(f"{printable(action.record)}: it wrote nothing; name what depends on it with -o TARGET")
        pieces = (depfile.make if layout == "make" else depfile.ninja)(action, targets, shown, skip)
        emit("".join(pieces), errors="surrogateescape")


def _write_absent(file: str, actions: list[Action], cwd: str) -> None:
    shown = _relative_to(cwd)
    names = sorted({path for action in actions for path in action.appearing()})
    for name in names:
        if "\n" in name:
            say(f"{printable(name)}: no line can hold this name; it is left out (--format json has it)")
    lines = "".join(f"{shown(name)}\n" for name in names if "\n" not in name)
    try:
        with open(file, "wb") as stream:
            stream.write(os.fsencode(lines))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise Failure(f"--absent {printable(file)}: {reason}; name a file that can be written") from None


def _relative_to(cwd: str) -> Callable[[str], str]:
    """How names are written: those in the current directory relative to it."""
    prefix = cwd.rstrip("/") + "/"
    return lambda path: path.removeprefix(prefix)


def _tell(actions: list[Action], compared: list[Comparison], found: list[Race], rules: Rules, cwd: str) -> bool:
    """What is not as it was declared, on stderr; whether that is an error."""
    from capwrap.observe.explain_text import command_line

    def shown(path: str) -> str:
        return printable(os.path.relpath(path, cwd) if path.startswith(cwd.rstrip("/") + "/") else path)

    wrong = False
    for action, one in zip(actions, compared, strict=True):
        lines = [f"  read and not declared: {shown(path)}" for path in one.undeclared_inputs]
        lines += [f"  written and not declared: {shown(path)}" for path in one.undeclared_outputs]
        wrong = wrong or bool(lines)
        lines += [f"  declared and not read: {shown(path)}" for path in one.unused]
        lines += [f"  declared and not written: {shown(path)}" for path in one.missing]
        if lines:
            say("\n".join([f"{command_line(action.argv)}:", *lines]))
    for race in found:
        wrong = True
        named = [
            f"  {command_line(action.argv)} ({', '.join(map(shown, action.targets)) or printable(action.record)})"
            for action in (race.first, race.second)
        ]
        say("\n".join([f"{race.kind}: {shown(race.path)}: no rule of {printable(rules.file)} orders", *named]))
    return wrong
