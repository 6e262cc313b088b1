"""What `capwrap run` ends with: the statuses of capwrap(1), each for its reason and no other."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
from support.compare import Bench, write_files
from support.programs import Programs
from support.run import TIMEOUT, require, tool


def secret(bench: Bench) -> Path:
    """A file that exists, readable, beside the workspace: no default policy grants it."""
    path = bench.root / "secret"
    path.write_text("secret\n")
    path.chmod(0o644)
    return path


@pytest.mark.parametrize("status", [0, 1, 3, 120, 124, 125, 126, 127, 128, 255])
def test_the_status_is_commands_own(bench: Bench, status: int) -> None:
    assert bench.confined(["sh", "-c", f"exit {status}"]).status == status


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGINT, signal.SIGPIPE])
def test_capwrap_dies_of_the_signal_that_killed_command(each_bench: Bench, number: signal.Signals) -> None:
    done = each_bench.confined(["sh", "-c", f"kill -{number.value} $$"])
    assert done.status == -number, done.describe()


def test_an_unconfined_shell_sees_the_same_statuses(bench: Bench) -> None:
    script = "for s in 'exit 9' 'kill -9 $$' 'exit 0'; do CAPWRAP sh -c \"$s\"; echo $?; done 2>/dev/null"
    capwrap = " ".join([*bench.runner.capwrap, "run", "-q", "--"])
    done = bench.runner.native(["sh", "-c", script.replace("CAPWRAP", capwrap)], cwd=bench.work, env=bench.env)
    assert done.text.split() == ["9", "137", "0"], done.describe()


def test_124_is_a_timeout_that_sigterm_ended(bench: Bench) -> None:
    done = bench.confined("trap 'echo asked; exit 0' TERM; sleep 1000 & wait", options=("--timeout", "1"))
    assert (done.status, done.stdout) == (124, b"asked\n"), done.describe()


def test_124_is_a_timeout_that_only_sigkill_ended(bench: Bench) -> None:
    done = bench.confined("trap '' TERM; exec sleep 1000", options=("-q", "--timeout", "1"), timeout=60)
    assert done.status == 124, done.describe()


@pytest.mark.parametrize("script", ["kill -STOP $$", "trap 'kill -STOP $$' TERM; kill -STOP $$"], ids=["once", "again"])
def test_124_is_a_timeout_of_a_command_that_stopped_itself(bench: Bench, script: str) -> None:
    # Where COMMAND stops, capwrap does, as the job that a shell sees.
    done = bench.confined(script, options=("-q", "--timeout", "1"), timeout=60)
    assert done.status == 124, done.describe()


def test_no_timeout_where_command_is_quick(bench: Bench) -> None:
    assert bench.confined("exit 5", options=("-q", "--timeout", "60")).status == 5


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--no-such-option", "--", "true"],
        ["run", "--policy", "absent.toml", "--", "true"],
        ["run", "--profile", "absent", "--", "true"],
        ["run", "--ro", "absent-directory/absent", "--", "true"],
        ["run", "--limit", "cpu=lots", "--", "true"],
        ["run", "--limit", "files=3", "--", "true"],
        ["run", "--net", "some", "--", "true"],
        ["run", "--grant", "fly:/usr", "--", "true"],
        ["run"],
        ["no-such-command"],
    ],
    ids=" ".join,
)
def test_125_is_capwraps_own_failure_and_says_why(bench: Bench, arguments: list[str]) -> None:
    done = bench.runner.command(arguments, cwd=bench.work, env=bench.env)
    assert done.status == 125, done.describe()
    assert done.stderr.startswith(b"capwrap: "), done.describe()
    assert done.stdout == b""


@pytest.mark.parametrize("where", ["/", "home", "above"])
def test_125_where_the_workspace_would_hold_home(bench: Bench, where: str) -> None:
    cwd = {"/": Path("/"), "home": bench.home, "above": bench.home.parent}[where]
    done = bench.runner.confined(["true"], cwd=cwd, env=bench.env)
    assert done.status == 125, done.describe()
    assert done.stderr.startswith(b"capwrap: "), done.describe()


FILES = {"text": "no program\n", "dir/x": "", "interpreted": "#!/no/such/interpreter\n", "empty": ""}


@pytest.mark.parametrize("command", ["./text", "./dir", "./dir/x"])
def test_126_is_found_but_not_runnable(each_bench: Bench, command: str) -> None:
    each_bench.fresh(FILES)
    done = each_bench.confined([command])
    assert done.status == 126, done.describe()
    assert done.stderr.startswith(b"capwrap: ")
    assert command[2:].encode() in done.stderr


@pytest.mark.parametrize("profile", ["runtime", "workspace"])
def test_a_program_that_can_only_be_executed_runs_where_it_can_be_followed(each_bench: Bench, profile: str) -> None:
    """Nobody but root may look at a process whose program cannot be read."""
    tool = each_bench.root / "tool"
    shutil.copy2("/bin/true", tool)
    tool.chmod(0o111)
    done = each_bench.confined([tool], options=("--profile", profile))
    if os.geteuid() == 0 and each_bench.runner.uid is None:
        assert (done.status, done.stderr) == (0, b""), done.describe()
    else:
        assert done.status == 126, done.describe()
        assert b"tool: not runnable: it cannot be read" in done.stderr


@pytest.mark.parametrize("command", ["no-such-command", "./absent", "/absent/x", "text"])
def test_127_is_not_found(bench: Bench, command: str) -> None:
    write_files(bench.work, FILES)
    done = bench.confined([command])
    assert done.status == 127, done.describe()
    assert done.stderr.startswith(b"capwrap: ")


def test_command_itself_is_granted_and_its_neighbour_is_not_found(each_bench: Bench) -> None:
    for name in ("tool", "neighbour"):
        path = each_bench.root / name
        path.write_text("#!/bin/sh\necho ran\n")
        path.chmod(0o755)
    itself = each_bench.confined([each_bench.root / "tool"])
    assert (itself.status, itself.text) == (0, "ran\n"), itself.describe()
    neighbour = each_bench.confined(["sh", "-c", str(each_bench.root / "neighbour")])
    assert neighbour.status == 127, neighbour.describe()


def test_127_is_what_pure_leaves(bench: Bench) -> None:
    pure = bench.confined(["/bin/true"], options=("--pure",))
    assert pure.status == 127, pure.describe()


def test_120_is_success_with_a_refusal(each_bench: Bench) -> None:
    path = secret(each_bench)
    options = ("--fail-on-violation",)
    done = each_bench.confined(f"cat {path} || true", options=options)
    assert done.status == 120, done.describe()
    assert str(path).encode() in done.stderr
    assert each_bench.confined(f"cat {path} || true", options=()).status == 0
    assert each_bench.confined(f"cat {path} || exit 7", options=options).status == 7


def test_a_name_that_is_nowhere_is_no_violation(bench: Bench) -> None:
    done = bench.confined("cat /etc/absent-everywhere || true", options=("--fail-on-violation",))
    assert done.status == 0, done.describe()


def test_the_summary_names_object_and_remedy_once_and_q_silences_it(bench: Bench) -> None:
    path = secret(bench)
    script = f"for i in 1 2 3; do cat {path} 2>/dev/null; done; exit 0"
    loud = bench.confined(script, options=())
    assert f"--ro {path}" in loud.stderr.decode(), loud.describe()
    assert loud.stderr.decode().count(f"--ro {path}") == 1, loud.describe()
    assert all(line.startswith("capwrap: ") for line in loud.stderr.decode().splitlines()), loud.describe()
    assert bench.confined(script, options=("-q",)).stderr == b""


def test_verbose_counts_absent_names_and_the_record_names_them(bench: Bench) -> None:
    command = ["cat", "/etc/absent-everywhere", "/etc/absent-everywhere"]
    plain = bench.confined(command, options=())
    assert b"capwrap" not in plain.stderr, plain.describe()
    counted = bench.confined(command, options=("-v",))
    assert b"on names that the host does not have either (absent)\n" in counted.stderr, counted.describe()
    named = bench.confined(command, options=("-v", "--events", bench.events))
    assert b"capwrap:   /etc/absent-everywhere (2)\n" in named.stderr, named.describe()


STOPPED = re.compile(
    r"capwrap: process (\d+) stopped at a refused call \(openat .*\)\. Look at it in /proc/\1 .*, "
    r"go on with kill -CONT (\d+), end it with kill -KILL (\d+)\."
)


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.parametrize("command", ["COMMAND itself", "another process"])
@pytest.mark.parametrize("ending", ["go on", "end"])
def test_a_process_stopped_at_a_refused_call_obeys_what_the_message_says(
    bench: Bench, command: str, ending: str
) -> None:
    require("gdb")
    argv = [*bench.runner.capwrap, "run", "-q", "--on-violation", "stop", "--", "cat", str(secret(bench))]
    if command == "another process":
        argv[-2:] = ["sh", "-c", f"cat {secret(bench)}; test $? -lt 128 || exit 4; exit 3"]
    with subprocess.Popen(argv, cwd=bench.work, env=bench.env, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            assert select.select([process.stderr], [], [], TIMEOUT)[0], "nothing was said"
            said = process.stderr.readline()
            found = STOPPED.match(said)
            assert found is not None, said
            stopped, continued, ended = (int(number) for number in found.groups())
            until = time.monotonic() + TIMEOUT
            while state_of(stopped) not in "tT" and time.monotonic() < until:
                time.sleep(0.01)
            # What a person finds there: whose code it is in, and its stack.
            assert Path(f"/proc/{stopped}/comm").read_text() == "cat\n"
            stack, _code = (int(word, 16) for word in Path(f"/proc/{stopped}/syscall").read_text().split()[-2:])
            with open(f"/proc/{stopped}/mem", "rb", buffering=0) as memory:
                memory.seek(stack)
                assert len(memory.read(64)) == 64
            gdb = bench.runner.native(["gdb", "-p", str(stopped), "-batch"], cwd=bench.work, env=bench.env)
            assert f"process {stopped} is already traced" in gdb.stderr.decode()
            if command == "COMMAND itself":
                # A job of a shell: as such it stops, and goes on.
                assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])
            os.kill(continued if ending == "go on" else ended, signal.SIGCONT if ending == "go on" else signal.SIGKILL)
            status = process.wait(TIMEOUT)
        finally:
            process.kill()
    expected = {"COMMAND itself": (1, -signal.SIGKILL), "another process": (3, 4)}[command]
    assert status == expected[ending == "end"]


def test_a_trapped_call_leaves_a_core_that_a_debugger_reads(bench: Bench, programs: Programs) -> None:
    require("gdb")
    program = programs("system/refused")
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    options = ["-q", "--on-violation", "trap", "--events", str(bench.events), "--rox", str(program)]
    argv = [*bench.runner.capwrap, "run", *options, "--", str(program), str(secret(bench))]
    done = bench.runner.native(
        ["sh", "-c", 'ulimit -c unlimited; exec "$@"', "sh", *argv], cwd=bench.work, env=bench.env
    )
    assert done.status == -signal.SIGTRAP, done.describe()
    assert len(bench.records("refusal")) == 1
    if "/" in pattern or pattern.startswith("|"):
        # Somebody else on this machine collects them. Under the other patterns it lies where the process was.
        return
    (core,) = bench.work.glob("core*")
    gdb = bench.runner.native(["gdb", "-batch", "-ex", "bt", program, core], cwd=bench.work, env=bench.env)
    assert re.search(r"#\d+ .*open_the_secret.*#\d+ .*main", gdb.text, re.DOTALL), gdb.describe()


@pytest.mark.parametrize(
    ("violation", "status"), [("errno", 1), ("errno:EIO", 1), ("trap", -signal.SIGTRAP), ("kill", -signal.SIGKILL)]
)
def test_on_violation_decides_how_command_ends(bench: Bench, violation: str, status: int) -> None:
    done = bench.confined(["cat", secret(bench)], options=("-q", "--on-violation", violation))
    assert done.status == status, done.describe()
    assert (b"Input/output error" in done.stderr) == (violation == "errno:EIO")


@pytest.mark.parametrize("how", ["plain", "signalled", "awaited"])
def test_a_violation_traps_the_thread_that_made_the_call_however_that_was_made(
    bench: Bench, programs: Programs, how: str
) -> None:
    program = programs("system/looks")
    options = ("-q", "--rox", program.parent, "--on-violation", "trap")
    assert bench.confined([program, how, secret(bench)], options=options).status == -signal.SIGTRAP


@pytest.mark.parametrize("engine", ["capwrap run", "capwrap-exec"])
def test_command_starts_with_the_dispositions_and_the_mask_of_the_caller(each_bench: Bench, engine: str) -> None:
    each_bench.fresh()
    image = each_bench.root / "policy.cap"
    capwrap = [*each_bench.runner.capwrap, "run", "-q", "--"]
    if engine == "capwrap-exec":
        assert each_bench.runner.command(["compile", "-o", image], cwd=each_bench.work, env=each_bench.env).status == 0
        capwrap = [*each_bench.runner.capwrap_exec, str(image), "--"]
    script = """\
