"""A traced program does what it does natively, and the record has all that a run would refuse."""

from __future__ import annotations

import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from support.compare import Bench, copying
from support.programs import Programs
from support.run import require

WRITE_AND_READ = {"a.txt": "one\ntwo\nthree\n"}


@pytest.fixture
def traced(bench: Bench) -> Bench:
    """A bench whose confined runs are traces."""
    return replace(bench, runner=replace(bench.runner, verb="trace"))


@pytest.fixture
def each_traced(each_bench: Bench) -> Bench:
    """The same, once as root and once as an ordinary user."""
    return replace(each_bench, runner=replace(each_bench.runner, verb="trace"))


def refused(bench: Bench) -> set[tuple[str, str, str]]:
    """(path, kind, errno) of the refusals of the last record."""
    return {(str(r["path"]), str(r["kind"]), str(r["errno"])) for r in bench.records("refusal")}


def test_a_program_starts_in_a_trace_with_what_it_starts_with_natively(each_traced: Bench) -> None:
    script = """
        env | grep -vE '^(_|PYTHON[A-Z]*|LD_LIBRARY_PATH)=' | sort
        ulimit -a -H; ulimit -a -S
        grep -E '^(Cap|Groups|Uid|Gid|Umask|SigBlk|SigIgn|SigCgt)' /proc/self/status
        for fd in /proc/self/fd/*; do echo "${fd##*/}"; done
        cat /proc/self/limits /proc/self/oom_score_adj
        pwd; readlink /proc/self/cwd /proc/self/root
        exec 3<a.txt; readlink /proc/self/fd/3
        sh -c 'exec 9>&1; echo nine >&9'
    """
    each_traced.compare(script, files=WRITE_AND_READ, env={"SOMETHING": "else", "LD_DEBUG_OUTPUT": "x"})


def test_descriptors_that_are_inherited_natively_are_in_a_trace(traced: Bench) -> None:
    with open("/etc/hostname", "rb") as file:
        traced.fresh()
        ended = traced.confined(f"cat <&{file.fileno()}; ls /proc/self/fd", pass_fds=(file.fileno(),))
        native = traced.runner.native(
            ["sh", "-euc", f"cat <&{file.fileno()}; ls /proc/self/fd"],
            cwd=traced.work,
            env=traced.env,
            pass_fds=(file.fileno(),),
        )
    assert (ended.status, ended.stdout) == (native.status, native.stdout), ended.describe()


@pytest.mark.parametrize(
    "script",
    [
        "sort -r a.txt | tee b.txt | grep -c o; (cd /; pwd; ls /root >/dev/null 2>&1 || echo no); trap 'echo x' EXIT",
        'cat >m.c <<-E\n#include <stdio.h>\nint main(void) { return !puts("made"); }\nE\ngcc -O1 -o m m.c; ./m; size m',
        "git init -q r; cd r; git config user.email a@b; git config user.name c; cp ../a.txt .; git add .; "
        "GIT_AUTHOR_DATE='1 +0000' GIT_COMMITTER_DATE='1 +0000' git commit -qm x; git log -p; git gc -q; git fsck",
        "mkfifo f; (echo through >f &) ; cat f; mv a.txt b.txt; ln b.txt c.txt; ln -s c.txt d; rm b.txt; chmod 600 d",
        "kill -TERM $$; echo not here",
        "exit 7",
        "./nothing-there",
    ],
    ids=["pipeline", "compiler", "git", "names", "signal", "status", "not-found"],
)
def test_a_traced_program_does_what_it_does_natively(traced: Bench, script: str) -> None:
    require("git", "gcc")
    traced.compare(script, files=WRITE_AND_READ, status=None, ignore=["r/.git/index", "m"], options=["-q"])


THREADS = """
import os, signal, subprocess, threading, time
seen = []
signal.signal(signal.SIGUSR1, lambda *_: seen.append(1))
signal.signal(signal.SIGALRM, lambda *_: seen.append(2))
def work(n):
    for i in range(40):
        with open(f"{n}-{i}", "w") as f:
            f.write(str(i))
        os.stat(f"{n}-{i}")
threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
for t in threads: t.start()
for _ in range(50):
    os.kill(os.getpid(), signal.SIGUSR1)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
for t in threads: t.join()
for _ in range(5):
    print(subprocess.run(["sh", "-c", "echo from a child; exit 3"], capture_output=True))
signal.setitimer(signal.ITIMER_REAL, 0)
print(1 in seen, len(os.listdir(".")))
"""


