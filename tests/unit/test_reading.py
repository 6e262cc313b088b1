"""Records read back: whatever a line holds, it is used as it was meant or named as what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded import PID, Written

from capwrap.observe.events_file import EventsError
from capwrap.observe.processes import DEPTH_MAX, LIVE_MAX, Tree
from capwrap.observe.reading import LINE_MAX, Events, open_events


def read(path: Path) -> tuple[list[dict[str, object]], Events]:
    events = open_events(str(path))
    return list(events), events


def test_a_record_is_read_without_its_first_and_last_line(tmp_path: Path) -> None:
    record = Written("cc")
    record.access("/a", "read")
    lines, events = read(record.save(tmp_path / "e"))
    assert [line["type"] for line in lines] == ["process", "process", "access"]
    assert events.run["argv"] == ["cc"]
    assert events.end is not None
    assert events.problems == []


def test_the_first_line_of_an_added_run_is_told_and_is_none_of_the_lines(tmp_path: Path) -> None:
    record = Written("cc")
    record.lines += Written("ld").lines
    events = open_events(str(record.save(tmp_path / "e")))
    told: list[object] = []
    events.next_run = lambda run: told.append(run["argv"])
    assert [line["type"] for line in events] == ["process"] * 4
    assert (events.run["argv"], told) == (["cc"], [["ld"]])


def test_texts_that_are_not_utf8_are_decoded(tmp_path: Path) -> None:
    record = Written()
    record.access("", "read", path_b64="L/8=")
    del record.lines[-1]["path"]
    record.exec(PID)
    record.lines[-1]["argv_b64"] = ["/w=="]
    lines, _ = read(record.save(tmp_path / "e"))
    assert lines[-2]["path"] == "/\udcff"
    assert lines[-1]["argv"] == ["\udcff"]


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_record_that_was_cut_short_is_read_as_far_as_it_goes(tmp_path: Path, cut: int) -> None:
    record = Written()
    record.access("/a", "read")
    record.access("/b", "read")
    path = record.save(tmp_path / "e", end=False)
    path.write_bytes(path.read_bytes()[:-cut])
    lines, events = read(path)
    assert "/a" in [line.get("path") for line in lines]
    assert "cut short" in events.problems[0]


def test_a_record_that_is_not_complete_says_so(tmp_path: Path) -> None:
    record = Written()
    record.end()
    record.lines[-1]["complete"] = False
    _, events = read(record.save(tmp_path / "e", end=False))
    assert "not complete" in events.problems[0]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "it is empty"),
        (b"\n", "no JSON"),
        (b"hello\n", "is it a record?"),
        (b'{"type":"access"}\n', "missing"),
        (b'{"type":"end"}\n', "no `run` line"),
        (b'{"type":"run","v":99}\n', "version 99"),
        (b"[" * 100_000 + b"\n", "nested too deeply"),
        (b'{"type":"run","v":1e400}\n', "version"),
        (b"\xff\xfe\n", "not UTF-8"),
        (b'{"type":"run","v":NaN}\n', "no number of JSON"),
    ],
)
def test_what_is_no_record_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "e"
    path.write_bytes(content)
    with pytest.raises(EventsError, match=says.replace("?", r"\?")) as told:
        read(path)
    assert str(path) in str(told.value)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("not json", "no JSON"),
        ('{"type":"process","event":"exec","pid":1,"argv":["\\uD800"]}', "half of a surrogate pair"),
        ('{"type":"access","stack":[{"symbol":"\\udbff"}]}', "half of a surrogate pair"),
        ("[1]", "no object with a `type`"),
        ("[" * 90_000, "nested too deeply"),
        ('{"type":"access","id":1}', "`pid` is missing"),
        ('{"type":"access","id":true}', "`id` is no whole number"),
        ('{"type":"process","event":"exec","pid":' + "9" * 40 + "}", "`pid` is no whole number"),
        ('{"type":"process","event":"exec","pid":' + "9" * 5000 + "}", "no JSON"),
        ('{"type":"process","event":"burn","pid":1}', "`event` is neither"),
        ('{"type":"process","event":"exec","pid":1,"argv":[1]}', "`argv` is no list"),
        ('{"type":"process","event":"exec","pid":1,"t":-1}', "`t` is no time"),
        ('{"type":"process","event":"exec","pid":1,"path":"a\\u0000b"}', "without NUL"),
        ('{"type":"access","path_b64":"!"}', "base64 that cannot be read"),
        ('{"type":"refusal","kind":"nothing"}', "`kind` is no kind"),
        ('{"type":"refusal","syscall":"open\\u001b[2J"}', "`syscall` is no name"),
        ('{"type":"refusal","needs":["read","--x"]}', "`needs` is no list of names"),
    ],
)
def test_what_is_wrong_in_a_line_is_named_with_its_number(tmp_path: Path, line: str, says: str) -> None:
    path = Written().save(tmp_path / "e", end=False)
    with open(path, "a") as file:
        file.write(line + "\n")
    with pytest.raises(EventsError, match=says) as told:
        read(path)
    assert f"{path}:4: " in str(told.value)


def test_a_line_longer_than_any_run_writes_is_not_read_into_memory(tmp_path: Path) -> None:
    path = Written().save(tmp_path / "e", end=False)
    with open(path, "a") as file:
        file.write('{"type":"' + "x" * LINE_MAX + '"}\n')
    with pytest.raises(EventsError, match="a line of more than"):
        read(path)


def test_two_records_in_one_file_are_not_read_as_one(tmp_path: Path) -> None:
    path = Written().save(tmp_path / "e")
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(EventsError, match="two records"):
        read(path)


def test_types_and_fields_of_a_later_version_pass_by(tmp_path: Path) -> None:
    record = Written()
    record.add("weather", sky="blue")
    record.access("/a", "read", mood={"deep": [1]})
    lines, _ = read(record.save(tmp_path / "e"))
    assert [line["type"] for line in lines] == ["process", "process", "access"]


JSON: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(None, True, False, 0, -1, 7, 1 << 70, 0.5, -0.0, 1e300, "", "x", "\x1b[2J", "--ro /x", "0x1", "$'", "\x00"),
        *([], ["x"], [1], [[]], {}, {"line": 1}, [{"file": "a", "line": "b"}], ["0x1"] * 6, ["read"], ["--"], "exec"),
    ]
)
FIELDS = ("id", "pid", "t", "path", "path_b64", "argv", "needs", "kind", "errno", "allow", "args", "stack", "event")


@given(
    st.sampled_from(["access", "refusal", "absent", "process", "end"]), st.dictionaries(st.sampled_from(FIELDS), JSON)
)
# how long it takes is the machine's business
def test_whatever_stands_in_a_line_is_used_or_an_events_error(kind: str, fields: dict[str, object]) -> None:
    from capwrap.observe.explain import Groups, explain
    from capwrap.observe.explain_text import as_text

    path = Path(f"/dev/shm/capwrap-test-reading-{PID}")
    record = Written()
    line = record.refusal("/a", "read") if kind in ("refusal", "absent") else record.access("/a", "read", pid=1)
    if kind == "process":
        record.exec(PID, "x")
        line = record.lines[-1]
    line |= fields | {"type": kind}
    record.save(path, end=False)
    try:
        groups = Groups()
        groups.read(open_events(str(path)))
        for group in groups.groups.values():
            as_text(explain(group)).encode()
    except EventsError:
        return
    finally:
        path.unlink()


# Processes.


def see(tree: Tree, event: str, pid: int, parent: int | None = None, argv: list[str] | None = None) -> None:
    record: dict[str, object] = {"type": "process", "event": event, "pid": pid}
    tree.see(record | ({"parent": parent} if parent is not None else {}) | ({"argv": argv} if argv else {}))


def test_a_chain_names_the_commands_that_led_to_a_process() -> None:
    tree = Tree(["make"])
    see(tree, "start", 1, 0)
    see(tree, "exec", 1, argv=["make"])
    see(tree, "start", 2, 1)
    see(tree, "exec", 2, argv=["sh", "-c", "cc"])
    see(tree, "start", 3, 2)
    see(tree, "exec", 3, argv=["cc"])
    see(tree, "exit", 2)
    assert [argv[0] for _, argv in tree.chain(3)] == ["make", "sh", "cc"]
    see(tree, "start", 4, 3)
    assert [(pid, argv[0]) for pid, argv in tree.chain(4)] == [(1, "make"), (2, "sh"), (4, "cc")]


def test_a_process_that_was_never_seen_has_no_chain() -> None:
    assert Tree(["make"]).chain(9) == ()


def test_memory_is_bounded_however_many_processes_there_are_and_however_deep() -> None:
    tree = Tree(["make"])
    for pid in range(1, LIVE_MAX + 1000):
        see(tree, "start", pid, pid - 1)
        see(tree, "exec", pid, argv=["x" * 100_000] if pid % 1000 == 0 else ["y"])
    assert len(tree._live) <= LIVE_MAX
    assert len(tree.chain(LIVE_MAX)) <= DEPTH_MAX + 1
    assert all(len(argv[0]) < 3000 for _, argv in tree.chain(LIVE_MAX))


def test_a_process_that_is_its_own_parent_ends_the_chain() -> None:
    tree = Tree(["make"])
    see(tree, "start", 5, 5)
    see(tree, "exec", 5, argv=["x"])
    assert json.dumps(tree.chain(5))
