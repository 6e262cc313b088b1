"""Event records: decoded faithfully, tolerant of what comes later, and never more than a RecordError on garbage."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from capwrap.engine import Features, Outcome
from capwrap.observe import events_file, records
from capwrap.observe.events_file import EventsError, open_destination
from capwrap.observe.namespace import Namespace
from capwrap.observe.recording import Recording
from capwrap.observe.records import NONE, Event, EventType, Processes, ProcessEvent, RecordError, decode
from capwrap.observe.refusals import Reader, Refusal, glob_covers, quote
from capwrap.observe.summary import Summary, printable
from capwrap.policy import Policy, compile_image
from capwrap.policy._syscalls import ROWS
from capwrap.policy.rights import Right

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = Path(events_file.__file__).with_name("events.schema.json")
NUMBERS = {row.name: row.number for row in ROWS}
KINDS = {name: number for number, name in enumerate(records.KINDS)}


def record(
    kind_of: int,
    *,
    kind: int | str = 0,
    syscall: str = "openat",
    t: int = 1_500_000,
    pid: int = 12,
    tid: int = 12,
    result: int = 0,
    rights: int = 0,
    grant: int = NONE,
    grant2: int = NONE,
    path: bytes = b"",
    path2: bytes = b"",
    host: bytes = b"",
    extra: bytes = b"",
    asked: bytes = b"",
    asked2: bytes = b"",
    via: bytes = b"",
    registers: bytes = b"",
    surplus: bytes = b"",
) -> bytes:
    """A struct cw_event with its strings; `surplus` is what a later engine puts behind them."""
    strings = (path, path2, host, extra, asked, asked2, via, registers)
    body = b"".join(strings) + surplus
    body += bytes(-len(body) % 8)
    number = KINDS[kind] if isinstance(kind, str) else kind
    header = records.HEADER.pack(
        records.HEADER.size + len(body),
        kind_of,
        number,
        NUMBERS[syscall],
        t,
        pid,
        tid,
        result,
        rights,
        grant,
        grant2,
        *map(len, strings),
    )
    return header + body


def refusal_record(path: str | bytes, needs: int, kind: str = "not-granted", errno: int = 2, **more: Any) -> bytes:
    raw = path if isinstance(path, bytes) else os.fsencode(path)
    more.setdefault("host", raw)
    return record(EventType.REFUSAL, kind=kind, path=raw, rights=needs, result=-errno, **more)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Directories and files to grant."""
    for name in ("lib/include", "mapped", "open", "search"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("lib/a.h", "lib/secret", "passwd", "search/word", "open/file"):
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.fixture
def image(tree: Path) -> bytes:
    policy = (
        Policy()
        .rox(tree / "lib")
        .deny(str(tree / "lib" / "secret"))
        .deny(str(tree / "**" / "*.key"))
        .ro(tree / "passwd")
        .ro(tree / "mapped", "/virtual")
        .rw(tree / "open")
        .grant("lookup,fstat", tree / "search")
    )
    return compile_image(policy, command=None, cwd=str(tree), environ={})


@pytest.fixture
def reader(image: bytes) -> Reader:
    return Reader(image, ("cc", "-c", "a.c"))


def diagnose(reader: Reader, data: bytes) -> Refusal:
    ((_, refusal),) = reader.read(decode(data))
    assert refusal is not None
    return refusal


# Decoding.


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


# Processes.


def process(event: ProcessEvent, pid: int, result: int = 0, extra: bytes = b"") -> bytes:
    return record(EventType.PROCESS, kind=event, pid=pid, result=result, extra=extra, syscall="execve")


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


# What would allow a call.

READ, WRITE = int(Right.READ), int(Right.WRITE)


@pytest.mark.parametrize(
    ("needs", "option"),
    [
        (Right.READ, "--ro"),
        (Right.LOOKUP | Right.FSTAT, "--ro"),
        (Right.FEXECVE, "--rox"),
        (Right.WRITE | Right.CREATE, "--rw"),
        (Right.WRITE | Right.FEXECVE, "--rwx"),
    ],
)
def test_an_ungranted_path_is_allowed_by_the_least_option(
    reader: Reader, tree: Path, needs: Right, option: str
) -> None:
    refusal = diagnose(reader, refusal_record(f"{tree}/other", int(needs)))
    assert (refusal.allow, refusal.hint) == (f"{option} {tree}/other", None)


def test_an_option_keeps_what_the_place_had(reader: Reader, tree: Path) -> None:
    refusal = diagnose(reader, refusal_record(f"{tree}/lib/a.h", WRITE, "right-missing", 13))
    assert refusal.allow == f"--rwx {tree}/lib/a.h"


def test_a_grant_with_explicit_rights_is_extended_explicitly(reader: Reader, tree: Path) -> None:
    refusal = diagnose(reader, refusal_record(f"{tree}/search/word", READ, "right-missing", 13))
    assert refusal.allow == f"--grant read,lookup,fstat:{tree}/search/word"


def test_beneath_a_mapped_grant_the_option_maps_too(reader: Reader, tree: Path) -> None:
    data = refusal_record("/virtual/x", WRITE, "right-missing", 13, host=os.fsencode(f"{tree}/mapped/x"))
    assert diagnose(reader, data).allow == f"--rw {tree}/mapped/x=/virtual/x"


def test_what_is_denied_by_name_is_allowed_by_no_option(reader: Reader, tree: Path) -> None:
    refusal = diagnose(reader, refusal_record(f"{tree}/lib/secret", READ))
    assert refusal.allow is None
    assert refusal.hint is not None
    assert f"--deny {tree}/lib/secret" in refusal.hint


def test_what_a_pattern_denies_is_allowed_by_no_option(reader: Reader, tree: Path) -> None:
    refusal = diagnose(reader, refusal_record(f"{tree}/lib/x.key", READ))
    assert refusal.allow is None
    assert "*.key" in (refusal.hint or "")


def test_beneath_a_denied_directory_a_deeper_grant_helps(tree: Path) -> None:
    policy = Policy().ro(tree).deny(str(tree / "lib"))
    reader = Reader(compile_image(policy, command=None, cwd=str(tree), environ={}))
    assert diagnose(reader, refusal_record(f"{tree}/lib/a.h", READ)).allow == f"--ro {tree}/lib/a.h"


def test_of_a_rename_the_end_that_lacks_something_is_named(reader: Reader, tree: Path) -> None:
    needs = int(Right.RENAMEAT_SOURCE | Right.RENAMEAT_TARGET)
    source, target = f"{tree}/open/file", f"{tree}/lib/file"
    data = refusal_record(source, needs, "right-missing", 13, path2=os.fsencode(target), syscall="rename")
    refusal = diagnose(reader, data)
    assert refusal.allow == f"--rwx {target}"
    assert refusal.object == f"{source} -> {target}"


def test_of_a_rename_both_ends_are_named_where_both_lack_something(reader: Reader, tree: Path) -> None:
    needs = int(Right.RENAMEAT_SOURCE | Right.RENAMEAT_TARGET)
    data = refusal_record(f"{tree}/a", needs, path2=os.fsencode(f"{tree}/b"), syscall="rename")
    assert diagnose(reader, data).allow == f"--rw {tree}/a --rw {tree}/b"


def test_a_name_that_holds_a_grant_cannot_be_moved_by_any_option(reader: Reader, tree: Path) -> None:
    data = refusal_record(f"{tree}/open", int(Right.UNLINKAT), "right-missing", 13, syscall="rmdir")
    refusal = diagnose(reader, data)
    assert refusal.allow is None
    assert "keeps its name" in (refusal.hint or "")


def test_a_link_out_of_its_grant_names_the_place_that_it_leads_to(reader: Reader, tree: Path) -> None:
    data = refusal_record(f"{tree}/lib/link", READ, "escape", host=b"/etc/shadow")
    assert diagnose(reader, data).allow == "--ro /etc/shadow"


@pytest.mark.parametrize(
    ("syscall", "address", "allow"),
    [
        ("connect", b"tcp:127.0.0.1:80", "--connect tcp:127.0.0.1:80"),
        ("sendto", b"tcp:10.0.0.1:53", "--connect tcp:10.0.0.1:53"),
        ("connect", b"tcp:[::1]:80", "--connect 'tcp:[::1]:80'"),
        ("bind", b"tcp:0.0.0.0:8080", "--bind tcp:0.0.0.0:8080"),
        ("bind", b"tcp:0.0.0.0:0", "--bind 'tcp:0.0.0.0:*'"),
    ],
)
def test_an_address_is_allowed_by_its_option(reader: Reader, syscall: str, address: bytes, allow: str) -> None:
    data = record(EventType.REFUSAL, kind="network", syscall=syscall, extra=address, result=-101)
    refusal = diagnose(reader, data)
    assert refusal.allow == allow
    assert refusal.object == address.decode()


def test_a_unix_socket_is_allowed_by_its_path(reader: Reader, tree: Path) -> None:
    data = refusal_record(f"{tree}/socket", int(Right.CONNECTAT), syscall="connect")
    assert diagnose(reader, data).allow == f"--connect unix:{tree}/socket"


@pytest.mark.parametrize("kind", ["syscall", "signal", "process", "network", "descriptor"])
def test_where_nothing_can_allow_it_there_is_a_sentence(reader: Reader, kind: str) -> None:
    refusal = diagnose(reader, record(EventType.REFUSAL, kind=kind, syscall="mount", result=-1))
    assert refusal.allow is None
    assert (refusal.hint or "").startswith("no option allows")


def test_an_ioctl_is_allowed_by_its_number(reader: Reader) -> None:
    data = record(EventType.REFUSAL, kind="syscall", syscall="ioctl", extra=b"ioctl:0x5413", result=-25)
    assert diagnose(reader, data).allow == "--allow ioctl:0x5413"


def test_an_ioctl_that_never_passes_has_no_option(reader: Reader) -> None:
    data = record(EventType.REFUSAL, kind="syscall", syscall="ioctl", extra=b"ioctl:0x40086602", result=-25)
    refusal = diagnose(reader, data)
    assert refusal.allow is None
    assert (refusal.hint or "").startswith("no option allows it")


@pytest.mark.parametrize(("syscall", "ends"), [("rename", "renameat"), ("linkat", "linkat")])
def test_of_two_names_that_are_not_granted_the_second_is_asked_for_what_it_needs(
    reader: Reader, tree: Path, syscall: str, ends: str
) -> None:
    source, target = f"{tree}/open/file", os.fsencode(f"{tree}/elsewhere")
    # the engine knows the first name's need only, where the lookup of the second fails
    data = refusal_record(source, int(Right[f"{ends}_source".upper()]), path2=target, syscall=syscall)
    refusal = diagnose(reader, data)
    assert refusal.allow == f"--rw {tree}/elsewhere"
    assert f"{ends}_target" in refusal.needs


def test_a_memory_file_is_allowed_by_name(reader: Reader) -> None:
    data = refusal_record("/memfd:x (deleted)", int(Right.FEXECVE), "exec", 13, syscall="execveat")
    assert diagnose(reader, data).allow == "--allow memfd-exec"


def test_every_suggested_option_is_accepted_and_grants_what_was_needed(tree: Path) -> None:
    from capwrap.policy.build import build_namespace
    from capwrap.policy.check import decide
    from capwrap.policy.options import parse_grant_option, parse_path_option

    policy = Policy().rox(tree / "lib").grant("lookup,fstat", tree / "search")
    reader = Reader(compile_image(policy, command=None, cwd=str(tree), environ={}))
    for name in ("lib/a.h", "search/word", "open/file", "passwd"):
        for needs in (Right.READ, Right.WRITE, Right.FEXECVE, Right.FCHMOD | Right.READ):
            refusal = diagnose(reader, refusal_record(f"{tree}/{name}", int(needs), "right-missing", 13))
            if refusal.allow is None:
                continue
            flag, value = refusal.allow.split(" ")
            rights = flag.removeprefix("--")
            item = parse_grant_option(value) if rights == "grant" else parse_path_option(value, rights)
            space = build_namespace(policy.add(item), command=None, cwd=str(tree), environ={})
            gives = decide(space, f"{tree}/{name}").rights
            assert gives & needs == needs
            before = build_namespace(policy, command=None, cwd=str(tree), environ={})
            had = decide(before, f"{tree}/{name}").rights
            assert gives & had == had


def test_an_ancestor_in_a_private_directory_is_allowed_by_granting_it(tree: Path) -> None:
    policy = Policy().private("/tmp").rw(tree)
    reader = Reader(compile_image(policy, command=None, cwd=str(tree), environ={}))
    data = refusal_record(str(tree.parent), int(Right.EXTATTR_GET), "right-missing", 13, syscall="lgetxattr")
    assert diagnose(reader, data).allow == f"--ro {tree.parent}"


def test_what_would_lie_in_an_ancestor_in_a_private_directory_is_allowed_by_granting_it(tree: Path) -> None:
    policy = Policy().private("/tmp").rw(tree / "lib")
    reader = Reader(compile_image(policy, command=None, cwd=str(tree), environ={}))
    assert diagnose(reader, refusal_record(f"{tree}/passwd", READ)).allow == f"--ro {tree}/passwd"
    # In the private directory itself nothing is refused for want of a grant.
    assert reader.namespace.deciding("/tmp/x") is reader.namespace.deciding("/tmp")


@pytest.mark.parametrize("top", ["", "/virtual"])
def test_a_file_system_of_the_kernel_in_a_grant_takes_a_grant_of_its_own(top: str) -> None:
    assert os.lstat("/sys").st_dev != os.stat("/").st_dev
    reader = Reader(compile_image(Policy().rox("/", top or None), command=None, cwd="/", environ={}))
    refusal = diagnose(reader, refusal_record(f"{top}/sys/devices", READ, host=b"/sys/devices"))
    assert refusal.allow == "--ro /sys/devices" + (f"={top}/sys/devices" if top else "")
    # On the grant's own file system it is a link in the path that leads away.
    refusal = diagnose(reader, refusal_record(f"{top}/usr/link", READ, host=b"/usr/link"))
    assert refusal.allow is None
    assert "symbolic link" in (refusal.hint or "")


def test_a_grant_mapped_to_the_root_names_its_host_paths(tree: Path) -> None:
    reader = Reader(compile_image(Policy().ro(tree, "/"), command=None, cwd="/", environ={}))
    data = refusal_record("/passwd", int(Right.WRITE), "right-missing", 13, host=b"")
    assert diagnose(reader, data).allow == f"--rw {tree}/passwd=/passwd"


# The nearest grant.


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        ("{}/lib/include/x", "{}/lib"),
        ("{}/lib", "{}/lib"),
        ("{}/passwords", "{}/passwd"),
        ("{}/passwd", "{}/passwd"),
        ("{}/passwd/beneath", "{}/passwd"),
        ("/virtual/x", "/virtual"),
        ("/nowhere/at/all", None),
    ],
)
def test_the_nearest_grant_shares_most_of_the_path(image: bytes, tree: Path, path: str, nearest: str | None) -> None:
    found = Namespace(image).nearest(path.format(tree))
    assert (None if found is None else found.path) == (None if nearest is None else nearest.format(tree))