def test_threads_children_and_signals_come_through_a_trace(each_traced: Bench) -> None:
    each_traced.compare(["/usr/bin/python3", "t.py"], files={"t.py": THREADS}, options=["-q"])
    (end,) = each_traced.records("end")
    assert end["complete"] is True


@pytest.mark.parametrize("what", ["fifo", "untraced", "numbers"])
@pytest.mark.parametrize("options", [(), ("--pure",)], ids=["granted", "refused"])
def test_a_tracer_that_looks_on_changes_nothing(
    each_traced: Bench, programs: Programs, what: str, options: tuple[str, ...]
) -> None:
    each_traced.compare(["./watched", what], setup=copying(programs("system/watched")), options=["-q", *options])
    (end,) = each_traced.records("end")
    assert end["complete"] is True


def test_numbers_that_are_no_calls_are_absent(traced: Bench, programs: Programs) -> None:
    traced.compare(["./watched", "numbers"], setup=copying(programs("system/watched")))
    told = [(r["syscall"], r.get("address"), r["errno"]) for r in traced.records("absent") if not r["path"]]
    assert told == [
        ("syscall_405", None, "ENOSYS"),
        ("syscall_1000", None, "ENOSYS"),
        ("syscall_65535", None, "ENOSYS"),
        ("syscall_65535", "call 65537", "ENOSYS"),
        ("syscall_65535", "call -1", "ENOSYS"),
    ]
    assert not [r for r in traced.records("refusal") if str(r["syscall"]).startswith("syscall_")]


def test_what_the_first_thread_waited_in_is_over_where_another_executes_a_program(
    traced: Bench, programs: Programs
) -> None:
    pair = traced.compare(["./watched", "thread"], setup=copying(programs("system/watched")))
    assert pair.native.stdout == b"executed\n"
    assert [
        r["result"] for r in traced.records("access") if r["syscall"] == "openat" and r["path"] == f"{traced.work}/fifo"
    ] == [-4]


def test_a_granted_file_system_can_be_unmounted_in_a_trace(traced: Bench) -> None:
    unprivileged = ["--user", "--map-root-user"] if os.geteuid() else []
    traced.fresh()
    (traced.work / "mounted").mkdir()
    # In a mount namespace of its own, in which capwrap is too.
    script = 'mount -t tmpfs none mounted && "$@" mounted || exit 1; ! grep mounted /proc/self/mounts'
    trace = [*traced.runner.capwrap, "trace", "-q", "--ro", traced.work / "mounted", "--", "umount"]
    for command in (["umount"], trace):
        ended = traced.runner.native(
            ["unshare", *unprivileged, "--mount", "sh", "-c", script, "sh", *command], cwd=traced.work, env=traced.env
        )
        assert ended.status == 0, ended.describe()


DATAGRAMS = """
import socket
server, client = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
server.bind(("127.0.0.1", 0))
client.connect(server.getsockname())
client.send(b"sent")
print(server.recv(9))
name = server.getsockname()
server.close()
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).bind(name)
"""


def test_a_traced_program_has_the_address_again_that_it_gave_up(traced: Bench) -> None:
    traced.compare(["python3", "-c", DATAGRAMS], options=["-q", "--net", "loopback"])


def test_one_trace_lists_what_runs_meet_one_after_another(bench: Bench, traced: Bench, programs: Programs) -> None:
    outside = bench.home
    names = [f"f{number}" for number in range(6)]

    def setup(work: Path) -> None:
        copying(programs("system/wants"))(work)
        for name in names:
            (outside / name).write_text("x")

    wanted = [str(outside / name) for name in names]
    bench.fresh(setup=setup)
    # One refusal a run: grant what it says, and run again.
    options: list[str] = ["--profile", "base", "--rwx", str(bench.work)]
    met = []
    while True:
        record = ["--events", str(bench.events), "-q", *options]
        ended = bench.confined(["./wants", "stop", *wanted], options=record)
        refusals = bench.records("refusal")
        if ended.status == 0:
            break
        (refusal,) = refusals
        met.append((refusal["path"], refusal["kind"], refusal["errno"], refusal["allow"]))
        options += str(refusal["allow"]).split(" ")
    assert len(met) == len(names)
    ended = traced.confined(
        ["./wants", "stop", *wanted],
        options=["-q", "--events", traced.events, "--profile", "base", "--rwx", traced.work],
    )
    assert ended.status == 0, ended.describe()
    assert [(r["path"], r["kind"], r["errno"], r["allow"]) for r in traced.records("refusal")] == met


