"""explain: what it tells of a record's refusals, in every format, and what a hostile record cannot make it say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from recorded import PID, Written

from capwrap.cli import main
from capwrap.observe.callformat import format_call
from capwrap.observe.explain import Groups
from capwrap.observe.places import Places, temporary_glob
from capwrap.observe.reading import open_events
from capwrap.observe.refusals import quote
from capwrap.observe.remedy import Option, read_options, toml_lines, what_else
from capwrap.policy._syscalls import ROWS
from capwrap.policy.toml_format import parse_policy

FDCWD = "0xffffff9c"


def explain(path: Path, *more: str, capfd: pytest.CaptureFixture[str], status: int = 0) -> str:
    assert main(["explain", str(path), *more]) == status
    return capfd.readouterr().out


@pytest.fixture
def record() -> Written:
    made = Written("make", "all")
    made.start(101, PID)
    made.exec(101, "cc", "-c", "a.c")
    return made


def test_it_tells_the_call_the_way_the_reason_and_the_command(
    tmp_path: Path, record: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    stack = [{"module": "/usr/bin/cc", "offset": 64, "symbol": "open_file", "file": "files.c", "line": 7}]
    args = [FDCWD, "0x1", "0x80000", "0x0", "0x0", "0x0"]
    more: dict[str, Any] = {
        "asked": "/w/./link",
        "via": "/w/link",
        "nearest": "/etc/shells",
        "args": args,
        "stack": stack,
    }
    record.refusal("/etc/shadow", "read", pid=101, **more)
    text = explain(record.save(tmp_path / "e"), capfd=capfd)
    assert 'openat(AT_FDCWD, "/w/./link", O_RDONLY|O_CLOEXEC)' in text
    assert "resolved  /etc/shadow, through the symbolic link /w/link" in text
    assert "the nearest grant, /etc/shells, does not cover it" in text
    assert "open_file (files.c:7) in /usr/bin/cc+0x40" in text
    assert re.search(r"by +make all \(process 100\)\n +cc -c a.c \(process 101\)", text)
    assert re.search(r"allow +--ro /etc/shadow\n  policy +ro = \[\"/etc/shadow\"\]\n  also +", text)


def test_refusals_that_differ_only_in_time_are_told_once(
    tmp_path: Path, record: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        record.refusal("/x", "read")
    record.refusal("/y", "read")
    text = explain(record.save(tmp_path / "e"), capfd=capfd)
    assert text.count("refused: /x") == 1
    assert "(3 times)" in text
    assert text.count("refused: /y") == 1


def test_one_line_is_explained_by_its_id_and_an_unknown_id_is_125(
    tmp_path: Path, record: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    record.refusal("/x", "read")
    number = record.refusal("/y", "read", kind="absent")["id"]
    path = record.save(tmp_path / "e")
    assert "absent: /y" in explain(path, str(number), capfd=capfd)
    for wrong in ("4711", "1", "x", "9" * 50):
        assert main(["explain", str(path), wrong]) == 125
        assert "capwrap: " in capfd.readouterr().err


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"denied": "/**/*.key"}, "carved out of the grants by /\\*\\*/\\*.key"),
        (
            {"why": "right-missing", "has": ["lookup"], "nearest": "/d"},
            "the grant /d covers it, but does not give read",
        ),
        ({"asked": "/d/../x"}, "with `..` it leads out of the grant"),
        ({"nearest": None}, "no grant covers it"),
        ({"why": "signal"}, "a process that is not of the target"),
        ({"why": "descriptor"}, "the descriptor that it starts at"),
        ({"why": "network"}, "the network is closed"),
        ({"why": "syscall"}, "refused whatever is granted"),
        ({"why": "exec"}, "no file that may be executed"),
    ],
)
def test_the_reason_is_told(
    tmp_path: Path, record: Written, capfd: pytest.CaptureFixture[str], fields: dict[str, Any], why: str
) -> None:
    record.refusal("/x", "read", **fields)
    assert re.search(rf"why +.*{why}", explain(record.save(tmp_path / "e"), capfd=capfd))


def test_a_record_that_was_cut_short_is_explained_with_a_warning(
    tmp_path: Path, record: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    record.refusal("/x", "read")
    path = record.save(tmp_path / "e", end=False)
    assert main(["explain", str(path)]) == 0
    captured = capfd.readouterr()
    assert "refused: /x" in captured.out
    assert "cut short" in captured.err


def test_a_record_that_cannot_be_read_is_125(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(tmp_path / "none")]) == 125
    assert "No such file" in capfd.readouterr().err
    (tmp_path / "bad").write_text("no\n")
    assert main(["explain", str(tmp_path / "bad")]) == 125
    assert "bad:1: no JSON" in capfd.readouterr().err


# Hostile records.

NASTY = "/\x1b[2J\x1b]0;x\x07<img src=x onerror=alert(1)>\n::set-output name=x::y\r##[add-mask]z\u202e\udcff"


@pytest.mark.parametrize("layout", ["text", "json", "sarif", "github"])
def test_no_name_reaches_the_terminal_or_the_log_as_a_command(
    tmp_path: Path, record: Written, capfd: pytest.CaptureFixture[str], layout: str
) -> None:
    import base64

    nasty = base64.b64encode(NASTY.encode("utf-8", "surrogateescape")).decode()
    texts: dict[str, Any] = {
        f"{name}_b64": nasty for name in ("path", "asked", "via", "nearest", "denied", "hint", "host")
    }
    stack = [{"module": NASTY[:-1], "symbol": NASTY[:-1], "file": NASTY[:-1], "line": 10**30}]
    line = record.refusal("/x", "read", allow="; rm -rf ~ #\n$(id)", stack=stack, **texts)
    for name in ("path", "host", "nearest"):
        del line[name]
    del line["argv"]
    line["argv_b64"] = [nasty, nasty]
    out = explain(record.save(tmp_path / "e"), "--format", layout, capfd=capfd)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e]", out)
    assert "##[" not in out or layout != "github"
    assert "rm -rf" not in out
    for text in out.splitlines():
        assert not text.lstrip().startswith("::set-output")
    if layout in ("json", "sarif"):
        json.loads(out)


def test_no_word_at_the_head_of_a_line_is_a_command_for_github(
    tmp_path: Path, record: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    """Spaces before it or not (ActionCommand.TryParseV2 of the runner)."""
    record.start(200, 100)
    record.exec(200, "::stop-commands::x")
    stack = [{"symbol": "main"}, {"symbol": "::add-mask::e", "module": "m"}]
    record.refusal("/x", "read", pid=200, stack=stack, argv=["::stop-commands::x"])
    out = explain(record.save(tmp_path / "e"), "--format", "github", capfd=capfd)
    assert "add-mask" in out
    assert "stop-commands" in out
    commands = [line.split()[0] for line in map(str.lstrip, out.splitlines()) if line.startswith("::")]
    assert commands == ["::error", "::group::capwrap:", "::endgroup::"]


def test_a_million_characters_and_depths_do_no_harm(
    tmp_path: Path, record: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    deep: Any = []
    for _ in range(200):
        deep = [deep]
    record.refusal("/" + "x" * 100_000, "read", stack=deep, args=["0x" + "f" * 300] * 6, times=1 << 62)
    record.refusal("/y", "read", stack=[{"line": -5, "offset": 1.5, "symbol": 7, "file": ["x"]}, 3, None])
    assert "refused: /y" in explain(record.save(tmp_path / "e"), capfd=capfd)


@pytest.mark.parametrize("long", ["stack", "needs", "argv", "hint", "unknown"])
def test_what_is_kept_of_refusals_is_bounded_whatever_of_a_line_is_long(
    tmp_path: Path, record: Written, long: str
) -> None:
    text = "x" * 4000
    values: dict[str, Any] = {
        "stack": [{"symbol": text, "file": text, "line": 1}] * 60,
        "needs": ["x" * 60] * 5000,
        "argv": [text] * 100,
        "hint": text * 100,
        "unknown": [{text: [text] * 100}],
    }
    for number in range(20):
        record.refusal(f"/x{number}", "read", **{long: values[long]})
    groups = Groups(_room=50_000)
    groups.read(open_events(str(record.save(tmp_path / "e"))))
    kept = sum(len(repr(group.record)) for group in groups.groups.values())
    assert kept < 60_000
    assert groups.refusals == 20
    assert len(groups.groups) + groups.untold == 20


@pytest.mark.parametrize(("shared", "kept"), [(True, 20), (False, 10)])
def test_the_command_lines_that_led_to_refusals_are_bounded_and_held_once(
    tmp_path: Path, record: Written, shared: bool, kept: int
) -> None:
    # As long as a record's reader keeps them: each leaves room for ten, with what else is kept of a refusal.
    for number in range(20):
        if not shared or not number:
            record.exec(PID, "sh", "-c", f"{number:04}" * 500)
        record.refusal(f"/x{number}", "read", argv=["sh"])
    groups = Groups(_room=25_000)
    groups.read(open_events(str(record.save(tmp_path / "e"))))
    assert groups.refusals == 20
    assert len(groups.groups) + groups.untold == 20
    assert len(groups.groups) >= kept if shared else len(groups.groups) <= kept + 2
    held = {id(argv): argv for group in groups.groups.values() for _, argv in group.chain}
    assert sum(len(text) for argv in held.values() for text in argv) <= 25_000


@pytest.mark.parametrize(
    "text",
    [
        *("", "--ro", "--policy /x", "--ro /etc; id", "--ro $(id)", "--ro `id`", "--ro /a --", "--rw '", "x y"),
        *("--ro $'\\777'", "--env A=B", "--pure --ro", "--net host", "--on-violation errno", "--grant nothing:/x"),
    ],
)
def test_what_grants_nothing_is_no_remedy(text: str) -> None:
    assert read_options(text) is None


@pytest.mark.parametrize("path", ["/a", "/a b", "/it's", "/\n\t'\\", "/\udcff\udc80", "/ü", "/$x`y`", "/a=/b=/a=/b"])
def test_an_option_is_read_back_as_it_was_quoted(path: str) -> None:
    assert read_options(f"--ro {quote(path)} --rw {quote(path)}") == (Option("--ro", path), Option("--rw", path))


@pytest.mark.parametrize("path", ["/a", '/"\\', "/\n\x7f\u2028", "/${HOME}", "/$${x", "/ü"])
def test_a_policy_line_means_what_the_option_means(path: str) -> None:
    from capwrap.policy.host import Host
    from capwrap.policy.items import Grant

    (grant,) = parse_policy("\n".join(toml_lines((Option("--ro", path),))), "x.toml")
    assert isinstance(grant, Grant)
    expanded = Host(cwd="/", environ={"HOME": "/h"}).expand(grant.path) if grant.expand else grant.path
    assert expanded == path
    (listed,) = parse_policy("\n".join(toml_lines((Option("--grant", f"read,lookup:{path}"),))), "x.toml")
    assert isinstance(listed, Grant)
    assert listed.path == grant.path


def test_what_is_not_utf8_has_an_option_and_no_policy_line(
    tmp_path: Path, record: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    record.refusal("/x", "read", allow="--ro $'/\\377'")
    text = explain(record.save(tmp_path / "e"), capfd=capfd)
    assert "allow     --ro $'/\\377'" in text
    assert "policy    none: it is not UTF-8" in text


def test_what_else_an_option_allows_is_told(tmp_path: Path) -> None:
    (tmp_path / "d/e").mkdir(parents=True)
    (tmp_path / "d/e/f").touch()
    (directory,) = [text for text in what_else((Option("--ro", f"{tmp_path}/d"),), ("read",)) if "beneath" in text]
    assert "now 2 names" in directory
    assert "unlinkat" in " ".join(what_else((Option("--rw", f"{tmp_path}/d/e/f"),), ("write",)))
    assert "SSH" in " ".join(what_else((Option("--ro", "/home/somebody/.ssh/id_rsa"),), ("read",)))
    assert what_else((Option("--grant", f"read:{tmp_path}/d/e/f"),), ("read",)) == ["nothing else"]


# Formats.


def test_github_gets_no_more_annotations_than_it_takes(
    tmp_path: Path, record: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    for number in range(40):
        record.refusal(f"/x{number}", "read")
    out = explain(record.save(tmp_path / "e"), "--format", "github", capfd=capfd)
    errors = [line for line in out.splitlines() if line.startswith("::error ")]
    assert len(errors) == 10
    assert "31 more refused calls" in errors[-1]
    assert out.count("refused: /x") == 40
    assert out.splitlines()[-1] == "::endgroup::"


@pytest.mark.parametrize("named", ["tool.py", "./sub/../tool.py", "{here}/tool.py"])
def test_what_was_refused_is_told_at_the_line_of_the_checkout_that_led_there(
    tmp_path: Path, record: Written, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], named: str
) -> None:
    """Not at the line of a library, whose debugging information has names of other checkouts."""
    (tmp_path / "tool.py").touch()
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    others = [{"file": name, "line": 7} for name in ("sysdeps/open64.c", "/usr/lib/os.py", "../tool.py", "sub")]
    own = {"file": named.format(here=tmp_path), "line": 3}
    record.refusal("/etc/shadow", "read", stack=[*others, own, {"file": "tool.py", "line": 9}])
    record.refusal("/etc/gshadow", "read", stack=others)
    path = record.save(tmp_path / "e")
    first, second = [
        line for line in explain(path, "--format", "github", capfd=capfd).splitlines() if "::error " in line
    ]
    assert first.startswith("::error title=capwrap%3A not-granted,file=tool.py,line=3::/etc/shadow: ")
    assert second.startswith("::error title=capwrap%3A not-granted::/etc/gshadow: ")
    results = json.loads(explain(path, "--format", "sarif", capfd=capfd))["runs"][0]["results"]
    first, second = [result["locations"][0]["physicalLocation"] for result in results]
    assert first["region"] == {"startLine": 3}
    assert first["artifactLocation"]["uriBaseId"] == "%SRCROOT%"
    assert second == {"artifactLocation": {"uri": "file:///etc/gshadow"}}
    frames = results[0]["stacks"][0]["frames"]
    assert frames[0]["location"]["physicalLocation"]["artifactLocation"] == {"uri": "sysdeps/open64.c"}


def test_a_sarif_fingerprint_is_the_same_in_the_next_run_and_another_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    found = []
    for checkout, name, pid in (("one", "ccAb12Cd.s", 100), ("two", "ccXy98Zw.s", 4000)):
        directory = tmp_path / checkout
        directory.mkdir()
        monkeypatch.chdir(directory)
        monkeypatch.setenv("TMPDIR", f"/tmp/{checkout}")
        record = Written("cc")
        for _ in range(pid // 1000):
            record.access("/z", "read")
        record.start(pid, PID)
        record.exec(pid, "/usr/bin/cc1")
        record.refusal(f"{directory}/src/a.c", "read", pid=pid)
        record.refusal(f"/tmp/{checkout}/{name}", "read", pid=pid)
        record.refusal("/etc/shadow", "read", pid=pid)
        log = json.loads(explain(record.save(directory / "e"), "--format", "sarif", capfd=capfd))
        assert log["version"] == "2.1.0"
        results = log["runs"][0]["results"]
        rules = log["runs"][0]["tool"]["driver"]["rules"]
        assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in results)
        place = results[0]["locations"][0]["physicalLocation"]["artifactLocation"]
        assert place == {"uri": "src/a.c", "uriBaseId": "%SRCROOT%"}
        found.append([result["partialFingerprints"]["capwrapRefusal/v1"] for result in results])
    assert found[0] == found[1]
    assert len(set(found[0])) == 3


def test_json_has_everything_as_one_object(tmp_path: Path, record: Written, capfd: pytest.CaptureFixture[str]) -> None:
    record.refusal("/x", "read", pid=101)
    document = json.loads(explain(record.save(tmp_path / "e"), "--format", "json", capfd=capfd))
    (one,) = document["explanations"]
    assert (one["path"], one["allow"], one["policy"]) == ("/x", "--ro /x", ['ro = ["/x"]'])
    assert [command["argv"][0] for command in one["commands"]] == ["make", "cc"]


# Calls.


@pytest.mark.parametrize(
    ("syscall", "registers", "shown"),
    [
        ("openat", (0xFFFFFF9C, 5, 0x241, 0o644, 0, 0), 'openat(AT_FDCWD, "/a", O_WRONLY|O_CREAT|O_TRUNC, 0644)'),
        ("open", (5, 0x80000, 0o644, 0, 0, 0), 'open("/a", O_RDONLY|O_CLOEXEC)'),
        ("openat2", (4, 5, 6, 24, 0, 0), 'openat2(4, "/a", 0x6, 24)'),
        ("renameat2", (0xFFFFFF9C, 5, 7, 6, 0, 0), 'renameat2(AT_FDCWD, "/a", 7, "/b", 0)'),
        ("kill", ((1 << 64) - 1, 9, 0, 0, 0, 0), "kill(-1, SIGKILL)"),
        ("access", (5, 4, 0, 0, 0, 0), 'access("/a", R_OK)'),
        ("ioctl", (3, 0x5412, 0, 0, 0, 0), "ioctl(3, 0x5412, 0)"),
        ("mknod", (5, 0o20600, 259, 0, 0, 0), 'mknod("/a", S_IFCHR|0600, makedev(0x1, 0x3))'),
        ("mknod", (5, 0o140600, 259, 0, 0, 0), 'mknod("/a", S_IFSOCK|0600)'),
        ("unlinkat", (0xFFFFFF9C, 5, 0x280, 0, 0, 0), 'unlinkat(AT_FDCWD, "/a", AT_REMOVEDIR|0x80)'),
        ("open_tree", (0xFFFFFF9C, 5, 1, 0, 0, 0), 'open_tree(AT_FDCWD, "/a", 1)'),
        ("umount2", (5, 8, 0, 0, 0, 0), 'umount2("/a", 8)'),
        ("openat", (), 'openat("/a", "/b")'),
    ],
)
def test_a_call_is_shown_as_strace_shows_it(syscall: str, registers: tuple[int, ...], shown: str) -> None:
    assert format_call(syscall, registers, ("/a", "/b")) == shown


@pytest.mark.parametrize("value", [0, 5, (1 << 64) - 1])
def test_every_call_of_the_table_is_shown_whatever_its_registers_hold(
    value: int, capfd: pytest.CaptureFixture[str]
) -> None:
    for row in ROWS:
        assert format_call(row.name, (value,) * 6, ("/a", None)).startswith(row.name)
    assert capfd.readouterr().err == ""


# Places.


@pytest.mark.parametrize(
    ("name", "glob"),
    [
        ("ccFZLIpO.s", "cc*.s"),
        ("tmpab3_x9k1", "tmp*"),
        ("go-build1834728", "go-build*"),
        ("stdio.h", "stdio.h"),
        ("Makefile", "Makefile"),
        ("libcrypto.so.3", "libcrypto.so.3"),
    ],
)
def test_random_parts_of_names_become_globs(name: str, glob: str) -> None:
    assert temporary_glob(name) == glob


def test_what_differs_between_users_becomes_a_variable() -> None:
    places = Places("/home/a/src", "/home/a", "/tmp")
    assert places.variable("/home/a/src/x.c") == "${PWD}/x.c"
    assert places.variable("/home/a/.config") == "${HOME}/.config"
    assert places.variable("/tmp/x") == "${TMPDIR}/x"
    assert places.variable("/usr/${x}") == "/usr/$${x}"
    assert places.variable("/home/abc") == "/home/abc"
