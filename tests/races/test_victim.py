"""The supervisor as a victim: whoever is killed or stopped, and when, no run hangs or leaves anything, or gets out."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import re
import signal
import stat
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from escape.conftest import further_variants, variants
from escape.harness import Arena
from escape.running import SOURCES, Outcome, capwrap, run

POINTS = int(os.environ.get("CAPWRAP_MOMENTS", "3"))
"""How many moments of a run each test tries: other ones for each user and policy."""

VARIANTS = [*variants(), *further_variants()]
HELD = 1
KILLED = 128 + signal.SIGKILL
TERMINATED = 128 + signal.SIGTERM
# The child may be gone before the supervisor can trace it.
NOT_STARTED = 125
FROM_THE_START = -1
MEMFD_CREATE = 319  # which makes the pad: before it, Python starts
EVENTFD2 = 290  # which precedes the fork of the child that tells what may be done to one here, for the record
SOCKETPAIR = 53  # which precedes the fork of the child that becomes COMMAND
NATIVELY = "what is attacked is capwrap itself"
SEGMENT = 12289  # bytes of the shared memory that races/everything makes and does not remove
MADE = re.compile(r"capwrap-[0-9A-Za-z]{6}")


@dataclass(frozen=True)
class Moments:
    """What a signal is sent to, and at which moments of a run (moments.c)."""

    sig: str
    whom: str
    phase: float = 0
    since: int = FROM_THE_START
    span: int = 0
    points: int = POINTS

    def prefix(self, arena: Arena) -> list[str]:
        stepper = arena.programs.directory / "moments"
        if not stepper.exists():
            arena.programs.compile(stepper, [SOURCES / "races" / "moments.c"])
        name = arena.programs.path("races/everything", static=True).name
        numbers = (self.points, self.phase, self.since, self.span)
        return [str(stepper), *map(str, numbers), self.sig, self.whom, name]


def everything(arena: Arena) -> list[str]:
    program = str(arena.programs.path("races/everything", static=True))
    return arena.command("races/everything", "everything", 0, [program], static=True)


def statuses(outcome: Outcome, moments: Moments) -> list[int]:
    """How the runs ended in which the signal was sent, as the shell's $? has it; none hung, survived or got out."""
    lines = outcome.stdout.splitlines()
    assert "ESCAPED" not in outcome.stdout, str(outcome)
    assert outcome.returncode == 0, str(outcome)
    # What somebody killed is not taken for a process that did what it must not.
    assert "was killed" not in outcome.stderr, str(outcome)
    assert lines[-1].startswith(f"MOMENTS {moments.points} of "), str(outcome)
    ended = [int(line.split()[1]) for line in lines if line.startswith("STATUS")]
    assert ended[0] == HELD, str(outcome)
    return ended[1:]


def abandoned(arena: Arena, *places: Path) -> set[Path]:
    """Directories of the attacker's runs whose lock nobody holds."""
    found = set()
    owner = os.geteuid() if arena.who.uid is None else arena.who.uid
    for entry in itertools.chain.from_iterable(place.iterdir() for place in places):
        if not MADE.fullmatch(entry.name):
            continue
        try:
            fd = os.open(entry, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:  # another run's, and over by now
            continue
        try:
            status = os.fstat(fd)
            if (status.st_uid, stat.S_IMODE(status.st_mode)) == (owner, stat.S_ISVTX | stat.S_IRWXU):
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found.add(entry)
        except BlockingIOError:
            pass
        finally:
            os.close(fd)
    return found


def forgotten() -> set[str]:
    """The ids of shared memory of runs whose supervisor, which made it, is gone."""
    found = set()
    for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]:
        _, number, _, size, creator, *_ = line.split()
        if int(size) == SEGMENT and not Path("/proc", creator).exists():
            found.add(number)
    return found


def ways_to_end(arena: Arena, moments: Moments) -> set[int]:
    """How the runs ended in which the signal was sent. Of none was anything left, at the latest after the next run."""
    arena.unshown.append(NATIVELY)
    arena.build()
    temporary = arena.base / "tmp"
    temporary.mkdir()
    temporary.chmod(0o777)
    before, objects = arena.outside(), forgotten()
    inner = ["env", f"TMPDIR={temporary}"]
    outcome = arena.execute(everything(arena), options=(), inner=[*inner, *moments.prefix(arena)], timeout=600)
    ended = statuses(outcome, moments)
    assert arena.outside() == before
    # Removed by a process that outlives the supervisor, which may be another test's.
    until = time.monotonic() + 60
    while more := forgotten() - objects:
        assert time.monotonic() < until, more
        time.sleep(0.05)
    left = abandoned(arena, Path("/dev/shm"), temporary)
    assert arena.execute(everything(arena), options=(), inner=inner).verdict == "HELD"
    assert not left & abandoned(arena, Path("/dev/shm"), temporary)
    assert not list(temporary.iterdir())
    return set(ended)