def test_a_trace_has_the_errno_of_a_run_for_each_kind_of_refusal(bench: Bench, traced: Bench) -> None:
    secret = bench.home / "secret"
    script = f"""
        cat {secret} || :
        cat denied || :
        echo x >ro/file || :
        ln -s {secret} link; cat link || :
        kill -0 1 || :
        mknod null c 1 3 || :
        echo >{bench.home}/new || :
    """
    found = []
    for each in (bench, traced):
        each.fresh({"denied": "no", "ro/file": "old"})
        secret.write_text("s")
        ended = each.confined(
            script,
            options=[
                "-q", "--events", each.events, "--profile", "base", "--rwx", each.work, "--deny", each.work / "denied",
                "--ro", each.work / "ro",
            ],
        )  # fmt: skip
        assert ended.status == 0, ended.describe()
        names = {(r["syscall"], *entry) for r in each.records() if r["type"] in ("refusal", "absent")
                 for entry in [(r["path"], r["kind"], r["errno"])]}  # fmt: skip
        found.append(names)
    confined, unconfined = found
    assert confined <= unconfined, confined - unconfined
    kinds = {entry[2] for entry in confined}
    assert {"not-granted", "right-missing", "signal"} <= kinds


def test_what_a_trace_creates_where_a_run_could_not_is_a_refusal(traced: Bench) -> None:
    new = traced.home / "new"
    traced.confined(f"echo x >{new}; mkdir {new}.d; mv {new} {new}.2", options=["-q", "--events", traced.events,
                    "--profile", "base", "--rwx", traced.work])  # fmt: skip
    assert not new.exists()
    paths = {path for path, _, _ in refused(traced)}
    assert {str(new), f"{new}.d", f"{new}.2"} <= paths


def test_a_trace_of_a_program_that_is_not_granted_lists_its_interpreter_and_its_loader_too(traced: Bench) -> None:
    traced.fresh({"s": "#!/bin/sh\nexit 0\n"})
    ended = traced.confined(["./s"], options=["-q", "--pure", "--events", traced.events])
    assert ended.status == 0, ended.describe()
    execs = {r["path"] for r in traced.records("refusal") if r["syscall"] == "execve"}
    assert execs == {f"{traced.work}/s", "/bin/sh", "/lib64/ld-linux-x86-64.so.2"}


def test_own_temporary_files_are_not_missing_and_what_was_there_before_is(traced: Bench) -> None:
    (traced.home / "before").write_text("x")
    script = "d=$(mktemp -d); echo x >$d/f; cat $d/f; rm -r $d; cat ~/before; echo y >~/after; cat ~/after; rm ~/after"
    ended = traced.confined(script, options=["-q", "--events", traced.events])
    assert ended.status == 0, ended.describe()
    assert refused(traced) == {(f"{traced.home}/before", "not-granted", "ENOENT")}
    (refusal,) = traced.records("refusal")
    assert refusal["allow"] == f"--ro {traced.home}/before"
    assert ended.stdout == b"x\nxy\n"


CALLS = """
import ctypes, os, socket
libc = ctypes.CDLL(None, use_errno=True)
print(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).fileno() >= 0)
print(libc.unshare(0x10000000), libc.ptrace(0, 0, 0, 0))
libc.syscall(335 + 70)
os.memfd_create("m")
"""


