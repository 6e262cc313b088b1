"""Running a command under the keeper (tests/programs/races/keeper.c): how it ended, and what it left behind."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
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
    records: list[dict[str, object]] = field(default_factory=list)
    torn: str = ""
    """what is wrong with the record, where there is one"""

    @property
    def lines(self) -> list[str]:
        return [line for line in self.report.decode(errors="replace").splitlines() if line.strip()]

    @property
    def found(self) -> list[str]:
        """What the fuzzer itself saw, each as `detector: what`, with the calls before it."""
        text = self.report.decode(errors="replace")
        blocks = text.split("\nFOUND ")[1:]
        return [block.split("\nMADE ")[0].strip() for block in blocks]

    @property
    def calls(self) -> int:
        made = [line.split()[1] for line in self.lines if line.startswith("MADE ")]
        return int(made[-1]) if made else 0

    @property
    def complete(self) -> bool | None:
        """What the record says of itself; None where it has no end."""
        last = self.records[-1] if self.records else {}
        return bool(last["complete"]) if last.get("type") == "end" else None

    def __str__(self) -> str:
        # the fuzzer writes rubbish there; what capwrap and the keeper say begins like this
        said = [
            line for line in self.stderr.decode(errors="replace").splitlines() if line[:8] in ("capwrap:", "keeper: ")
        ]
        tail = "\n".join(said)[-8000:]
        return (
            f"status {self.status}, continued {self.continued}, left {self.left}, hung {self.hung}, "
            f"signals {self.signals:#x}, {self.torn or 'record whole'}\n{tail}"
        )


def read_record(path: Path) -> tuple[list[dict[str, object]], str]:
    """The lines of a record, and what is wrong with it ("" where nothing is)."""
    data = path.read_bytes() if path.exists() else b""
    records = []
    for number, line in enumerate(data.splitlines(), 1):
        try:
            records.append(json.loads(line))
        except ValueError as error:
            return records, f"line {number} is not JSON: {error}"
    if data and not data.endswith(b"\n"):
        return records, "the last line is torn"
    ids = [record["id"] for record in records if "id" in record]
    if ids != list(range(1, len(ids) + 1)):
        return records, "the ids are not 1, 2, 3, ..."
    return records, ""


def run_kept(
    keeper: Path,
    argv: Sequence[str | Path],
    *,
    cwd: Path,
    env: dict[str, str],
    patience: float = PATIENCE,
    events: Path | None = None,
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
    ended = Ended(
        os.waitstatus_to_exitcode(int(words["ended"])),
        int(words["continued"]),
        int(words["left"]),
        words["hung"] == "1",
        int(words["signals"], 16),
        bytes(report),
        said,
    )
    if events is not None:
        ended.records, ended.torn = read_record(events)
    return ended
