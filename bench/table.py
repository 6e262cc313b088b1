"""The results as text and as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.contestants import CAPWRAP, CAPWRAP_RUN, FLOOR, NATIVE
from bench.runner import Row
from bench.statistics import differences, ratios, spread
from bench.workloads import Aim


@dataclass(frozen=True)
class Verdict:
    """An aim and what was reached; `reached` is None where one of the two did not run."""

    aim: Aim
    reached: float | None

    @property
    def met(self) -> bool | None:
        """Whether; None where it could not be told."""
        return None if self.reached is None else self.reached <= self.aim.limit

    def text(self) -> str:
        """The aim, the figure and the word."""
        if self.reached is None:
            return f"{self.aim.text()}: not measured"
        unit = {"ratio": "x", "over": " ms", "ms": " ms", "stops": ""}[self.aim.kind]
        return f"{self.aim.text()}: {self.reached:.2f}{unit}, {'met' if self.met else 'missed'}"


def judge(row: Row, aim: Aim) -> Verdict:
    """What a row reached of an aim; of stops, to a hundredth."""
    if aim.kind == "stops":
        return Verdict(aim, None if row.stops is None else round(row.stops.stops, 2))
    values, base = row.samples.get(aim.who), row.samples.get(aim.against)
    if not values or (not base and aim.kind != "ms"):
        return Verdict(aim, None)
    if aim.kind == "ms":
        return Verdict(aim, spread(values).median)
    assert base
    pairs = ratios(values, base) if aim.kind == "ratio" else differences(values, base)
    return Verdict(aim, spread(pairs).median)


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """A table: the first column to the left, the others to the right, trailing spaces cut."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _ratio(row: Row, name: str) -> str:
    values, base = row.samples.get(name), row.samples.get(NATIVE)
    if name in row.failures or NATIVE in row.failures:
        return "failed"
    if not values or not base:
        return ""
    return f"{spread(ratios(values, base)).median:.2f}"


def _span(row: Row) -> str:
    values, base = row.samples.get(CAPWRAP), row.samples.get(NATIVE)
    if not values or not base:
        return ""
    found = spread(ratios(values, base))
    return f"{found.low:.2f}-{found.high:.2f}"


def _native(row: Row) -> str:
    values = row.samples.get(NATIVE)
    if not values:
        return "failed" if NATIVE in row.failures else ""
    return f"{statistics.median(values):.2f} {'us' if row.workload.calls else 'ms'}"


def _stops(row: Row) -> str:
    if row.stops is None:
        return ""
    return f"{row.stops.stops:.2f}" if row.workload.calls else f"{row.stops.stops:.0f}"


def floor_stop(rows: Sequence[Row]) -> float | None:
    """Microseconds of one bare stop: the loop of calls that nobody decides, under the bare tracer, less native."""
    for row in rows:
        if row.workload.name == "nothing" and row.samples.get(FLOOR) and row.samples.get(NATIVE):
            return spread(differences(row.samples[FLOOR], row.samples[NATIVE])).median
    return None


def render(rows: Sequence[Row], names: Sequence[str], machine: dict[str, Any], rounds: int) -> str:
    """All of it as text: the machine, the ratios, the starts in ms, the aims."""
    shown = [name for name in names if name not in (NATIVE, CAPWRAP, CAPWRAP_RUN)]
    head = ["", "native", "capwrap", "min-max", "stops", *shown]
    lines = [
        [
            row.workload.title,
            _native(row),
            _ratio(row, CAPWRAP),
            _span(row),
            _stops(row),
            *(_ratio(row, name) for name in shown),
        ]
        for row in rows
    ]
    parts = [
        f"Linux {machine['kernel']}, {machine['cpus']} CPUs ({machine['model']}), "
        f"load {machine['load']:.1f} at the start, {machine['load_after']:.1f} at the end",
        "",
        f"native: median of {rounds} interleaved rounds, us a call for loops, ms for commands. Other columns: ratio",
        "to native, the median of the rounds' own ratios; min-max of capwrap's. stops: of capwrap's engine, a call for",
        "loops, in all for commands. floor: the calls on names stopped once each by a bare tracer and resumed at once.",
    ]
    bare = floor_stop(rows)
    if bare is not None:
        parts.append(f"One bare stop here: {bare:.1f} us.")
    parts += ["", aligned([head, *lines])]
    for row in rows:
        if row.workload.also_run:
            figures = [
                f"{name} {spread(values).median:.1f} ({spread(values).low:.1f}-{spread(values).high:.1f})"
                for name in names
                if (values := row.samples.get(name))
            ]
            parts += ["", f"{row.workload.title}, ms: " + ", ".join(figures)]
    verdicts = [(row, judge(row, aim)) for row in rows for aim in row.workload.aims]
    if verdicts:
        parts += ["", "Aims:", *(f"  {row.workload.title}: {verdict.text()}" for row, verdict in verdicts)]
    failures = [f"  {row.workload.title}, {name}: {why}" for row in rows for name, why in row.failures.items()]
    if failures:
        parts += ["", "Could not run:", *failures]
    return "\n".join(parts) + "\n"


def as_json(rows: Sequence[Row], machine: dict[str, Any], rounds: int) -> dict[str, Any]:
    """The same with every sample, for a machine to read."""
    return {
        "machine": machine,
        "rounds": rounds,
        "floor_stop_us": floor_stop(rows),
        "rows": [
            {
                "name": row.workload.name,
                "title": row.workload.title,
                "unit": "us" if row.workload.calls else "ms",
                "samples": row.samples,
                "stops": None if row.stops is None else asdict(row.stops),
                "failures": row.failures,
                "aims": [
                    {"aim": aim.text(), "reached": verdict.reached, "met": verdict.met}
                    for aim in row.workload.aims
                    for verdict in [judge(row, aim)]
                ],
            }
            for row in rows
        ],
    }
