"""The rounds: every workload by every contestant, one after another, over and over."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.contestants import CAPWRAP_RUN, Contestant
from bench.workloads import REPO, Workload

TIMEOUT = 900
"""seconds for one measurement: a contestant that hangs does not hang the run"""


class BenchError(Exception):
    """A command could not be measured; the message says which and why."""


@dataclass(frozen=True)
class Stops:
    """What the engine did for one workload: of a loop a call, of any other command the whole run."""

    stops: float
    deliveries: float
    processes: int
    refusals: int


@dataclass
class Row:
    """A workload with what was measured."""

    workload: Workload
    samples: dict[str, list[float]] = field(default_factory=dict)
    """by contestant, one a round: ms; of a loop, us a call"""
    stops: Stops | None = None
    failures: dict[str, str] = field(default_factory=dict)
    """contestants that could not run it, and why"""


def _run(command: Sequence[str], directory: Path) -> str:
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BenchError(f"not done after {TIMEOUT} s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise BenchError("; ".join(lines[-3:]) if lines else f"exit status {done.returncode}")
    return done.stdout


def measure(workload: Workload, contestant: Contestant, work: Path) -> float:
    """One measurement: ms; of a loop, us a call. Raises BenchError."""
    directory = work / workload.directory
    if workload.prepare:
        _run(workload.prepare, directory)
    pin = ["taskset", "-c", str(min(os.sched_getaffinity(0)))] if workload.pinned else []
    if workload.calls:
        took = _run([*pin, *contestant.prefix, *workload.command], directory).split()
        if len(took) != 1:
            raise BenchError("it did not print the nanoseconds of its loop")
        return int(took[0]) / 1e3 / workload.calls
    clock = [str(work / "bin/clock"), str(workload.times)]
    times = _run([*pin, *clock, *contestant.prefix, *workload.command], directory).split()
    return statistics.median(map(int, times)) / 1e6


def count_stops(workload: Workload, image: Path, work: Path) -> Stops:
    """What capwrap's engine counts for the workload. Raises BenchError."""

    def counted(command: Sequence[str]) -> dict[str, int]:
        directory = work / workload.directory
        if workload.prepare:
            _run(workload.prepare, directory)
        environ = ["env", f"PYTHONPATH={REPO}"]
        done = _run([*environ, sys.executable, "-m", "bench.stops", str(image), *command], directory)
        made: dict[str, int] = json.loads(done)
        return made

    whole = counted(workload.command)
    if not workload.calls:
        return Stops(whole["stops"], whole["deliveries"], whole["processes"], whole["refusals"])
    # The same program without its calls: its start is no part of what a call costs.
    empty = counted([*workload.command[:2], "0", *workload.command[3:]])
    return Stops(
        (whole["stops"] - empty["stops"]) / workload.calls,
        (whole["deliveries"] - empty["deliveries"]) / workload.calls,
        whole["processes"],
        whole["refusals"],
    )


def run_rounds(
    workloads: Sequence[Workload],
    contestants: Sequence[Contestant],
    work: Path,
    rounds: int,
    tell: Callable[[str], None],
) -> list[Row]:
    """Measure all; a contestant that fails at a workload leaves that row."""
    rows = [Row(workload) for workload in workloads]
    for number in range(rounds):
        # Another one begins each round, so that nobody always runs behind the same predecessor.
        first = number % len(contestants)
        order = [*contestants[first:], *contestants[:first]]
        for row in rows:
            tell(f"round {number + 1} of {rounds}: {row.workload.name}")
            for contestant in order:
                if contestant.name in row.failures or (contestant.name == CAPWRAP_RUN and not row.workload.also_run):
                    continue
                try:
                    took = measure(row.workload, contestant, work)
                except BenchError as error:
                    row.failures[contestant.name] = str(error)
                    row.samples.pop(contestant.name, None)
                    continue
                row.samples.setdefault(contestant.name, []).append(took)
    return rows
