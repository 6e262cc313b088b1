"""A record whose disk is full, whose limit is reached or whose reader has gone claims nothing that it does not hold.

The command goes on to its own end and its own status, nothing of it is left, and who started it is told.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from support.compare import Bench
from support.programs import Programs

from races.kept import Ended, run_kept

pytestmark = pytest.mark.no_attack

WAYS = {"run": ("run", "-q"), "trace": ("trace", "-q"), "chrome": ("trace", "-q", "--format", "chrome")}
"""How a record comes to be written."""

ROOM = 512 << 10
"""Bytes of the disk. The engine hands records over in batches, of which less than two fit."""

OPENS = 5000
"""Files that are opened: records for several batches."""

MUCH = f"sleep 1000 & i=0; while [ $i -lt {OPENS} ]; do : </etc/passwd; i=$((i + 1)); done; exit 3"

WRITTEN = b"the record could not be written: "

# A tmpfs that nobody else sees, and that is gone with its last process: no test that dies leaves it mounted.
MOUNT = """
mount -t tmpfs -o "size=$1,mode=1777" none "$2" || exit 99
disk=$2 saved=$3; shift 3
"$@"; status=$?
[ ! -e "$disk/events" ] || cp "$disk/events" "$saved"
exit $status
"""


@cache
def namespace() -> tuple[str, ...]:
    """The prefix under which a file system can be mounted that nobody else sees; nothing where none can."""
    prefix = ("unshare", "-m") if os.geteuid() == 0 else ("unshare", "-Ur", "-m")
    trial = [*prefix, "mount", "-t", "tmpfs", "none", "/tmp"]
    return prefix if subprocess.run(trial, capture_output=True, check=False, timeout=60).returncode == 0 else ()


@dataclass(frozen=True)
class Full:
    """A command under the keeper, and the places that its record goes to."""

    bench: Bench
    keeper: Path

    @property
    def saved(self) -> Path:
        """What stood in the record at the end."""
        return self.bench.root / "saved"

    def on_disk(self, argv: Sequence[str | Path], size: int = ROOM) -> Ended:
        """`argv` with a small disk at `disk`; where there is to be a file before, it is a script that makes it."""
        if not namespace():
            pytest.skip("nothing can be mounted here: it takes root, or user namespaces that an ordinary user may make")
        self.disk.mkdir(exist_ok=True)
        return self.kept([*namespace(), "sh", "-c", MOUNT, "full", str(size), self.disk, self.saved, *argv])

    @property
    def disk(self) -> Path:
        return self.bench.root / "disk"

    def kept(self, argv: Sequence[str | Path], pass_fds: Sequence[int] = ()) -> Ended:
        """Run it, and see that it ends, and that nothing of it is left."""
        ended = run_kept(self.keeper, argv, cwd=self.bench.work, env=self.bench.env, pass_fds=pass_fds)
        assert ended.status != 99, f"the disk could not be mounted: {ended.stderr.decode()}"
        assert (ended.hung, ended.left) == (False, 0), str(ended)
        return ended

    def capwrap(self, way: str, events: str, *command: str | Path, options: Sequence[str] = ()) -> list[str | Path]:
        return [*self.bench.runner.capwrap, *WAYS[way], *options, "--events", events, "--", *command]


@pytest.fixture
def full(bench: Bench, keeper: Path) -> Full:
    bench.fresh()
    return Full(bench, keeper)


def claims(text: bytes, way: str) -> list[dict[str, object]]:
    """What the record says of itself at its end, of which there is at most one; all that stands in it can be read."""
    if way == "chrome":
        events = json.loads(text) if text else []
        return [event["args"] for event in events if event["name"] == "end"]
    assert not text or text.endswith(b"\n"), text[-200:]
    records = [json.loads(line) for line in text.splitlines()]
    ends = [number for number, record in enumerate(records) if record["type"] == "end"]
    assert ends in ([], [len(records) - 1])
    return [records[number] for number in ends]


@pytest.mark.parametrize("way", WAYS)
def test_a_disk_that_becomes_full_during_a_run_is_told_of_and_costs_the_run_nothing(full: Full, way: str) -> None:
    ended = full.on_disk(full.capwrap(way, f"{full.disk}/events", "sh", "-c", MUCH))
    assert ended.status == 3, str(ended)
    assert WRITTEN + b"No space left on device; it is not complete" in ended.stderr, str(ended)
    text = full.saved.read_bytes()
    (end,) = claims(text, way)
    # A batch is there, and one is not.
    assert end["complete"] is False
    assert isinstance(end["lost"], int)
    assert 0 < end["lost"] < OPENS
    assert len(text) > ROOM // 4


def lengths(full: Full, way: str, program: Path) -> tuple[int, int]:
    """How long the record of a small program is, and how much of that is what is written at the very end."""
    events = full.bench.root / "whole"
    ended = full.kept(full.capwrap(way, str(events), program, options=small(program)))
    assert ended.stderr == b"", str(ended)
    text = events.read_bytes()
    assert [end["complete"] for end in claims(text, way)] == [True]
    return len(text), len(text.splitlines()[-2 if way == "chrome" else -1])


def small(program: Path) -> tuple[str, ...]:
    return ("--pure", "--rox", str(program))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("limit", ["disk", "file size"])
def test_a_record_without_room_for_its_last_line_alone_is_not_complete(
    full: Full, plain_programs: Programs, way: str, limit: str
) -> None:
    program = plain_programs("system/nothing", flags=("-static",))
    whole, last = lengths(full, way, program)
    # Times differ in a few digits from run to run, and the last line is some hundred characters long.
    size = 1 << 16 if limit == "disk" else 16 << 20
    before = size - whole + last // 2
    if limit == "disk":
        command = full.capwrap(way, "fd:9", program, options=small(program))
        script = f'exec 9>"{full.disk}/events"; head -c {before} /dev/zero >&9; "$@"'
        ended = full.on_disk(["sh", "-c", script, "sh", *command], size)
        reason = b"No space left on device"
    else:
        with open(full.saved, "wb", buffering=0) as record:
            record.seek(before)
            command = full.capwrap(way, f"fd:{record.fileno()}", program, options=small(program))
            ended = full.kept(["prlimit", f"--fsize={size}", *command], pass_fds=(record.fileno(),))
        reason = b"File too large"
    assert ended.status == 0, str(ended)
    assert WRITTEN + reason + b"; it is not complete" in ended.stderr, str(ended)
    text = full.saved.read_bytes()[before:]
    assert claims(text, way) == []
    assert b"nothing" in text  # all before the last line


@pytest.mark.parametrize("way", WAYS)
def test_a_record_that_nobody_reads_any_more_is_told_of_and_costs_the_run_nothing(full: Full, way: str) -> None:
    fifo = full.bench.root / "fifo"
    os.mkfifo(fifo)
    script = f'head -c 100 "{fifo}" >"{full.saved}" & "$@"; status=$?; wait; exit $status'
    ended = full.kept(["sh", "-c", script, "sh", *full.capwrap(way, str(fifo), "sh", "-c", MUCH)])
    assert ended.status == 3, str(ended)
    assert WRITTEN + b"Broken pipe; it is not complete" in ended.stderr, str(ended)
    assert b"complete" not in full.saved.read_bytes()


@pytest.mark.parametrize("way", WAYS)
def test_a_record_of_which_nothing_can_be_written_is_told_of_and_costs_the_run_nothing(full: Full, way: str) -> None:
    ended = full.kept(full.capwrap(way, "/dev/full", "sh", "-c", "sleep 1000 & exit 3"))
    assert ended.status == 3, str(ended)
    assert WRITTEN + b"No space left on device; it is not complete" in ended.stderr, str(ended)


@pytest.mark.parametrize("stream", ["2>/dev/full", "2>&-"])
def test_what_capwrap_exec_cannot_say_costs_the_run_nothing(full: Full, stream: str) -> None:
    assert refused_by_exec(full, f'"$@" {stream}').status == 3


def test_that_nobody_reads_what_capwrap_exec_says_costs_the_run_nothing(full: Full) -> None:
    """The reader is gone before the command ends; then the refusals are told."""
    script = 'mkfifo fifo; : <fifo & exec 8>fifo; wait $!; exec "$@" 2>&8 8>&-'
    assert refused_by_exec(full, script).status == 3


def test_a_run_whose_small_record_finds_no_room_is_not_explained_by_the_run_before_it(full: Full) -> None:
    script = """
