"""capwrap run: options reach the engine, and endings, messages and exit statuses are those of the contract."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest

from capwrap import engine
from capwrap.cli import main
from capwrap.engine import Outcome
from capwrap.observe.records import KINDS, EventType
from capwrap.policy.image import read_image

sys.path.insert(0, str(Path(__file__).parent))

from event_records import record, refusal_record
from fake_engine import FakeEngine, away, install

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PURE = ("run", "--pure", "--ro", "/usr")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.delenv("CAPWRAP_DEBUG", raising=False)
    interrupt = signal.getsignal(signal.SIGINT)
    yield away(tmp_path, monkeypatch)
    signal.signal(signal.SIGINT, interrupt)


def run(*arguments: str, fake: FakeEngine | None = None) -> tuple[int, FakeEngine]:
    installed = install(fake or FakeEngine())
    return main(arguments), installed


def process(
    description: dict[str, Any],
    *arguments: str,
    stderr: int | IO[bytes] = subprocess.PIPE,
    preexec_fn: Callable[[], None] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """The command line in a process of its own, with a fake engine."""
    command = [sys.executable, str(Path(__file__).with_name("fake_engine.py")), json.dumps(description), *arguments]
    environ = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests' / 'unit'}"}
    return subprocess.run(
        command, env=environ, check=False, stdout=subprocess.PIPE, stderr=stderr, preexec_fn=preexec_fn
    )


# What reaches the engine.


def test_options_reach_the_engine() -> None:
    with open(os.devnull, "rb") as file:
        code, fake = run(
            *PURE,
            "--chdir",
            "/usr",
            "--timeout",
            "1.5",
            "--linger",
            "--best-effort",
            "--method",
            "ptrace",
            "--pass-fd",
            str(file.fileno()),
            "--",
            "tool",
            "--ro",
            "x",
        )
        passed = file.fileno()
    (launch,) = fake.launches
    assert code == 0
    assert list(launch.argv) == [b"tool", b"--ro", b"x"]
    assert (launch.chdir, launch.timeout_ms, launch.linger, launch.best_effort) == (b"/usr", 1500, True, True)
    assert list(launch.pass_fds) == [passed]
    assert launch.foreground
    assert not launch.record_access
    assert launch.stdio == (-1, -1, -1)


def test_without_an_option_for_it_nothing_is_asked_of_the_engine() -> None:
    _, fake = run(*PURE, "tool")
    (launch,) = fake.launches
    assert (launch.chdir, launch.timeout_ms, launch.linger, launch.best_effort) == (None, 0, False, False)


def test_policy_options_reach_the_image(tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('rw = ["/tmp"]\nnet = "host"\n')
    _, fake = run(
        "run",
        "--policy",
        str(policy),
        "--ro",
        "/usr=/virtual",
        "--deny",
        "/virtual/share",
        "--net",
        "loopback",
        "--connect",
        "tcp:127.0.0.1:80",
        "--env",
        "A=1",
        "--limit",
        "files=64",
        "--allow",
        "memfd-exec",
        "--on-violation",
        "errno:EPERM",
        "--grant",
        "lookup:/bin",
        "tool",
    )
    image = read_image(fake.launches[0].image)
    paths = {node.path for node in image.nodes}
    assert {"/tmp", "/virtual", "/virtual/share"} <= paths
    assert image.net == 1
    assert image.env == (("A", "1"),)
    assert image.limits[2] == 64
    assert (image.allow & 1, image.violation, image.violation_errno) == (1, 0, errno.EPERM)
    assert image.addresses == ((0, 2, 80, bytes((127, 0, 0, 1))),)


def test_without_a_policy_it_is_the_workspace(place: Path) -> None:
    _, fake = run("run", "tool")
    nodes = {node.path: node for node in read_image(fake.launches[0].image).nodes}
    assert str(place) in nodes
    assert "/usr" in nodes


def test_pure_grants_nothing() -> None:
    _, fake = run("run", "--pure", "tool")
    assert [node.path for node in read_image(fake.launches[0].image).nodes] == ["/"]


def test_the_environment_of_the_caller_reaches_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOMETHING", "here")
    _, fake = run(*PURE, "tool")
    assert fake.launches[0].environ[b"SOMETHING"] == b"here"


# How it ends.


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Outcome(), 0),
        (Outcome(status=3 << 8), 3),
        (Outcome(failed=True, message="no Landlock; use --best-effort"), 125),
        (Outcome(exec_errno=errno.ENOENT), 127),
        (Outcome(exec_errno=errno.ENOTDIR), 127),
        (Outcome(exec_errno=errno.EACCES), 126),
        (Outcome(exec_errno=errno.ENOEXEC), 126),
        (Outcome(timed_out=True, status=15), 124),
    ],
)
def test_the_exit_status_is_that_of_the_contract(outcome: Outcome, code: int) -> None:
    assert run(*PURE, "--timeout", "9", "tool", fake=FakeEngine(outcome))[0] == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGPIPE, signal.SIGSEGV, 34])
def test_it_dies_of_the_signal_that_killed_the_command(place: Path, number: int) -> None:
    ended = process({"status": int(number)}, *PURE, "tool")
    assert ended.returncode == -number
    assert not list(place.glob("core*"))


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (["--fail-on-violation"], 0, 120),
        (["--fail-on-violation"], 3, 3),
        ([], 0, 0),
    ],
)
def test_fail_on_violation_counts_only_where_the_command_succeeded(
    arguments: list[str], status: int, code: int
) -> None:
    fake = FakeEngine(Outcome(status=status << 8, refusals=1), [refusal_record("/etc/shadow", 1)])
    assert run(*PURE, *arguments, "tool", fake=fake)[0] == code


def test_absent_names_are_no_violation() -> None:
    batch = record(EventType.ABSENT, kind="not-granted", path=b"/x", result=-2)
    fake = FakeEngine(Outcome(absent=1), [batch])
    assert run(*PURE, "--fail-on-violation", "tool", fake=fake)[0] == 0


# What it says.


def told(capfd: pytest.CaptureFixture[str]) -> str:
    out, err = capfd.readouterr()
    assert out == ""
    assert all(line.startswith("capwrap: ") for line in err.splitlines())
    return err


def test_refusals_are_summed_up_with_what_would_allow_them(capfd: pytest.CaptureFixture[str]) -> None:
    fake = FakeEngine(Outcome(refusals=2), [refusal_record("/etc/shadow", 1), refusal_record("/etc/shadow", 1)])
    run(*PURE, "tool", fake=fake)
    assert told(capfd) == (
        "capwrap: 2 calls refused:\n"
        "capwrap:   /etc/shadow: openat: ENOENT, not granted, needs read (2 times)\n"
        "capwrap:     allow with: --ro /etc/shadow\n"
    )


def test_quiet_silences_the_summary(capfd: pytest.CaptureFixture[str]) -> None:
    run(*PURE, "-q", "tool", fake=FakeEngine(Outcome(refusals=1), [refusal_record("/etc/shadow", 1)]))
    assert told(capfd) == ""


def test_nothing_refused_is_nothing_said(capfd: pytest.CaptureFixture[str]) -> None:
    run(*PURE, "tool")
    assert told(capfd) == ""


def test_verbose_tells_of_absent_names(capfd: pytest.CaptureFixture[str]) -> None:
    fake = FakeEngine(Outcome(absent=1), [record(EventType.ABSENT, kind="not-granted", path=b"/x", result=-2)])
    run(*PURE, "-v", "tool", fake=fake)
    assert "/x (1)" in told(capfd)


@pytest.mark.parametrize("quiet", [(), ("-q",)])
@pytest.mark.parametrize(
    ("outcome", "says"),
    [(Outcome(lost=3, incomplete=True), "3 records were lost"), (Outcome(incomplete=True), "unobserved")],
)
def test_what_was_not_seen_is_told_even_when_quiet(
    capfd: pytest.CaptureFixture[str], outcome: Outcome, says: str, quiet: tuple[str, ...]
) -> None:
    run(*PURE, *quiet, "tool", fake=FakeEngine(outcome))
    assert says in told(capfd)


def test_what_the_engine_has_to_say_of_a_run_that_ended_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    run(*PURE, "-q", "tool", fake=FakeEngine(Outcome(message="process 7 was killed: it hurt the pad")))
    assert told(capfd) == "capwrap: process 7 was killed: it hurt the pad\n"


@pytest.mark.parametrize("kind", KINDS[1:])
def test_every_kind_of_refusal_can_be_told(capfd: pytest.CaptureFixture[str], kind: str) -> None:
    run(*PURE, "tool", fake=FakeEngine(Outcome(refusals=1), [refusal_record("/etc/shadow", 1, kind)]))
    assert "/etc/shadow" in told(capfd)


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        (Outcome(failed=True, message="no Landlock here\nuse --best-effort"), "use --best-effort"),
        (Outcome(failed=True), "without a message"),
        (Outcome(exec_errno=errno.ENOENT), "no-such-tool: not found"),
        (Outcome(exec_errno=errno.EACCES), "no-such-tool: not runnable: Permission denied"),
        (Outcome(exec_errno=errno.ENOEXEC), "no-such-tool: not runnable: Exec format error"),
        (Outcome(timed_out=True), "timed out after 9 s"),
    ],
)
def test_a_run_that_failed_says_why(capfd: pytest.CaptureFixture[str], outcome: Outcome, says: str) -> None:
    run(*PURE, "--timeout", "9", "no-such-tool", fake=FakeEngine(outcome))
    assert says in told(capfd)


def test_a_command_that_only_the_host_has_is_told_with_its_remedy(capfd: pytest.CaptureFixture[str]) -> None:
    run("run", "--pure", "sh", fake=FakeEngine(Outcome(exec_errno=errno.ENOENT)))
    said = told(capfd)
    assert "exists on the host" in said
    assert "--profile runtime" in said


def test_verbose_twice_tells_what_the_run_cost(capfd: pytest.CaptureFixture[str]) -> None:
    run(*PURE, "-vv", "tool", fake=FakeEngine(Outcome(stops=6, deliveries=1)))
    assert told(capfd) == "capwrap: 1 process, 6 stops, 1 descriptor delivered, 0 refusals, 0 absent\n"
    run(*PURE, "-vvq", "tool", fake=FakeEngine(Outcome(stops=1, processes=1, refusals=1)))
    assert told(capfd) == "capwrap: 2 processes, 1 stop, 0 descriptors delivered, 1 refusal, 0 absent\n"


# Wrong usage.


@pytest.mark.parametrize(
    "arguments",
    [
        ("run",),
        ("run", "--"),
        ("run", "--no-such-option", "x"),
        ("run", "--net", "some", "x"),
        ("run", "--profile", "none", "x"),
        ("run", "--method", "inline", "x"),
        ("run", "--method", "notify", "x"),
        ("run", "--grant", "/x", "x"),
        ("run", "--grant", "reed:/usr", "x"),
        ("run", "--limit", "memory", "x"),
        ("run", "--limit", "memory=much", "x"),
        ("run", "--connect", "udp:1", "x"),
        ("run", "--allow", "everything", "x"),
        ("run", "--on-violation", "errno:ENONE", "x"),
        ("run", "--policy", "/no/such/policy.toml", "x"),
        ("run", "--policy", "/", "x"),
        ("run", "--pure", "--timeout", "0", "x"),
        ("run", "--pure", "--timeout", "-1", "x"),
        ("run", "--pure", "--timeout", "nan", "x"),
        ("run", "--pure", "--timeout", "inf", "x"),
        ("run", "--pure", "--timeout", "1e10", "x"),
        ("run", "--pure", "--pass-fd", "999", "x"),
        ("run", "--pure", "--pass-fd", "-1", "x"),
        ("run", "--pure", "--pass-fd", "99999999999999999999", "x"),
        ("run", "--pure", "--events", "/no/such/directory/file", "x"),
        ("run", "--pure", "--events", "/", "x"),
        ("run", "--pure", "--events", "fd:999", "x"),
        (),
        ("run", "--ro"),
        ("run", "--ro", "", "x"),
        ("run", "--policy", "", "x"),
        ("run", "--pure", "--chdir", "", "x"),
        ("run", "--ro", "/no/such/directory/file", "x"),
        ("tracing", "x"),
        ("--no-such-option",),
        ("--method",),
    ],
)
def test_wrong_usage_is_125_with_a_message(capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    code, fake = run(*arguments)
    said = told(capfd)
    assert code == 125
    assert said
    assert "internal error" not in said
    assert fake.launches == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "capwrap: Missing command.\ncapwrap: try `capwrap --help`\n"),
        (("run", "--ro"), "capwrap: Option '--ro' requires an argument.\ncapwrap: try `capwrap run --help`\n"),
        (("run", "--rw", "", "x"), "capwrap: --rw: an empty path\n"),
        (("run", "--connect", "x", "x"), "capwrap: --connect: `x` is no address\n"),
        (("run", "--on-violation", "x", "x"), "capwrap: --on-violation: unknown answer to a violation `x`\n"),
        (("run", "--limit", "cpu=x", "x"), "capwrap: --limit: `x` is no value for the limit `cpu`\n"),
    ],
)
def test_wrong_usage_names_the_option_and_the_command(
    capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    run(*arguments)
    assert told(capfd).startswith(says)


def test_the_workspace_refuses_the_root_directory(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    assert run("run", "tool")[0] == 125
    assert told(capfd)


def test_a_removed_current_directory_is_told(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    place.rmdir()
    assert run(*PURE, "tool")[0] == 125
    assert "the current directory: No such file or directory" in told(capfd)


def test_without_the_engine_it_says_how_to_get_it(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine._loaded = None
    monkeypatch.setitem(sys.modules, "capwrap.engine._engine", None)
    assert main([*PURE, "tool"]) == 125
    assert "pip" in told(capfd)


def test_an_unforeseen_error_is_a_message_and_no_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    def broken(launch: object) -> None:
        raise ZeroDivisionError("of course")

    code, _ = run(*PURE, "tool", fake=FakeEngine(script=broken))
    assert code == 125
    assert told(capfd) == (
        "capwrap: internal error: ZeroDivisionError: of course; set CAPWRAP_DEBUG=1 for the traceback, and report it\n"
    )


def test_debug_shows_the_traceback_of_an_unforeseen_error(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(launch: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setenv("CAPWRAP_DEBUG", "1")
    run(*PURE, "tool", fake=FakeEngine(script=broken))
    assert "Traceback" in told(capfd)


# The record.


def test_events_records_accesses_too(tmp_path: Path) -> None:
    path = tmp_path / "events"
    batch = record(EventType.ACCESS, path=b"/usr/x", grant=1, rights=1)
    _, fake = run(*PURE, "--events", str(path), "tool", fake=FakeEngine(Outcome(status=3 << 8), [batch], coarse="/x"))
    assert fake.launches[0].record_access
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["type"] for line in lines] == ["run", "access", "end"]
    assert (lines[0]["argv"], lines[0]["method"]) == (["tool"], "ptrace")
    assert lines[1]["grant"] == "/usr"
    assert (lines[-1]["status"], lines[-1]["signal"]) == (3, None)


def test_events_can_go_to_a_descriptor() -> None:
    reading, writing = os.pipe()
    run(*PURE, "--events", f"fd:{writing}", "tool")
    os.close(writing)
    with open(reading, "rb") as file:
        assert [json.loads(line)["type"] for line in file] == ["run", "end"]


def test_a_signal_is_recorded(tmp_path: Path) -> None:
    process({"status": 15}, *PURE, "--events", str(tmp_path / "events"), "tool")
    end = json.loads((tmp_path / "events").read_text().splitlines()[-1])
    assert (end["status"], end["signal"]) == (None, 15)


def test_a_record_that_cannot_be_written_is_told_and_the_command_runs(capfd: pytest.CaptureFixture[str]) -> None:
    code, fake = run(*PURE, "--events", "/dev/full", "tool")
    assert (code, len(fake.launches)) == (0, 1)
    assert "could not be written: No space left on device" in told(capfd)


def test_a_run_that_does_not_start_has_a_record_with_both_ends(tmp_path: Path) -> None:
    path = tmp_path / "events"
    run(*PURE, "--events", str(path), "tool", fake=FakeEngine(Outcome(exec_errno=errno.ENOENT)))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["type"] for line in lines] == ["run", "end"]
    assert lines[-1]["status"] == 127


# Streams that are not there.


def closed(*descriptors: int) -> Callable[[], None]:
    def close() -> None:
        for fd in descriptors:
            os.close(fd)

    return close


@pytest.mark.parametrize("descriptors", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_standard_descriptors_change_nothing(tmp_path: Path, descriptors: tuple[int, ...]) -> None:
    path = tmp_path / "events"
    batch = refusal_record("/etc/shadow", 1).hex()
    ended = process(
        {"status": 5 << 8, "refusals": 1, "batches": [batch]},
        *PURE,
        "--events",
        str(path),
        "tool",
        preexec_fn=closed(*descriptors),
    )
    assert ended.returncode == 5
    lines = [json.loads(line)["type"] for line in path.read_text().splitlines()]
    assert lines == ["run", "refusal", "end"]


def test_a_full_standard_error_changes_no_exit_status() -> None:
    with open("/dev/full", "wb") as full:
        ended = process({"failed": True, "message": "x"}, *PURE, "tool", stderr=full)
    assert ended.returncode == 125


def test_a_command_that_is_there_but_broken_is_not_runnable(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    broken = place / "broken"
    broken.write_bytes(b"\x7fELF\2\1\1" + bytes(20))
    broken.chmod(0o755)
    code, fake = run("run", "--pure", "--profile", "runtime", str(broken))
    assert (code, fake.launches) == (126, [])
    assert str(broken) in told(capfd)
