"""What a command line gives names its policy before it is understood: nothing that matters may be missing from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest

from capwrap.cli import compile as compile_command
from capwrap.cli import run as run_command
from capwrap.policy import Policy, PolicyError
from capwrap.policy.given import NAMES, Given

NOTHING: dict[str, Any] = dict.fromkeys(NAMES, ()) | {
    "pure": False,
    "net": None,
    "clear_env": False,
    "on_violation": None,
}
SOMETHING: dict[str, Any] = {
    "ro": ("/usr",),
    "rox": ("/usr",),
    "rw": ("/usr",),
    "rwx": ("/usr",),
    "grant": ("read:/usr",),
    "deny": ("/usr/*.key",),
    "profile": ("base",),
    "pure": True,
    "net": "host",
    "connect": ("tcp:127.0.0.1:80",),
    "bind": ("tcp:127.0.0.1:80",),
    "env": ("A=1",),
    "clear_env": True,
    "limit": ("cpu=1",),
    "on_violation": "kill",
    "allow": ("memfd-exec",),
}


def given(**options: Any) -> Given:
    return Given(NOTHING | options)


@pytest.mark.parametrize("command", [run_command.command, compile_command.command])
def test_the_names_are_those_of_the_commands(command: click.Command) -> None:
    assert set(NAMES) <= {parameter.name for parameter in command.params}


def test_every_option_has_an_example_here() -> None:
    assert SOMETHING.keys() | {"policy"} == set(NAMES)


@pytest.mark.parametrize("name", SOMETHING)
def test_an_option_changes_the_text_and_the_policy(name: str) -> None:
    changed = given(**{name: SOMETHING[name]})
    assert changed.text() != given().text()
    assert changed.policy() != given().policy()
    assert changed.text() == given(**{name: SOMETHING[name]}).text()


@pytest.mark.parametrize(("one", "other"), [("ro", "rox"), ("connect", "bind"), ("ro", "rw")])
def test_the_same_value_of_another_option_is_another_text(one: str, other: str) -> None:
    assert given(**{one: SOMETHING[one]}).text() != given(**{other: SOMETHING[one]}).text()


def test_the_order_of_values_is_part_of_the_text() -> None:
    assert given(env=("A=1", "A=2")).text() != given(env=("A=2", "A=1")).text()
    assert given(ro=("a", "b")).text() != given(ro=("a, b",)).text()


def test_a_file_s_text_is_part_of_the_text(tmp_path: Path) -> None:
    file = tmp_path / "p.toml"
    file.write_text('ro = ["/usr"]\n')
    first = given(policy=(str(file),))
    file.write_text('ro = ["/etc"]\n')
    second = given(policy=(str(file),))
    assert first.text() != second.text()
    # What was read when the command line was, is what is compiled.
    assert first.policy().settings().grants[0].path == "/usr"
    assert second.policy().settings().grants[0].path == "/etc"


def test_a_relative_file_is_another_one_in_another_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        Path("p.toml").write_text('extends = ["beside.toml"]\n')
        texts.append(given(policy=("p.toml",)).text())
    assert texts[0] != texts[1]


def test_without_a_policy_it_is_the_default_profile() -> None:
    assert given().policy() == Policy.profile(Policy.DEFAULT_PROFILE)
    assert given(pure=True).policy() == Policy()


def test_options_come_behind_files_and_profiles(tmp_path: Path) -> None:
    file = tmp_path / "p.toml"
    file.write_text('net = "host"\n')
    both = given(policy=(str(file),), net="loopback")
    assert both.policy().settings().net == "loopback"


@pytest.mark.parametrize("content", [None, b"\xff"])
def test_a_file_that_cannot_be_read_is_told_at_once(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "p.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(PolicyError, match=r"p\.toml"):
        given(policy=(str(file),))
