"""The private directories of a run: nothing of them is left, however it ends, and nothing else is taken for them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.compare import Bench
from support.run import TIMEOUT, kill_group

OURS = re.compile(r".*/capwrap-[0-9A-Za-z]{6}$")

FILL = """
import os
for top in (os.environ["HOME"], "/tmp", "/dev/shm"):
    os.chdir(top)
    os.mkdir("locked")
    os.mkdir("locked/in")
    open("locked/in/file", "w").close()
    os.symlink("/usr", "locked/in/link")
    os.mkfifo("fifo")
    os.chmod("locked/in", 0o500)
    os.chmod("locked", 0)
    for _ in range(60):
        open("file", "w").close()
        os.mkdir("many")
        os.chdir("many")
    os.chdir(top)
    long = "n" * 200
    while len(os.getcwd()) + len(long) < 4000:
        os.mkdir(long)
        os.chdir(long)
    for number in range(100):
        open(f"{number:020}", "w").close()
"""
"""What is awkward to remove, and a place whose path is just short enough for the target, but not on the host."""

READY = "print('ready', flush=True); input()"


@dataclass(frozen=True)
class Running:
    """A run that goes on until its standard input ends, and the directories that were made for it."""

    process: subprocess.Popen[bytes]
    made: list[Path]

    def finish(self) -> int:
        """Let COMMAND end by itself; the exit status."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        return self.process.wait(TIMEOUT)


def temporary(bench: Bench) -> Path:
    """$TMPDIR of the runs of a test."""
    path = bench.root / "tmp"
    if not path.exists():
        path.mkdir(mode=0o755)
        bench.runner.own(path)
    return path


@contextmanager
def running(bench: Bench, script: str, *options: str) -> Iterator[Running]:
    """Start Python on a script confined, and wait until it prints a line."""
    runner = bench.runner
    env = {**bench.env, **runner.extra_env, "TMPDIR": str(temporary(bench))}
    argv = [*runner.prefix, *runner.capwrap, "run", "-q", *options, "--", "python3", "-c", script]
    process = subprocess.Popen(
        argv, cwd=bench.work, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        descriptors = Path(f"/proc/{process.pid}/fd")
        links = {os.readlink(each) for each in descriptors.iterdir()}
        yield Running(process, [Path(link) for link in links if OURS.match(link)])
    finally:
        kill_group(process)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


def again(bench: Bench) -> None:
    """Another run of the same user with the same $TMPDIR."""
    done = bench.confined(["true"], env={"TMPDIR": str(temporary(bench))})
    assert done.status == 0, done.describe()


@pytest.mark.parametrize("ending", ["by itself", "killed", "timed out", "capwrap is terminated"])
def test_nothing_is_left_of_what_is_awkward_to_remove(each_bench: Bench, ending: str) -> None:
    last = {"killed": "import signal; os.kill(os.getpid(), signal.SIGKILL)"}.get(ending, "")
    options = ["--timeout", "8"] if ending == "timed out" else []
    with running(each_bench, f"{FILL}\n{READY}\n{last}", *options) as run:
        assert len(run.made) == 2
        assert all(path.is_dir() for path in run.made)
        match ending:
            case "by itself":
                assert run.finish() == 0
            case "killed":
                assert run.finish() == -signal.SIGKILL
            case "timed out":
                assert run.process.wait(TIMEOUT) == 124
            case _:
                run.process.send_signal(signal.SIGTERM)
                assert run.process.wait(TIMEOUT) == -signal.SIGTERM
    assert [path for path in run.made if path.exists()] == []
    assert list(temporary(each_bench).iterdir()) == []


def test_the_next_run_removes_what_a_killed_supervisor_left(each_bench: Bench) -> None:
    with running(each_bench, f"{FILL}\n{READY}") as run:
        run.process.kill()
        run.process.wait(TIMEOUT)
    assert len(run.made) == 2
    assert all(path.is_dir() for path in run.made)
    again(each_bench)
    assert [path for path in run.made if path.exists()] == []
    assert list(temporary(each_bench).iterdir()) == []


def test_a_run_that_goes_on_keeps_its_directories(each_bench: Bench) -> None:
    script = f"open('/tmp/kept', 'w').close()\n{READY}\nopen('/tmp/kept').close()"
    with running(each_bench, script) as run:
        again(each_bench)
        assert all(path.is_dir() for path in run.made)
        assert run.finish() == 0


def test_what_only_has_the_name_is_not_removed(each_bench: Bench) -> None:
    place = temporary(each_bench)
    plain, filled = place / "capwrap-aaaaaa", place / "capwrap-bbbbbb"
    plain.mkdir(mode=0o700)
    (plain / "p1").mkdir()
    filled.mkdir()
    filled.chmod(0o1700)
    (filled / "p1").mkdir()
    (filled / "mine").write_text("mine\n")
    target = place / "capwrap-cccccc"
    target.symlink_to(filled)
    each_bench.runner.own(place)
    again(each_bench)
    assert sorted(path.name for path in place.iterdir()) == [plain.name, filled.name, target.name]
    assert (plain / "p1").is_dir()
    assert (filled / "p1").is_dir()


def test_what_is_moved_away_while_it_is_removed_takes_nothing_else_with_it(each_bench: Bench) -> None:
    # As a target can that was granted $TMPDIR, to what the next run takes for leavings of another one.
    place = temporary(each_bench)
    planted, elsewhere = place / "capwrap-dddddd", each_bench.root / "elsewhere"
    deep = planted / "p1/a/b/c"
    deep.mkdir(parents=True)
    planted.chmod(0o1700)
    many = 5_000
    for number in range(many):
        (deep / str(number)).touch()
    elsewhere.mkdir()
    (elsewhere / "mine").write_text("mine\n")
    for top in (place, elsewhere):
        each_bench.runner.own(top)
    runner = each_bench.runner
    process = subprocess.Popen(
        [*runner.prefix, *runner.capwrap, "run", "-q", "--", "true"],
        cwd=each_bench.work,
        env={**each_bench.env, **runner.extra_env, "TMPDIR": str(place)},
        start_new_session=True,
    )
    try:
        end = time.monotonic() + TIMEOUT
        while len(os.listdir(deep)) == many:
            assert time.monotonic() < end, "nothing is removed"
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        assert os.listdir(deep), "all was removed before it could be moved"
        (planted / "p1/a").rename(elsewhere / "a")
        process.send_signal(signal.SIGCONT)
        assert process.wait(TIMEOUT) == 0
    finally:
        kill_group(process)
    assert (elsewhere / "mine").read_text() == "mine\n"


def test_a_private_directory_lists_what_is_granted_in_it(bench: Bench) -> None:
    bench.fresh()
    (bench.home / "kept/deep").mkdir(parents=True)
    for name in ("kept/deep/file", "file", "other"):
        (bench.home / name).write_text(name)
    options = ("-q", "--ro", bench.home / "kept", "--ro", bench.home / "file")
    script = 'ls "$HOME"; echo x >"$HOME/new"; ls "$HOME"; cd; rm new; ls; cat file kept/deep/file'
    done = bench.confined(["/bin/sh", "-c", script], options=options)
    assert done.text.split() == ["file", "kept", "file", "kept", "new", "file", "kept", "filekept/deep/file"], (
        done.describe()
    )
