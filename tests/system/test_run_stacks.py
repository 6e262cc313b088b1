"""A refusal's record says where in the program the call was made, once a place, and the target does not notice."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from support.compare import Bench, copying
from support.programs import Programs
from support.run import REPO, require, tool

from capwrap import engine
from capwrap.observe import events_file
from capwrap.observe.records import Event, EventType, decode
from capwrap.policy import Policy, compile_image


def records_of(program: Path, how: str, *, record_stack: bool = True) -> list[Event]:
    """All records of a run in which /etc/shadow is refused."""
    argv = [str(program), how, "/etc/shadow"]
    policy = Policy.profile("runtime").rox(program.parent)
    image = compile_image(policy, command=argv, cwd=str(program.parent), environ=os.environ)
    batches: list[bytes] = []

    def keep(batch: bytes) -> bool:
        batches.append(batch)
        return True

    launch = engine.Launch(
        image=image,
        argv=[os.fsencode(word) for word in argv],
        environ=os.environb,
        record_access=True,
        record_stack=record_stack,
    )
    outcome = engine.load().run(launch, keep)
    assert (outcome.status, outcome.lost, outcome.incomplete) == (0, 0, False), outcome
    return [event for batch in batches for event in decode(batch)]


def test_a_storm_of_refusals_from_one_place_is_captured_once(programs: Programs) -> None:
    events = records_of(programs("system/stack"), "storm")
    refusals = [event for event in events if event.type == EventType.REFUSAL]
    assert len(refusals) == 1000
    assert all(event.stack for event in refusals)
    # one for opening, one for looking; what earlier calls left on the stack may make the first of each another
    assert 2 <= len({event.stack for event in refusals}) <= 4
    assert sum(1 for event in events if event.type == EventType.STACK) <= 4


def test_a_refusal_comes_behind_its_stack(programs: Programs) -> None:
    events = records_of(programs("system/stack"), "both-ways")
    seen = set()
    stacks = []
    for event in events:
        if event.type == EventType.STACK:
            seen.add(event.result)
        elif event.type == EventType.REFUSAL:
            assert event.stack in seen
            stacks.append(event.stack)
    assert len(stacks) == 2
    assert stacks[0] != stacks[1], "the same call with the same path, on two ways"


def test_without_a_record_of_stacks_none_is_taken(programs: Programs) -> None:
    events = records_of(programs("system/stack"), "open", record_stack=False)
    assert [event.stack for event in events if event.type == EventType.REFUSAL] == [0]
    assert not [event for event in events if event.type == EventType.STACK]


def test_a_signal_that_waits_is_not_lost_to_the_stop_that_a_stack_takes(each_bench: Bench, programs: Programs) -> None:
    pair = each_bench.compare(["./stack", "sigcont", "/etc/shadow"], setup=copying(programs("system/stack")))
    assert pair.native.stdout == b"pending: 1\n"


SHADOW = "/etc/shadow"
SCHEMA = Draft202012Validator(json.loads(Path(events_file.__file__).with_name("events.schema.json").read_text()))


def line_of(source: str, mark: str) -> int:
    """The line of a source that has LINE and a mark in a comment."""
    text = (REPO / "tests/programs/system" / source).read_text().splitlines()
    (number,) = [number for number, line in enumerate(text, 1) if f"LINE {mark} " in f"{line} "]
    return number


def stacks_of(bench: Bench, *command: str, options: tuple[str, ...] = ()) -> list[list[dict[str, Any]]]:
    """The stacks of all refusals of SHADOW in a run of a program in `work`; the record is what its schema says."""
    bench.events.unlink(missing_ok=True)
    bench.events.touch()
    bench.runner.own(bench.events)
    done = bench.confined(command, options=("-q", "--events", bench.events, *options))
    assert done.status == 0, done.describe()
    records = [json.loads(line) for line in bench.events.read_text().splitlines()]
    for record in records:
        SCHEMA.validate(record)
    assert records[-1]["complete"] is True
    return [record["stack"] for record in records if record["type"] == "refusal" and record["path"] == SHADOW]


def symbols(stack: list[dict[str, Any]]) -> list[str | None]:
    """The functions that are not inlined."""
    return [frame.get("symbol") for frame in stack if not frame.get("inlined")]


FLAVOURS = {
    "without frame pointers": ("-O2", "-fomit-frame-pointer"),
    "with frame pointers": ("-O0",),
    "not PIE": ("-O2", "-no-pie", "-fno-pie"),
    "static": ("-O2", "-static"),
    "static PIE": ("-O2", "-static-pie", "-fPIE"),
}


@pytest.mark.parametrize("how", ["open", "look"])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_functions_on_the_way_to_a_refused_call_are_named(
    bench: Bench, programs: Programs, flavour: str, how: str
) -> None:
    bench.fresh(setup=copying(programs("system/stack", flags=FLAVOURS[flavour])))
    (stack,) = stacks_of(bench, "./stack", how, SHADOW)
    named = symbols(stack)
    at = named.index("read_config")
    assert named[at : at + 3] == ["read_config", "start", "main"]
    assert named[-1] == "_start", "it reaches the program's first instruction"
    by_name = {frame.get("symbol"): frame for frame in stack if not frame.get("inlined")}
    for name in ("read_config", "start"):
        frame = by_name[name]
        assert frame["file"].endswith("tests/programs/system/stack.c")
        assert frame["line"] == line_of("stack.c", name)
        assert frame["module"] == str(bench.work / "stack")
    inlined = [frame["symbol"] for frame in stack if frame.get("inlined") and frame["module"].endswith("/stack")]
    assert ("inlined_open" in inlined) == (how == "open")


def test_each_way_to_a_call_has_its_own_stack(each_bench: Bench, programs: Programs) -> None:
    each_bench.fresh(setup=copying(programs("system/stack", flags=("-O2",))))
    first, second = stacks_of(each_bench, "./stack", "both-ways", SHADOW)
    assert "start" in symbols(first)
    assert "other_way" in symbols(second)
    assert "start" not in symbols(second)


def test_a_call_in_a_signal_handler_leads_on_to_what_was_interrupted(bench: Bench, programs: Programs) -> None:
    bench.fresh(setup=copying(programs("system/stack", flags=("-O2",))))
    (stack,) = stacks_of(bench, "./stack", "signal", SHADOW)
    named = symbols(stack)
    assert named.index("on_signal") < named.index("main")
    assert "raise" in named[named.index("on_signal") : named.index("main")]


def test_a_stack_that_is_deeper_than_what_is_copied_ends_early(bench: Bench, programs: Programs) -> None:
    bench.fresh(setup=copying(programs("system/stack", flags=("-O0",))))
    (stack,) = stacks_of(bench, "./stack", "deep", SHADOW)
    named = symbols(stack)
    assert named.count("deep") > 30
    assert named[-1] == "deep"


def test_a_stripped_program_is_named_by_its_debug_file(bench: Bench, programs: Programs) -> None:
    program = programs("system/stack", flags=("-O2",))

    def setup(work: Path) -> None:
        copying(program)(work)
        for command in (
            ["objcopy", "--only-keep-debug", "stack", "stack.debug"],
            ["strip", "stack"],
            ["objcopy", "--add-gnu-debuglink=stack.debug", "stack"],
        ):
            subprocess.run(command, cwd=work, check=True)

    bench.fresh(setup=setup)
    (stack,) = stacks_of(bench, "./stack", "open", SHADOW)
    assert "read_config" in symbols(stack)
    (bench.work / "stack.debug").unlink()
    (stack,) = stacks_of(bench, "./stack", "open", SHADOW)
    assert "read_config" not in symbols(stack)
    assert [frame["module"] for frame in stack].count(str(bench.work / "stack")) == 4, "frames, if without names"


def test_the_threads_of_a_cpp_program_are_followed(bench: Bench) -> None:
    require("g++")

    def setup(work: Path) -> None:
        source = REPO / "tests/programs/system/stack.cc"
        subprocess.run(["g++", "-O2", "-g", "-pthread", "-o", "stack", str(source)], cwd=work, check=True)

    bench.fresh(setup=setup)
    stacks = stacks_of(bench, "./stack", SHADOW)
    assert len(stacks) == 4
    for stack in stacks:
        (load,) = [frame for frame in stack if frame.get("symbol") == "_ZNK3app6Config4loadEv"]
        assert load["inlined"] is True
        assert load["line"] == line_of("stack.cc", "load")
        assert any((name or "").startswith("_ZNK3app6Config4readEv") for name in symbols(stack))
        assert any("_M_run" in (name or "") for name in symbols(stack))
    told = bench.runner.native([tool("capwrap"), "explain", bench.events], cwd=bench.work, env=bench.env)
    assert f"app::Config::load() const ({REPO}/tests/programs/system/stack.cc:" in told.text, told.describe()
    assert "main::{lambda()#1}" in told.text


@pytest.mark.parametrize("flags", ["", "-s -w"], ids=["whole", "stripped"])
def test_a_go_program_is_followed_to_where_its_goroutine_began(bench: Bench, session_root: Path, flags: str) -> None:
    require("go")

    def setup(work: Path) -> None:
        env = dict(os.environ, CGO_ENABLED="0", GO111MODULE="off", GOCACHE=str(session_root / "go-cache"), GOFLAGS="")
        source = REPO / "tests/programs/system/stack.go"
        subprocess.run(
            ["go", "build", "-ldflags", flags, "-o", work / "stack", source], check=True, env=env, timeout=600
        )

    bench.fresh(setup=setup)
    opened, looked = stacks_of(bench, "./stack", SHADOW)
    named = symbols(opened)
    at = named.index("main.readConfig")
    assert named[at : at + 3] == ["main.readConfig", "main.start", "main.main.func1"]
    assert (named[-1] or "").startswith("runtime.goexit")
    (frame,) = [frame for frame in opened if frame.get("symbol") == "main.readConfig"]
    assert frame["line"] == line_of("stack.go", "readConfig")
    assert "main.main.func1" in symbols(looked)


@pytest.mark.parametrize("how", ["gone", "fifo"])
def test_a_module_whose_file_is_another_now_is_named_and_not_read(bench: Bench, programs: Programs, how: str) -> None:
    bench.fresh(setup=copying(programs("system/stack", flags=("-O2",))))
    (stack,) = stacks_of(bench, "./stack", how, SHADOW)
    assert stack[0]["symbol"] == "open"
    (mine, *_) = [frame for frame in stack if frame["module"] == str(bench.work / "stack")]
    assert set(mine) == {"module", "offset"}


def test_a_program_in_a_private_directory_is_named_before_that_is_removed(bench: Bench, programs: Programs) -> None:
    bench.fresh(setup=copying(programs("system/stack", flags=("-O2",))))
    (stack,) = stacks_of(bench, "sh", "-c", f"cp stack /tmp/mine && /tmp/mine open {SHADOW}")
    assert "read_config" in symbols(stack)


def test_a_file_that_looks_like_elf_costs_names_and_nothing_else(bench: Bench, programs: Programs) -> None:
    program = programs("system/stack", flags=("-O2",))

    def setup(work: Path) -> None:
        shutil.copy2(program, work / "stack")
        data = bytearray((work / "stack").read_bytes())
        data[0x28:0x30] = b"\xff" * 8  # where the section headers are
        (work / "stack").write_bytes(data)

    bench.fresh(setup=setup)
    (stack,) = stacks_of(bench, "./stack", "open", SHADOW)
    assert [frame["module"] for frame in stack].count(str(bench.work / "stack")) >= 4


PYTHON = f"""
import os

