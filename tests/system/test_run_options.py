"""What the options of `capwrap run` do to a program: grants, mapping, environment, limits, descriptors."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.compare import Bench, write_files
from support.programs import Programs


@pytest.fixture
def outside(each_bench: Bench) -> Path:
    """A directory beside the workspace that only a grant shows."""
    directory = each_bench.root / "outside"
    files = {"a": "content of a\n", "sub/b": "content of b\n", "deny/key": "key\n", "prog": "#!/bin/sh\necho ran\n"}
    write_files(directory, files)
    each_bench.runner.own(directory)
    return directory


def test_what_was_not_granted_does_not_exist(each_bench: Bench, outside: Path) -> None:
    script = f"""
        [ ! -e {outside} ] && [ ! -e {outside}/a ]; cat {outside}/a 2>&1 || true; ls {outside.parent} 2>&1 || true
        mkdir {outside}/x 2>&1 || true; stat {outside}/sub/b 2>&1 || true; cd {outside} 2>&1 || true
    """
    done = each_bench.confined(["sh", "-c", script])
    said = done.text
    assert f"cat: {outside}/a: No such file or directory" in said, done.describe()
    assert "outside" not in said.replace(str(outside), ""), done.describe()
    assert "Permission denied" not in said
    assert not (outside / "x").exists()


def test_ro_reads_and_changes_nothing(each_bench: Bench, outside: Path) -> None:
    script = f"""
        cat {outside}/a {outside}/sub/b; ls {outside}
        for change in 'touch D/new' 'rm D/a' 'chmod 777 D/a' 'mv D/a D/z' 'mkdir D/d' 'ln D/a D/l' 'cp D/a D/c'; do
            $(echo "$change" | sed 's,D,{outside},g') 2>/dev/null && echo "done: $change"
        done
        {outside}/prog 2>/dev/null && echo "run"; echo x >>{outside}/a
    """
    done = each_bench.confined(["sh", "-c", script], options=("-q", "--ro", outside))
    assert done.text == "content of a\ncontent of b\na\ndeny\nprog\nsub\n", done.describe()
    assert b"Permission denied" in done.stderr
    assert (outside / "a").read_text() == "content of a\n"


def test_rox_runs_and_rw_changes(each_bench: Bench, outside: Path) -> None:
    ran = each_bench.confined([outside / "prog"], options=("-q", "--rox", outside))
    assert (ran.status, ran.stdout) == (0, b"ran\n"), ran.describe()
    script = f"cd {outside} && echo more >>a && mv sub/b c && rm -r sub && mkdir d && chmod 600 a && ./prog"
    changed = each_bench.confined(script, options=("-q", "--rw", outside))
    assert changed.status == 126, changed.describe()
    assert (outside / "a").read_text() == "content of a\nmore\n"
    assert (outside / "a").stat().st_mode & 0o777 == 0o600
    assert (outside / "c").exists()
    assert not (outside / "sub").exists()


def test_rwx_runs_what_the_target_wrote(each_bench: Bench, outside: Path) -> None:
    script = f"cp /bin/true {outside}/made && {outside}/made && echo ran"
    assert each_bench.confined(script, options=("-q", "--rwx", outside)).text == "ran\n"
    refused = each_bench.confined(script, options=("-q", "--rw", outside))
    assert (refused.status, refused.text) == (126, ""), refused.describe()


def test_a_mapped_grant_is_seen_at_its_virtual_path_only(each_bench: Bench, outside: Path) -> None:
    script = f"""
        cat /data/in/a; ls /data /data/in; cd /data/in/sub; pwd -P; cat ../a; cd ../..; pwd; [ ! -e {outside} ]
        realpath /data/in/sub/..; readlink /proc/self/cwd; cd /data/in/sub && /bin/pwd
    """
    done = each_bench.confined(script, options=("-q", "--ro", f"{outside}=/data/in"))
    expected = (
        "content of a\n/data:\nin\n\n/data/in:\na\ndeny\nprog\nsub\n/data/in/sub\ncontent of a\n/data\n"
        "/data/in\n/data\n/data/in/sub\n"
    )
    assert (done.status, done.text) == (0, expected), done.describe()


def test_what_lies_on_the_kernels_file_systems_is_granted_by_itself(each_bench: Bench) -> None:
    script = "cat /dev/null && ls /sys/devices | grep -c system; head -c 1 /dev/zero | wc -c"
    options = ("-q", "--pure", "--rox", "/", "--rox", "/dev/null", "--rox", "/sys/devices")
    done = each_bench.confined(["sh", "-c", script], options=options)
    assert done.text == "1\n0\n", done.describe()
    assert b"/dev/zero" in done.stderr


DENIED = {"a directory": ("{}/deny", "deny"), "a file": ("{}/deny/key", "deny/key")}
DENIED |= {"a glob": ("**/*.secret", "x.secret"), "what does not exist yet": ("{}/not-yet", "not-yet")}


@pytest.mark.parametrize("what", DENIED)
def test_deny_carves_out_of_a_grant(each_bench: Bench, outside: Path, what: str) -> None:
    write_files(outside, {"x.secret": "x"})
    pattern, name = DENIED[what]
    options = ("-q", "--rw", outside, "--deny", pattern.format(outside))
    script = f"""
        cd {outside}; cat a; [ -e {name} ] && echo there; cat {name}; find . | grep -Fx ./{name}
        : >{name}; mkdir {name}; mv a {name}; ln a {name}; rm -rf {name}; cp -r . /tmp/copy
        [ -e /tmp/copy/{name} ] && echo copied
        case {name} in */*) mv deny z ;; *) mv {name} z ;; esac
    """
    done = each_bench.confined(["sh", "-c", script], options=options)
    assert done.text == "content of a\n", done.describe()
    assert (outside / "deny/key").read_text() == "key\n"
    assert (outside / "x.secret").read_text() == "x"
    assert sorted(os.listdir(outside)) == ["a", "deny", "prog", "sub", "x.secret"]


@pytest.mark.parametrize("around", [False, True])
def test_a_pattern_carves_out_what_is_granted_by_its_very_name(each_bench: Bench, outside: Path, around: bool) -> None:
    write_files(outside, {"x.secret": "hush", "y.secret/z": "hush"})
    grants = ("--ro", outside / "x.secret", "--rw", outside / "y.secret", "--rw", outside / "y.secret/z")
    options = ("-q", *(("--ro", outside) if around else ()), *grants, "--deny", "**/*.secret")
    done = each_bench.confined(
        ["sh", "-c", f"cd {outside}; cat x.secret y.secret/z; ls; echo x >y.secret/z"], options=options
    )
    assert b"hush" not in done.stdout, done.describe()
    assert b"secret" not in done.stdout, done.describe()
    assert (outside / "y.secret/z").read_text() == "hush"


