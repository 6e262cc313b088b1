"""Running a command under the keeper (tests/programs/races/keeper.c): how it ended, and what it left behind."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

REPORT = 40
"""The descriptor on which a program under the keeper reports to the test, beside its standard streams."""

PATIENCE = 120
"""Seconds after which a run counts as hung; each is over by itself in a few."""


@dataclass
class Ended:
    """How one run of a command under the keeper ended."""

    status: int
    """as subprocess has it: negative for a signal"""
    continued: int
    left: int
    hung: bool
    signals: int
    """those that reached the keeper, a bit each"""
    report: bytes
    stderr: bytes

    def __str__(self) -> str:
        # a program may write rubbish there; what capwrap and the keeper say begins like this
        said = [
            line for line in self.stderr.decode(errors="replace").splitlines() if line[:8] in ("capwrap:", "keeper: ")
        ]
        tail = "\n".join(said)[-8000:]
        return (
            f"status {self.status}, continued {self.continued}, left {self.left}, hung {self.hung}, "
            f"signals {self.signals:#x}\n{tail}"
        )


def run_kept(
    keeper: Path,
    argv: Sequence[str | Path],
    *,
    cwd: Path,
    env: dict[str, str],
    patience: float = PATIENCE,
    pass_fds: Sequence[int] = (),
) -> Ended:
    """Runs a command under the keeper. Descriptor 40 of it is the report."""
    status_in, status_out = os.pipe()
    report_in, report_out = os.pipe()
    report = bytearray()

    def drain() -> None:
        while data := os.read(report_in, 65536):
            # it may write rubbish there, without end
            if len(report) < 1 << 24:
                report.extend(data)

    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            [keeper, str(status_out), str(report_out), f"{patience}", *argv],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
            pass_fds=(status_out, report_out, *pass_fds),
        )
        for fd in (status_out, report_out):
            os.close(fd)
        reader = threading.Thread(target=drain)
        reader.start()
        try:
            process.wait(timeout=patience * 3 + 60)
        finally:
            process.kill()
            process.wait()
        with open(status_in, "rb") as source:
            words = dict(word.split("=") for word in source.read().decode().split())
        reader.join(timeout=30)
        holder = reader.is_alive()
        os.close(report_in)
        stderr.seek(0)
        said = stderr.read()
    assert words, f"the keeper said nothing: {said!r}"
    assert not holder, "somebody still holds the report open"
    return Ended(
        os.waitstatus_to_exitcode(int(words["ended"])),
        int(words["continued"]),
        int(words["left"]),
        words["hung"] == "1",
        int(words["signals"], 16),
        bytes(report),
        said,
    )
