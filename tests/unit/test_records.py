"""Event records: decoded faithfully, tolerant of what comes later, and never more than a RecordError on garbage."""

from __future__ import annotations

import struct

import pytest
from event_records import NUMBERS, process, record
from hypothesis import example, given
from hypothesis import strategies as st

from capwrap.observe import records
from capwrap.observe.records import Event, EventType, Processes, ProcessEvent, RecordError, decode


def test_a_record_is_decoded_field_by_field() -> None:
    data = record(
        EventType.ACCESS,
        syscall="renameat2",
        t=7,
        pid=3,
        tid=4,
        result=-17,
        rights=5,
        grant=1,
        grant2=2,
        path=b"/a",
        path2=b"/bb",
        host=b"/ccc",
        extra=b"dddd",
        asked=b"/e/../a",
        asked2=b"/f",
        via=b"/g",
        registers=b"h" * 48,
    )
    assert list(decode(data)) == [
        Event(
            *(1, 0, NUMBERS["renameat2"], 7, 3, 4, -17, 5, 1, 2, "/a", "/bb", "/ccc", b"dddd"),
            *("/e/../a", "/f", "/g", b"h" * 48),
        ),
    ]


def test_the_header_has_the_size_of_struct_cw_event() -> None:
    assert records.HEADER.size == 80


def test_records_follow_one_another() -> None:
    data = record(EventType.ACCESS, path=b"/a") + record(EventType.ABSENT, path=b"/b") + record(EventType.LOST)
    assert [event.path for event in decode(data)] == ["/a", "/b", ""]


def test_what_a_later_engine_appends_to_a_record_is_passed_over() -> None:
    data = record(EventType.ACCESS, path=b"/a", surplus=b"x" * 40) + record(EventType.ACCESS, path=b"/b")
    assert [event.path for event in decode(data)] == ["/a", "/b"]


def test_a_refusal_names_the_stack_that_it_has() -> None:
    named = struct.pack("<Q", 7)
    data = record(EventType.STACK, result=7, extra=b"snapshot") + record(
        EventType.REFUSAL, path=b"/abc", surplus=bytes(4) + named
    )
    data += record(EventType.REFUSAL, path=b"/12345678", surplus=bytes(7) + named) + record(
        EventType.REFUSAL, path=b"/x"
    )
    events = list(decode(data))
    assert (events[0].type, events[0].result, events[0].extra) == (EventType.STACK, 7, b"snapshot")
    assert [event.stack for event in events] == [0, 7, 7, 0]


def test_a_record_of_an_unknown_type_is_passed_over() -> None:
    data = record(200, path=b"/a") + record(EventType.ACCESS, path=b"/b")
    assert [event.path for event in decode(data)] == ["/b"]


def test_an_unknown_kind_counts_as_a_refused_call() -> None:
    (event,) = decode(record(EventType.REFUSAL, kind=77))
    assert event.kind_name == "syscall"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\0" * 8, "less than a header"),
        (record(EventType.ACCESS)[:-1], "less than a header"),
        (struct.pack("<I", 0) + record(EventType.ACCESS)[4:], "impossible size 0"),
        (struct.pack("<I", 60) + record(EventType.ACCESS)[4:], "impossible size 60"),
        (struct.pack("<I", 1 << 31) + record(EventType.ACCESS)[4:], "impossible size"),
        (record(EventType.ACCESS)[:-4] + struct.pack("<I", 1), "strings of 1 bytes"),
        (record(EventType.ACCESS)[:-4] + struct.pack("<I", 0xFFFFFFFF), "strings of 4294967295 bytes"),
    ],
)
def test_a_malformed_record_is_named(data: bytes, says: str) -> None:
    with pytest.raises(RecordError, match=says):
        list(decode(data))


@given(st.binary(max_size=400))
@example(record(EventType.ACCESS, path=b"\xff\xfe"))
def test_garbage_raises_record_error_and_nothing_else(data: bytes) -> None:
    try:
        list(decode(data))
    except RecordError:
        return


def test_argv_follows_exec_and_is_inherited_by_fork() -> None:
    processes = Processes(("make",))
    for event in decode(
        process(ProcessEvent.START, 2, 1)
        + process(ProcessEvent.EXEC, 2, 0, b"cc\0-c\0\0")
        + process(ProcessEvent.START, 3, 2)
    ):
        processes.see(event)
    assert processes.argv(1) == ("make",)
    assert processes.argv(3) == ("cc", "-c", "")


def test_argv_of_an_ended_process_is_forgotten() -> None:
    processes = Processes(("make",))
    for event in decode(process(ProcessEvent.EXEC, 2, 0, b"cc\0") + process(ProcessEvent.EXIT, 2)):
        processes.see(event)
    assert processes.argv(2) == ("make",)
