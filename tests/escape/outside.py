"""What is outside of the target: trees and a process that an attack must not change, and somebody who helps it."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from escape.running import PATH, Who


def _describe(path: Path) -> tuple[object, ...]:
    try:
        st = path.lstat()
    except FileNotFoundError:
        return ("absent",)
    content: object = None
    if stat.S_ISREG(st.st_mode):
        content = path.read_bytes()
    elif stat.S_ISLNK(st.st_mode):
        content = os.readlink(path)
    elif stat.S_ISDIR(st.st_mode):
        content = sorted(os.listdir(path))
    attributes = tuple(
        (name, os.getxattr(path, name, follow_symlinks=False)) for name in os.listxattr(path, follow_symlinks=False)
    )
    return st.st_mode, st.st_uid, st.st_gid, st.st_ino, st.st_nlink, st.st_size, st.st_mtime_ns, content, attributes


def snapshot(paths: Sequence[Path]) -> dict[str, tuple[object, ...]]:
    """Everything about the trees at `paths` that a change would show in (the time of the last access would not)."""
    found = {}
    for top in paths:
        found[str(top)] = _describe(top)
        if top.is_dir() and not top.is_symlink():
            for below in top.rglob("*"):
                found[str(below)] = _describe(below)
    return found


@dataclass(frozen=True)
class Victim:
    """A process outside the target, and what an attack might change of it."""

    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        return self.process.pid

    def state(self) -> tuple[object, ...]:
        pid = self.pid
        letter = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        return (
            "stopped or dead" if letter in "TtZX" else "alive",
            os.getpriority(os.PRIO_PROCESS, pid),
            os.sched_getaffinity(pid),
            os.sched_getscheduler(pid),
            os.getpgid(pid),
            os.getsid(pid),
            Path(f"/proc/{pid}/limits").read_text(),
            Path(f"/proc/{pid}/oom_score_adj").read_text(),
        )


@contextlib.contextmanager
def victim(who: Who, cwd: Path) -> Iterator[Victim]:
    """A process of the same user as the target, in a session of its own, until the end of the block."""
    process = subprocess.Popen(
        [*who.prefix(), "sleep", "1000"],
        cwd=cwd,
        env={"PATH": PATH},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        # setpriv has become sleep once the command line says so; until then its credentials may be the caller's.
        while b"sleep\0" not in (line := Path(f"/proc/{process.pid}/cmdline").read_bytes()) or b"setpriv" in line:
            if process.poll() is not None:
                raise RuntimeError(f"the victim ended with {process.returncode}")
        yield Victim(process)
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def accomplice(work: Path, told: str, act: Callable[[int], object], leave: str) -> Iterator[None]:
    """Somebody outside who waits for the number that the attack leaves in work/TOLD, acts, and leaves work/LEAVE."""
    over = threading.Event()

    def wait() -> None:
        while not over.wait(0.001):
            if (work / told).exists():
                act(int((work / told).read_text()))
                (work / leave).touch()
                return

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
