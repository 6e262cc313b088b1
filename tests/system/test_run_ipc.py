"""IPC objects end with the run that made them, which nothing but the run itself sees to."""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from support.compare import Bench
from support.programs import Programs
from support.run import TIMEOUT, kill_group

MQ_UNLINK = 241
"""The number of mq_unlink(2), which Python has no name for."""


def objects_of(kind: str) -> set[int]:
    """The ids of all System V objects of a kind that the machine has."""
    lines = Path(f"/proc/sysvipc/{kind}").read_text().splitlines()[1:]
    return {int(line.split()[1]) for line in lines}


def unlink_queue(name: str) -> int:
    """errno, or 0 where there was such a message queue."""
    libc = ctypes.CDLL(None, use_errno=True)
    return ctypes.get_errno() if libc.syscall(MQ_UNLINK, os.fsencode(name.lstrip("/"))) else 0


def make_and_kill(bench: Bench, argv: Sequence[str | Path]) -> tuple[dict[str, int], str]:
    """Runs what makes objects, and kills whoever was started: what it made, and the host's name of its queue."""
    process = subprocess.Popen(
        [*bench.runner.prefix, *argv],
        cwd=bench.work,
        env=bench.env | dict(bench.runner.extra_env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        words = process.stdout.readline().split()
        made = {word.decode(): int(number) for word, number in zip(words[::2], words[1::2], strict=True)}
        assert set(made) == {"shm", "sem", "msg", "queue"}
        held = [
            os.readlink(f"/proc/{pid}/fd/{made['queue']}")
            for pid in of_group(process.pid)
            if os.path.lexists(f"/proc/{pid}/fd/{made['queue']}")
        ]
        (name,) = [path for path in held if path.endswith("objects-of-a-test")]
    finally:
        # the whole job, as a CI job's runner does
        kill_group(process)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
    return made, name


def of_group(group: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.getpgid(int(entry.name)) == group:
                    found.append(int(entry.name))
            except ProcessLookupError:
                continue
    return found


def left_of(made: dict[str, int]) -> list[str]:
    return [f"{kind} {made[kind]}" for kind in ("shm", "sem", "msg") if made[kind] in objects_of(kind)]


def test_no_object_is_left_of_a_run_that_was_killed(each_bench: Bench, programs: Programs) -> None:
    program = programs("system/objects")
    made, name = make_and_kill(each_bench, [program])
    assert len(left_of(made)) == 3
    assert unlink_queue(name) == 0
    for kind, option in {"shm": "-m", "sem": "-s", "msg": "-q"}.items():
        subprocess.run(["ipcrm", option, str(made[kind])], check=True)

    argv: list[str | Path] = [*each_bench.runner.capwrap, "run", "-q", "--rox", program, "--", program]
    made, name = make_and_kill(each_bench, argv)
    until = time.monotonic() + TIMEOUT
    while (left := left_of(made)) and time.monotonic() < until:
        time.sleep(0.01)
    assert not left
    assert unlink_queue(name) == errno.ENOENT


def test_no_object_is_left_of_a_run_that_ended(each_bench: Bench, programs: Programs) -> None:
    program = programs("system/objects")
    done = each_bench.confined([program], options=["-q", "--rox", program])
    assert done.status == 0, done.describe()
    words = done.text.split()
    made = {word: int(number) for word, number in zip(words[::2], words[1::2], strict=True)}
    assert all(number >= 0 for number in made.values())
    assert left_of(made) == []


def test_an_object_that_could_not_be_removed_ends_with_the_run(each_bench: Bench, programs: Programs) -> None:
    """It stays the target's, and is not forgotten."""
    each_bench.fresh()
    program = programs("system/fading")
    native = each_bench.runner.native([program], cwd=each_bench.work, env=each_bench.env)
    for kind, number in zip(("q", "s"), native.text.split(), strict=True):
        subprocess.run(["ipcrm", f"-{kind}", number], stderr=subprocess.DEVNULL, check=False)
    done = each_bench.confined([program], options=("-q", "--rox", str(program)))
    assert (done.status, done.stderr) == (native.status, native.stderr), f"{native.describe()}\n{done.describe()}"
    queue, semaphore = map(int, done.text.split())
    assert queue not in objects_of("msg")
    assert semaphore not in objects_of("sem")
