"""Many threads, many processes, many grants, and a long run that must not grow."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import time
from pathlib import Path

import pytest
from support.compare import Bench, copying
from support.programs import Programs
from support.run import kill_group

SOAK_SECONDS = float(os.environ.get("CAPWRAP_SOAK_SECONDS", "15"))
"""How long the soak test runs; hours find what seconds do not."""

GROWTH_KIB = 8 * 1024
"""How much the supervisor's memory may grow once it is warm: allocators and Python breathe, leaks do not stop there."""


def test_two_hundred_threads_open_files_at_once(each_bench: Bench, programs: Programs) -> None:
    program = programs("system/threads")
    each_bench.compare(["./threads", "200", "5"], setup=copying(program), record=False)


def test_a_thread_whose_neighbours_never_rest_has_its_turn(bench: Bench, programs: Programs) -> None:
    bench.fresh(setup=copying(programs("system/neighbours")))
    done = bench.confined(["./neighbours", "2", "500"])
    assert done.status == 0, done.describe()
    # A round is four decisions, and of twelve one is this thread's at least: counted, so that load does not matter.
    assert int(done.text) <= 64, done.describe()


def test_two_thousand_processes_are_started_and_reaped(bench: Bench, programs: Programs) -> None:
    program = programs("system/forks")
    bench.compare(["./forks", "2000"], setup=copying(program, then={"data": "x"}), record=False)


def test_a_record_of_many_processes_is_complete(bench: Bench, programs: Programs) -> None:
    bench.compare(["./forks", "100"], setup=copying(programs("system/forks"), then={"data": "x"}))
    if not os.environ.get("CAPWRAP_EXEC"):
        events = [record["event"] for record in bench.records("process")]
        assert [events.count(kind) for kind in ("start", "exec", "exit")] == [101, 101, 101]
        (end,) = bench.records("end")
        assert (end["complete"], end["lost"]) == (True, 0)


def test_ten_thousand_grants_all_decide(bench: Bench) -> None:
    many = bench.root / "many"
    lines = ['extends = ["workspace"]\nro = [\n']
    for number in range(10_000):
        directory = many / f"{number % 100:02}"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"f{number}").write_text(f"{number}\n")
        (directory / f"n{number}").touch()
        lines.append(f'    "{directory}/f{number}",\n')
    policy = bench.root / "many.toml"
    policy.write_text("".join([*lines, "]\n"]))
    script = (
        f"cat {many}/*/f* | sort -nu | wc -l; ls {many}/07 | wc -l; ls {many} | wc -l; [ -e {many}/07/n7 ] || echo none"
    )
    done = bench.confined(["sh", "-c", script], options=("-q", "--policy", policy))
    assert done.text.split() == ["10000", "100", "100", "none"], done.describe()


def test_a_hundred_directory_grants_are_all_capabilities(bench: Bench) -> None:
    options: list[str | Path] = ["-q"]
    for number in range(100):
        directory = bench.root / "dirs" / f"d{number}"
        directory.mkdir(parents=True)
        (directory / "f").write_text(f"{number}\n")
        options += ["--ro" if number % 2 else "--rw", directory]
    script = (
        f"cd {bench.root}/dirs; cat */f | sort -n | tail -n 1; for d in *; do touch $d/new 2>/dev/null; done; exit 0"
    )
    done = bench.confined(["sh", "-c", script], options=options)
    assert (done.status, done.text) == (0, "99\n"), done.describe()
    assert len(list((bench.root / "dirs").glob("*/new"))) == 50


def test_an_exec_that_ends_the_calls_of_other_threads_leaves_no_descriptor(bench: Bench, programs: Programs) -> None:
    bench.fresh(setup=copying(programs("system/leaders")))
    process = subprocess.Popen(
        [*bench.runner.capwrap, "run", "-q", "--", "./leaders", "200"],
        cwd=bench.work,
        env=bench.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        links = [os.readlink(each) for each in Path(f"/proc/{process.pid}/fd").iterdir()]
    finally:
        kill_group(process)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
    assert links.count("/dev/null") < 5, links


def test_a_target_sees_more_directories_than_the_supervisor_may_have_open(bench: Bench) -> None:
    # Each of a process in /proc, and each in which a pattern may hide something, is stood for by one of capwrap's own.
    script = """
        i=0
        while [ $i -lt 300 ]; do
            i=$((i + 1)); mkdir d$i; : >d$i/f; (set -- /proc/self/fd/*; [ -L "$1" ]) || exit 1
        done
        set -- d*/*; echo $#; cd d300; ls"""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        bench.compare(script, options=("--deny", "**/*.key"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def resident(pid: int) -> int:
    """A process's resident memory in KiB, without what it shares with others."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"RssAnon:\s+(\d+) kB", status)
    assert found, status
    return int(found[1])


@pytest.mark.long
def test_the_supervisor_does_not_grow(bench: Bench, programs: Programs) -> None:
    """Processes, threads, refusals and probes in a loop that answers once a round, so that rounds can be compared."""
    bench.fresh(setup=copying(programs("system/forks"), programs("system/threads"), then={"data": "x"}))
    secret = bench.root / "secret"
    secret.touch()
    script = f"""
        while read -r _; do
            ./forks 40 >/dev/null; ./threads 20 3 >/dev/null; cat /absent {secret} 2>/dev/null
            : >new; rm new; echo round
        done
    """
    command = [*bench.runner.capwrap, "run", "-q", "--events", str(bench.events), "--", "sh", "-c", script]
    process = subprocess.Popen(
        command, cwd=bench.work, env=bench.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        deadline = time.monotonic() + SOAK_SECONDS
        sizes: list[int] = []
        while time.monotonic() < deadline or len(sizes) < 12:
            process.stdin.write(b"\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"round\n"
            sizes.append(resident(process.pid))
        process.stdin.close()
        assert process.wait(timeout=60) == 0
    finally:
        kill_group(process)
        process.stdout.close()
    # The first rounds fill caches that last.
    warm = sizes[len(sizes) // 4]
    assert sizes[-1] - warm < GROWTH_KIB, sizes