def test_calls_that_the_program_alone_refuses_are_in_the_record_and_work(each_traced: Bench) -> None:
    each_traced.fresh({"c.py": CALLS})
    ended = each_traced.confined(["/usr/bin/python3", "c.py"], options=["-q", "--events", each_traced.events])
    assert ended.status == 0, ended.describe()
    assert ended.stdout.startswith(b"True\n")
    calls = {(r["syscall"], r["kind"], r["errno"]) for r in each_traced.records("refusal")}
    assert ("socket", "network", "EAFNOSUPPORT") in calls
    assert ("ptrace", "syscall", "EPERM") in calls  # already traced: in a trace as in a run
    if ended.stdout.startswith(b"True\n0 "):  # unprivileged user namespaces may be switched off
        assert ("unshare", "syscall", "EPERM") in calls
    absent = {r["syscall"] for r in each_traced.records("absent")}
    assert "syscall_405" in absent


def test_the_record_says_that_it_is_of_a_trace(each_traced: Bench) -> None:
    ended = each_traced.confined(
        ["grep", "-c", "^NoNewPrivs:.*1", "/proc/self/status"], options=["-q", "--events", each_traced.events]
    )
    (run,) = each_traced.records("run")
    assert run["mode"] == "trace"
    privileges = ended.stdout == b"1\n"
    assert run["jail"] == {"landlock": {"abi": 0, "coarse": None}, "seccomp": False, "no_new_privs": privileges}


def test_the_exit_status_tells_of_refusals_only_if_asked_to(traced: Bench) -> None:
    reads = ["cat", "/etc/shadow"]
    assert traced.confined(reads, options=["-q"]).status == 0
    assert traced.confined(reads, options=["-q", "--fail-on-violation"]).status == 120
    assert traced.confined(["true"], options=["-q", "--fail-on-violation"]).status == 0
    assert traced.confined(["sh", "-c", "exit 9"], options=["-q", "--fail-on-violation"]).status == 9
    assert traced.confined(["sh", "-c", "kill -QUIT $$"], options=["-q"]).status == -signal.SIGQUIT
    assert traced.confined(["no-such-command"], options=["-q"]).status == 127
    assert traced.confined(["sh", "-c", "while :; do :; done"], options=["-q", "--timeout", "0.2"]).status == 124


def test_a_trace_says_once_that_it_confines_nothing_and_sums_up(traced: Bench) -> None:
    ended = traced.confined(["cat", "/etc/shadow"], options=())
    lines = ended.stderr.decode().splitlines()
    assert lines[0] == "capwrap: tracing: the command runs unconfined, this is no sandbox"
    assert lines[1] == "capwrap: 1 call would have been refused:"
    assert "/etc/shadow" in lines[2]
    assert lines[3].endswith("--ro /etc/shadow")
    assert traced.confined(["true"], options=["-q"]).stderr == b""


def test_verbosely_each_call_is_told_before_the_next_one(traced: Bench) -> None:
    traced.fresh(WRITE_AND_READ)
    ended = traced.confined("cat a.txt /etc/shadow >/dev/null; cat ./none 2>/dev/null || :", options=["-v"])
    lines = [line.split(" ", 2)[2] for line in ended.stderr.decode().splitlines() if line.startswith("capwrap: ")]
    told = [
        f'openat(AT_FDCWD, "{traced.work}/a.txt", O_RDONLY) = 3',
        'openat(AT_FDCWD, "/etc/shadow", O_RDONLY): REFUSED in a run: ENOENT, not-granted, needs read; '
        "--ro /etc/shadow allows it",
        f'openat(AT_FDCWD, "{traced.work}/./none", O_RDONLY) = -1 ENOENT (No such file or directory)',
    ]
    assert [line for line in lines if line in told] == told, ended.describe()


EVERY_KIND_OF_CALL = """
import os
W = os.getcwd()
AT = os.open(W, os.O_RDONLY | os.O_DIRECTORY)
os.close(os.open(W + "/n", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o640))
os.close(os.open(W + "/a.txt", os.O_RDWR | os.O_NOFOLLOW))
os.mkdir(W + "/d", 0o751)
os.chmod(W + "/n", 0o4711)
os.rename(W + "/n", W + "/m")
os.link(W + "/m", W + "/l", follow_symlinks=False)
os.access(W + "/m", os.R_OK | os.X_OK)
os.access(W + "/none", os.F_OK, effective_ids=True)
os.truncate(W + "/m", 77)
os.chown(W + "/m", os.getuid(), -1)
os.utime(W + "/m", (1, 2), follow_symlinks=False)
os.stat(W + "/m")
os.lstat(W + "/l")
os.setxattr(W + "/m", "user.x", b"y")
os.unlink(W + "/l")
os.rmdir(W + "/d")
os.mkfifo(W + "/p", 0o604)
os.chdir(W)
try:
    os.rename(W + "/none", W + "/x y\\"z")
except OSError as error:
    print(error.errno)
"""