def test_an_output_is_granted_by_name_before_it_exists(each_bench: Bench, outside: Path) -> None:
    target = outside / "out.o"
    script = f"""
        echo one >{target}; rm {target}; echo two >{target}.tmp 2>/dev/null && echo sibling; echo three >{target}
        mv {target} {outside}/renamed 2>/dev/null && echo moved; cat {target}; [ ! -e {outside}/a ]
        echo four >new; mv new {target}; ls {outside}; ln {target} {outside}/second 2>/dev/null && echo linked; exit 0
    """
    done = each_bench.confined(["sh", "-c", script], options=("-q", "--rw", target))
    assert (done.status, done.text) == (0, "three\nout.o\n"), done.describe()
    assert target.read_text() == "four\n"
    assert sorted(os.listdir(outside)) == ["a", "deny", "out.o", "prog", "sub"]


def test_a_compiler_writes_only_the_object_that_was_granted(each_bench: Bench, outside: Path) -> None:
    (outside / "s.c").write_text("int f(void) { return 1; }\n")
    (outside / "s.c").chmod(0o644)
    options = ("--pure", "--profile", "base", "--ro", outside / "s.c", "--rw", outside / "s.o")
    script = f"cc -pipe -c {outside}/s.c -o {outside}/s.o && cc -pipe -c {outside}/s.c -o {outside}/s.o && ls {outside}"
    done = each_bench.confined(script, options=("-q", *options))
    assert (done.status, done.text) == (0, "s.c\ns.o\n"), done.describe()


def test_grant_by_rights_gives_exactly_these(each_bench: Bench, outside: Path) -> None:
    script = f"stat -c %s {outside}/a; cat {outside}/a; ls {outside}"
    done = each_bench.confined(["sh", "-c", script], options=("-q", "--grant", f"lookup,fstat:{outside}"))
    assert done.text == "13\n", done.describe()
    assert done.stderr.count(b"Permission denied") == 2, done.describe()


