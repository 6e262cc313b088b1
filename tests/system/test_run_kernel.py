"""What `capwrap run` does on a kernel that gives less than it uses."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from typing import Any

import pytest
from support.compare import Bench
from support.programs import Programs


@pytest.fixture
def without_landlock(each_bench: Bench, programs: Programs) -> Bench:
    """The bench where Landlock was not enabled at boot."""
    runner = each_bench.runner
    wrapper = str(programs("system/without_landlock"))
    return replace(each_bench, runner=replace(runner, prefix=(*runner.prefix, wrapper)))


def test_without_landlock_it_refuses_and_names_the_remedy(without_landlock: Bench) -> None:
    done = without_landlock.confined(["true"])
    assert done.status == 125, done.describe()
    assert b"this kernel offers no Landlock" in done.stderr
    assert b"--best-effort" in done.stderr


def test_best_effort_runs_without_landlock(without_landlock: Bench) -> None:
    done = without_landlock.confined("echo made >file && cat file", options=("-q", "--best-effort"))
    assert (done.status, done.stdout, done.stderr) == (0, b"made\n", b""), done.describe()


def test_without_landlock_abstract_sockets_and_signals_to_groups_are_refused(without_landlock: Bench) -> None:
    """What would be left to Landlock's scopes is not left to anybody."""
    script = "import os, socket\n" + "".join(
        f"try: {call}; print('done')\nexcept OSError as error: print(error.strerror)\n"
        for call in ("socket.socket(socket.AF_UNIX).bind('\\0capwrap-test')", "os.kill(0, 0)")
    )
    done = without_landlock.confined(["/usr/bin/python3", "-c", script], options=("-q", "--best-effort"))
    assert done.text.splitlines() == ["Cannot assign requested address", "Operation not permitted"], done.describe()


def test_a_policy_that_was_cached_with_landlock_is_not_used_without(each_bench: Bench, without_landlock: Bench) -> None:
    for bench in (each_bench, without_landlock, each_bench):
        done = bench.confined(["true"], options=("-q", "--best-effort"))
        assert (done.status, done.stderr) == (0, b""), done.describe()


def test_an_image_that_counts_on_landlock_is_refused_without(each_bench: Bench, without_landlock: Bench) -> None:
    image = each_bench.root / "policy.cap"
    compiled = each_bench.runner.command(["compile", "-o", image], cwd=each_bench.work, env=each_bench.env)
    assert compiled.status == 0, compiled.describe()
    runner = without_landlock.runner
    done = runner.native([*runner.capwrap_exec, image, "--", "true"], cwd=each_bench.work, env=each_bench.env)
    assert done.status == 125, done.describe()
    assert b"Compile it where it is run" in done.stderr


def doctor(bench: Bench) -> dict[str, Any]:
    """What `capwrap doctor --json` finds, and by `status` how it ended."""
    done = bench.runner.command(["doctor", "--json"], cwd=bench.work, env=bench.env)
    document: dict[str, Any] = json.loads(done.stdout)
    assert done.status == (0 if document["works"] else 1), done.describe()
    missing = [finding["name"] for finding in document["findings"] if not finding["ok"]]
    return document | {"missing": missing}


def test_doctor_says_that_landlock_is_missing(without_landlock: Bench) -> None:
    found = doctor(without_landlock)
    assert (found["works"], found["missing"]) == (False, ["Landlock"])


def test_doctor_says_what_a_container_takes_away(each_bench: Bench, programs: Programs) -> None:
    runner = each_bench.runner
    wrapper = str(programs("escape/dockerlike"))
    found = doctor(replace(each_bench, runner=replace(runner, prefix=(*runner.prefix, wrapper))))
    assert (found["works"], found["missing"]) == (True, ["pidfd_getfd", "unshare"])
    assert any("a seccomp filter is in force" in remark for remark in found["remarks"])


def test_doctor_says_that_another_listener_is_in_the_way(each_bench: Bench) -> None:
    """As within capwrap itself."""
    runner = each_bench.runner
    outer = (*runner.capwrap, "run", "-q", "--pure", "--rox", "/", "--rw", str(each_bench.home), "--env", "*", "--")
    within = replace(each_bench, runner=replace(runner, capwrap=(*outer, *runner.capwrap)))
    found = doctor(within)
    assert not found["works"]
    assert {"ptrace", "seccomp notification"} <= set(found["missing"])
    assert found["features"]["seccomp_user_notif"] == -errno.EBUSY