class Config:
    def load(self, path):
        try:
            os.stat(path)  # LINE load
        except OSError:
            pass

def start(path):
    Config().load(path)  # LINE start

def other(path):
    try:
        open(path)  # LINE other
    except OSError:
        pass

def third(path):
    try:
        open(path)  # LINE third
    except OSError:
        pass

start({SHADOW!r})
for function in (other, third):
    function({SHADOW!r})
list(map(other, [{SHADOW!r}]))
"""


def python_part(stack: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """Functions and lines of a stack's Python frames."""
    return [(frame["symbol"], frame["line"]) for frame in stack if frame.get("language") == "python"]


def test_pythons_functions_come_before_those_of_the_interpreter(bench: Bench) -> None:
    bench.fresh({"a.py": PYTHON})
    # as its file is named after its version: a virtual environment's `python` is a link to it
    python = str(Path(sys.executable).resolve())
    looked, one, two, mapped = stacks_of(bench, python, "-S", "a.py", options=("--rox", sys.base_prefix))
    lines = {line.split("# LINE ")[1]: number for number, line in enumerate(PYTHON.splitlines(), 1) if "# LINE" in line}
    assert python_part(looked)[:2] == [("Config.load", lines["load"]), ("start", lines["start"])]
    assert looked[0]["file"].endswith("a.py")
    assert python_part(one)[0] == ("other", lines["other"])
    assert python_part(two)[0] == ("third", lines["third"]), "the interpreter's own stack is the same"
    assert python_part(mapped)[0] == ("other", lines["other"])
    assert {python_part(stack)[-1][0] for stack in (looked, one, two, mapped)} == {"<module>"}
    assert any("_PyEval_EvalFrameDefault" in (name or "") for name in symbols(looked))


def test_a_program_that_only_has_pythons_name_has_no_functions_of_python(bench: Bench, programs: Programs) -> None:
    program = programs("system/stack", flags=("-O2",))

    def setup(work: Path) -> None:
        shutil.copy2(program, work / "python3.12")

    bench.fresh(setup=setup)
    (stack,) = stacks_of(bench, "./python3.12", "open", SHADOW)
    assert python_part(stack) == []
    assert "read_config" in symbols(stack)
