"""Signals, limits, priorities and /proc reach the target's own processes and nobody else; nobody outlives the run."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from escape.harness import Arena
from escape.running import SOURCES, Outcome, capwrap, reach

# Prints, when the command has ended, whether the victim beside it still lived: then SIGTERM is what ended it. A handler
# (which children do not inherit) keeps the shell alive, whose parent no attack may kill.
BESIDE = """
nice_of() { set -- $(cut -d')' -f2 /proc/$1/stat); eval echo '${17}'; }
trap : USR1
sleep 1000 & victim=$!
until [ "$(cat /proc/$victim/comm)" = sleep ]; do :; done
was=$(nice_of $victim)
"$@"
code=$?
nice=$(nice_of $victim)
[ $nice != $was ] || nice=unchanged
kill -TERM $victim
wait $victim
echo "victim $? nice $nice"
exit $code
"""
UNHURT = "victim 143 nice unchanged"


def pid_namespace() -> list[str]:
    """A prefix for a pid namespace of its own, so that what reaches everybody reaches nobody of the tests."""
    unprivileged = ["--user", "--map-current-user"] if os.geteuid() else []
    return ["unshare", *unprivileged, "--pid", "--fork", "--kill-child", "--mount-proc", "--"]


def beside(arena: Arena, family: str, attack: str, *, wrap: list[str], confined: bool) -> Outcome:
    """Runs the attack with a victim in its own process group, behind the prefix `wrap`."""
    outcome, changes = arena.attack(
        family,
        attack,
        options=() if confined else None,
        wrap=wrap,
        inner=["sh", "-c", BESIDE, "sh"],
    )
    assert not changes, "\n".join([*changes, str(outcome)])
    assert "victim " in outcome.stdout, str(outcome)
    return outcome


@pytest.mark.stopped_by("rewriter", "Landlock")
@pytest.mark.parametrize(
    "call",
    ["kill", "kill-probe", "kill-upper-half", "kill-group", "tkill", "tgkill", "sigqueue", "tgsigqueue", "pidfd-open"],
)
def test_no_signal_reaches_a_process_outside(arena: Arena, call: str) -> None:
    arena.holds("escape/processes", call, why="ESRCH")


@pytest.mark.stopped_by("supervisor", "Landlock")
def test_no_process_descriptor_comes_from_proc(arena: Arena) -> None:
    arena.holds("escape/processes", "pidfd-from-proc")


@pytest.mark.stopped_by("rewriter", "Landlock")
def test_process_1_is_not_there(arena: Arena) -> None:
    native = "a user may not signal it" if arena.who.uid or os.geteuid() else None
    arena.holds("escape/processes", "kill-init", native=native, why="ESRCH")


@pytest.mark.stopped_by("rewriter")
@pytest.mark.parametrize(
    "call",
    [
        "prlimit-get",
        "prlimit-set",
        "setpriority",
        "setpriority-group",
        "getpriority",
        "ioprio-set",
        "ioprio-get",
        "setaffinity",
        "getaffinity",
        "setscheduler",
        "getscheduler",
        "setparam",
        "getparam",
        "rr-interval",
        "sched-setattr",
        "sched-getattr",
    ],
)
def test_limits_and_scheduling_of_a_process_outside_are_out_of_reach(arena: Arena, call: str) -> None:
    arena.holds("escape/scheduling", call, why="ESRCH")


@pytest.mark.stopped_by("rewriter", "seccomp")
@pytest.mark.parametrize(
    "call", ["getpgid", "getsid", "robust-list", "migrate-pages", "move-pages", "process-mrelease"]
)
def test_a_process_outside_cannot_be_asked_about_or_moved(arena: Arena, call: str) -> None:
    outcome, _ = arena.attack("escape/processes", call, options=None)
    native = None
    if outcome.verdict != "ESCAPED":
        assert outcome.stdout.split()[1] in ("EPERM", "ENOSYS", "EINVAL", "ENODEV"), str(outcome)
        native = "this machine (one NUMA node) or this user cannot"
    arena.holds("escape/processes", call, native=native, why="ESRCH|EPERM|ENOSYS")


@pytest.mark.stopped_by("rewriter", "seccomp", "Landlock")
@pytest.mark.parametrize("call", ["setown", "setown-ex", "setown-group", "siocspgrp", "fiosetown"])
def test_no_process_outside_can_be_made_to_own_a_descriptors_signals(arena: Arena, call: str) -> None:
    arena.holds("escape/processes", call)


@pytest.mark.stopped_by("seccomp", "Landlock")
@pytest.mark.parametrize("call", ["ptrace", "readv", "kcmp"])
def test_the_memory_of_a_process_outside_is_out_of_reach(arena: Arena, call: str) -> None:
    arena.holds("escape/processes", call, why="EPERM|ESRCH")


@pytest.mark.stopped_by("supervisor")
def test_proc_does_not_list_a_process_outside(arena: Arena) -> None:
    arena.holds("escape/processes", "proc-lists-victim")


@pytest.mark.stopped_by("rewriter", "Landlock")
def test_the_parent_cannot_be_killed(arena: Arena) -> None:
    arena.holds("escape/processes", "parent", native="the parent runs the tests")


@pytest.mark.stopped_by("Landlock")
@pytest.mark.parametrize("attack", ["everybody", "own-group", "own-group-by-number"])
def test_a_signal_to_everybody_reaches_nobody_outside(arena: Arena, attack: str) -> None:
    # The namespace's maker is in the group, but outside the namespace.
    wrap = pid_namespace() if attack == "everybody" else []
    native = beside(arena, "escape/processes", attack, wrap=wrap, confined=False)
    assert "victim 138" in native.stdout, f"natively the victim lives: {native}"
    confined = beside(arena, "escape/processes", attack, wrap=wrap, confined=True)
    # Members are reached, so the call itself may succeed: it is the neighbour and the supervisor that count.
    assert UNHURT in confined.stdout, str(confined)
    assert confined.returncode in (0, 1), str(confined)


@pytest.mark.stopped_by("rewriter")
def test_the_priority_of_all_processes_of_a_user_is_out_of_reach(arena: Arena) -> None:
    native = beside(arena, "escape/scheduling", "setpriority-user", wrap=pid_namespace(), confined=False)
    assert "nice 19" in native.stdout, str(native)
    confined = beside(arena, "escape/scheduling", "setpriority-user", wrap=pid_namespace(), confined=True)
    assert UNHURT in confined.stdout, str(confined)


def writers(path: Path) -> list[int]:
    """The processes that hold the file open: a survivor does so until it dies."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if any(os.readlink(fd) == str(path) for fd in (entry / "fd").iterdir()):
                found.append(int(entry.name))
    return found


