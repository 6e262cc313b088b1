"""What the record of a run says of a call: how it was asked, where that led, and what stood in the way."""

from __future__ import annotations

import errno
import os
from dataclasses import replace

import pytest
from support.compare import Bench
from support.run import tool


def _one(bench: Bench, kind: str, **fields: object) -> dict[str, object]:
    found = [record for record in bench.records(kind) if all(record.get(key) == fields[key] for key in fields)]
    assert found, (fields, bench.records(kind))
    return found[0]


@pytest.fixture
def recorded(bench: Bench) -> Bench:
    bench.fresh({"dir/file": "x", "key.pem": "k", "kept/inner": "i"})
    os.symlink("/etc/shadow", bench.work / "dir/link")
    script = """
        cat dir/../dir/link; cat ./dir/absent; cat key.pem; cat kept/inner; echo x >/usr/capwrap-test; ls dir >/dev/null
        cat dir//file; exit 0
    """
    options = ("-q", "--events", bench.events, "--deny", "**/*.pem", "--deny", bench.work / "kept")
    done = bench.confined(["/bin/sh", "-c", script], options=options)
    assert done.status == 0, done.describe()
    return bench


def test_the_record_has_the_path_as_it_was_asked_and_the_link_on_the_way(recorded: Bench) -> None:
    record = _one(recorded, "refusal", path="/etc/shadow")
    assert record["asked"] == f"{recorded.work}/dir/../dir/link"
    assert record["via"] == f"{recorded.work}/dir/link"
    assert "has" not in record


def test_the_record_has_the_arguments_of_a_refused_call(recorded: Bench) -> None:
    record = _one(recorded, "refusal", path="/etc/shadow", syscall="openat")
    args = record["args"]
    assert isinstance(args, list)
    assert args[0] == "0xffffff9c"  # AT_FDCWD
    assert int(args[2], 16) & os.O_ACCMODE == os.O_RDONLY


def test_the_record_names_the_pattern_or_path_that_carved_a_name_out(recorded: Bench) -> None:
    assert _one(recorded, "refusal", path=f"{recorded.work}/key.pem")["denied"] == "/**/*.pem"
    assert _one(recorded, "refusal", path=f"{recorded.work}/kept/inner")["denied"] == f"{recorded.work}/kept"


def test_the_record_has_the_rights_that_a_place_had_where_one_was_missing(recorded: Bench) -> None:
    record = _one(recorded, "refusal", path="/usr/capwrap-test")
    assert record["kind"] == "right-missing"
    has, needs = record["has"], record["needs"]
    assert isinstance(has, list)
    assert isinstance(needs, list)
    assert "read" in has
    assert "create" in set(needs) - set(has)


def test_the_record_has_every_successful_exec_with_its_interpreter(recorded: Bench) -> None:
    shell = os.path.realpath("/bin/sh")
    record = _one(recorded, "access", syscall="execve", path=shell, result=0)
    assert str(record["asked2"]).startswith("/lib64/ld-linux")
    assert _one(recorded, "access", syscall="execve", path=os.path.realpath("/bin/cat"), result=0)


def test_no_path_that_a_lookup_made_has_a_doubled_slash(recorded: Bench) -> None:
    for record in recorded.records("access"):
        for name in ("path", "path2"):
            if str(record.get(name, "")) != record.get("asked"):
                assert "//" not in str(record.get(name, "")).replace("dir//file", ""), record


MOVES = """
import os, subprocess, threading
def told():
    subprocess.run(["/bin/sh", "-c", "pwd; cat /etc/shadow; :"], stderr=subprocess.DEVNULL)
told()
os.chdir("one"); told()
os.fchdir(os.open("../two", os.O_RDONLY | os.O_DIRECTORY)); told()
try: os.chdir("not-there")
except OSError: told()
thread = threading.Thread(target=os.chdir, args=("../one/deep",)); thread.start(); thread.join(); told()
os.chdir("../../link"); told()
"""


@pytest.mark.parametrize("verb", ["run", "trace"])
def test_the_record_tells_in_which_directory_each_process_was(bench: Bench, verb: str) -> None:
    bench.fresh({"moves.py": MOVES, "one/deep/x": "", "two/x": ""})
    (bench.work / "link").symlink_to("two")
    telling = replace(bench, runner=replace(bench.runner, verb=verb))
    done = telling.confined(["/usr/bin/python3", "-I", "moves.py"], options=("-q", "--events", bench.events))
    assert done.status == 0, done.describe()
    pwd = [line for line in done.text.splitlines() if line.startswith("/")]
    assert [os.path.relpath(path, bench.work) for path in pwd] == [".", "one", "two", "two", "one/deep", "two"]
    lines = bench.records("process")
    shells = [line for line in lines if line["event"] == "exec" and line["argv"][:1] == ["/bin/sh"]]  # type: ignore[index]
    assert [line["cwd"] for line in shells] == pwd
    pids = [line["pid"] for line in shells]
    assert [line["cwd"] for line in lines if line["event"] == "start" and line["pid"] in pids] == pwd
    refused = [line["cwd"] for line in bench.records("refusal") if line["path"] == "/etc/shadow"]
    assert refused == pwd
    # what a reader makes of it who follows the changes: the directory of the process that made them
    (python,) = {line["parent"] for line in lines if line["event"] == "start" and line["pid"] in pids}
    moves = [line for line in bench.records("access") if line["syscall"] in ("chdir", "fchdir")]
    assert {line["pid"] for line in moves} == {python}
    assert [line["path"] for line in moves if int(str(line["result"])) >= 0] == [pwd[1], pwd[2], pwd[4], pwd[5]]
    assert {int(str(line["result"])) for line in moves} == {0, -errno.ENOENT}


def test_a_directory_has_its_name_in_the_namespace_and_a_removed_one_has_none(bench: Bench) -> None:
    bench.fresh({"gone/x": ""})
    script = "/bin/true; cd gone; rm x; rmdir ../gone; /bin/echo; :"
    options = ["-q", "--events", str(bench.events), "--profile", "base"]
    options += ["--rw", f"{bench.work}=/virtual", "--chdir", "/virtual"]
    bench.confined(["/bin/sh", "-c", script], options=options)
    execs = {str(line["argv"]): line for line in bench.records("process") if line["event"] == "exec"}
    assert execs["['/bin/true']"]["cwd"] == "/virtual"
    assert execs["['rm', 'x']"]["cwd"] == "/virtual/gone"
    assert "cwd" not in execs["['/bin/echo']"]


def test_the_previous_run_has_the_directory_of_what_was_refused(bench: Bench) -> None:
    bench.fresh({"deep/x": ""})
    bench.confined("cd deep; cat </etc/shadow || :")
    told = bench.runner.native([tool("capwrap"), "explain"], cwd=bench.work, env=bench.env)
    assert f"\n  in        {bench.work}/deep\n" in told.text, told.describe()
