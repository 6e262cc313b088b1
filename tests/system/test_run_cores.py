"""Core files: the kernel writes them, not a call that could be decided, so a run has none unless it asks for them."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from support.compare import Bench
from support.programs import Programs
from support.run import Outcome

PLACES = ["write", "read", "carved"]


@pytest.fixture
def cores(each_bench: Bench, programs: Programs) -> Cores:
    pattern = Path("/proc/sys/kernel/core_pattern").read_text()
    if any(character in pattern for character in "|/@"):
        pytest.skip(f"core files of this machine do not go to the current directory: {pattern.strip()}")
    if resource.getrlimit(resource.RLIMIT_CORE)[1] != resource.RLIM_INFINITY:
        pytest.skip("the hard limit of core files is not unlimited here")
    each_bench.fresh({f"{name}/there": "" for name in PLACES})
    for name in PLACES:
        (each_bench.work / name / "there").unlink()
    return Cores(each_bench, programs("system/cores"))


class Cores:
    """A program whose children abort in several directories, with no limit of core files."""

    def __init__(self, bench: Bench, program: Path) -> None:
        self.bench = bench
        self.argv = [str(program), *PLACES]

    def run(self, *prefix: str) -> list[str]:
        """The lines that it prints, and the directories in which there is a core file then."""
        script = 'ulimit -c unlimited; exec "$@"'
        env = self.bench.env | dict(self.bench.runner.extra_env)
        done: Outcome = self.bench.runner.native(
            ["sh", "-c", script, "sh", *prefix, *self.argv], cwd=self.bench.work, env=env
        )
        assert done.status == 0, done.describe()
        there = [name for name in PLACES if list((self.bench.work / name).iterdir())]
        for core in self.bench.work.glob("*/*"):
            core.unlink()
        return [*done.text.splitlines(), *there]

    def confined(self, *options: str) -> list[str]:
        grants = ["--rw", "write", "--ro", "read", "--rw", "carved", "--deny", "carved/secret", "--rox", self.argv[0]]
        return self.run(*self.bench.runner.capwrap, "run", "-q", *grants, *options, "--")


def test_a_run_leaves_no_core_file_and_its_wait_statuses_tell_of_none(cores: Cores) -> None:
    core = [f"{name}: signal 6, core" for name in PLACES]
    assert cores.run() == [*core, "limit -1", *PLACES]
    assert cores.confined() == [*(line.removesuffix(", core") for line in core), "limit 0"]


def test_with_trap_a_core_file_is_written_where_the_target_could_make_a_file_itself(cores: Cores) -> None:
    told = ["write: signal 6, core", "read: signal 6", "carved: signal 6"]
    assert cores.confined("--on-violation", "trap") == [*told, "limit -1", "write"]


def test_a_trace_leaves_the_core_files_that_there_are_natively(cores: Cores) -> None:
    assert cores.run(*cores.bench.runner.capwrap, "trace", "-q", "--rox", cores.argv[0], "--") == cores.run()
