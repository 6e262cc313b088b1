"""A COMMAND that could not be executed is told with what kept it from that, and what to do about it."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from capwrap.observe.namespace import Namespace
from capwrap.observe.not_started import why_not_started
from capwrap.policy import Policy, compile_image

LOADER = "/lib64/ld-linux-x86-64.so.2"


@pytest.fixture
def top(tmp_path: Path) -> Path:
    top = tmp_path.resolve()
    (top / "directory").mkdir()
    os.mkfifo(top / "fifo")
    shutil.copy2("/bin/true", top / "tool")
    (top / "data").write_text("")
    for name, content in (("script", "#!/bin/sh\n"), ("lost", "#!/no/such/interpreter\n")):
        (top / name).write_text(content)
        (top / name).chmod(0o755)
    return top


def why(top: Path, name: str, number: int, policy: Policy) -> str:
    image = compile_image(policy, command=None, cwd=str(top), environ={})
    return why_not_started([name], number, Namespace(image), environ={"PATH": f"{top}:/usr/bin:/bin"}, cwd=str(top))


@pytest.mark.parametrize("name", ["no-such-command", "./absent", "/absent/x", ""])
def test_what_is_not_on_the_host_is_not_found(top: Path, name: str) -> None:
    assert why(top, name, errno.ENOENT, Policy()) == f"{name or chr(39) * 2}: not found; check its name and PATH"


@pytest.mark.parametrize("name", ["tool", "./tool", "directory/../tool"])
def test_what_only_the_host_has_is_told_with_the_profile_that_grants_it(top: Path, name: str) -> None:
    assert why(top, name, errno.ENOENT, Policy()) == (
        f"{name}: not found in the namespace, but {top}/tool exists on the host; it is not granted; "
        "--profile runtime grants COMMAND and what it loads"
    )


@pytest.mark.parametrize(
    ("deny", "shown"), [("{}/tool", "{}/tool"), ("{}", "{}"), ("{}/to*", "'{}/to*'"), ("**/tool", "'/**/tool'")]
)
def test_what_is_denied_is_told_with_the_denial(top: Path, deny: str, shown: str) -> None:
    said = why(top, "./tool", errno.ENOENT, Policy().rox("/").deny(deny.format(top)))
    assert said.endswith(f"; it is denied; take --deny {shown.format(top)} away")


@pytest.mark.parametrize("name", ["tool", "script"])
def test_a_loader_that_is_missing_in_the_namespace_is_named(top: Path, name: str) -> None:
    policy = Policy().rox(top).rox("/bin/sh").rox(os.path.realpath("/bin/sh"))
    assert f"{LOADER}, which it needs, is not granted" in why(top, name, errno.ENOENT, policy)
    said = why(top, name, errno.ENOENT, policy.rox("/").deny(LOADER))
    assert f"{LOADER}, which it needs, is denied; take --deny {os.path.realpath(LOADER)} away" in said


def test_a_right_to_read_is_none_to_execute(top: Path) -> None:
    assert f"{LOADER}, which it needs, is not granted" in why(top, "tool", errno.ENOENT, Policy().rox(top).ro("/usr"))


def test_an_interpreter_that_the_host_lacks_is_named(top: Path) -> None:
    said = why(top, "./lost", errno.ENOENT, Policy().rox("/"))
    assert said.endswith("; its interpreter /no/such/interpreter does not exist; install it")


def test_a_relative_name_is_to_be_absolute_where_all_is_granted(top: Path) -> None:
    said = why(top, "./tool", errno.ENOENT, Policy().rox("/"))
    assert said.endswith("; name it by its absolute path, since the target starts elsewhere")
    assert "absolute" not in why(top, f"{top}/tool", errno.ENOENT, Policy().rox("/"))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("directory", "it is a directory; name a program"),
        ("fifo", "it is no regular file; name a program"),
        ("data", "it is not executable; chmod +x it"),
        ("tool", "Permission denied; grant it with --rox"),
        ("absent", "Permission denied; grant it with --rox"),
    ],
)
def test_what_may_not_be_executed_says_why(top: Path, name: str, says: str) -> None:
    assert why(top, f"./{name}", errno.EACCES, Policy()) == f"./{name}: not runnable: {says}"


def test_any_other_errno_points_at_inspect(top: Path) -> None:
    assert why(top, "./data", errno.ENOEXEC, Policy()) == (
        "./data: not runnable: Exec format error; `capwrap inspect` says what kind of file it is"
    )


def test_names_are_told_for_a_terminal(top: Path) -> None:
    name = "./\x1b[31m\udcff"
    assert why(top, name, errno.ENOENT, Policy()) == r"./\x1b[31m\xff: not found; check its name and PATH"


def test_a_file_that_makes_no_sense_ends_in_no_traceback(top: Path) -> None:
    (top / "tool").write_bytes(b"\x7fELF\2\1\1")
    assert "--profile runtime" in why(top, "./tool", errno.ENOENT, Policy())
