"""capwrap suggest: the least policy for recorded runs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from capwrap.cli.base import Command, complete_files
from capwrap.cli.messages import Failure, emit, printable, say

if TYPE_CHECKING:
    from capwrap.observe.places import Places
    from capwrap.observe.suggest import Needs, Suggestion


@click.command("suggest", cls=Command, short_help="Write a least policy from recorded runs.")
@click.option("--merge", metavar="POLICY", shell_complete=complete_files, help="Add what is missing in a policy file.")
@click.option(
    "--write", "writes", is_flag=True, help="With --merge, write the file; without, only print the difference."
)
@click.option("--pure", is_flag=True, help="Name every grant, in the place of extending base.")
@click.argument("events", metavar="[EVENTS]...", nargs=-1, shell_complete=complete_files)
def command(events: tuple[str, ...], merge: str | None, writes: bool, pure: bool) -> int:
    """Write the least policy that grants what the runs of the records EVENTS did, and what they were refused.

    Without EVENTS the record is read from standard input. Run it in the directory of the runs.
    """
    from capwrap.cli.launch import current_directory
    from capwrap.cli.progress import Progress
    from capwrap.observe.places import Places
    from capwrap.observe.reading import open_events, size_of
    from capwrap.observe.suggest import Needs

    if writes and merge is None:
        raise Failure("--write: there is no policy to write; name one with --merge, or redirect the output")
    if pure and merge is not None:
        raise Failure("--pure: it has no meaning with --merge; the policy says what it extends")
    names = events or ("-",)
    needs, problems = Needs(home=os.path.realpath(os.environ.get("HOME") or "/").rstrip("/")), list[str]()
    with Progress([size_of(name) for name in names]) as progress:
        for name in names:
            record = open_events(name, progress.tell)
            needs.take(record)
            needs.command = needs.command or list(record.run.get("argv") or [])
            problems += record.problems
            progress.next_record()
    places = Places.of(current_directory(), os.environ)
    if merge is None:
        emit(_whole(needs, places, pure=pure))
    else:
        _merge(needs, places, merge, writes)
    for problem in problems:
        say(f"{printable(problem)}; what the run needed besides is not in the policy")
    return 0


def _skip(entry: Suggestion) -> None:
    say(f"{printable(entry.value)}: it is not UTF-8, so no policy file can name it; it is left out")


def _whole(needs: Needs, places: Places, *, pure: bool) -> str:
    from capwrap.observe import suggest_toml
    from capwrap.observe.explain_text import command_line
    from capwrap.observe.remedy import toml_string
    from capwrap.observe.suggest import Suggester
    from capwrap.policy import Policy
    from capwrap.policy.build import build_namespace
    from capwrap.policy.items import PolicyFile

    head = [f"# What `{command_line(needs.command)}` needs, by its record."]
    if pure:
        head.append("# For `capwrap run --pure --policy`: nothing is granted but this.")
        rules = Policy.profile("runtime").settings().env
        head += ["", "env = ["]
        head += [f"    {toml_string(rule.name)}," for rule in rules if rule.value is None]
        head.append("]")
        features = [name for name, wanted in (("proc", needs.proc), ("devices", needs.devices)) if wanted]
        head += [f"{name} = true" for name in features]
    else:
        head += ["", 'extends = ["base"]']
    base = Policy((PolicyFile(os.path.join(places.pwd or "/", "suggested.toml"), "\n".join(head) + "\n"),))
    command = None if pure else needs.command or None
    space = build_namespace(base, command=command, cwd=places.pwd or "/", environ=os.environ)
    return suggest_toml.write(Suggester(needs, space, places).entries(), places, head, _skip)


def _merge(needs: Needs, places: Places, name: str, writes: bool) -> None:
    import difflib

    from capwrap.cli.compile import write_whole
    from capwrap.observe import suggest_toml
    from capwrap.observe.suggest import Suggester
    from capwrap.policy import Policy
    from capwrap.policy.build import build_namespace
    from capwrap.policy.files import read_policy_text

    path, text = read_policy_text(name)
    space = build_namespace(Policy.load(name), command=needs.command or None, cwd=places.pwd or "/", environ=os.environ)
    merged = suggest_toml.merge(text, Suggester(needs, space, places).entries(), places, _skip)
    if merged == text:
        say(f"{printable(name)}: it grants all that the records need; nothing is to be added")
        return
    lines = difflib.unified_diff(
        text.splitlines(keepends=True), merged.splitlines(keepends=True), f"{name} (as it is)", f"{name} (merged)"
    )
    emit("".join(line if line.endswith("\n") else line + "\n" for line in lines))
    if writes:
        write_whole(path, merged.encode())
