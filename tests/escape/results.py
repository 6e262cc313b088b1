"""What the attacks came to, kept for capwrap-attacks(7): `@pytest.mark.stopped_by` and build/attacks.json.

Every test that attacks says what stops it, first what the attack meets first, and `inside="container"` where it brings
the container itself; a test that attacks nothing is marked `no_attack`:

    @pytest.mark.stopped_by("rewriter", "Landlock")
    def test_a_program_outside_the_grants_does_not_run(arena: Arena) -> None:

What came of it in a run of the tests goes to build/attacks.json, where a later run of the same test replaces it, and
from there, by tests/attacks.py, into the manual.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import TypedDict

import pytest

MECHANISMS = {
    "rewriter": "the call stops, and is decided on a copy of its arguments: the name, the right or the process is not"
    " there",
    "supervisor": "what the decision rests on is held by the supervisor, which makes the call itself, or shows"
    " something of its own in place of what is there",
    "seccomp": "the seccomp program refuses the call by its number and its registers",
    "capability form": "the seccomp program passes the call in a form in which it does no harm, and in no other",
    "pad": "the memory that the call rests on is a sealed file, mapped read-only",
    "exec stop": "what an exec has mapped is compared with what was decided, and the process killed where they differ",
    "launcher": "it was closed, dropped or made private before the first instruction",
    "no_new_privs": "the kernel gives no privilege to a process that has renounced it",
    "Landlock": "the kernel's own rules, made from the same grants",
    "EXITKILL": "the kernel kills what a tracer traced when the tracer ends (PTRACE_O_EXITKILL)",
}


class Run(TypedDict):
    """One case, run: pytest's outcome, and why the attack was not shown to work natively, if it was not."""

    outcome: str
    unshown: list[str]


_ATTACK = "attack"
"""The property that marks an attack's reports, which may come from another process (pytest-xdist)."""


def results_file(root: Path) -> Path:
    return root / "build" / "attacks.json"


class _Collected:
    """What the reports of a session say of the attacks, added to build/attacks.json at its end."""

    def __init__(self) -> None:
        self._found: dict[str, Run] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        said = [(str(name), str(value)) for name, value in report.user_properties]
        if not any(name == _ATTACK for name, _ in said):
            return
        if report.when == "call" or report.outcome != "passed":
            self._found[report.nodeid] = Run(outcome=report.outcome, unshown=[])
        elif report.when == "teardown":
            self._found[report.nodeid]["unshown"] = [value for name, value in said if name == "unshown"]

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if not self._found:
            return
        path = results_file(session.config.rootpath)
        known = json.loads(path.read_text()) if path.exists() else {}
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(dict(sorted((known | self._found).items())), indent=1) + "\n")


class _Marking:
    """Marks the reports of attacks, in the process that makes them."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if item.get_closest_marker("stopped_by") is not None:
            report.user_properties.append((_ATTACK, ""))
        return report


def register(config: pytest.Config) -> None:
    """Make the marks known, and collect what comes of the attacks of this session."""
    config.addinivalue_line("markers", f"stopped_by(*mechanisms): what stops the attack: {', '.join(MECHANISMS)}")
    config.addinivalue_line("markers", "no_attack: a test among the attacks that is none")
    config.pluginmanager.register(_Marking())
    if not hasattr(config, "workerinput"):  # a worker's reports are read by whoever started it
        config.pluginmanager.register(_Collected())
