"""The record of a run: every line as published, where it may go, and what becomes of it where a write fails."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from event_records import READ, granted_tree, image_of, process, record, refusal_record
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from capwrap.engine import Features, Outcome
from capwrap.observe import events_file, records
from capwrap.observe.events_file import EventsError, open_destination
from capwrap.observe.recording import Recording
from capwrap.observe.records import NONE, EventType, ProcessEvent, decode
from capwrap.observe.refusals import Reader
from capwrap.policy import Policy, compile_image

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return granted_tree(tmp_path)


@pytest.fixture
def image(tree: Path) -> bytes:
    return image_of(tree)


SCHEMA = Path(events_file.__file__).with_name("events.schema.json")


@given(
    st.lists(
        st.builds(
            record,
            st.integers(0, 255),
            kind=st.integers(0, 255),
            result=st.integers(-(1 << 63), (1 << 63) - 1),
            rights=st.integers(0, (1 << 64) - 1),
            grant=st.integers(0, NONE),
            grant2=st.integers(0, NONE),
            path=st.binary(max_size=40),
            path2=st.binary(max_size=40),
            host=st.binary(max_size=40),
            extra=st.binary(max_size=40),
            asked=st.binary(max_size=40),
            via=st.binary(max_size=40),
            registers=st.binary(max_size=48),
        ),
        max_size=5,
    )
)
# how long it takes is the machine's business
def test_any_well_formed_record_is_diagnosed_and_fits_the_schema(batch: list[bytes]) -> None:
    image = compile_image(Policy().ro("/usr"), command=None, cwd="/", environ={})
    reader = Reader(image, ("x",))
    writing, reading = _pipe_file()
    file = events_file.EventsFile(writing, reader, {"argv": ["x"]})
    assert file.take(reader.read(decode(b"".join(batch))))
    os.close(writing)
    validator = Draft202012Validator(json.loads(SCHEMA.read_text()))
    for line in reading:
        entry = json.loads(line)
        # Only the engine knows that these are what they are: a pid or a status can be anything here.
        validator.validate(entry | {"status": None, "signal": None, "parent": 1, "t": 0})


def _pipe_file() -> tuple[int, Iterator[bytes]]:
    path = f"/dev/shm/capwrap-test-{os.getpid()}"  # memory, for hypothesis writes many
    writing = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)

    def lines() -> Iterator[bytes]:
        with open(path, "rb") as file:
            yield from file
        os.unlink(path)

    return writing, lines()


class ProbeOnly:
    """An engine that has nothing but a kernel's features."""

    def probe(self) -> Features:
        return Features(landlock_abi=7)


def write_record(
    image: bytes, path: Path | str, batches: list[bytes], outcome: Outcome | None = None
) -> tuple[Recording, list[bool]]:
    fd = open_destination(str(path))
    recording = Recording(ProbeOnly(), image, ["cc", "\udcff.c"], events=fd)  # type: ignore[arg-type]
    recording.jailed("/x is coarse")
    kept = [recording.sink(batch) for batch in batches]
    recording.finish(outcome or Outcome(), status=0, signal=None)
    return recording, kept


