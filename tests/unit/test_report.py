"""report: what its page shows of records, and that nothing in a record becomes part of the page but as text."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from recorded import PID, Written

from capwrap.cli import main
from capwrap.observe import report_tables
from capwrap.observe.places import settled
from capwrap.observe.report_page import SCRIPTS

DATA = re.compile(rb'<script id="data" type="application/json">(.*?)</script>', re.DOTALL)


def page(*records: Path, capfd: pytest.CaptureFixture[str], options: tuple[str, ...] = ()) -> bytes:
    output = records[0].with_name("page.html")
    assert main(["report", *options, "-o", str(output), *map(str, records)]) == 0, capfd.readouterr().err
    return output.read_bytes()


def shown(*records: Path, capfd: pytest.CaptureFixture[str], options: tuple[str, ...] = ()) -> dict[str, Any]:
    """What the page's script reads."""
    (found,) = DATA.findall(page(*records, capfd=capfd, options=options))
    document: dict[str, Any] = json.loads(found)
    return document


def paths(document: dict[str, Any]) -> list[str]:
    made: list[str] = []
    for part, parent in zip(document["names"]["part"], document["names"]["parent"], strict=True):
        assert parent < len(made)  # a name comes behind the directory that holds it
        made.append(part if parent < 0 else made[parent].rstrip("/") + "/" + part)
    return made


def counts(document: dict[str, Any], path: str) -> dict[str, int]:
    index = paths(document).index(path)
    return {what.upper(): column[index] for what, column in document["names"]["counts"].items() if column[index]}


@pytest.fixture
def record() -> Written:
    made = Written("make", "all")
    made.start(101, PID)
    made.exec(101, "cc", "-c", "a.c")
    return made


# What it shows.


@pytest.mark.parametrize(
    ("rights", "more", "what"),
    [
        (["read"], {}, "READ"),
        (["read", "write", "create"], {}, "WRITTEN"),
        (["unlinkat"], {"syscall": "unlink"}, "WRITTEN"),
        (["fexecve"], {"syscall": "execve", "result": 0}, "EXECUTED"),
        (["fexecve"], {"syscall": "execve", "result": -2}, "FAILED"),
        (["fstat"], {"syscall": "newfstatat"}, "LOOKED"),
        ([], {"syscall": "newfstatat"}, "LOOKED"),
        (["lookup"], {"syscall": "readlink", "result": -22}, "LOOKED"),
        (["read"], {"result": -2}, "FAILED"),
    ],
)
def test_an_access_is_counted_as_what_it_was(
    tmp_path: Path,
    record: Written,
    capfd: pytest.CaptureFixture[str],
    rights: list[str],
    more: dict[str, Any],
    what: str,
) -> None:
    for _ in range(3):
        record.access("/w/a", *rights, **more)
    document = shown(record.save(tmp_path / "e"), capfd=capfd)
    assert counts(document, "/w/a") == {what: 3}
    assert counts(document, "/w") == {}
    assert document["calls"]["count"] == [3]


