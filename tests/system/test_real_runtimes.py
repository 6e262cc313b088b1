"""Java and Rust: files, processes, threads and sockets as their standard libraries make them; and the Rust compiler."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from support.compare import Bench, copying
from support.run import REPO

SOURCES = REPO / "tests/programs/system"


def needed(*programs: str) -> None:
    """Skip where one is missing: these take hundreds of megabytes, which no package list of ours asks for."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not on this machine, and too large to be asked for")


def made(*command: str | Path) -> None:
    done = subprocess.run(command, check=False, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode(errors="replace")


@pytest.fixture(scope="session")
def java_classes(session_root: Path) -> list[Path]:
    needed("java", "javac")
    place = session_root / "java"
    place.mkdir()
    made("javac", "-d", place, SOURCES / "Everyday.java")
    return sorted(place.iterdir())


@pytest.fixture(scope="session")
def rust_program(session_root: Path) -> Path:
    needed("rustc")
    target = session_root / "everyday-rust"
    made("rustc", "--edition", "2021", "-Awarnings", "-o", target, SOURCES / "everyday.rs")
    return target


def test_an_everyday_java_program_runs_as_natively(bench: Bench, java_classes: list[Path]) -> None:
    argv = ["java", "-Xshare:auto", "-XX:-UsePerfData", "-cp", ".", "Everyday", "a", "b c"]
    bench.compare(argv, setup=copying(*java_classes), options=("--net", "loopback"))
    # The virtual machine asks for huge pages and control groups before it begins.
    assert "/sys/" not in bench.refusals_text()
    assert "/proc/cgroups" not in bench.refusals_text()


def test_an_everyday_rust_program_runs_as_natively(each_bench: Bench, rust_program: Path) -> None:
    argv = ["./everyday-rust", "a", "b c"]
    each_bench.compare(argv, setup=copying(rust_program), options=("--net", "loopback"))


def test_the_rust_compiler_builds_the_same_crate(bench: Bench) -> None:
    needed("rustc")
    root = Path(
        subprocess.run(["rustc", "--print", "sysroot"], check=True, capture_output=True, text=True).stdout.strip()
    )
    crate = {
        "lib.rs": "pub mod inner;\npub fn twice(n: u32) -> u32 { inner::once(n) * 2 }\n",
        "inner.rs": 'pub fn once(n: u32) -> u32 { n + include_str!("text").len() as u32 }\n',
        "main.rs": 'fn main() { println!("{}", small::twice(4)); }\n',
        "text": "words\n",
        "wrong.rs": "fn main() { absent(); }\n",
    }
    script = f"""
        export PATH={root}/bin:$PATH
        rustc --edition 2021 --crate-type rlib --crate-name small lib.rs
        rustc --edition 2021 --extern small=libsmall.rlib main.rs --emit link,dep-info; ./main; cat main.d
        ! rustc wrong.rs"""
    bench.compare(script, files=crate, options=("--rox", root))
