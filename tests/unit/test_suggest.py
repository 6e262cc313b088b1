"""suggest: which names are granted and how, what is left out and why, and how a policy is merged."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from recorded import Written

from capwrap.cli import main
from capwrap.observe.guard import guarded, holds_guarded
from capwrap.observe.places import Places
from capwrap.observe.suggest import Suggestion
from capwrap.observe.suggest_toml import merge
from capwrap.policy.rights import Right


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory with a project in it, which is the current directory."""
    base = tmp_path / "home"
    for name in ("src/a.c", "src/b.c", ".ssh/config", "lib/x.h"):
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_text("x")
    monkeypatch.setenv("HOME", str(base))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.chdir(base / "src")
    return base


def suggest(record: Written, *options: str, capfd: pytest.CaptureFixture[str]) -> str:
    record.save(Path("../e"))
    assert main(["suggest", "../e", *options]) == 0
    return capfd.readouterr().out


def parsed(text: str) -> dict[str, Any]:
    return tomllib.loads(text)


def test_names_are_granted_one_by_one_with_variables(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    record = Written("cc")
    record.access(f"{home}/src/a.c", "read")
    record.access(f"{home}/src/a.o", "write", "create", "ftruncate")
    record.access(f"{home}/lib/x.h", "read")
    record.access("/usr/include/stdio.h", "read")
    policy = parsed(suggest(record, capfd=capfd))
    assert policy["extends"] == ["base"]
    assert policy["ro"] == ["${HOME}/lib/x.h", "${PWD}/a.c"]
    assert policy["rw"] == ["${PWD}/a.o"]
    assert policy["grant"] == [{"path": "${PWD}", "rights": "lookup,fstat,fchdir"}]


def test_what_was_refused_is_granted_too(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    record = Written("cc")
    record.refusal(f"{home}/lib/x.h", "read")
    record.refusal(f"{home}/lib/none.h", "read", kind="absent")
    record.refusal("", why="network", address="tcp:127.0.0.1:80", allow="--connect tcp:127.0.0.1:80", syscall="connect")
    policy = parsed(suggest(record, capfd=capfd))
    assert policy["ro"] == ["${HOME}/lib/x.h"]
    assert policy["connect"] == ["tcp:127.0.0.1:80"]


def test_what_is_risky_stands_as_a_comment_with_the_reason(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    record = Written("x")
    record.access(f"{home}/.ssh/config", "read")
    record.access("/etc/passwd.new", "write", "create")
    record.refusal("", why="network", address="tcp:1.2.3.4:80", allow="--connect tcp:1.2.3.4:80", syscall="connect")
    record.refusal("/memfd:x (deleted)", "fexecve", why="exec", allow="--allow memfd-exec", syscall="execveat")
    text = suggest(record, capfd=capfd)
    assert '# ro = ["${HOME}/.ssh/config"]  # left out: SSH keys' in text
    assert '# rw = ["/etc/passwd.new"]  # left out: it would change the system' in text
    assert '# connect = ["tcp:1.2.3.4:80"]  # left out: it reaches other machines' in text
    assert '# allow = ["memfd-exec"]  # left out:' in text
    assert not set(parsed(text)) & {"ro", "rw", "connect", "allow"}


def test_a_directory_is_granted_only_where_most_of_it_was_used(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    record = Written("cc")
    for directory, used in (("most", 9), ("few", 4)):
        (home / directory).mkdir()
        for number in range(10):
            (home / directory / f"{number}.h").touch()
        for number in range(used):
            record.access(f"{home}/{directory}/{number}.h", "read")
    text = suggest(record, capfd=capfd)
    ro = parsed(text)["ro"]
    assert "${HOME}/most" in ro
    assert "9 of 10 names in it were used" in text
    assert [path for path in ro if "few" in path] == [f"${{HOME}}/few/{number}.h" for number in range(4)]


def test_a_directory_that_holds_keys_is_never_granted_as_a_whole(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    record = Written("x")
    for number in range(20):
        (home / f"f{number}").touch()
        record.access(f"{home}/f{number}", "read")
    record.access(f"{home}/made", "mkdirat", syscall="mkdir", result=0)
    text = suggest(record, capfd=capfd)
    assert '"${HOME}"' not in text
    assert len(parsed(text)["ro"]) == 20


def test_directories_and_random_names_are_made_where_their_directory_is_granted(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    record = Written("x")
    record.access(f"{home}/src/build", "mkdirat", syscall="mkdir", result=0)
    record.access(f"{home}/src/build/x", "write", "create")
    text = suggest(record, capfd=capfd)
    assert parsed(text)["rw"] == ["${PWD}"]
    assert "directories were made in it" in text
    other = Written("sed")
    other.access(f"{home}/lib/sedAb3x9Q", "write", "create")
    other.access(f"{home}/lib/sedAb3x9Q", "renameat_source", syscall="rename", path2=f"{home}/lib/x.h", result=0)
    text = suggest(other, capfd=capfd)
    assert parsed(text)["rw"] == ["${HOME}/lib"]
    assert "temporary names: sed*" in text


def test_temporary_files_get_a_private_directory(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    record = Written("cc")
    record.access(f"{home.parent}/tmp/ccAb3x9Q.s", "write", "create")
    assert parsed(suggest(record, capfd=capfd))["private"] == [{"path": "${TMPDIR}", "mode": "1777"}]


def test_pure_names_what_base_would_give(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    record = Written("cat")
    loader = "/lib64/ld-linux-x86-64.so.2"
    record.access("/usr/bin/cat", "fexecve", syscall="execve", result=0, path2=loader)
    record.access("/etc/passwd", "read")
    record.access("/proc/self/maps", "read")
    record.access("/dev/null", "read", "write")
    policy = parsed(suggest(record, "--pure", capfd=capfd))
    assert "extends" not in policy
    assert (policy["proc"], policy["devices"]) == (True, True)
    assert "PATH" in policy["env"]
    assert policy["rox"] == [loader, "/usr/bin/cat"]
    assert policy["ro"] == ["/etc/passwd"]


POLICY = """\
# What our build needs.
extends = ["base"]

ro = [
    "${PWD}/b.c",  # the second half
]

# Limits of the machine.
[limits]
memory = "2G"
"""


def test_merge_adds_what_is_missing_and_keeps_comments_and_order(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Path("p.toml").write_text(POLICY)
    record = Written("cc")
    record.access(f"{home}/src/a.c", "read")
    record.access(f"{home}/src/b.c", "read")
    record.access(f"{home}/src/a.o", "write", "create")
    record.access(f"{home}/.ssh/config", "read")
    diff = suggest(record, "--merge", "p.toml", capfd=capfd)
    assert Path("p.toml").read_text() == POLICY
    assert '+    "${PWD}/a.c",\n' in diff
    assert not [line for line in diff.splitlines() if line.startswith("-") and not line.startswith("---")]
    assert suggest(record, "--merge", "p.toml", "--write", capfd=capfd) == diff
    text = Path("p.toml").read_text()
    policy = parsed(text)
    assert policy["ro"] == ["${PWD}/b.c", "${PWD}/a.c"]
    assert policy["rw"] == ["${PWD}/a.o"]
    assert policy["limits"] == {"memory": "2G"}
    for kept in ("# What our build needs.", "# the second half", "# Limits of the machine."):
        assert kept in text
    assert "# ro: ${HOME}/.ssh/config: left out: SSH keys" in text
    assert main(["check", "p.toml"]) == 0


@pytest.mark.parametrize(
    ("before", "grown"),
    [
        ('# a\nro = ["/x"]  # b', {"ro": ["/x", "${PWD}/a"]}),
        ('grant = [{path = "/z", rights = "read"}]\n', {"grant": [{"path": "/z", "rights": "read"}]}),
        ("grant = [\n]\nprivate = []\n", {}),
        (
            '[[grant]]\npath = "/z"\nrights = "read"\n[limits]\ncpu = 1\n[[grant]]\npath = "/y"\nrights = "read"\n',
            {},
        ),
        ('# a\r\nextends = ["base"]\r\nro = [\r\n  "/x",  # b\r\n]\r\n', {"ro": ["/x", "${PWD}/a"]}),
        ("# a\u2028b\nmethod = 'auto'\n", {}),
    ],
)
def test_merge_keeps_a_file_as_it_is_written(home: Path, before: str, grown: dict[str, Any]) -> None:
    """What cannot be written between its lines stands behind them, in its kind of lines, and is TOML."""
    entries = [
        Suggestion("ro", f"{home}/a"),
        Suggestion("grant", "/q", Right.LOOKUP, why="because"),
        Suggestion("private", "/tmp"),
    ]
    after = merge(before, entries, Places(str(home), "/h", "/tmp"), lambda _entry: None)
    old, new = parsed(before), parsed(after)
    assert new["ro"] == grown.get("ro", ["${PWD}/a"])
    assert new["grant"] == [*old.get("grant", []), {"path": "/q", "rights": "lookup"}]
    assert new["private"] == [{"path": "${TMPDIR}", "mode": "1777"}]
    assert {name: value for name, value in old.items() if name not in new} == {}
    if before.count("\r\n"):
        assert after.count("\n") == after.count("\r\n")
    at = 0
    for part in re.findall(r"# \w+|/[xyz]|\[\[?\w+\]|\w+ =", before):
        assert part in after[at:], part
        at = after.index(part, at)


def test_merging_what_is_granted_changes_nothing(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Path("p.toml").write_text('extends = ["workspace"]\n')
    record = Written("cc")
    record.access("/usr/include/stdio.h", "read")
    assert suggest(record, "--merge", "p.toml", "--write", capfd=capfd) == ""
    assert Path("p.toml").read_text() == 'extends = ["workspace"]\n'


@pytest.mark.parametrize("arguments", [["--write"], ["--pure", "--merge", "x"], ["--merge", "none"]])
def test_wrong_usage_is_125(home: Path, capfd: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    Written().save(Path("e"))
    assert main(["suggest", "e", *arguments]) == 125
    assert "capwrap: " in capfd.readouterr().err


def test_hostile_names_stay_within_their_strings_and_comments(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    record = Written('x\n]\nrwx = ["/"]\n#')
    record.access('/srv/a"]\nrwx = ["/"]\n#\x1b[2J', "read")
    record.access("/srv/${HOME}", "read")
    record.access(f"{home}/.ssh/a\nrwx = []", "read")
    text = suggest(record, capfd=capfd)
    assert "\x1b" not in text
    policy = parsed(text)
    assert set(policy) == {"extends", "ro"}
    assert policy["ro"] == ["/srv/$${HOME}", '/srv/a"]\nrwx = ["/"]\n#\x1b[2J']


@pytest.mark.parametrize(
    ("path", "is_guarded"),
    [
        ("/home/u/.ssh/known_hosts", True),
        ("/home/u/.bash_history", True),
        ("/etc/shadow", True),
        ("/srv/x/.env", True),
        ("/srv/x/id_ed25519", True),
        ("/srv/x/id_ed25519.pub", False),
        ("/home/u/src/a.c", False),
        ("/etc/passwd", False),
    ],
)
def test_the_guard_set_knows_keys_tokens_and_histories(path: str, is_guarded: bool) -> None:
    assert (guarded(path) is not None) is is_guarded


def test_what_holds_something_of_the_guard_set_is_guarded_too(home: Path) -> None:
    for path in ("/", "/home", "/home/u", "/etc", "/var", str(home)):
        assert holds_guarded(path) is not None, path
    assert holds_guarded(f"{home}/src") is None