def test_a_grant_number_that_the_image_does_not_have_is_none(image: bytes) -> None:
    namespace = Namespace(image)
    assert namespace.grant_path(NONE) is None
    assert namespace.grant_path(1 << 20) is None
    assert namespace.grant_path(0) == "/"


@pytest.mark.parametrize(
    ("pattern", "path", "covered"),
    [
        ("/a/*.key", "/a/x.key", True),
        ("/a/*.key", "/a/x.key/beneath", True),
        ("/a/*.key", "/a/b/x.key", False),
        ("/a/**/.git", "/a/b/c/.git/config", True),
        ("/a/[xy]", "/a/y", True),
        ("/a/[!xy]", "/a/y", False),
    ],
)
def test_a_deny_pattern_covers_what_it_matches_and_all_beneath(pattern: str, path: str, covered: bool) -> None:
    assert glob_covers(pattern, path) is covered


@pytest.mark.parametrize("argument", ["/a b", "/it's", "/$x", "/a\nb", "/\udcff", "-x", "/é", "", "/~", "/\\"])
def test_a_quoted_argument_reaches_the_shell_as_it_was(argument: str) -> None:
    import subprocess

    raw = os.fsencode(argument)
    script = b"printf %s " + os.fsencode(quote(argument))
    assert subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout == raw


