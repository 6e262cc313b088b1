"""explain on real runs: its remedy, applied, takes exactly that refusal away, for each kind; and the previous run."""

from __future__ import annotations

import json
import os
import shlex
import socket
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.compare import Bench, write_files
from support.run import Outcome, tool

Key = tuple[object, ...]


def explain(bench: Bench, *arguments: str | Path, env: Mapping[str, str] | None = None) -> Outcome:
    return bench.runner.native(
        [tool("capwrap"), "explain", *arguments], cwd=bench.work, env=bench.env | dict(env or {})
    )


def explanations(bench: Bench) -> list[dict[str, Any]]:
    told = explain(bench, bench.events, "--format", "json")
    assert told.status == 0, told.describe()
    found: list[dict[str, Any]] = json.loads(told.stdout)["explanations"]
    return found


def record(bench: Bench, script: str | list[str], *options: str | Path) -> list[dict[str, Any]]:
    command = ["/bin/sh", "-c", script] if isinstance(script, str) else script
    bench.confined(command, options=("-q", "--events", bench.events, *options))
    return explanations(bench)


def keys(found: list[dict[str, Any]]) -> set[Key]:
    return {(one["kind"], one["path"], one["path2"], one["address"]) for one in found}


@pytest.fixture
def outside(bench: Bench) -> Path:
    directory = bench.root / "outside"
    prog = {"prog": "#!/bin/sh\necho ran\n"}
    write_files(directory, {"a": "a\n", "b": "b\n", "d/in": "in\n", "eq=/in": "in\n", **prog})
    os.symlink(directory / "a", bench.work / "link")
    (bench.work / "other").write_text("o")
    bench.runner.own(bench.work)
    return directory


@pytest.fixture
def server() -> Iterator[int]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(16)
        yield listening.getsockname()[1]


@pytest.fixture
def unix(outside: Path) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(outside / "sock"))
        listening.listen(16)
        yield


# What is refused, by kind: (script, options beside the standing ones, what is in the object of the refusal to remove)
CASES = {
    "not-granted": ("cat {out}/a {out}/b", (), "outside/a"),
    "not-granted, a directory": ("cat {out}/d/in {out}/a", (), "outside/d/in"),
    "not-granted, through a link": ("cat link; cat {out}/b", (), "outside/a"),
    "not-granted, a rename": ("mv other {out}/moved; cat {out}/b", (), "outside/moved"),
    "not-granted, a rename of what may be read": (
        '{python} -c \'import os; os.rename("{out}/a", "{out}/moved")\'; cat {out}/b',
        ("--ro", "{out}/a"),
        "outside/moved",
    ),
    "not-granted, a name like PATH=VIRTUAL": ("cat {out}/eq=/in; cat {out}/b", (), "eq=/in"),
    "right-missing, a hard link": (
        "ln {out}/a {out}/l; cat {out}/b",
        ("--ro", "{out}/a", "--rw", "{out}/l"),
        "outside/l",
    ),
    "right-missing": ("echo x >{out}/a; echo x >{out}/b", ("--ro", "{out}"), "outside/a"),
    "right-missing, an exec": ("{out}/prog; cat /etc/shadow", ("--ro", "{out}"), "outside/prog"),
    "right-missing, carved": (
        "cat {out}/d/in; cat /etc/shadow",
        ("--ro", "{out}", "--deny", "{out}/d"),
        "outside/d/in",
    ),
    "not-granted, a socket": ("{python} -c 'import socket as s; s.socket(1).connect(\"{out}/sock\")'", (), "sock"),
    "network": (
        "{python} -c 'import socket as s;s.create_connection((\"127.0.0.1\",{port}))'; cat {out}/a",
        (),
        "tcp:",
    ),
    "exec": ("{python} -c '{memfd}'; cat {out}/a", (), "memfd"),
}
MEMFD = (
    'import os; f = os.memfd_create("x", 0); os.write(f, open("/bin/true", "rb").read());'
    'p = os.fork(); p or os.execve(f, ["x"], {}); os.wait()'
)


@pytest.mark.parametrize("form", ["option", "policy"])
@pytest.mark.parametrize("case", CASES)
def test_the_remedy_takes_exactly_that_refusal_away(
    bench: Bench, outside: Path, server: int, unix: None, case: str, form: str
) -> None:
    script, options, about = CASES[case]
    names = {"out": outside, "python": "/usr/bin/python3", "port": server, "memfd": MEMFD}
    script, options = script.format(**names), tuple(option.format(**names) for option in options)
    before = record(bench, script, *options)
    (one,) = [each for each in before if about in str(each["path2"] or each["path"] or each["address"])]
    assert one["allow"], one
    if form == "option":
        remedy: tuple[str | Path, ...] = tuple(shlex.split(one["allow"]))
    else:
        policy = bench.root / "remedy.toml"
        policy.write_text("\n".join(['extends = ["workspace"]', *one["policy"]]) + "\n")
        remedy = ("--policy", policy)
    after = record(bench, script, *options, *remedy)
    removed = {key for key in keys(before) if key[1:] == (one["path"], one["path2"], one["address"])}
    assert removed
    assert keys(after) == keys(before) - removed


