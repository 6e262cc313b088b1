"""`python -m bench`: what a confined run costs on this machine. The figures go to stdout, progress to stderr."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.contestants import CAPWRAP, CAPWRAP_RUN, FLOOR, NATIVE, Contestant, peers
from bench.runner import BenchError, Stops, count_stops, run_rounds
from bench.table import as_json, render
from bench.workloads import MICRO_CALLS, workloads


def _tell(message: str) -> None:
    print(f"bench: {message}", file=sys.stderr, flush=True)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--rounds", type=_positive, metavar="N", help="interleaved rounds (7)")
    parser.add_argument("--quick", action="store_true", help="3 rounds unless --rounds, a fifth of the calls")
    parser.add_argument("--calls", type=_positive, default=MICRO_CALLS, metavar="N", help="calls in a loop (5000)")
    parser.add_argument("--only", action="append", metavar="NAME", help="only this row (repeatable)")
    parser.add_argument("--no-peers", action="store_true", help="only native, the floor and capwrap")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there, too")
    return parser


def _machine() -> dict[str, Any]:
    """Where the figures come from."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    return {
        "kernel": os.uname().release,
        "cpus": len(os.sched_getaffinity(0)),
        "model": model,
        "load": os.getloadavg()[0],
    }


def _program(name: str) -> str:
    """A program of this installation: beside the Python that runs, else on PATH."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise BenchError(f"{name} is not installed: `make build` builds it")
    return found


def _bench(options: argparse.Namespace, work: Path) -> int:
    calls = max(options.calls // 5, 1) if options.quick else options.calls
    rounds = options.rounds or (3 if options.quick else 7)
    chosen = workloads(work, _tell, calls)
    if options.only:
        unknown = set(options.only) - {workload.name for workload in chosen}
        if unknown:
            known = ", ".join(workload.name for workload in chosen)
            raise BenchError(f"no such row: {', '.join(sorted(unknown))}; there are: {known}")
        chosen = [workload for workload in chosen if workload.name in options.only]
    # The cache of compiled policies that `capwrap run` fills goes away with the rest.
    os.environ["XDG_CACHE_HOME"] = str(work / "cache")
    image = work / "bench.cap"
    capwrap = _program("capwrap")
    subprocess.run([capwrap, "compile", "-o", str(image)], cwd=work, check=True)
    contestants = [
        Contestant(NATIVE, ()),
        Contestant(FLOOR, (str(work / "bin/floor"),)),
        Contestant(CAPWRAP, (_program("capwrap-exec"), str(image), "--")),
        Contestant(CAPWRAP_RUN, (capwrap, "run", "-q", "--")),
        *(() if options.no_peers else peers(work, _tell)),
    ]
    machine = _machine()
    # Also what fills the caches: of the compiled policy, and of the pages that are read.
    stops: dict[str, Stops] = {}
    for workload in chosen:
        _tell(f"counting the stops of {workload.name}")
        try:
            stops[workload.name] = count_stops(workload, image, work)
        except BenchError as error:
            _tell(f"{workload.name}: no stops counted: {error}")
    subprocess.run([capwrap, "run", "-q", "--", "/bin/true"], cwd=work, check=True)
    rows = run_rounds(chosen, contestants, work, rounds, _tell)
    machine["load_after"] = os.getloadavg()[0]
    for row in rows:
        row.stops = stops.get(row.workload.name)
    names = [contestant.name for contestant in contestants]
    sys.stdout.write(render(rows, names, machine, rounds))
    if options.json is not None:
        options.json.write_text(json.dumps(as_json(rows, machine, rounds), indent=1) + "\n")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmarks; 0 whatever the figures are, 1 where they could not be taken."""
    options = _parser().parse_args(arguments)
    # Not beneath /tmp, where the workspace profile and bwrap's arguments put an empty directory.
    with tempfile.TemporaryDirectory(prefix="capwrap-bench-", dir="/var/tmp") as work:
        try:
            return _bench(options, Path(work))
        except (BenchError, OSError, subprocess.CalledProcessError) as error:
            _tell(str(error))
            return 1


if __name__ == "__main__":
    sys.exit(main())
