"""Programs without a loader, that no preloaded library could see: Go, musl, static glibc."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from support.compare import Bench, copying
from support.programs import Programs
from support.run import REPO, require


@pytest.fixture(scope="session")
def go_program(session_root: Path) -> Path:
    """tests/programs/system/static.go, compiled natively without cgo."""
    require("go")
    target = session_root / "static-go"
    env = dict(os.environ, CGO_ENABLED="0", GO111MODULE="off", GOCACHE=str(session_root / "go-cache"), GOFLAGS="")
    command = ["go", "build", "-trimpath", "-o", str(target), str(REPO / "tests/programs/system/static.go")]
    done = subprocess.run(command, check=False, capture_output=True, timeout=600, env=env)
    assert done.returncode == 0, done.stderr.decode()
    return target


def test_a_static_go_program_runs_as_natively(each_bench: Bench, go_program: Path) -> None:
    each_bench.compare(["./static-go"], setup=copying(go_program), timeout=120)
    assert "/sys/" not in each_bench.refusals_text()  # every Go program asks for the size of a huge page


LINKED = {
    "musl, static": ("musl-gcc", ["-static"]),
    "musl, static PIE": ("musl-gcc", ["-static-pie", "-fPIE"]),
    "glibc, static": ("cc", ["-static"]),
    "glibc, static PIE": ("cc", ["-static-pie", "-fPIE"]),
    "glibc, dynamic": ("cc", []),
    "glibc, dynamic and not PIE": ("cc", ["-no-pie"]),
    "glibc, with 32-bit file offsets unheard of": ("cc", ["-D_FILE_OFFSET_BITS=64", "-O2", "-D_FORTIFY_SOURCE=2"]),
}


@pytest.mark.parametrize("name", LINKED)
def test_an_everyday_program_runs_as_natively(each_bench: Bench, programs: Programs, name: str) -> None:
    cc, flags = LINKED[name]
    program = programs("system/everyday", cc=cc, flags=flags)
    each_bench.compare(["./everyday", "x"], setup=copying(program), timeout=60)
