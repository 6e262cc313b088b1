"""The engine copies where in the program a refused call was made, once a place, and the target does not notice."""

from __future__ import annotations

import os
from pathlib import Path

from support.compare import Bench, copying
from support.programs import Programs

from capwrap import engine
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
