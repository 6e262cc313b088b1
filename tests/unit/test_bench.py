"""The benchmarks' arithmetic and table; one smoke run asserts structure, and nothing asserts a time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO))

from bench.contestants import CAPWRAP, CAPWRAP_RUN, FLOOR, NATIVE, Contestant  # noqa: E402
from bench.runner import BenchError, Row, Stops, measure, run_rounds  # noqa: E402
from bench.statistics import Spread, differences, ratios, spread  # noqa: E402
from bench.table import aligned, as_json, floor_stop, judge, render  # noqa: E402
from bench.workloads import Aim, Workload  # noqa: E402

MACHINE = {"kernel": "6.1", "cpus": 2, "model": "a CPU", "load": 0.5, "load_after": 1.0}


def row(samples: dict[str, list[float]] | None = None, aims: tuple[Aim, ...] = ()) -> Row:
    return Row(Workload("open", "open+close", ("true",), calls=10, aims=aims), samples=samples or {})


def test_a_spread_is_the_median_and_the_extremes() -> None:
    assert spread([3.0, 1.0, 10.0]) == Spread(3.0, 1.0, 10.0)
    assert spread([1.0, 2.0]) == Spread(1.5, 1.0, 2.0)


def test_ratios_pair_the_rounds() -> None:
    # A load that doubles a whole round leaves its ratio alone.
    assert ratios([4.0, 8.0], [2.0, 4.0]) == [2.0, 2.0]
    assert differences([4.0, 8.0], [2.0, 4.0]) == [2.0, 4.0]


def test_rounds_that_do_not_pair_are_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        ratios([1.0], [1.0, 2.0])


@pytest.mark.parametrize(
    ("aim", "reached", "met"),
    [
        (Aim("ratio", 1.5, against=FLOOR), 2.0, False),
        (Aim("ratio", 2.0, against=FLOOR), 2.0, True),
        (Aim("ratio", 5.0), 4.0, True),
        (Aim("over", 2.0), 3.0, False),
        (Aim("ms", 80.0, who=CAPWRAP_RUN), 70.0, True),
        (Aim("ratio", 1.0, against="bwrap"), None, None),
        (Aim("ms", 1.0, who="bwrap"), None, None),
        (Aim("stops", 1), 1.0, True),
    ],
)
def test_an_aim_is_judged_by_the_medians(aim: Aim, reached: float | None, met: bool | None) -> None:
    made = row({NATIVE: [1.0, 1.0], FLOOR: [2.0, 2.0], CAPWRAP: [4.0, 4.0], CAPWRAP_RUN: [60.0, 80.0]})
    made.stops = Stops(1.001, 0.0, 1, 0)
    verdict = judge(made, aim)
    assert (verdict.reached, verdict.met) == (reached, met)
    assert verdict.text().endswith({True: ", met", False: ", missed", None: "not measured"}[met])


def test_an_aim_of_stops_that_were_not_counted_is_not_measured() -> None:
    assert judge(row(), Aim("stops", 1)).met is None


def test_the_bare_stop_is_what_the_tracer_adds_to_a_call_nobody_decides() -> None:
    made = Row(Workload("nothing", "getppid", ("true",), calls=1), samples={NATIVE: [1.0], FLOOR: [9.0]})
    assert floor_stop([made]) == 8.0
    assert floor_stop([row()]) is None


def test_a_table_is_aligned_and_has_no_trailing_spaces() -> None:
    assert aligned([["", "a", "long"], ["name", "1.00", ""], ["n", "1", "2"]]) == (
        "         a  long\nname  1.00\nn        1     2"
    )


def test_the_text_has_every_row_contestant_aim_and_failure() -> None:
    first = row({NATIVE: [1.0, 2.0], CAPWRAP: [2.0, 8.0], "bwrap": [1.0, 2.0]}, (Aim("ratio", 3.0),))
    first.stops = Stops(1.0, 0.0, 1, 0)
    second = Row(Workload("start", "start of /bin/true", ("true",), also_run=True), samples={NATIVE: [1.0]})
    second.failures["bwrap"] = "no namespaces"
    text = render([first, second], [NATIVE, CAPWRAP, "bwrap"], MACHINE, 2)
    assert "Linux 6.1, 2 CPUs (a CPU), load 0.5 at the start, 1.0 at the end" in text
    line = next(line for line in text.splitlines() if line.startswith("open+close "))
    assert line.split() == ["open+close", "1.50", "us", "3.00", "2.00-4.00", "1.00", "1.00"]
    assert "  open+close: capwrap <= 3x native: 3.00x, met" in text
    assert "  start of /bin/true, bwrap: no namespaces" in text
    assert "start of /bin/true, ms: native 1.0 (1.0-1.0)" in text


def test_the_json_has_every_sample() -> None:
    made = row({NATIVE: [1.0], FLOOR: [2.0], CAPWRAP: [4.0]}, (Aim("ratio", 1.5, against=FLOOR),))
    written = json.loads(json.dumps(as_json([made], MACHINE, 1)))
    assert written["rows"][0]["samples"] == {NATIVE: [1.0], FLOOR: [2.0], CAPWRAP: [4.0]}
    assert written["rows"][0]["aims"] == [{"aim": "capwrap <= 1.5x floor", "reached": 2.0, "met": False}]


def test_a_loop_that_prints_no_figure_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="nanoseconds"):
        measure(Workload("x", "x", ("true",), calls=1), Contestant(NATIVE, ()), tmp_path)


def test_a_contestant_that_fails_leaves_the_row_and_says_why(tmp_path: Path) -> None:
    workload = Workload("x", "x", ("echo", "2000"), calls=1)
    contestants = [Contestant(NATIVE, ()), Contestant("broken", ("sh", "-c", "echo no such thing >&2; exit 1"))]
    (made,) = run_rounds([workload], contestants, tmp_path, 2, lambda message: None)
    assert made.samples == {NATIVE: [2.0, 2.0]}
    assert made.failures == {"broken": "no such thing"}


def test_one_round_of_one_loop_and_one_command_gives_the_whole_structure(tmp_path: Path) -> None:
    target = tmp_path / "bench.json"
    only = ["--only", "nothing", "--only", "open", "--only", "start", "--no-peers"]
    options = ["--rounds", "1", "--calls", "20", "--json", str(target)]
    done = subprocess.run(
        [sys.executable, "-m", "bench", *only, *options],
        cwd=REPO,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Aims:" in done.stdout
    assert "round 1 of 1: open" in done.stderr
    written = json.loads(target.read_text())
    rows = {entry["name"]: entry for entry in written["rows"]}
    assert set(rows) == {"nothing", "open", "start"}
    assert not [entry["failures"] for entry in rows.values() if entry["failures"]]
    assert set(rows["open"]["samples"]) == {NATIVE, FLOOR, CAPWRAP}
    assert set(rows["start"]["samples"]) == {NATIVE, FLOOR, CAPWRAP, CAPWRAP_RUN}
    assert all(len(values) == 1 for entry in rows.values() for values in entry["samples"].values())
    assert rows["open"]["stops"]["stops"] == 1
    assert rows["nothing"]["stops"]["stops"] == 0


def test_an_unknown_row_is_an_error_that_names_the_rows() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--only", "nonesuch"],
        cwd=REPO,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1
    assert "nonesuch; there are: nothing, open" in done.stderr
