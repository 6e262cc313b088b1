"""A record that is changed, taken away or cut short during its run is not complete, and capwrap says so."""

from __future__ import annotations

import json

import pytest
from support.compare import Bench

DEEDS = {
    "emptied": (": >events", "changed"),
    "cut": ("truncate -s 100 events", "changed"),
    "written over": ("printf XXXX | dd of=events conv=notrunc bs=1 seek=30 2>/dev/null", "changed"),
    "made longer": ("truncate -s +1M events", "changed"),
    "removed": ("rm events", "removed"),
    "moved away": ("mv events other", "removed"),
    "replaced": ("mv events other && cp other events", "replaced"),
    "replaced by a link to it": ("mv events other && ln -s other events", "replaced"),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_a_record_that_the_target_changes_is_not_complete(bench: Bench, deed: str) -> None:
    script, what = DEEDS[deed]
    bench.fresh()
    done = bench.confined(
        f"{script}; cat /etc/passwd >/dev/null; exit 3", options=("--events", "events", "--rw", "events")
    )
    assert done.status == 3, done.describe()
    assert f"the record was {what} while it was written".encode() in done.stderr, done.describe()
    for path in (bench.work / "events", bench.work / "other"):
        if path.exists():
            assert b'"complete":true' not in path.read_bytes()


def test_a_record_that_nobody_changes_is_complete(bench: Bench) -> None:
    bench.fresh()
    done = bench.confined("cat events /etc/passwd >/dev/null; ls; exit 3", options=("--events", "events"))
    assert (done.status, done.stderr) == (3, b""), done.describe()
    assert json.loads((bench.work / "events").read_bytes().splitlines()[-1])["complete"] is True


def test_a_record_that_reaches_a_limit_is_cut_to_whole_lines_and_not_complete(bench: Bench) -> None:
    bench.fresh()
    limit, room = 16 << 20, 20_000
    with open(bench.work / "events", "wb", buffering=0) as record:
        fd = record.fileno()
        record.seek(limit - room)
        front = ["prlimit", f"--fsize={limit}", "--", *bench.runner.capwrap, "run", "--events", f"fd:{fd}", "--"]
        script = "i=0; while [ $i -lt 100 ]; do cat /etc/passwd >/dev/null; i=$((i + 1)); done; exit 3"
        done = bench.runner.native([*front, "sh", "-c", script], cwd=bench.work, env=bench.env, pass_fds=(fd,))
    assert done.status == 3, done.describe()
    assert b"the record could not be written" in done.stderr
    assert b"not complete" in done.stderr
    written = (bench.work / "events").read_bytes()[limit - room :]
    assert written.endswith(b"\n")
    last = [json.loads(line) for line in written.splitlines()][-1]
    assert last["type"] != "end" or (last["complete"], last["lost"] > 0) == (False, True)


@pytest.mark.parametrize("stream", ["2>&-", ">&-", ">&- 2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_a_record_that_fails_costs_no_status_where_nobody_can_be_told(bench: Bench, stream: str) -> None:
    bench.fresh()
    capwrap = " ".join([*bench.runner.capwrap, "run", "--events", "/dev/full", "--", "sh", "-c"])
    done = bench.runner.native(["sh", "-c", f"{capwrap} 'exit 4' {stream}"], cwd=bench.work, env=bench.env)
    assert done.status == 4, done.describe()
