"""Fixtures of all tests: where they run, who runs them, and the C programs that they run."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from escape import results
from hypothesis import HealthCheck, settings
from support.compare import Bench
from support.programs import Programs
from support.run import Runner, caller, nobody


def pytest_configure(config: pytest.Config) -> None:
    results.register(config)
    # Of what is started in the background or by nohup(1) these are ignored, and of all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # How long an example takes says how busy the machine is.
    settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("untimed")
    os.environ["CAPWRAP_NO_LAST"] = "1"  # no test leaves a record in the home of who runs it
    config.addinivalue_line("markers", "suites: another program's test suite, minutes; `make test-long` runs it")
    config.addinivalue_line("markers", "long: takes a minute or more; `-m 'not long'` leaves it out")


@pytest.fixture(scope="session")
def session_root() -> Iterator[Path]:
    """A directory of this session that every user can enter.

    Not beneath /tmp, where the `workspace` profile has a private directory, and not beneath the caller's $HOME, which
    others cannot enter.
    """
    root = Path(tempfile.mkdtemp(prefix="capwrap-test-", dir="/var/tmp"))
    root.chmod(0o755)
    yield root
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="session")
def programs(session_root: Path) -> Programs:
    """The C programs under tests/programs, compiled on demand."""
    return Programs(session_root / "programs")


@pytest.fixture(scope="session")
def nobody_runner(session_root: Path) -> Runner:
    return nobody(session_root / "nobody")


USERS = ["caller", "nobody"] if os.geteuid() == 0 else ["caller"]
"""Root's tests run a second time as an unprivileged user; an unprivileged caller is one already."""


@pytest.fixture
def bench(session_root: Path) -> Iterator[Bench]:
    """A place to run commands as the caller."""
    with _bench(session_root, caller()) as made:
        yield made


@pytest.fixture(params=USERS)
def each_bench(request: pytest.FixtureRequest, session_root: Path) -> Iterator[Bench]:
    """The same, once as the caller and, if that is root, once as an unprivileged user."""
    runner = caller() if request.param == "caller" else request.getfixturevalue("nobody_runner")
    with _bench(session_root, runner) as made:
        yield made


@contextmanager
def _bench(root: Path, runner: Runner) -> Iterator[Bench]:
    """A bench in a directory that is removed afterwards."""
    place = Path(tempfile.mkdtemp(prefix="b", dir=root))
    place.chmod(0o755)
    if runner.uid is not None:
        os.chown(place, runner.uid, runner.uid)
    made = Bench(place, runner)
    made.fresh()
    yield made
    made.clear()
    shutil.rmtree(place)