export XDG_STATE_HOME="$1"; said=$2; shift 2
"$@" run -q -- cat /etc/shadow
"$@" explain --last >"$said" || exit 98
head -c 100M /dev/zero >"$XDG_STATE_HOME/full"
"$@" run -q -- sh -c 'cat /etc/gshadow; exit 3' || status=$?
"$@" explain --last >>"$said"
ls "$XDG_STATE_HOME/capwrap" >>"$said"
exit $status
"""
    said = full.bench.root / "said"
    ended = full.on_disk(["sh", "-c", script, "sh", full.disk, said, *full.bench.runner.capwrap])
    assert ended.status == 3, str(ended)
    assert b"there is no record" in ended.stderr, str(ended)
    text = said.read_text()
    assert text.count("/etc/shadow:") == 1
    assert "last.ndjson" not in text


def refused_by_exec(full: Full, script: str) -> Ended:
    image = full.bench.root / "policy.cap"
    compiled = full.bench.runner.command(["compile", "-o", image], cwd=full.bench.work, env=full.bench.env)
    assert compiled.status == 0, compiled.describe()
    command: list[str | Path] = [
        *full.bench.runner.capwrap_exec,
        image,
        "--",
        "sh",
        "-c",
        "sleep 1000 & cat /etc/shadow; exit 3",
    ]
    return full.kept(["sh", "-c", script, "sh", *command])


@pytest.mark.parametrize("opens", [1000, OPENS], ids=["in the record", "beside it"])
def test_a_run_that_finds_no_room_in_a_record_leaves_the_runs_before_it_and_is_told_of(full: Full, opens: int) -> None:
    """Its lines are beside the record until it is over: there is room for these alone, or not even for them."""
    events = f"{full.disk}/events"
    append = ("trace", "-q", "--append", "--events", events, "--", "sh", "-c")
    first = [*full.bench.runner.capwrap, *append, "exit 0"]
    then = [*full.bench.runner.capwrap, *append, MUCH.replace(str(OPENS), str(opens))]
    script = '"$@" && exec {}'.format(" ".join(shlex.quote(str(word)) for word in then))
    ended = full.on_disk(["sh", "-c", script, "sh", *first], ROOM // 2)
    assert ended.status == 3, str(ended)
    assert f"{events}: the record could not be written: No space left on device; it is not complete" in str(ended)
    (end,) = claims(full.saved.read_bytes(), "trace")
    assert end["complete"] is False
