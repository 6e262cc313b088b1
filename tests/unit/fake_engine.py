"""An engine that runs nothing: it hands out prepared records and ends as it is told."""

from __future__ import annotations

import json
import os
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from capwrap import engine
from capwrap.engine import Features, Launch, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

PID = 4242


FEATURES = Features(
    landlock_abi=7,
    seccomp_trace=1,
    seccomp_user_notif=1,
    ptrace=1,
    process_vm=1,
    openat2=1,
    mseal=1,
    memfd_noexec_seal=1,
    procmap_query=1,
    fchmodat2=1,
    pidfd_getfd=1,
    unshare_fs=1,
    vdso_gadget=1,
    nofile_soft=1024,
    nofile_hard=4096,
    release="6.18.0",
)


@dataclass
class FakeEngine:
    """`script` gets the launch and may use its descriptors; what it returns replaces `outcome`."""

    outcome: Outcome = field(default_factory=Outcome)
    batches: list[bytes] = field(default_factory=list)
    features: Features = FEATURES
    coarse: str = ""
    script: Callable[[Launch], Outcome | None] | None = None
    launches: list[Launch] = field(default_factory=list)
    signals: list[int] = field(default_factory=list)
    signalled: threading.Event = field(default_factory=threading.Event)
    kept: list[bool] = field(default_factory=list)

    def run(
        self,
        launch: Launch,
        sink: Callable[[bytes], bool] | None = None,
        started: Callable[[int], None] | None = None,
        jailed: Callable[[str], None] | None = None,
    ) -> Outcome:
        self.launches.append(launch)
        outcome = self.outcome
        never_started = outcome.failed or outcome.exec_errno
        if jailed is not None:
            jailed(self.coarse)
        duplicates = [fd if fd < 0 else os.dup(fd) for fd in launch.stdio]
        try:
            if started is not None and not never_started:
                started(PID)
            if sink is not None:
                self.kept += [sink(batch) for batch in self.batches]
            if self.script is not None:
                copy = launch._replace(stdio=(duplicates[0], duplicates[1], duplicates[2]))
                outcome = self.script(copy) or outcome
        finally:
            for fd in duplicates:
                if fd >= 0:
                    os.close(fd)
        return outcome

    def signal(self, number: int) -> int:
        self.signals.append(number)
        self.signalled.set()
        return 0

    def probe(self) -> Features:
        return self.features

    def check_image(self, image: bytes) -> str | None:
        return None if image else "empty"


def install(fake: FakeEngine) -> FakeEngine:
    """Make `capwrap.engine.load` give this engine."""
    engine._loaded = fake
    return fake


def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory to work in, with a home and a cache elsewhere; an engine that a test installs ends with it."""
    for name in ("work", "home", "cache"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(engine, "_loaded", engine._loaded)
    return tmp_path / "work"


def main() -> int:
    """`python fake_engine.py OUTCOME-JSON ARGUMENT...`: the command line with an engine that ends like that."""
    from capwrap.cli import main as command_line

    description: dict[str, Any] = json.loads(sys.argv[1])
    batches = [bytes.fromhex(batch) for batch in description.pop("batches", [])]
    install(FakeEngine(Outcome(**description), batches))
    return command_line(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
