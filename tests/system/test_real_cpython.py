"""CPython's own tests of what an operating system does: each test ends confined as it ends natively."""

from __future__ import annotations

import tomllib
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.compare import Bench
from support.run import Outcome

PYTHON = "/usr/bin/python3"
MODULES = [
    "test_os",
    "test_posix",
    "test_subprocess",
    "test_shutil",
    "test_tempfile",
    "test_pathlib",
    "test_signal",
    "test_threading",
]
EXPECTED = Path(__file__).with_name("cpython_expected.toml")
TIMEOUT = 420.0


def outcomes(report: Path, run: Outcome) -> dict[str, str]:
    """How each test ended, from a JUnit report: `passed`, `skipped: why`, `failure` or `error`."""
    if not report.exists():
        pytest.fail(f"no report was written, is libpython3-testsuite installed?\n{run.describe()}", pytrace=False)
    ended = {}
    for case in ET.parse(report).iter("testcase"):
        child = next((each for each in case if each.tag in ("failure", "error", "skipped")), None)
        # A test that is skipped for what only one side has is a difference, so its reason counts.
        reason = f": {child.text}" if child is not None and child.tag == "skipped" else ""
        ended[case.get("name", "")] = (child.tag if child is not None else "passed") + reason
    return ended


@pytest.mark.long
@pytest.mark.parametrize("module", MODULES)
def test_cpythons_tests_end_as_natively(bench: Bench, module: str) -> None:
    argv = [PYTHON, "-B", "-m", "test", "-v", "--timeout=300", "--junit-xml=report.xml", module]
    # Side by side: most of the time goes into tests that wait. Each run has a directory of its own.
    bench.fresh()
    apart = bench.root / "native"
    apart.mkdir()
    with ThreadPoolExecutor(1) as pool:
        native_run = pool.submit(bench.runner.native, argv, cwd=apart, env=bench.env, timeout=TIMEOUT)
        confined_run = bench.confined(argv, options=("-q", "--net", "loopback"), timeout=TIMEOUT)
        native = outcomes(apart / "report.xml", native_run.result())
    confined = outcomes(bench.work / "report.xml", confined_run)

    explained = tomllib.loads(EXPECTED.read_text()).get(module, {})
    differ = {
        name: (native.get(name, "absent"), confined.get(name, "absent"))
        for name in sorted(native.keys() | confined.keys())
        if native.get(name) != confined.get(name)
    }
    surprising = {name: ended for name, ended in differ.items() if name not in explained}
    lines = "\n".join(f"  {name}: native {ended[0]}, confined {ended[1]}" for name, ended in surprising.items())
    assert not surprising, f"{module} ends otherwise confined:\n{lines}\n{confined_run.describe()}"
    assert not explained.keys() - differ.keys(), f"{EXPECTED.name} explains tests that end alike"