def load(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def sample(tree: Path) -> list[bytes]:
    """Batches with every type and kind of record."""
    raw = os.fsencode(str(tree))
    first = process(ProcessEvent.START, 13, 12) + record(
        EventType.PROCESS,
        kind=ProcessEvent.EXEC,
        syscall="execve",
        pid=13,
        path=b"/bin/cc",
        extra=b"cc\0\xff.c\0",
    )
    calls = record(EventType.ACCESS, path=raw + b"/lib/a.h", grant=1, rights=READ, result=3, pid=13)
    calls += record(EventType.ACCESS, path=raw + b"/lib/\xff", grant=1, rights=READ, result=-2, pid=13)
    calls += record(
        EventType.ACCESS, syscall="rename", path=b"/a", path2=b"/\xfe", grant=1, grant2=2, rights=READ, result=0
    )
    for kind in records.KINDS[1:]:
        calls += refusal_record("/etc/shadow", READ, kind, pid=13)
        calls += record(EventType.ABSENT, kind=kind, path=b"/etc/\xff", result=-2)
    calls += record(EventType.REFUSAL, kind="network", syscall="connect", extra=b"tcp:1.2.3.4:5", result=-101)
    last = process(ProcessEvent.EXIT, 13, 0x0100) + process(ProcessEvent.EXIT, 12, 9)
    return [first, calls, last]


def test_every_line_of_a_record_fits_the_published_schema(image: bytes, tree: Path, tmp_path: Path) -> None:
    schema = json.loads(SCHEMA.read_text())
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    write_record(image, tmp_path / "events", sample(tree))
    lines = load(tmp_path / "events")
    assert {line["type"] for line in lines} == {"run", "access", "refusal", "absent", "process", "end"}
    for line in lines:
        validator.validate(line)


def test_the_first_line_tells_of_the_run_and_its_jail(image: bytes, tree: Path, tmp_path: Path) -> None:
    write_record(image, tmp_path / "events", sample(tree))
    first = load(tmp_path / "events")[0]
    assert first["type"] == "run"
    assert first["v"] == 1
    assert first["policy"] == "sha256:" + image[24:56].hex()
    assert first["argv_b64"] == ["Y2M=", "/y5j"]
    assert first["jail"]["landlock"] == {"abi": 7, "coarse": "/x is coarse"}


def test_the_last_line_counts_the_lines_written(image: bytes, tree: Path, tmp_path: Path) -> None:
    write_record(image, tmp_path / "events", sample(tree))
    lines = load(tmp_path / "events")
    end = lines[-1]
    assert end["type"] == "end"
    for kind, name in (("refusal", "refusals"), ("absent", "absent"), ("access", "accesses")):
        assert end[name] == sum(line["type"] == kind for line in lines)
    assert (end["lost"], end["complete"]) == (0, True)


def test_ids_run_over_the_lines(image: bytes, tree: Path, tmp_path: Path) -> None:
    write_record(image, tmp_path / "events", sample(tree))
    ids = [line["id"] for line in load(tmp_path / "events")[1:-1]]
    assert ids == list(range(1, len(ids) + 1))


def test_a_path_that_is_not_utf8_stands_as_base64(image: bytes, tree: Path, tmp_path: Path) -> None:
    write_record(image, tmp_path / "events", [record(EventType.ACCESS, path=b"/\xff", path2=b"/\xfe")])
    access = load(tmp_path / "events")[1]
    assert (access["path_b64"], access["path2_b64"]) == ("L/8=", "L/4=")
    assert "path" not in access
    assert "path2" not in access


def test_the_argv_of_an_exec_is_its_own_even_where_its_process_has_ended(image: bytes, tmp_path: Path) -> None:
    batch = process(ProcessEvent.EXEC, 13, 0, b"ld\0-o\0x\0") + process(ProcessEvent.EXIT, 13)
    write_record(image, tmp_path / "events", [batch])
    assert load(tmp_path / "events")[1]["argv"] == ["ld", "-o", "x"]


def test_the_argv_of_a_refusal_is_that_of_its_process(image: bytes, tree: Path, tmp_path: Path) -> None:
    exec_record = process(ProcessEvent.EXEC, 13, 0, b"ld\0-o\0x\0")
    write_record(image, tmp_path / "events", [exec_record + refusal_record("/etc/x", READ, pid=13)])
    assert load(tmp_path / "events")[2]["argv"] == ["ld", "-o", "x"]


def test_lost_events_make_a_record_incomplete_and_loudly_so(image: bytes, tmp_path: Path) -> None:
    recording, _ = write_record(image, tmp_path / "events", [record(EventType.LOST, result=5)])
    end = load(tmp_path / "events")[-1]
    assert (end["lost"], end["complete"]) == (5, False)
    assert recording.problems == ["5 records were lost; what is listed is not complete"]


def test_an_unobserved_process_makes_a_record_incomplete(image: bytes, tmp_path: Path) -> None:
    recording, _ = write_record(image, tmp_path / "events", [], Outcome(incomplete=True))
    assert load(tmp_path / "events")[-1]["complete"] is False
    assert "unobserved" in recording.problems[0]


def test_an_unreadable_batch_makes_a_record_incomplete(image: bytes, tmp_path: Path) -> None:
    recording, kept = write_record(image, tmp_path / "events", [b"x" * 64], Outcome(lost=1))
    assert kept == [False]
    assert load(tmp_path / "events")[-1]["complete"] is False
    assert any("could not be read" in problem for problem in recording.problems)


def test_a_full_disk_loses_batches_and_is_told(image: bytes, tree: Path) -> None:
    recording, kept = write_record(image, "/dev/full", sample(tree), Outcome(lost=20))
    assert kept == [False, False, False]
    assert recording.complete is False
    assert (
        recording.problems[0]
        == "/dev/full: the record could not be written: No space left on device; it is not complete"
    )
    assert recording.summary.refusals > 0


def test_a_closed_pipe_loses_batches_and_is_told(image: bytes, tree: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        recording, kept = write_record(image, f"fd:{writing}", sample(tree), Outcome(lost=20))
    finally:
        os.close(writing)
    assert kept == [False, False, False]
    assert recording.problems[0].startswith("pipe:[")
    assert recording.problems[0].endswith(": the record could not be written: Broken pipe; it is not complete")


def test_a_torn_batch_is_cut_off(image: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "events"
    fd = open_destination(str(path))
    recording = Recording(ProbeOnly(), image, ["cc"], events=fd)  # type: ignore[arg-type]
    recording.jailed("")
    assert recording.sink(record(EventType.ACCESS, path=b"/a"))
    write = os.write

    def torn(to: int, data: Any) -> int:
        if len(data) > 30:
            return write(to, data[:30])
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", torn)
        assert not recording.sink(record(EventType.ACCESS, path=b"/b"))
    recording.finish(Outcome(lost=1), status=0, signal=None)
    lines = load(path)
    assert [line["type"] for line in lines] == ["run", "access", "end"]
    assert (lines[-1]["accesses"], lines[-1]["lost"], lines[-1]["complete"]) == (1, 1, False)


def test_a_trace_for_chrome_is_json_also_where_a_write_failed(
    image: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "trace"
    recording = Recording(ProbeOnly(), image, ["cc"], events=open_destination(str(path)), layout="chrome")  # type: ignore[arg-type]
    recording.jailed("")
    assert recording.sink(record(EventType.ACCESS, path=b"/a"))
    whole = path.read_bytes()
    write = os.write

    def torn(to: int, data: Any) -> int:
        if len(data) > 30:
            return write(to, data[:30])
        if len(data) < 4:
            return write(to, data)
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", torn)
        assert not recording.sink(record(EventType.ACCESS, path=b"/b" * 40))
    assert path.read_bytes() == whole
    recording.finish(Outcome(lost=1), status=0, signal=None)
    events = json.loads(path.read_bytes())
    assert [event["args"].get("path") for event in events if event["ph"] == "i"] == [None, "/a", None]
    assert (events[-1]["args"]["accesses"], events[-1]["args"]["lost"]) == (1, 1)
    assert not recording.complete


def test_a_record_never_takes_a_standard_descriptor(tmp_path: Path) -> None:
    fd = open_destination(str(tmp_path / "events"))
    try:
        assert fd > 2
        assert not os.get_inheritable(fd)
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    "where", ["fd:", "fd:x", "fd:-1", "fd:999", "fd:99999999999999999999", "/", "/no/such/file", ""]
)
def test_a_destination_that_cannot_be_written_is_an_error(where: str) -> None:
    with pytest.raises(EventsError):
        open_destination(where)


def test_a_descriptor_that_is_only_readable_is_an_error() -> None:
    reading, writing = os.pipe()
    try:
        with pytest.raises(EventsError, match="not open for writing"):
            open_destination(f"fd:{reading}")
    finally:
        os.close(reading)
        os.close(writing)