# The record.


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


# Where a record may go.


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


# The summary.


def test_refusals_are_grouped_and_counted(reader: Reader) -> None:
    summary = Summary()
    for _ in range(3):
        summary.add(diagnose(reader, refusal_record("/etc/shadow", READ)))
    summary.add(diagnose(reader, refusal_record("/etc/shadow", WRITE)))
    assert summary.lines() == [
        "4 calls refused:",
        "  /etc/shadow: openat: ENOENT, not granted, needs read (3 times)",
        "    allow with: --ro /etc/shadow",
        "  /etc/shadow: openat: ENOENT, not granted, needs write",
        "    allow with: --rw /etc/shadow",
    ]


def test_absent_names_are_told_only_when_asked(reader: Reader) -> None:
    summary = Summary()
    summary.add(diagnose(reader, record(EventType.ABSENT, kind="not-granted", path=b"/etc/x", result=-2)))
    assert summary.lines() == []
    assert summary.lines(verbose=True) == [
        "1 call on names that the host does not have either (absent), 1 name:",
        "  /etc/x (1)",
    ]


def test_names_cannot_write_control_sequences(reader: Reader) -> None:
    summary = Summary()
    summary.add(diagnose(reader, refusal_record(b"/\x1b[31m\xff", READ)))
    text = "\n".join(summary.lines())
    assert "\x1b" not in text
    assert r"/\x1b[31m\xff" in text
    assert r"--ro $'/\033[31m\377'" in text


def test_printable_keeps_letters() -> None:
    assert printable("/é/\u202e") == "/é/\\u202e"
