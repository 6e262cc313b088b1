"""The example of docs/integration/container.md does what its page says under the denials of docker's profile."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest
from support.compare import Bench
from support.examples import Example
from support.programs import Programs
from support.run import Outcome

FAILS = {
    "without_landlock": ("Landlock", "can work here with --best-effort only"),
    "without_ptrace": ("ptrace", "cannot work here"),
}


@pytest.fixture
def container(each_bench: Bench, programs: Programs) -> Bench:
    """As root and as another user."""
    return inside(each_bench, str(programs("escape/dockerlike")))


def inside(bench: Bench, *wrapper: str) -> Bench:
    return replace(bench, runner=replace(bench.runner, prefix=(*bench.runner.prefix, *wrapper)))


def check(bench: Bench) -> Outcome:
    """Run `check` with the user's capwrap in PATH, and the home directory that engines give a user without a name."""
    example = Example(bench, "container")
    (bench.root / "bin").mkdir(exist_ok=True)
    front = bench.root / "bin/capwrap"
    front.write_text(f'#!/bin/sh\nexec {" ".join(bench.runner.capwrap)} "$@"\n')
    front.chmod(0o755)
    env = {**bench.runner.extra_env, "PATH": f"{front.parent}{os.pathsep}{bench.env['PATH']}", "HOME": "/"}
    try:
        return example.run("./check", status=None, **env)
    finally:
        front.unlink()
        front.parent.rmdir()


def test_capwrap_confines_in_a_container_of_the_default_profile(container: Bench) -> None:
    done = check(container)
    assert done.status == 0, done.describe()
    assert done.stderr == b""
    assert "`capwrap run` can work here.\n" in done.text
    assert "a seccomp filter is in force already" in done.text
    missing = done.text.partition("Missing, and what that means:")[2].partition("\n\n")[0]
    assert [line.split()[0] for line in missing.splitlines() if line] == ["pidfd_getfd", "unshare"]
    assert done.text.endswith("check: /etc/shadow is here, and a confined program does not find it\n")


@pytest.mark.parametrize("denying", FAILS)
def test_in_a_container_that_denies_more_doctor_says_what_is_missing(
    container: Bench, programs: Programs, denying: str
) -> None:
    bench = inside(container, str(programs(f"system/{denying}")))
    name, conclusion = FAILS[denying]
    done = check(bench)
    assert done.status == 1, done.describe()
    assert f"`capwrap run` {conclusion}.\n" in done.text
    assert "check: " not in done.text
    told = json.loads(bench.runner.command(["doctor", "--json"], cwd=bench.work, env=bench.env).stdout)
    lacking = [each["name"] for each in told["findings"] if each["needed"] and not each["ok"]]
    assert lacking == [name]


def test_unix_sockets_by_path_are_what_the_default_profile_takes(container: Bench) -> None:
    script = """\
import os, socket
def attempt(what, *args):
    try:
        return what(*args) or "worked"
    except OSError as error:
        return os.strerror(error.errno)
print("bind", attempt(socket.socket(socket.AF_UNIX).bind, "here"))
one, other = socket.socketpair()
one.send(b"pair")
print(other.recv(9).decode())
print("listen", attempt(socket.socket(socket.AF_INET).listen))
"""
    container.fresh({"sockets.py": script})
    done = container.confined(["/usr/bin/python3", "sockets.py"], options=("-q", "--net", "loopback"))
    assert done.text == "bind Permission denied\npair\nlisten Operation not supported\n", done.describe()
