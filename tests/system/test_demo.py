"""The demonstration of `make demo` does what it shows."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from support.compare import Bench
from support.run import REPO, require, tool


def test_the_demonstration_compiles_runs_and_shows_a_refusal(bench: Bench) -> None:
    require("cc", "bash")
    sources = shutil.ignore_patterns("build")

    def setup(work: Path) -> None:
        shutil.copytree(REPO / "examples/demo", work / "demo", ignore=sources)

    bench.fresh(setup=setup)
    env = bench.env | {"PATH": f"{tool('capwrap').parent}{os.pathsep}{bench.env['PATH']}"}
    done = bench.runner.native(["demo/demo.sh"], cwd=bench.work, env=env)
    assert done.status == 0, done.describe()
    assert "--ro /etc/shadow" in done.text
    assert "(exit status 120:" in done.text
