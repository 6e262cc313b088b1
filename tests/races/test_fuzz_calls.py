"""Random calls, made confined, read nothing and change nothing beyond the grants; made natively, they do.

What stands outside and who looks at it: races/outside.py. What the calls are: tests/programs/fuzz.
CAPWRAP_FUZZ_SECONDS: how long each of the confined tests goes on; CAPWRAP_FUZZ_SEED: where its seeds begin. A failure
names its seed. With CAPWRAP_FUZZ_SEED set to it the same calls are made, as far as the threads meet in the same order.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.run import Runner, caller

from races.fuzzing import LIMITS, Built, fuzz_command, limited
from races.kept import REPORT, Ended, run_kept
from races.outside import Outside, outside

SECONDS = float(os.environ.get("CAPWRAP_FUZZ_SECONDS", "1.5"))
SEED = int(os.environ.get("CAPWRAP_FUZZ_SEED", "1"))

ROUND = 2.0
"""Seconds of one seed: then everything outside is looked at."""

DETECTORS = ("read", "tree", "victim", "sockets", "ipc", "exists", "numbers")


def environment(runner: Runner, place: Outside) -> dict[str, str]:
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(place.tree.base / "home"), **runner.extra_env}


def confined(
    built: Built, keeper: Path, runner: Runner, place: Outside, command: Sequence[str | Path], *options: str
) -> Ended:
    """One run of the fuzzer by `capwrap run`, with a record."""
    events = place.tree.base / "events.ndjson"
    events.touch()
    if runner.uid is not None:
        os.chown(events, runner.uid, runner.uid)
    argv: list[str | Path] = [
        *limited(runner),
        *runner.capwrap,
        *("run", "-q", "--pass-fd", str(REPORT), "--events", str(events), "--rox", str(built.calls)),
        *(*LIMITS, *options, "--"),
        *command,
    ]
    return run_kept(keeper, argv, cwd=place.tree.base / "inside", env=environment(runner, place), events=events)


def findings(place: Outside, ended: Ended) -> list[str]:
    """What is wrong with a confined run, each as `detector: what`."""
    found = [*ended.found, *place.changes()]
    if ended.hung:
        found.append("hang: it did not end")
    if ended.left:
        found.append(f"survivors: {ended.left}")
    if ended.signals:
        found.append(f"victim: signals {ended.signals:#x} reached the process that started capwrap")
    # its own, and those of the signals that a process of the target may have sent to COMMAND; 128 + N is
    # for the two that the C library keeps for itself
    if ended.status not in (0, 3, 160, 161) and ended.status >= 0:
        found.append(f"status: {ended.status}")
    if ended.torn:
        found.append(f"record: {ended.torn}")
    if ended.complete is None:
        found.append("record: it has no end")
    return found


def rounds(built: Built, keeper: Path, runner: Runner, seconds: float, policy: str, *more: str) -> None:
    """Seeds, one after the other, each with everything outside made anew."""
    until, seed, calls = time.monotonic() + seconds, SEED, 0
    while calls == 0 or time.monotonic() < until:
        with outside(built.calls, built.outsider, runner.uid) as place:
            options = place.tree.grants(pure=policy == "pure")
            length = min(ROUND, max(0.5, until - time.monotonic()))
            ended = confined(built, keeper, runner, place, fuzz_command(built, place, seed, length, *more), *options)
            found = findings(place, ended)
            assert not found, "\n".join([f"seed {seed}, policy {policy}:", *found, str(ended)])
            calls += ended.calls
            seed += 1


def user(request: pytest.FixtureRequest, who: str) -> Runner:
    """The caller; or, where that is root, an unprivileged user."""
    if who == "caller" or os.geteuid() != 0:
        return caller()
    nobody: Runner = request.getfixturevalue("nobody_runner")
    return nobody


@pytest.mark.stopped_by("rewriter", "supervisor", "seccomp", "pad", "capability form", "Landlock")
@pytest.mark.parametrize(("who", "policy"), [("caller", "workspace"), ("nobody", "pure")])
def test_random_calls_reach_nothing_beyond_the_grants(
    built: Built, keeper: Path, request: pytest.FixtureRequest, who: str, policy: str
) -> None:
    rounds(built, keeper, user(request, who), SECONDS, policy)


@pytest.mark.stopped_by("rewriter", "supervisor")
@pytest.mark.parametrize(("who", "policy"), [("caller", "pure"), ("nobody", "workspace")])
def test_a_call_does_not_tell_what_exists_beyond_the_grants(
    built: Built, keeper: Path, request: pytest.FixtureRequest, who: str, policy: str
) -> None:
    rounds(built, keeper, user(request, who), SECONDS, policy, "twins=1")


@pytest.mark.no_attack
def test_natively_every_detector_fires(built: Built, keeper: Path) -> None:
    """By a call each, on what the test made: nothing random is made unconfined."""
    who = caller()
    with outside(built.calls, built.outsider, None) as place:
        command = fuzz_command(built, place, SEED, ROUND, mode="detect")
        ended = run_kept(keeper, command, cwd=place.tree.base / "inside", env=environment(who, place))
        fired = {each.split(":", 1)[0] for each in [*ended.found, *place.changes()]}
    assert fired >= set(DETECTORS), str(ended)