@pytest.mark.parametrize(
    ("kind", "script"),
    [
        ("signal", "kill -0 1"),
        ("process", "exec taskset -p 1"),
        ("descriptor", "exec /usr/bin/python3 -c 'import os; os.open(\"a\", 0, dir_fd={fd})'"),
        ("syscall", "exec mknod node b 8 0"),
        ("syscall", "exec /usr/bin/python3 -c 'from fcntl import *; ioctl(open(\"other\"), 0x40086602, bytes(8))'"),
    ],
)
def test_where_nothing_helps_a_sentence_says_so(bench: Bench, outside: Path, kind: str, script: str) -> None:
    fd = os.open(outside, os.O_RDONLY | os.O_DIRECTORY)
    options = ("-q", "--events", bench.events, "--pass-fd", str(fd))
    bench.confined(["/bin/sh", "-c", script.format(fd=fd)], options=options, pass_fds=(fd,))
    os.close(fd)
    found = [each for each in explanations(bench) if each["kind"] == kind]
    assert found, explanations(bench)
    for each in found:
        assert each["allow"] is None
        assert each["policy"] == []
        assert str(each["hint"]).startswith("no option allows")


def test_of_a_link_that_is_granted_alone_it_is_said_that_its_directory_must_be(bench: Bench, outside: Path) -> None:
    os.symlink("a", outside / "l")
    (one,) = record(bench, f"rm {outside}/l", "--grant", f"lookup,fstat:{outside}", "--rw", outside / "l")
    assert (one["kind"], one["allow"]) == ("right-missing", None)
    assert "grant the directory above it" in one["hint"]


def test_the_previous_run_is_explained_without_a_record(bench: Bench, outside: Path) -> None:
    bench.confined(["/bin/sh", "-c", f"cat {outside}/a; cat {outside}/a"])
    told = explain(bench)
    assert told.status == 0, told.describe()
    assert f"refused: {outside}/a: ENOENT, not granted (2 times)" in told.text
    assert f"--ro {outside}/a" in told.text
    assert f"cat {outside}/a (process" in told.text
    assert explain(bench, "--last").stdout == told.stdout
    assert "absent" not in told.text


def test_a_run_that_is_refused_nothing_is_the_previous_run_too(bench: Bench, outside: Path) -> None:
    bench.confined(["/bin/sh", "-c", f"cat {outside}/a"])
    bench.confined(["/bin/true"])
    told = explain(bench)
    assert (told.status, told.text) == (0, "the previous run refused nothing\n"), told.describe()


def test_the_record_of_the_previous_run_is_the_users_alone_and_bounded(bench: Bench, outside: Path) -> None:
    script = f"i=0; while [ $i -lt 400 ]; do true <{outside}/a$i; true <{outside}/a; i=$((i+1)); done"
    write_files(outside, {f"a{number}": "" for number in range(400)})
    bench.confined(["/bin/sh", "-c", script])
    path = bench.home / ".local/state/capwrap/last.ndjson"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["last.ndjson"]
    assert path.read_text().count('"type":"refusal"') == 200
    told = explain(bench)
    assert "(400 times)" in told.text
    assert b"not complete" in told.stderr


def test_it_is_told_which_run_was_the_previous_one(bench: Bench, outside: Path) -> None:
    bench.confined(["/bin/sh", "-c", f"cat {outside}/a"])
    told = explain(bench)
    assert f"the previous run is /bin/sh -c 'cat {outside}/a', which ended at " in told.stderr.decode()
    assert "previous run" not in told.text


def test_the_record_of_the_previous_run_can_be_switched_off(bench: Bench, outside: Path) -> None:
    bench.confined(["/bin/sh", "-c", f"cat {outside}/a"], env={"CAPWRAP_NO_LAST": "1"})
    assert not (bench.home / ".local").exists()
    off = explain(bench, env={"CAPWRAP_NO_LAST": "1"})
    assert off.status == 125
    assert b"CAPWRAP_NO_LAST is set" in off.stderr
    none = explain(bench)
    assert none.status == 125
    assert b"no record of a previous run" in none.stderr


def test_a_state_directory_that_is_somebody_elses_is_not_used(bench: Bench, outside: Path) -> None:
    state = bench.home / "state"
    (state / "capwrap").mkdir(parents=True)
    (state / "capwrap").chmod(0o777)
    done = bench.confined(["/bin/sh", "-c", f"cat {outside}/a"], env={"XDG_STATE_HOME": str(state)})
    assert done.status == 1, done.describe()
    assert list((state / "capwrap").iterdir()) == []