def test_verbosely_calls_are_told_as_strace_tells_them(traced: Bench) -> None:
    """But for what lies in memory: structures are addresses, names are joined to their directories."""
    require("strace")

    def told(lines: list[str]) -> list[str]:
        shown = []
        for line in lines:
            if f'"{traced.work}/' not in line or line.startswith("execve("):
                continue
            plain = re.sub(r" /\* .*? \*/", "", line)
            masked = re.sub(r'\[?\{.*?\}(?:, \{.*?\}\])?|0x[0-9a-f]{5,}|(?<=, )"[^/"]+"', "*", plain)
            shown.append(re.sub(r"O_\w+(?:\|O_\w+)+", lambda found: "|".join(sorted(found[0].split("|"))), masked))
        return shown

    command = ["/usr/bin/python3", "-I", "-S", "t.py"]
    files = WRITE_AND_READ | {"t.py": EVERY_KIND_OF_CALL}
    traced.fresh(files)
    native = traced.runner.native(
        ["strace", "-qq", "-o", "strace.out", "-e", "trace=%file", *command],
        cwd=traced.work,
        env=traced.env,
    )
    assert native.status == 0, native.describe()
    expected = told((traced.work / "strace.out").read_text().splitlines())
    traced.fresh(files)
    ended = traced.confined(command, options=["-v"])
    assert (ended.status, ended.stdout) == (0, native.stdout), ended.describe()
    lines = [
        line.split(" ", 2)[2] for line in ended.stderr.decode().splitlines() if re.match(r"capwrap: \d+ \w+\(", line)
    ]
    assert len(expected) >= 17
    assert told(lines) == expected


def test_what_command_leaves_behind_is_ended(traced: Bench) -> None:
    traced.fresh()
    ended = traced.confined("sh -c 'while ! test -e stop; do :; done' & echo $!", options=["-q"])
    assert ended.status == 0, ended.describe()
    left = Path(f"/proc/{int(ended.stdout)}/stat")
    # Its new parent may not have waited for it yet.
    assert not left.exists() or left.read_text().rpartition(")")[2].split()[0] == "Z"


def test_what_command_leaves_behind_is_waited_for_if_asked_to(traced: Bench) -> None:
    traced.fresh()
    ended = traced.confined("mkfifo go; (read line <go; echo late >late) & (echo go >go) &", options=["-q", "--linger"])
    assert ended.status == 0, ended.describe()
    assert (traced.work / "late").exists()


def test_traces_add_to_one_record_also_at_a_time(traced: Bench) -> None:
    traced.fresh()
    options = ["-q", "--events", str(traced.events), "--append"]
    traced.confined(["cat", "/etc/shadow"], options=options)
    first = traced.records()
    with ThreadPoolExecutor(3) as pool:
        ended = list(pool.map(lambda _: traced.confined(["cat", "/etc/shadow"], options=options), range(3)))
    assert [each.status for each in ended] == [0, 0, 0], ended[0].describe()
    records = traced.records()
    ids = [record["id"] for record in records if "id" in record]
    assert ids == list(range(1, len(ids) + 1))
    assert records[: len(first) - 1] == first[:-1]
    assert [record["type"] for record in records].count("run") == 4
    (end,) = traced.records("end")
    assert records[-1] == end
    assert end["refusals"] == len(traced.records("refusal")) == 4
    assert end["accesses"] == len(traced.records("access"))


def test_nothing_is_added_to_what_is_no_record(traced: Bench) -> None:
    traced.events.write_text("something of the user's\n")
    ended = traced.confined(["touch", "made"], options=["-q", "--events", traced.events, "--append"])
    assert ended.status == 125
    assert b"not a whole record" in ended.stderr
    assert traced.events.read_text() == "something of the user's\n"
    assert not (traced.work / "made").exists()