def test_env_passes_sets_and_clears(bench: Bench) -> None:
    env = {"SECRET_TOKEN": "hush", "PASSED": "yes", "PRE_A": "1", "PRE_B": "2"}
    options = ("-q", "--env", "PASSED", "--env", "SET=value", "--env", "PRE_*", "--env", "EMPTY=")
    seen = bench.confined(["env"], options=options, env=env).text.splitlines()
    assert {"PASSED=yes", "SET=value", "PRE_A=1", "PRE_B=2", "EMPTY=", f"HOME={bench.home}"} <= set(seen)
    assert not any("hush" in line for line in seen)
    cleared = bench.confined(["/usr/bin/env"], options=("-q", "--clear-env", "--env", "ONLY=this"), env=env)
    assert cleared.text == "ONLY=this\n", cleared.describe()


def test_chdir_starts_in_a_granted_directory_and_elsewhere_in_the_root(each_bench: Bench, outside: Path) -> None:
    there = each_bench.confined(["/bin/pwd"], options=("-q", "--ro", outside, "--chdir", outside / "sub"))
    assert there.text == f"{outside}/sub\n", there.describe()
    nowhere = each_bench.confined(["/bin/pwd"], options=("-q", "--pure", "--profile", "base"))
    assert nowhere.text == "/\n", nowhere.describe()


def test_method_ptrace_is_what_auto_is(bench: Bench) -> None:
    for method in ("auto", "ptrace"):
        done = bench.confined("cat /etc/hosts >/dev/null; exit 3", options=("-q", "--method", method))
        assert (done.status, done.stderr) == (3, b""), done.describe()


def test_allow_permits_a_memory_file_to_be_executed(each_bench: Bench) -> None:
    program = """\
import os
fd = os.memfd_create("tool")
with open("/bin/echo", "rb") as file, open(fd, "wb", closefd=False) as copy:
    copy.write(file.read())
os.execve(fd, ["echo", "ran"], {})
"""
    command = ["/usr/bin/python3", "-c", program]
    refused = each_bench.confined(command)
    assert (refused.status, refused.text) == (1, ""), refused.describe()
    assert b"Permission denied" in refused.stderr
    allowed = each_bench.confined(command, options=("-q", "--allow", "memfd-exec"))
    assert (allowed.status, allowed.text) == (0, "ran\n"), allowed.describe()


def test_allow_permits_an_ioctl_by_its_number(each_bench: Bench) -> None:
    fiemap = 0xC020660B  # linux/fs.h: where a file lies on the disk
    program = f"""\
import fcntl, struct
try:
    print(fcntl.ioctl(open("file"), {fiemap}, struct.pack("QQIIII", 0, 1 << 20, 0, 0, 0, 0)).hex())
except OSError as error:
    print(error.strerror)
"""
    each_bench.fresh({"file": "content", "program.py": program})
    command = ["/usr/bin/python3", "program.py"]
    native = each_bench.runner.native(command, cwd=each_bench.work, env=each_bench.env)
    assert native.text.strip().isalnum(), native.describe()
    assert each_bench.confined(command).text == "Inappropriate ioctl for device\n"
    for number in (str(fiemap), hex(fiemap)):
        assert each_bench.confined(command, options=("-q", "--allow", f"ioctl:{number}")).text == native.text


def test_chdir_is_relative_to_the_current_directory_and_may_lead_to_one_that_only_holds_grants(
    each_bench: Bench,
) -> None:
    each_bench.fresh({"a/b/file": "content\n", "a/c/file": "hidden\n"})
    options = ("-q", "--profile", "base", "--ro", "a/b")
    for chdir, expected in ((".", "a\n"), ("a", "b\n"), ("a/b", "file\n"), ("a/../a/b/..", "b\n")):
        done = each_bench.confined(["ls"], options=(*options, "--chdir", chdir))
        assert (done.status, done.text) == (0, expected), done.describe()
    hidden = each_bench.confined(["ls"], options=(*options, "--chdir", "a/c"))
    assert (hidden.status, hidden.text) == (125, ""), hidden.describe()