import os, signal, sys
def default(name): signal.signal(name, signal.SIG_DFL)
def ignore(name): signal.signal(name, signal.SIG_IGN)
for name in ("SIGPIPE", "SIGXFSZ", "SIGINT"):
    default(getattr(signal, name))
for name in sys.argv[1].split():
    ignore(getattr(signal, name))
signal.signal(signal.SIGUSR2, lambda *_: None)
signal.pthread_sigmask(signal.SIG_SETMASK, [getattr(signal, name) for name in sys.argv[2].split()])
os.execvp(sys.argv[3], sys.argv[3:])
"""
    several = ["", "SIGHUP SIGCHLD SIGTSTP SIGUSR1 SIGRTMIN SIGRTMAX", "SIGTTIN SIGTTOU SIGTERM SIGINT SIGQUIT"]
    # Of Python these two cannot be had: it ignores them whatever it found.
    several += ["SIGPIPE SIGXFSZ"] if engine == "capwrap-exec" else []
    for ignored in several:
        for blocked in ("", "SIGTERM SIGUSR2 SIGCHLD SIGRTMAX"):
            start = ["python3", "-c", script, ignored, blocked]
            shown = ["grep", "^Sig[BIC]", "/proc/self/status"]
            env = {**each_bench.env, **each_bench.runner.extra_env}
            native = each_bench.runner.native([*start, *shown], cwd=each_bench.work, env=env)
            confined = each_bench.runner.native([*start, *capwrap, *shown], cwd=each_bench.work, env=env)
            assert native.status == 0
            assert confined == native, f"{ignored}; {blocked}: {native.describe()}\n{confined.describe()}"


@pytest.mark.parametrize("limit", [8, 16, 32, 48])
def test_a_limit_of_descriptors_that_leaves_no_room_is_named(each_bench: Bench, limit: int) -> None:
    require("prlimit")
    runner = each_bench.runner
    low = replace(runner, prefix=("prlimit", f"--nofile={limit}:{limit}", *runner.prefix))
    done = low.confined(["true"], cwd=each_bench.work, env=each_bench.env)
    assert done.status == 125, done.describe()
    assert done.stderr.startswith(f"capwrap: at most {limit} descriptors may be open here".encode()), done.describe()
    assert b"raise the limit, as with ulimit -n" in done.stderr


def test_a_limit_of_file_sizes_below_what_a_run_needs_is_an_error_with_a_remedy(bench: Bench) -> None:
    argv = ["bash", "-c", 'ulimit -f 1; exec "$@"', "bash", *bench.runner.capwrap, "run", "--", "true"]
    done = bench.runner.native(argv, cwd=bench.work, env=bench.env)
    assert done.status == 125
    assert done.stderr.startswith(b"capwrap: ")
    assert b"(ulimit -f)" in done.stderr
    assert b"--limit file-size" in done.stderr


def test_a_run_within_a_run_says_that_it_may_not_trace(bench: Bench) -> None:
    image = bench.work / "policy.cap"
    compiled = bench.runner.command(["compile", "-o", image], cwd=bench.work, env=bench.env)
    assert compiled.status == 0, compiled.describe()
    shutil.copy2(tool("capwrap-exec"), bench.work / "inner")
    done = bench.confined(["./inner", image, "--", "true"], options=["-q"])
    assert done.status == 125, done.describe()
    assert done.stderr.startswith(b"capwrap: cannot trace the child: "), done.describe()