def test_refused_and_absent_names_are_in_the_namespace_and_so_are_addresses(
    tmp_path: Path, record: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    record.refusal("/etc/shadow", "read")
    record.refusal("/etc/ld.so.preload", "fstat", kind="absent")
    record.refusal("", why="network", syscall="connect", address="tcp:127.0.0.1:80")
    record.refusal("", why="signal", syscall="kill")
    document = shown(record.save(tmp_path / "e"), capfd=capfd)
    assert counts(document, "/etc/shadow") == {"REFUSED": 1}
    assert counts(document, "/etc/ld.so.preload") == {"ABSENT": 1}
    assert counts(document, "tcp:127.0.0.1:80") == {"REFUSED": 1}
    assert document["calls"]["name"][-1] == -1
    assert len(document["calls"]["name"]) == 4


def test_both_names_of_a_rename_are_counted(tmp_path: Path, record: Written, capfd: pytest.CaptureFixture[str]) -> None:
    record.access("/w/a", "renameat_source", "renameat_target", syscall="rename", path2="/w//./b/", result=0)
    document = shown(record.save(tmp_path / "e"), capfd=capfd)
    assert counts(document, "/w/a") == counts(document, "/w/b") == {"WRITTEN": 1}


def test_processes_have_their_time_their_parent_and_their_end(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    record = Written("make")
    record.start(101, PID)
    record.exec(101, "sh", "-c", "cc a.c")
    record.exec(101, "cc", "a.c")
    record.access("/w/a.c", "read", pid=101)
    record.exit(101, 1)
    record.start(101, PID)  # the number is used again
    record.access("/w/a.c", "read", pid=101)
    document = shown(record.save(tmp_path / "e"), capfd=capfd)
    processes, texts = document["processes"], document["texts"]
    assert processes["pid"] == [PID, 101, 101]
    assert processes["parent"] == [-1, 0, 0]
    assert processes["start"] == [1000, 3000, 8000]
    assert processes["end"] == [None, 7000, None]
    assert processes["status"] == [None, 1, None]
    assert [[texts[text] for text in each[1::2]] for each in processes["commands"]] == [
        ["make"],
        ["sh -c 'cc a.c'", "cc a.c"],
        [],
    ]
    assert document["calls"]["process"] == [1, 2]


def test_a_refusal_is_explained_as_explain_explains_it(
    tmp_path: Path, record: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    stack = [{"module": "/usr/bin/cc", "offset": 1 << 60, "symbol": "open_file", "file": "files.c", "line": 7}]
    for _ in range(2):
        record.refusal("/etc/shadow", "read", pid=101, stack=stack, args=["0xffffff9c", *["0x0"] * 5])
    path = record.save(tmp_path / "e")
    (one,) = shown(path, capfd=capfd)["refusals"]
    assert main(["explain", "--format", "json", str(path)]) == 0
    (told,) = json.loads(capfd.readouterr().out)["explanations"]
    told["stack"][0]["offset"] = "0x1000000000000000"  # a number of JavaScript would lose digits
    assert one == told
    assert (one["count"], one["allow"], one["stack"][0]["line"]) == (2, "--ro /etc/shadow", 7)


def test_a_grant_that_no_call_used_is_told_as_check_tells_it(
    tmp_path: Path, record: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "in/a").touch()
    policy = tmp_path / "p.toml"
    policy.write_text(f'ro = ["{tmp_path}/in"]\nrw = ["{tmp_path}/out"]\n')
    record.access(f"{tmp_path}/in/a", "read", grant=f"{tmp_path}/in")
    path = record.save(tmp_path / "e")
    document = shown(path, capfd=capfd, options=("--policy", str(policy)))
    told = {rule["path"]: (rule["rights"], rule["origin"], rule["used"]) for rule in document["policy"]}
    assert told == {f"{tmp_path}/in": ("ro", f"{policy}:1", True), f"{tmp_path}/out": ("rw", f"{policy}:2", False)}
    assert {paths(document)[rule["name"]] for rule in document["policy"]} == set(told)
    assert main(["check", str(policy), "--against", str(path)]) == 0
    assert f"no call used:\n  {tmp_path}/out  [rw, {policy}:2]\n" in capfd.readouterr().out


def test_a_grant_of_the_command_line_is_told_and_what_comes_with_a_command_is_not(
    tmp_path: Path, record: Written, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path)
    options = ("--profile", "runtime", "--ro", "in", "--rw", f"{tmp_path}/in=/srv//data/")
    document = shown(record.save(tmp_path / "e"), capfd=capfd, options=options)
    told = {rule["path"]: rule["rights"] for rule in document["policy"] if rule["origin"] == "the command line"}
    assert told == {f"{tmp_path}/in": "ro", "/srv/data": "rw"}
    assert all(rule["origin"] for rule in document["policy"])


def test_without_a_policy_nothing_is_said_of_grants_but_which_were_used(
    tmp_path: Path, record: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    record.access("/w/a", "read", grant="/w")
    document = shown(record.save(tmp_path / "e"), capfd=capfd)
    assert document["policy"] is None
    assert [paths(document)[name] for name in document["granted"]] == ["/w"]


def test_runs_of_several_records_and_of_one_are_told_apart_and_share_one_time(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    first, second = Written("one"), Written("two")
    first.lines[0]["time"], second.lines[0]["time"] = 1000.0, 1010.5
    first.lines[0]["mode"] = "trace"
    first.lines += second.lines  # as trace --append leaves it
    third = Written("three")
    third.lines[0]["time"] = 990.0
    document = shown(first.save(tmp_path / "e"), third.save(tmp_path / "f"), capfd=capfd)
    assert [(run["command"], run["traced"]) for run in document["runs"]] == [
        ("one", True),
        ("two", False),
        ("three", False),
    ]
    assert document["processes"]["run"] == [0, 1, 2]
    assert document["processes"]["start"] == [1000, 10_501_000, -9_999_000]
    assert document["processes"]["parent"] == [-1, -1, -1]


# What cannot be read.


def test_a_record_that_was_cut_short_is_shown_with_a_warning(
    tmp_path: Path, record: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    record.access("/w/a", "read")
    path = record.save(tmp_path / "e", end=False)
    path.write_bytes(path.read_bytes()[:-7])
    document = shown(path, capfd=capfd)
    assert "cut short" in document["problems"][0]
    assert "cut short" in capfd.readouterr().err
    assert document["processes"]["pid"] == [PID, 101]


@pytest.mark.parametrize("content", [b"", b"no\n", b'{"type":"run","v":1}\n[]\n', b'{"type":"run","v":1}\n\xff\n'])
def test_what_cannot_be_read_is_125_and_leaves_the_old_page(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], content: bytes
) -> None:
    (tmp_path / "e").write_bytes(content)
    (tmp_path / "page.html").write_text("old")
    assert main(["report", str(tmp_path / "e"), "-o", str(tmp_path / "page.html")]) == 125
    assert f"capwrap: {tmp_path}/e:" in capfd.readouterr().err
    assert (tmp_path / "page.html").read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["e", "page.html"]


def test_a_record_is_not_overwritten_by_its_page(
    tmp_path: Path, record: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    path = record.save(tmp_path / "e")
    before = path.read_bytes()
    (tmp_path / "link").symlink_to(path)
    for name in ("e", "link"):
        assert main(["report", str(path), "-o", str(tmp_path / name)]) == 125
        assert "one of the records" in capfd.readouterr().err
    assert path.read_bytes() == before


def test_without_a_file_the_page_goes_to_standard_output(
    tmp_path: Path, record: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    path = record.save(tmp_path / "e")
    assert main(["report", str(path)]) == 0
    assert capfd.readouterr().out.encode() == page(path, capfd=capfd)


def test_it_shows_how_far_it_is(
    tmp_path: Path, record: Written, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    monkeypatch.setattr("capwrap.cli.progress.Progress.tell", lambda _bar, done: told.append(done))
    for _ in range(10_000):
        record.access("/w/a", "read")
    path = record.save(tmp_path / "e")
    page(path, capfd=capfd)
    assert len(told) > 2
    assert told == sorted(told)
    assert told[-1] == path.stat().st_size


# Hostile records.

NASTY = (
    "/</script><script>alert(1)</script><!--<script>'\"&amp;<img src=x onerror=alert(1)>"
    "\x1b[2J\x07\u202e\u2066\u2028\udcff"
)


def hostile() -> Written:
    """A record with NASTY wherever a text can stand."""
    nasty = base64.b64encode(NASTY.encode("utf-8", "surrogateescape")).decode()
    plain = NASTY[:-1]
    record = Written(plain)
    record.lines[0] |= {"policy": plain, "method": plain, "kernel": plain, "capwrap": plain, "mode": plain}
    record.lines[0]["jail"] = {"landlock": {"coarse": plain}}
    record.exec(PID, plain, plain)
    record.access(plain, "read", grant=plain, grant2=plain, path2=plain, asked=plain, via=plain)
    texts: dict[str, Any] = {
        f"{name}_b64": nasty
        for name in ("path", "path2", "asked", "via", "nearest", "denied", "hint", "host", "address")
    }
    stack = [{"module": plain, "symbol": plain, "file": plain, "line": 1}]
    line = record.refusal("", "read", allow=f"--ro {plain}", stack=stack, **texts)
    for name in ("path", "host", "nearest"):
        del line[name]
    del line["argv"]
    line["argv_b64"] = [nasty]
    return record


def test_no_text_of_a_record_is_markup_or_a_control_character_of_the_page(
    tmp_path: Path, record: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    made = page(hostile().save(tmp_path / "e\x1b[2J<b>"), capfd=capfd)
    harmless = page(record.save(tmp_path / "f"), capfd=capfd)
    (data,) = DATA.findall(made)
    assert not re.search(rb"[<>&\x00-\x09\x0b-\x1f\x7f-\xff]", data)
    assert DATA.sub(b"", made) == DATA.sub(b"", harmless)

    def texts(value: object) -> list[str]:
        if isinstance(value, str):
            return [value]
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return [text for each in inner for text in texts(each)]

    found = texts(json.loads(data))
    assert all(text.isprintable() for text in found)
    assert any("\\u202e" in text and "\\x1b" in text and "\\xff" in text for text in found)
    assert any("<script>alert(1)</script>" in text for text in found)


@pytest.mark.parametrize("wrong", [None, 1, -1, 1e400, "x", [], {}, [[]], {"landlock": 1}, True, 10**400])
def test_whatever_stands_in_the_first_and_the_last_line_there_is_a_page(
    tmp_path: Path, record: Written, capfd: pytest.CaptureFixture[str], wrong: object
) -> None:
    for name in ("time", "policy", "method", "mode", "kernel", "capwrap", "jail"):
        record.lines[0][name] = wrong
    record.end()
    for name in ("refusals", "absent", "accesses", "lost", "complete"):
        record.lines[-1][name] = wrong
    path = tmp_path / "e"
    path.write_text("".join(json.dumps(line).replace("Infinity", "1e400") + "\n" for line in record.lines))
    assert shown(path, capfd=capfd)["seen"]["runs"] == 1


def test_what_is_above_a_bound_is_counted(
    tmp_path: Path, record: Written, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_tables, "NAMES_MAX", 30)
    monkeypatch.setattr(report_tables, "PROCESSES_MAX", 10)
    monkeypatch.setattr(report_tables, "CALLS_MAX", 20)
    monkeypatch.setattr("capwrap.observe.report.EXPLAINED_MAX", 5)
    monkeypatch.setattr("capwrap.observe.report.RUNS_MAX", 1)
    for number in range(50):
        record.start(1000 + number, PID)
        record.access(f"/w/{number}", "read", pid=1000 + number)
        record.refusal(f"/x/{number}", "read", pid=1000 + number)
    record.lines += Written("again").lines
    document = shown(record.save(tmp_path / "e"), capfd=capfd)
    assert len(document["names"]["part"]) == 30
    assert sum(map(sum, document["names"]["counts"].values())) + document["untold"]["names"] == 100
    assert len(document["processes"]["pid"]) == 10
    assert document["untold"]["processes"] == 53 - 10
    assert len(document["calls"]["count"]) == 20
    assert sum(document["calls"]["count"]) + document["untold"]["calls"] == 100
    assert len(document["refusals"]) + document["untold"]["refusals"] == 50
    assert (len(document["runs"]), document["seen"]["runs"]) == (1, 2)


def test_long_and_deep_names_cost_no_more_than_the_bound(
    tmp_path: Path, record: Written, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_tables, "TEXT_MAX", 1 << 20)
    record.access("/" + "x" * 1_000_000, "read")
    record.access("/a" * 500_000, "read")
    record.access("/w/a", "read")
    for number in range(50):
        record.exec(PID, *(f"{number}{'y' * 50_000}",) * 10)
    document = shown(record.save(tmp_path / "e"), capfd=capfd)
    assert counts(document, "/w/a") == {"READ": 1}
    assert max(map(len, document["names"]["part"])) < 5000
    assert len(json.dumps(document)) < 1 << 21


def test_a_name_that_the_kernel_would_not_take_is_settled_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "lstat", lambda *_args, **_more: pytest.fail("it was looked up"))
    assert settled("/x/../" + "a/" * 100_000) == "/" + "/".join("a" * 100_000)


# The page itself.


def test_its_security_policy_permits_its_own_script_and_style_and_nothing_else(
    tmp_path: Path, record: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    made = page(record.save(tmp_path / "e"), capfd=capfd).decode()
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="(.*?)">', made)
    directives = dict(part.split(" ", 1) for part in policy.split("; "))
    (style,) = re.findall(r"<style>(.*?)</style>", made, re.DOTALL)
    scripts = re.findall(r"<script>(.*?)</script>", made, re.DOTALL)
    assert len(scripts) == 1
    for name, text in (("style-src", style), ("script-src", scripts[0])):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert directives[name] == f"'sha256-{digest}'"
    assert directives["default-src"] == directives["base-uri"] == directives["form-action"] == "'none'"
    assert directives["require-trusted-types-for"] == "'script'"
    assert made.index("Content-Security-Policy") < made.index("<style>")


def test_it_names_no_other_place(tmp_path: Path, record: Written, capfd: pytest.CaptureFixture[str]) -> None:
    made = DATA.sub(b"", page(record.save(tmp_path / "e"), capfd=capfd)).decode()
    assert set(re.findall(r"https?://[^\"'` ]*", made)) == {"http://www.w3.org/2000/svg"}  # the name of SVG itself
    assert all(link.startswith("#") for link in re.findall(r'\b(?:src|href|action)="([^"]*)"', made))
    assert "@import" not in made
    assert "url(" not in made


def test_its_script_makes_text_of_texts() -> None:
    script = "".join((files("capwrap.observe") / "page" / name).read_text() for name in SCRIPTS)
    for way in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval", "Function(", "createContextual"):
        assert way not in script
    assert not re.search(r"setAttribute\((?!name,)(?!\"aria-)", script)  # names of attributes are checked in one place


def test_its_parts_lie_in_the_package() -> None:
    lying = {entry.name for entry in (files("capwrap.observe") / "page").iterdir()}
    assert lying == {"page.html", "page.css", *SCRIPTS}