EXAMPLES = {
    "the page of run, a build step": [
        "CAPWRAP run --profile base --ro src --rw build --chdir . --fail-on-violation -- make -C src O=../build"
    ],
    "the page of run, a record": [
        "CAPWRAP run --profile runtime --chdir . --events fd:3 -- ./tool 3>events.ndjson",
        "grep -q '\"complete\":true' events.ndjson",
    ],
    "the pages of compile and exec": [
        "CAPWRAP compile --profile base --ro . --rw obj -o cc.cap",
        "CAPWRAP-exec cc.cap -- cc -pipe -c src/a.c -o obj/a.o",
        "test -s obj/a.o",
    ],
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_the_manual_work(bench: Bench, name: str) -> None:
    bench.fresh(
        {
            "src/Makefile": "all:\n\tcp Makefile $(O)/made\n",
            "src/a.c": "int a;\n",
            "build/keep": "",
            "obj/keep": "",
            "tool": "#!/bin/sh\n",
        }
    )
    script = "\n".join(EXAMPLES[name]).replace("CAPWRAP-exec", bench.runner.capwrap_exec[0])
    script = script.replace("CAPWRAP", " ".join(bench.runner.capwrap))
    done = bench.runner.native(["sh", "-eu", "-c", script], cwd=bench.work, env=bench.env)
    assert (done.status, done.stderr) == (0, b""), done.describe()


LIMITS = {
    "files": ("files=20", "ulimit -n", "20\n"),
    "file-size": ("file-size=4K", "trap '' XFSZ; head -c 9000 /dev/zero >f 2>/dev/null; stat -c %s f", "4096\n"),
    "cpu": ("cpu=1", "sh -c 'while :; do :; done' 2>/dev/null; kill -l $? | sed 's/XCPU/KILL/'", "KILL\n"),
    "memory": ("memory=200M", "/usr/bin/python3 -c 'bytes(1 << 29)' 2>&1 | tail -n 1", "MemoryError\n"),
}


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_holds(each_bench: Bench, name: str) -> None:
    limit, script, expected = LIMITS[name]
    done = each_bench.confined(["sh", "-c", script], options=("-q", "--limit", limit))
    assert done.text == expected, done.describe()


def test_the_limit_of_processes_answers_eagain_and_counts_only_the_target(each_bench: Bench) -> None:
    program = """\
import os, signal
made = []
try:
    while len(made) < 50:
        pid = os.fork()
        if pid == 0:
            signal.pause()
        made.append(pid)
except BlockingIOError as error:
    print(len(made), error.strerror)
for pid in made:
    os.kill(pid, 9); os.waitpid(pid, 0)
print(os.waitpid(os.spawnlp(os.P_NOWAIT, "true", "true"), 0)[1])
"""
    each_bench.fresh({"forks.py": program})
    done = each_bench.confined(["/usr/bin/python3", "forks.py"], options=("-q", "--limit", "processes=10"))
    assert done.text == "9 Resource temporarily unavailable\n0\n", done.describe()


def test_the_limit_of_processes_holds_for_threads_that_fork_at_once(each_bench: Bench, programs: Programs) -> None:
    # 21 threads, and as many children as the limit has room for: each that fails is answered before it ends.
    program = programs("system/brood")
    done = each_bench.confined([program, "20"], options=("-q", "--rox", program.parent, "--limit", "processes=30"))
    assert done.text == "9 made, 11 refused\n", done.describe()


AS_SOMEBODY_ELSE = """
import os, resource
os.chmod(".", 0o777)
os.chmod("kept", 0o666)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
if os.getuid() == 0:
    os.setresuid(65534, 65534, 65534)
try:
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 128))
except ValueError as error:
    print(error)
held = []
try:
    while True:
        held.append(os.open("/dev/null", os.O_RDONLY))
except OSError as error:
    print(error.strerror)
try:
    os.open("kept", os.O_WRONLY | os.O_TRUNC)
except OSError as error:
    print(error.strerror)
os.close(held.pop())
print(os.stat("kept").st_size)
"""


def test_who_gave_up_being_root_keeps_to_its_limit_of_descriptors(each_bench: Bench) -> None:
    # With a pattern every open of a file is the supervisor's.
    files = {"t.py": AS_SOMEBODY_ELSE, "kept": "kept\n"}
    each_bench.compare(["/usr/bin/python3", "t.py"], files=files, options=["--deny", "**/nothing-like-this"])
