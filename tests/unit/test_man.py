"""The man pages and the command line say the same, and mandoc finds nothing wrong with the pages."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import click
import pytest
from support.run import path_of

from capwrap.cli.commands import COMMANDS, group
from capwrap.observe import events_file
from capwrap.observe.records import KINDS
from capwrap.policy._rights import NAMES
from capwrap.policy.toml_format import GRANT_KEYS, KEYS, PRIVATE_KEYS

MAN = Path(__file__).resolve().parents[2] / "man"
PAGES = sorted(MAN.glob("*.[1-9]"))
EXPECTED = {
    "capwrap.1",
    "capwrap.7",
    "capwrap-attacks.7",  # tests/attacks.py makes it
    "capwrap-events.5",
    "capwrap-exec.1",
    "capwrap-policy.5",
    "capwrap-syscalls.7",  # rewriters/generate.py makes it
    *(f"capwrap-{command}.1" for command in COMMANDS),
}
LATER = ("bench",)


def command_of(name: str) -> click.Command:
    command: click.Command = import_module(f"capwrap.cli.{name}").command
    return command


def options_of(command: click.Command) -> set[str]:
    """All spellings of all options, with their dashes."""
    context = click.Context(command)
    return {
        spelling
        for parameter in command.get_params(context)
        if isinstance(parameter, click.Option)
        for spelling in (*parameter.opts, *parameter.secondary_opts)
    }


def sections(page: Path) -> dict[str, str]:
    parts = re.split(r"^\.Sh (.*)$", page.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def flags(text: str) -> set[str]:
    """What follows Fl in mdoc source, as it is printed; `--` alone is no option."""
    found = set()
    for line in text.splitlines():
        words = line.split()
        for word, following in pairwise(words):
            if word.lstrip(".") == "Fl" and following not in ("\\&-",):
                found.add("-" + following)
        if "| -help" in line:
            found.add("--help")
    return found


def test_there_is_a_page_for_every_command_and_format_and_no_other() -> None:
    assert {page.name for page in PAGES} == EXPECTED


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_mandoc_finds_nothing_wrong(page: Path) -> None:
    linted = subprocess.run(
        [path_of("mandoc"), "-T", "lint", "-W", "warning", page], capture_output=True, text=True, check=False
    )
    assert linted.stdout == ""
    assert linted.returncode == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_in_the_page_and_every_option_of_the_page_exists(name: str) -> None:
    page = sections(MAN / f"capwrap-{name}.1")
    options = options_of(command_of(name))
    assert flags(page["OPTIONS"]) == options
    assert flags(page["SYNOPSIS"]) <= options


def test_the_first_page_has_the_options_and_commands_of_capwrap() -> None:
    page = sections(MAN / "capwrap.1")
    assert flags(page["OPTIONS"]) == options_of(group)
    assert {f"capwrap-{command}" for command in COMMANDS} == set(
        re.findall(r"^\.It Xr (\S+) 1$", page["DESCRIPTION"], flags=re.MULTILINE)
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_the_choices_of_an_option_are_in_the_page(name: str) -> None:
    command = command_of(name)
    text = (MAN / f"capwrap-{name}.1").read_text()
    if name in ("compile", "report"):
        text += (MAN / "capwrap-run.1").read_text()  # which it refers to
    for parameter in command.params:
        if isinstance(parameter.type, click.Choice):
            for choice in parameter.type.choices:
                assert re.search(rf"\b{re.escape(choice)}\b", text), f"{parameter.name}: {choice}"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_arguments_are_in_the_synopsis(name: str) -> None:
    synopsis = sections(MAN / f"capwrap-{name}.1")["SYNOPSIS"]
    names = {"argv": "command", "source": "policy", "number": "id"}
    for parameter in command_of(name).params:
        if isinstance(parameter, click.Argument):
            assert parameter.name is not None
            assert f"Ar {names.get(parameter.name, parameter.name)}" in synopsis


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_references_lead_somewhere(page: Path) -> None:
    for name, section in re.findall(r"Xr (capwrap\S*) (\d)", page.read_text()):
        assert f"{name}.{section}" in EXPECTED


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_speaks_of_commands_that_are_not_there(page: Path) -> None:
    for name in LATER:
        assert not re.search(rf"capwrap[- ]{name}\b", page.read_text())


def test_the_exit_statuses_are_in_the_page() -> None:
    text = sections(MAN / "capwrap-run.1")["EXIT STATUS"]
    assert re.findall(r"^\.It (\d+)$", text, flags=re.MULTILINE) == ["120", "124", "125", "126", "127"]


def test_the_policy_page_has_every_key_and_every_right() -> None:
    text = (MAN / "capwrap-policy.5").read_text()
    keys = set()
    for line in text.splitlines():
        found = re.match(r"\.It (?:Bq Bq )?Va ([a-z_ ,]+?)(?: No|$)", line)
        if found:
            keys |= set(found[1].replace(" ", "").split(","))
    assert keys == set(KEYS)
    for key in (*GRANT_KEYS, *PRIVATE_KEYS):
        assert f"Va {key}" in text
    assert re.findall(r"^\.It (\S+) Ta ", text, flags=re.MULTILINE) == list(NAMES)


def test_the_events_page_has_every_kind_and_every_field() -> None:
    text = (MAN / "capwrap-events.5").read_text()
    for kind in KINDS[1:]:
        assert f".Li {kind}" in text
    schema = json.loads(Path(events_file.__file__).with_name("events.schema.json").read_text())
    fields = set()
    for name in ("argv", "path", "call", "run", "access", "denied", "frame", "process", "end"):
        fields |= set(schema["$defs"][name]["properties"])
    named = re.findall(r"^\.(?:It )?Va (.*)$", text, flags=re.MULTILINE)
    documented = {word for line in named for word in re.findall(r"[a-z_0-9.]+", line)}
    assert {field for field in fields if not field.endswith("_b64")} <= documented
    extra = {"type", "landlock.abi", "landlock.coarse", "seccomp", "no_new_privs", "path_b64", "argv_b64", "."}
    assert documented <= fields | extra


def test_the_page_of_attacks_has_every_attack_and_all_of_them_were_held() -> None:
    checked = subprocess.run(
        [sys.executable, MAN.parent / "tests/attacks.py", "--check"], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
