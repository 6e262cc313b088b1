"""`trace --format chrome`: what the documentation of the Trace Event Format asks for, of traces of real programs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support.compare import Bench
from support.run import require, tool

Events = list[dict[str, Any]]

THREADS = """
import os, threading
def work(number):
    open(f"t{number}", "w").close()
    names.add(threading.get_native_id())
names = set()
threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(os.getpid(), *names)
"""


@pytest.fixture
def traced(bench: Bench) -> Bench:
    """A bench whose confined runs are traces."""
    return replace(bench, runner=replace(bench.runner, verb="trace"))


def options(bench: Bench) -> list[str]:
    return ["-q", "--format", "chrome", "--events", str(bench.root / "trace.json")]


def load(path: Path) -> Events:
    """The events, each checked by the rules of the format."""
    return checked(json.loads(path.read_bytes()))


def checked(events: Events) -> Events:
    """The events as they are."""
    assert isinstance(events, list)
    named: dict[str, set[Any]] = {"process_name": set(), "thread_name": set()}
    spans: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for event in events:
        assert isinstance(event["name"], str)
        assert event["name"]
        assert event["ph"] in ("X", "i", "M")
        assert type(event["pid"]) is int
        assert type(event["tid"]) is int
        assert type(event["ts"]) in (int, float)
        assert event["ts"] >= 0
        assert isinstance(event["args"], dict)
        if event["ph"] == "X":
            assert event["dur"] >= 0
            spans.setdefault((event["pid"], event["tid"]), []).append((event["ts"], event["ts"] + event["dur"]))
        elif event["ph"] == "i":
            assert event["s"] in ("g", "p", "t")
        else:
            assert isinstance(event["args"]["name"], str)
            named[event["name"]].add(event["pid"] if event["name"] == "process_name" else (event["pid"], event["tid"]))
    for event in events:
        assert event["pid"] in named["process_name"]
        assert event.get("s") == "g" or event["ph"] == "M" or (event["pid"], event["tid"]) in named["thread_name"]
    for track in spans.values():
        # one program after the other, so none begins before the one before it has ended, but for the rounding
        track.sort()
        assert all(one[1] <= other[0] + 0.002 for one, other in pairwise(track))
    return events


def programs(events: Events) -> Events:
    return [event for event in events if event["ph"] == "X"]


def test_a_build_is_a_track_for_each_process_with_its_programs_and_calls(traced: Bench) -> None:
    require("make", "gcc")
    makefile = "all: a.o b.o\n%.o: %.c\n\tgcc -c $<\n"
    traced.fresh({"Makefile": makefile, "a.c": "int a;\n", "b.c": "int b;\n"})
    began = time.monotonic()
    ended = traced.confined("make -j2; cat /etc/shadow >/dev/null; sleep 0.2; exit 3", options=options(traced))
    took = (time.monotonic() - began) * 1e6
    assert ended.status == 3, ended.describe()
    events = load(traced.root / "trace.json")
    ran = programs(events)
    compilers = [event for event in ran if event["args"]["argv"][:2] == ["gcc", "-c"] and "status" in event["args"]]
    assert sorted(event["name"] for event in compilers) == ["gcc -c a.c", "gcc -c b.c"]
    (make,) = [event for event in ran if event["args"]["argv"] == ["make", "-j2"] and "status" in event["args"]]
    assert {event["args"]["parent"] for event in compilers} == {make["pid"]}
    assert all(make["ts"] <= event["ts"] for event in compilers)
    assert all(event["ts"] + event["dur"] <= make["ts"] + make["dur"] for event in compilers)
    written = {
        (event["pid"], event["args"]["path"])
        for event in events
        if event.get("cat") == "access" and "create" in event["args"]["rights"]
    }
    assert {str(traced.work / name) for name in ("a.o", "b.o")} <= {path for _pid, path in written}
    (refusal,) = [event for event in events if event.get("cat") == "refusal"]
    assert refusal["name"] == "openat refusal"
    assert refusal["args"]["call"] == 'openat(AT_FDCWD, "/etc/shadow", O_RDONLY)'
    assert refusal["args"]["allow"] == "--ro /etc/shadow"
    # the unit is the microsecond
    (sleep,) = [event for event in ran if event["args"]["argv"] == ["sleep", "0.2"] and "status" in event["args"]]
    assert 200_000 <= sleep["dur"] <= took
    last = events[-1]
    assert (last["name"], last["args"]["status"], last["args"]["complete"]) == ("end", 3, True)
    assert last["args"]["refusals"] == 1


def test_calls_stand_on_the_thread_that_made_them(traced: Bench) -> None:
    traced.fresh({"t.py": THREADS})
    ended = traced.confined(["/usr/bin/python3", "t.py"], options=options(traced))
    pid, *tids = map(int, ended.text.split())
    events = load(traced.root / "trace.json")
    made = {
        event["tid"]
        for event in events
        if event["pid"] == pid and re.search(r"/t\d$", str(event["args"].get("path"))) and event["ph"] == "i"
    }
    assert made == set(tids)


def test_hostile_names_stay_text(traced: Bench) -> None:
    traced.fresh()
    script = r"""for name in (b'a\xff"\n},]', '\u2028<script>'.encode()): open(name, 'w').close()"""
    ended = traced.confined(["/usr/bin/python3", "-c", script, '"},]\n\\'], options=options(traced))
    assert ended.status == 0, ended.describe()
    events = load(traced.root / "trace.json")
    paths = {event["args"].get("path") for event in events}
    assert f'{traced.work}/a\\xff"\n}},]' in paths
    assert f"{traced.work}/\u2028<script>" in paths
    assert any(event["args"]["argv"][-1] == '"},]\n\\' for event in programs(events))


def test_a_target_that_is_killed_leaves_a_whole_trace(traced: Bench) -> None:
    traced.fresh()
    ended = traced.confined("sleep 100 & echo made >x; kill -9 $$", options=options(traced))
    assert ended.status == -9, ended.describe()
    events = load(traced.root / "trace.json")
    assert any(event["args"].get("signal") == 9 for event in programs(events))
    assert events[-1]["args"]["signal"] == 9


LOOKS = "import os\nwhile True:\n    for n in range(100): os.path.exists(f'name-{n}')\n"


def test_a_trace_whose_tracer_is_killed_is_json_as_far_as_it_goes(traced: Bench) -> None:
    traced.fresh()
    path = traced.root / "trace.json"
    command = [str(tool("capwrap")), "trace", *options(traced), "--", "/usr/bin/python3", "-c", LOOKS]
    running = subprocess.Popen(command, cwd=traced.work, env=traced.env)
    try:
        deadline = time.monotonic() + 60
        while not path.exists() or path.stat().st_size < 300_000:
            assert time.monotonic() < deadline
            assert running.poll() is None
            time.sleep(0.01)
    finally:
        running.kill()
        running.wait()
    text = path.read_bytes()
    if not text.endswith(b"\n]\n"):  # it was killed in a write, which ends where the kernel left it
        text = text[: text.rindex(b",\n")] + b"\n]\n"
    events = checked(json.loads(text))
    assert len(events) > 1000
    assert events[-1]["name"] != "end"


@pytest.mark.parametrize("appending", [False, True])
def test_a_trace_goes_to_a_descriptor(traced: Bench, appending: bool) -> None:
    traced.fresh()
    path = traced.root / "out.json"
    if appending:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        told = ["-q", "--format", "chrome", "--events", f"fd:{fd}"]
        assert traced.confined(["ls"], options=told, pass_fds=(fd,)).status == 0
        os.close(fd)
    else:
        command = f"{tool('capwrap')} trace -q --format chrome --events fd:3 -- ls 3>&1 >/dev/null | cat >{path}"
        assert traced.runner.native(["sh", "-c", command], cwd=traced.work, env=traced.env).status == 0
    events = load(path)
    assert events[-1]["name"] == "end"
    assert [event["name"] for event in programs(events)][-1] == "ls"


@pytest.mark.parametrize("more", [(), ("--append", "--events", "x")], ids=["no-file", "append"])
def test_a_format_that_cannot_be_written_is_said(traced: Bench, more: tuple[str, ...]) -> None:
    traced.fresh()
    # Before the policy is looked at, which may take long: it has a mistake of its own.
    ended = traced.confined(["true"], options=["--format", "chrome", "--ro", traced.work / "none", *more])
    assert ended.status == 125
    assert ended.stderr.startswith(b"capwrap: --format chrome: "), ended.describe()
