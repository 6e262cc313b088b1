"""The Python API behaves like subprocess, as far as that needs no engine."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT
from typing import TYPE_CHECKING, Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from event_records import record, refusal_record
from fake_engine import PID, FakeEngine

from capwrap import Grant, Policy, Result, Right, Sandbox
from capwrap.engine import Outcome
from capwrap.observe.records import EventType
from capwrap.policy.image import read_image
from capwrap.sandbox import SandboxError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from capwrap.engine import Launch

POLICY = Policy().ro("/usr")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A cache of its own, and no descriptor left open."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    before = set(os.listdir("/proc/self/fd"))
    yield
    assert set(os.listdir("/proc/self/fd")) <= before


def sandbox(script: Callable[[Launch], Outcome | None] | None = None, **more: Any) -> tuple[Sandbox, FakeEngine]:
    fake = FakeEngine(script=script, **more)
    return Sandbox(POLICY, engine=fake), fake


def cat(launch: Launch) -> None:
    """Copy stdin to stdout, and tell how much on stderr."""
    zero, one, two = launch.stdio
    total = 0
    while chunk := os.read(zero, 4096):
        total += len(chunk)
        view = memoryview(chunk)
        while view:
            view = view[os.write(one, view) :]
    os.write(two, f"{total}\r\n".encode())


def test_the_result_is_a_completed_process_with_refusals_and_accesses() -> None:
    batches = [refusal_record("/etc/shadow", 1), record(EventType.ACCESS, path=b"/usr/x", grant=1, rights=1, result=3)]
    box, _ = sandbox(outcome=Outcome(status=3 << 8), batches=batches)
    result = box.run(["tool", Path("x")])
    assert isinstance(result, subprocess.CompletedProcess)
    assert isinstance(result, Result)
    assert (result.args, result.returncode, result.stdout, result.stderr) == (["tool", "x"], 3, None, None)
    (refusal,) = result.refusals
    assert (refusal.path, refusal.needs, refusal.allow) == ("/etc/shadow", ("read",), "--ro /etc/shadow")
    (access,) = result.accesses
    assert (access.path, access.grant, access.rights, access.result) == ("/usr/x", "/usr", ("read",), 3)
    assert result.complete
    assert "returncode=3" in repr(result)


def test_a_command_that_is_broken_is_what_subprocess_says_of_it(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF\2\1\1" + bytes(20))
    broken.chmod(0o755)
    with pytest.raises(OSError, match="Exec format error") as native:
        subprocess.run([broken], check=False)
    with pytest.raises(OSError, match="no valid ELF header") as confined:
        Sandbox(Policy.profile("runtime"), engine=FakeEngine()).run([broken])
    assert (confined.value.errno, confined.value.filename) == (native.value.errno, str(native.value.filename))


def test_absent_names_are_no_refusals() -> None:
    box, _ = sandbox(batches=[record(EventType.ABSENT, kind="not-granted", path=b"/x", result=-2)])
    assert box.run(["tool"]).refusals == ()


def test_input_goes_in_and_output_comes_back_whatever_their_size() -> None:
    data = bytes(range(256)) * 4096
    box, _ = sandbox(cat)
    result = box.run(["cat"], input=data, capture_output=True)
    assert (result.stdout, result.stderr) == (data, f"{len(data)}\r\n".encode())


def test_text_mode_decodes_and_translates_line_ends() -> None:
    box, _ = sandbox(cat)
    result = box.run(["cat"], input="é\r\nx", capture_output=True, encoding="utf-8")
    assert (result.stdout, result.stderr) == ("é\nx", "5\n")


def test_an_encoding_is_text_mode() -> None:
    box, _ = sandbox(cat)
    assert box.run(["cat"], input="é", capture_output=True, encoding="latin-1").stderr == "1\n"


def test_stderr_can_go_where_stdout_goes() -> None:
    box, _ = sandbox(cat)
    assert box.run(["cat"], input=b"x", stdout=PIPE, stderr=STDOUT).stdout == b"x1\r\n"


def test_files_descriptors_and_devnull_are_taken(tmp_path: Path) -> None:
    box, _ = sandbox(cat)
    with open(tmp_path / "out", "wb") as out, open(os.devnull, "wb") as null:
        box.run(["cat"], stdin=DEVNULL, stdout=out, stderr=null.fileno())
    assert (tmp_path / "out").read_bytes() == b""


def test_the_callers_own_descriptors_are_the_default() -> None:
    box, fake = sandbox()
    box.run(["tool"])
    assert fake.launches[0].stdio == (-1, -1, -1)


def test_input_that_is_not_read_is_no_error() -> None:
    box, _ = sandbox(lambda launch: None)
    assert box.run(["true"], input=b"x" * (1 << 20)).returncode == 0


def test_death_by_a_signal_is_a_negative_return_code() -> None:
    box, _ = sandbox(outcome=Outcome(status=signal.SIGKILL))
    assert box.run(["tool"]).returncode == -signal.SIGKILL


def test_check_raises_with_the_output() -> None:
    def fail(launch: Launch) -> Outcome:
        os.write(launch.stdio[1], b"out")
        return Outcome(status=2 << 8)

    box, _ = sandbox(fail)
    with pytest.raises(subprocess.CalledProcessError) as caught:
        box.run(["tool"], check=True, capture_output=True)
    assert (caught.value.returncode, caught.value.stdout) == (2, b"out")


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOENT, FileNotFoundError), (errno.EACCES, PermissionError), (errno.ENOEXEC, OSError)],
)
def test_a_command_that_cannot_start_raises_as_subprocess_does(number: int, kind: type[OSError]) -> None:
    box, _ = sandbox(outcome=Outcome(exec_errno=number))
    with pytest.raises(kind) as caught:
        box.run(["tool"], capture_output=True)
    assert (caught.value.errno, caught.value.filename) == (number, "tool")
    with pytest.raises(kind):
        box.popen(["tool"], stdin=PIPE)


def test_a_failure_of_capwrap_is_an_error_of_its_own() -> None:
    box, _ = sandbox(outcome=Outcome(failed=True, message="no Landlock; use best_effort"))
    with pytest.raises(SandboxError, match="no Landlock"):
        box.run(["tool"])


def test_an_exception_of_the_engine_reaches_the_caller_and_the_next_run_works() -> None:
    def broken(launch: Launch) -> None:
        raise ZeroDivisionError

    box, fake = sandbox(broken)
    with pytest.raises(ZeroDivisionError):
        box.run(["tool"], capture_output=True)
    fake.script = None
    assert box.run(["tool"]).returncode == 0


# Time.


def until_signalled(fake: FakeEngine, prefix: bytes = b"") -> Callable[[Launch], Outcome]:
    def script(launch: Launch) -> Outcome:
        if prefix:
            os.write(launch.stdio[1], prefix)
        fake.signalled.wait()
        return Outcome(status=fake.signals[-1])

    return script


def test_a_timeout_kills_the_command_and_raises_with_what_it_wrote() -> None:
    box, fake = sandbox()
    fake.script = until_signalled(fake, b"so far")
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        box.run(["sleep"], capture_output=True, timeout=0.05)
    assert fake.signals == [signal.SIGKILL]
    assert (caught.value.output, caught.value.timeout) == (b"so far", 0.05)


def test_a_timeout_without_pipes_raises_too() -> None:
    box, fake = sandbox()
    fake.script = until_signalled(fake)
    with pytest.raises(subprocess.TimeoutExpired):
        box.run(["sleep"], timeout=0.05)
    assert fake.signals == [signal.SIGKILL]


# popen


def test_popen_is_driven_like_popen() -> None:
    box, fake = sandbox()
    fake.script = until_signalled(fake)
    with box.popen(["sleep"]) as process:
        assert process.pid == PID
        assert process.poll() is None
        assert process.returncode is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.01)
        process.terminate()
        assert process.wait() == -signal.SIGTERM
    assert process.poll() == process.returncode == -signal.SIGTERM
    process.kill()
    assert fake.signals == [signal.SIGTERM]


def test_popen_pipes_are_files() -> None:
    box, _ = sandbox(cat)
    with box.popen(["cat"], stdin=PIPE, stdout=PIPE, stderr=DEVNULL, text=True) as process:
        process.stdin.write("hello\n")
        process.stdin.close()
        assert process.stdout.read() == "hello\n"
        assert process.wait() == 0


def test_communicate_can_be_called_again_after_a_timeout() -> None:
    box, fake = sandbox()
    fake.script = until_signalled(fake, b"data")
    with box.popen(["tool"], stdin=PIPE, stdout=PIPE) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.communicate(b"in", timeout=0.05)
        with pytest.raises(ValueError, match="after starting communication"):
            process.communicate(b"more")
        process.kill()
        assert process.communicate() == (b"data", None)


def test_a_second_popen_says_that_one_is_under_way() -> None:
    box, fake = sandbox()
    fake.script = until_signalled(fake)
    with box.popen(["sleep"]) as process:
        with pytest.raises(RuntimeError, match="under way"):
            box.popen(["other"])
        process.kill()
    assert box.popen(["sleep"]).wait() == -signal.SIGKILL


def test_runs_of_several_threads_take_turns() -> None:
    active, most = 0, 0
    lock = threading.Lock()

    def script(launch: Launch) -> None:
        nonlocal active, most
        with lock:
            active += 1
            most = max(most, active)
        os.read(launch.stdio[0], 1)
        with lock:
            active -= 1

    box, _ = sandbox(script)
    threads = [threading.Thread(target=box.run, args=(["tool"],), kwargs={"input": b"x"}) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


# What reaches the engine.


def test_options_reach_the_engine() -> None:
    box, fake = sandbox()
    box.run(["tool"], cwd="/usr", pass_fds=[5], linger=True, best_effort=True)
    (launch,) = fake.launches
    assert (launch.chdir, launch.pass_fds, launch.linger, launch.best_effort) == (b"/usr", (5,), True, True)
    assert (launch.record_access, launch.foreground, launch.timeout_ms) == (True, False, 0)


def test_a_relative_cwd_is_relative_to_the_callers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    box, fake = sandbox()
    box.run(["tool"], cwd="sub")
    assert fake.launches[0].chdir == os.fsencode(tmp_path / "sub")


def test_env_is_the_whole_environment_and_its_values_stay_out_of_the_image() -> None:
    fake = FakeEngine()
    Sandbox(POLICY.env("LANG"), engine=fake).run(["tool"], env={"A": "secret-value"})
    (launch,) = fake.launches
    assert launch.environ == {b"A": b"secret-value"}
    assert read_image(launch.image).env == (("A", None),)
    assert b"secret-value" not in launch.image


def test_without_env_the_policy_chooses_from_the_callers() -> None:
    fake = FakeEngine()
    Sandbox(POLICY.env("LANG"), engine=fake).run(["tool"])
    assert fake.launches[0].environ == dict(os.environb)
    assert read_image(fake.launches[0].image).env == (("LANG", None),)


def test_events_are_recorded_to_a_file_or_a_descriptor(tmp_path: Path) -> None:
    fake = FakeEngine()
    Sandbox(POLICY, events=tmp_path / "events", engine=fake).run(["tool"])
    assert (tmp_path / "events").read_text().count("\n") == 2
    reading, writing = os.pipe()
    Sandbox(POLICY, events=writing, engine=fake).run(["tool"])
    os.close(writing)
    with open(reading, "rb") as file:
        assert file.read().count(b"\n") == 2


# Misuse.


@pytest.mark.parametrize("argv", ["tool", b"tool", [], ()])
def test_argv_is_a_sequence_of_arguments(argv: Any) -> None:
    box, _ = sandbox()
    with pytest.raises(TypeError, match="there is no shell"):
        box.run(argv)


def test_an_unknown_method_is_an_error() -> None:
    with pytest.raises(ValueError, match="choose one of auto, ptrace"):
        Sandbox(POLICY, method="notify")


@pytest.mark.parametrize("options", [{"input": b"", "stdin": PIPE}, {"capture_output": True, "stdout": PIPE}])
def test_contradictory_options_are_an_error(options: dict[str, Any]) -> None:
    box, _ = sandbox()
    with pytest.raises(ValueError, match="may not"):
        box.run(["tool"], **options)


def test_the_public_names_are_there() -> None:
    assert Right.READ in Grant("/usr", Right.READ).rights