def ends(pidfd: int) -> bool:
    """Whether the process ends: its descriptor becomes readable then. Gives up after 30 s."""
    ready, _, _ = select.select([pidfd], [], [], 30)
    return bool(ready)


@contextlib.contextmanager
def survivor(arena: Arena, *mode: str, confined: bool) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The program that leaves a process behind, started, and having said that it did; what survives is killed."""
    arena.build()
    program = arena.programs.directory / "survivor"
    if not program.exists():
        arena.programs.compile(program, [SOURCES / "escape" / "survivor.c"], "-static")
    trail = arena.base / "work/trail"
    prefix = [*reach(arena.who, arena.staging)] if confined else []
    wrapper = [capwrap(), "run", "-q", *arena.grants(), "--"] if confined else []
    process = subprocess.Popen(
        [*prefix, *arena.who.prefix(), *wrapper, str(program), str(trail), *mode],
        cwd=arena.base / "work",
        env=arena.who.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        with process.stdout as out:
            assert out.readline() == b"left\n"
        yield process, trail
    finally:
        process.kill()
        process.wait()
        for pid in writers(trail):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.stopped_by("supervisor")
def test_what_a_command_leaves_behind_ends_with_it(arena: Arena) -> None:
    with survivor(arena, confined=False) as (process, trail):
        assert process.wait(60) == 0
        assert writers(trail), "natively nothing survives"
    with survivor(arena, confined=True) as (process, trail):
        assert process.wait(60) == 0
        assert not writers(trail), "a process outlived the run"


@pytest.mark.stopped_by("EXITKILL")
def test_nothing_survives_the_supervisors_death_by_sigkill(arena: Arena) -> None:
    with survivor(arena, "stay", confined=False) as (process, trail):
        process.kill()
        process.wait()
        assert writers(trail), "natively nothing survives"
    with survivor(arena, "stay", confined=True) as (process, trail):
        pidfds = [os.pidfd_open(pid) for pid in writers(trail)]
        try:
            assert pidfds, "the survivor is not there"
            process.kill()
            process.wait()
            assert all(ends(pidfd) for pidfd in pidfds), "a process outlived its supervisor"
        finally:
            for pidfd in pidfds:
                os.close(pidfd)