@pytest.fixture
def phase(request: pytest.FixtureRequest) -> float:
    """Another one for each user and policy."""
    return VARIANTS.index(request.node.callspec.params["arena"]) / len(VARIANTS)


@pytest.mark.stopped_by("EXITKILL", "launcher")
def test_a_supervisor_killed_at_any_moment_leaves_nothing_behind(arena: Arena, phase: float) -> None:
    assert ways_to_end(arena, Moments("KILL", "supervisor", phase)) <= {HELD, KILLED}


@pytest.mark.stopped_by("launcher", "EXITKILL")
@pytest.mark.parametrize("arena", variants(), indirect=True)
def test_a_supervisor_killed_before_it_traces_its_child_leaves_nothing_behind(arena: Arena) -> None:
    ended = ways_to_end(arena, Moments("KILL", "supervisor", since=SOCKETPAIR, span=16, points=16))
    assert ended <= {HELD, KILLED}


@pytest.mark.stopped_by("supervisor")
@pytest.mark.parametrize("whom", ["oldest", "newest"])
def test_a_process_killed_at_any_moment_takes_nothing_along(arena: Arena, phase: float, whom: str) -> None:
    assert ways_to_end(arena, Moments("KILL", whom, phase)) <= {HELD, KILLED, NOT_STARTED}


@pytest.mark.stopped_by("supervisor")
@pytest.mark.parametrize("whom", ["supervisor", "oldest", "newest"])
def test_what_is_stopped_at_any_moment_goes_on(arena: Arena, phase: float, whom: str) -> None:
    assert ways_to_end(arena, Moments("STOP", whom, phase)) == {HELD}


@pytest.mark.stopped_by("supervisor")
def test_a_run_that_is_terminated_at_any_moment_ends(arena: Arena, phase: float) -> None:
    assert ways_to_end(arena, Moments("TERM", "supervisor", phase)) <= {HELD, TERMINATED}


def recorded(arena: Arena, moments: Moments) -> tuple[list[int], list[list[bytes]]]:
    """How the runs ended in which the signal was sent, and the lines of all records that were begun."""
    arena.unshown.append(NATIVELY)
    arena.build()
    with tempfile.TemporaryFile(mode="ab+") as events:
        front = [capwrap(), "run", "-q", "--events", f"fd:{events.fileno()}", *arena.grants(), "--"]
        argv = [*moments.prefix(arena), *front, *everything(arena)]
        outcome = run(argv, cwd=arena.base / "work", env=arena.who.environment, pass_fds=[events.fileno()])
        ended = statuses(outcome, moments)
        events.seek(0)
        before, *records = events.read().split(b'{"type":"run",')
    assert before == b""
    return ended, [(b'{"type":"run",' + text).splitlines(keepends=True) for text in records]


CALLER = variants()[:1]


@pytest.mark.stopped_by("supervisor")
@pytest.mark.parametrize("arena", CALLER, indirect=True)
@pytest.mark.parametrize("whom", ["oldest", "newest"])
def test_the_record_of_processes_that_are_killed_is_whole(arena: Arena, whom: str) -> None:
    ended, runs = recorded(arena, Moments("KILL", whom, 0.5, MEMFD_CREATE))
    assert len(runs) == len(ended) + 1
    for lines in runs:
        records = [json.loads(line) for line in lines]
        end = records[-1]
        assert (end["type"], end["complete"], end["lost"]) == ("end", True, 0), end
        seen = {
            event: sorted(each["pid"] for each in records if each["type"] == "process" and each["event"] == event)
            for event in ("start", "exit")
        }
        assert seen["start"] == seen["exit"], lines


@pytest.mark.stopped_by("supervisor")
@pytest.mark.parametrize("arena", CALLER, indirect=True)
def test_the_record_of_a_supervisor_that_is_killed_does_not_say_that_it_is_complete(arena: Arena) -> None:
    ended, runs = recorded(arena, Moments("KILL", "supervisor", 0.5, MEMFD_CREATE))
    complete = 0
    for lines in runs:
        whole = [json.loads(line) for line in lines if line.endswith(b"\n")]
        ends = [number for number, record in enumerate(whole) if record["type"] == "end"]
        assert ends in ([], [len(lines) - 1]), lines
        complete += len(ends)
    # The first is the undisturbed run's; a supervisor may be killed after its last word.
    assert 1 <= complete <= 1 + len(ended)
    assert complete >= 1 + ended.count(HELD)


@pytest.mark.stopped_by("launcher", "EXITKILL")
@pytest.mark.parametrize("arena", CALLER, indirect=True)
def test_a_supervisor_killed_while_it_tries_what_it_may_leaves_nothing_behind(arena: Arena) -> None:
    ended, _ = recorded(arena, Moments("KILL", "supervisor", since=EVENTFD2, span=12, points=12))
    assert set(ended) == {KILLED}
