"""The kernel's own signals to a process group do not carry over from the target to whoever started capwrap.

The keeper is a session leader here, as is what runs a CI job: no shell links its process group to the session, so the
group is an orphan as soon as the target has no process that does.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from support.compare import Bench
from support.programs import Programs
from support.run import NOBODY

from races.kept import Ended, run_kept

HANGUP = 1 << (signal.SIGHUP - 1) | 1 << (signal.SIGCONT - 1)

STOP_ANOTHER = (
    'sleep 1000 & kill -STOP $!; until grep -q "State:.T" /proc/$!/status; do :; done; '
    '"$@"; status=$?; kill -KILL $!; exit $status'
)
"""A shell's script: what it runs shares its process group with a process that is stopped."""


def run_to_its_end(bench: Bench, keeper: Path, argv: Sequence[str | Path]) -> Ended:
    """Under the keeper, whose `signals` are what came of it. Nothing is left of what ran."""
    argv = [*bench.runner.prefix, *argv]
    ended = run_kept(keeper, argv, cwd=bench.work, env=bench.env | dict(bench.runner.extra_env))
    assert not ended.hung, str(ended)
    assert not ended.left, str(ended)
    return ended


def confined(bench: Bench, program: Path, way: str) -> list[str | Path]:
    return [*bench.runner.capwrap, "run", "-q", "--rox", program, "--", program, way]


@pytest.mark.stopped_by("supervisor")
@pytest.mark.parametrize("way", ["stop", "tstp", "moved", "command"])
def test_no_stop_in_the_callers_group_becomes_a_hangup_for_it(
    each_bench: Bench, plain_programs: Programs, keeper: Path, way: str
) -> None:
    program = plain_programs("races/orphans")
    assert run_to_its_end(each_bench, keeper, [program, way]).signals == HANGUP
    ended = run_to_its_end(each_bench, keeper, confined(each_bench, program, way))
    assert (ended.status, ended.signals) == (0, 0), str(ended)


@pytest.mark.stopped_by("supervisor")
def test_no_link_that_goes_becomes_a_hangup_where_the_caller_stopped_one_of_its_own(
    each_bench: Bench, plain_programs: Programs, keeper: Path
) -> None:
    program = plain_programs("races/orphans")
    shell: list[str | Path] = ["sh", "-c", STOP_ANOTHER, "sh"]
    assert run_to_its_end(each_bench, keeper, [*shell, program, "leave"]).signals == HANGUP
    # Nor does the link that capwrap makes, and takes away when the run is over.
    ended = run_to_its_end(each_bench, keeper, [*shell, *confined(each_bench, program, "leave")])
    assert (ended.status, ended.signals) == (0, 0), str(ended)


@pytest.mark.no_attack
@pytest.mark.parametrize(("way", "expected"), [("linked", "stopped"), ("ignored", "went on")])
def test_a_stop_from_the_terminal_stops_whom_it_would_stop_natively(
    each_bench: Bench, plain_programs: Programs, way: str, expected: str
) -> None:
    program = plain_programs("races/orphans")
    done = each_bench.compare([program, way], options=["--rox", program])
    assert done.confined.text.splitlines()[0] == expected


def of_session(session: int) -> dict[int, str]:
    """The processes of a session, by number, with their names."""
    found = {}
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{int(entry)}/stat", encoding="utf-8", errors="replace") as stat:
                name, _, rest = stat.read().partition("(")[2].rpartition(")")
        except (ValueError, OSError):
            continue
        state, _parent, _group, its_session = rest.split()[:4]
        if int(its_session) == session and state not in "ZX":
            found[int(entry)] = name
    return found


def start(bench: Bench, argv: Sequence[str | Path]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*bench.runner.prefix, *argv],
        cwd=bench.work,
        env=bench.env | dict(bench.runner.extra_env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


@pytest.mark.stopped_by("supervisor")
def test_the_link_ends_with_the_supervisor_though_both_are_killed_or_stopped(
    each_bench: Bench, plain_programs: Programs
) -> None:
    program = plain_programs("races/orphans")
    with start(each_bench, confined(each_bench, program, "hold")) as supervisor:
        assert supervisor.stdout is not None
        try:
            assert supervisor.stdout.readline() == b"held\n"
            links = [pid for pid, name in of_session(supervisor.pid).items() if name == "capwrap-link"]
            assert len(links) == 2, of_session(supervisor.pid)
            # As `kill -STOP` of a whole job does: its member of the group cannot know of the end of others then.
            os.killpg(supervisor.pid, signal.SIGSTOP)
        finally:
            supervisor.kill()
        until = time.monotonic() + 60
        while (left := of_session(supervisor.pid)) and time.monotonic() < until:
            time.sleep(0.01)
        assert not left


@pytest.fixture
def limited_bench(request: pytest.FixtureRequest) -> Bench:
    """A bench of somebody for whom the limit of processes holds, as it does not for root."""
    made: Bench = request.getfixturevalue("bench")
    if os.geteuid() != 0:
        return made
    limited = replace(made, runner=request.getfixturevalue("nobody_runner"))
    os.chown(limited.root, NOBODY, NOBODY)
    limited.fresh()
    return limited


@pytest.mark.stopped_by("supervisor")
def test_where_no_link_can_be_made_nobody_leaves_the_group_or_stops_in_it(
    limited_bench: Bench, plain_programs: Programs
) -> None:
    program = plain_programs("races/orphans")

    def told(argv: Sequence[str | Path], *, limit: bool) -> tuple[bytes, bytes]:
        with start(limited_bench, argv) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"waiting\n"
            if limit:
                command = ["prlimit", f"--pid={process.pid}", "--nproc=0:0"]
                done = limited_bench.runner.native(command, cwd=limited_bench.work, env=limited_bench.env)
                assert done.status == 0, done.describe()
            out, err = process.communicate(b"x", timeout=60)
            assert process.returncode == 0
            return out, err

    assert told([program, "told"], limit=False)[0] == b"leaving: yes\nstopped\n"
    argv = confined(limited_bench, program, "told")
    assert told(argv, limit=False)[0] == b"leaving: yes\nstopped\n"
    out, err = told(argv, limit=True)
    assert out == b"leaving: Operation not permitted\nwent on\n"
    assert b"does not stop: no process could be made" in err
