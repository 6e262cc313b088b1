"""deps: what becomes an input, an output or a name looked for in vain, and how that is written."""

from __future__ import annotations

import io
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from recorded import Written

from capwrap.cli import main
from capwrap.observe.declared import RACES_MAX, races, read_rules
from capwrap.observe.depfile import make, ninja
from capwrap.observe.deps import Action, Collector, Name, Use
from capwrap.observe.reading import Events


def action(record: Written, name: str = "e", time: float = 0.0) -> Action:
    record.lines[0]["time"] = time
    record.end()
    data = "".join(json.dumps(line) + "\n" for line in record.lines).encode()
    return Collector().read(Events(name, io.BytesIO(data)))


def test_files_that_were_read_and_programs_are_inputs() -> None:
    record = Written("cc")
    record.access("/s/a.c", "read")
    record.access("/s/cc", "fexecve", syscall="execve", result=0, path2="/s/ld.so")
    record.access("/s/looked", "fstat", syscall="stat", result=0)
    record.access("/proc/self/maps", "read")
    record.access("/s/denied", "read", result=-13)
    assert action(record).inputs() == ["/s/a.c", "/s/cc", "/s/ld.so"]


def test_what_a_run_did_that_was_added_to_a_record_is_of_the_time_of_that_run() -> None:
    record, added = Written("cc"), Written("ld")
    record.access("/s/a.o", "write", "create")
    added.lines[0]["time"] = 2000.0
    added.access("/s/a", "write", "create")
    record.lines += added.lines
    names = action(record, time=1000.0).names
    assert 1000 <= names["/s/a.o"].written_at < 2000 <= names["/s/a"].written_at


def test_what_the_action_made_itself_is_no_input() -> None:
    record = Written("cc")
    record.access("/s/t.s", "read", "write", "create")
    record.access("/s/t.s", "read")
    record.access("/s/t.s", "unlinkat", syscall="unlink", result=0)
    record.access("/s/a.o", "write", "create", "ftruncate")
    record.access("/s/a.o", "read")
    done = action(record)
    assert (done.inputs(), done.outputs()) == ([], ["/s/a.o"])


def test_what_was_read_and_then_changed_is_both() -> None:
    record = Written("ar")
    record.access("/s/lib.a", "read", "write")
    done = action(record)
    assert (done.inputs(), done.outputs()) == (["/s/lib.a"], ["/s/lib.a"])


def test_a_rename_writes_its_second_name_and_removes_the_first() -> None:
    record = Written("mv")
    record.access("/s/t", "write", "create")
    record.access("/s/t", "renameat_source", syscall="rename", path2="/s/out", result=0)
    assert action(record).outputs() == ["/s/out"]


def test_what_was_written_in_a_directory_that_is_renamed_is_an_output_by_its_new_name() -> None:
    record = Written()
    for name in ("/s/t/a", "/s/t/d/b", "/s/t/gone", "/s/tt"):
        record.access(name, "write", "create")
    record.access("/s/t/gone", "unlinkat", syscall="unlink", result=0)
    record.access("/s/t/d", "renameat_source", syscall="rename", path2="/s/t/e", result=0)
    record.access("/s/t", "renameat_source", syscall="rename", path2="/s/out", result=0)
    record.access("/s/out/a", "read")
    record.access("/s/t", "write", "create")
    record.access("/s/t", "renameat_source", syscall="rename", path2="/s/file", result=0)
    made = action(record)
    assert made.outputs() == ["/s/file", "/s/out/a", "/s/out/e/b", "/s/tt"]
    assert made.inputs() == []


def test_names_that_were_looked_for_in_vain_are_told_as_they_were_asked() -> None:
    record = Written("cc")
    record.access("/s/early", "read", result=-2, asked="/s/early/x.h")
    record.refusal("/elsewhere/y.h", "read", kind="absent")
    record.access("/s/made", "fstat", syscall="stat", result=-2)
    record.access("/s/made", "write", "create")
    assert action(record).absent() == ["/elsewhere/y.h", "/s/early/x.h"]


ODD_NAMES = (
    *(
        "a b",
        "a#b",
        "a$b",
        "a\\\\ b",
        "a\\b\\ c",
        "a:b",
        "a%b",
        "[a]",
        "a*",
        "?",
        "a&b",
        "a'b",
        "(a)b",
        "./~a",
        "a;b",
        "a=b",
    ),
    *(
        "x; touch ran #=",
        "|",
        "a|b",
        "a&",
        "~root",
        "a\\",
        "a ",
        "a\tb",
        "lib(x)",
        ".PHONY",
        "a\\%b",
        "\udcff",
        "\v",
        "a:",
    ),
)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_make_reads_a_name_as_it_is_or_it_is_left_out_with_a_word(tmp_path: Path, name: str) -> None:
    """And no name is a recipe, an assignment, or what makes a makefile unreadable."""
    for needed, made in ((name, "out"), ("in", name)):
        left_out: list[str] = []
        action = reads(needed, "last", made=made)
        action.names[f"absent/{name}"] = Name(Use.ABSENT)
        text = "".join(make(action, [made], str, left_out.append))
        assert left_out in ([], [name])
        if made in left_out:
            assert text == ""
            continue
        (tmp_path / "M").write_text(text, errors="surrogateescape")
        for file, time in ((needed, 1000), ("last", 1000), (made, 2000), ("a", 3000), ("b", 3000)):
            touch(tmp_path / file, time)
        assert not outdated(tmp_path, made)
        for file in ("last", needed):
            if file not in left_out:
                touch(tmp_path / file, 3000)
                assert outdated(tmp_path, made)
                touch(tmp_path / file, 1000)
        (tmp_path / needed).unlink()
        outdated(tmp_path, made)  # that it has gone is no error
        assert not (tmp_path / "ran").exists()


def reads(*names: str, made: str) -> Action:
    return Action("e", ["x"], names={made: Name(Use.WRITTEN | Use.MADE)} | {name: Name(Use.READ) for name in names})


def touch(path: Path, time: int) -> None:
    path.parent.mkdir(exist_ok=True)
    path.touch()
    os.utime(path, (time, time))


def outdated(directory: Path, target: str) -> bool:
    """Whether make, which is to find nothing wrong with the makefile M, would make a target that is there anew."""
    command = ["make", "-rRdn", "-f", "M", "--", target]
    ran = subprocess.run(command, cwd=directory, capture_output=True, check=True, env=os.environ | {"LC_ALL": "C"})
    return b"is newer than target" in ran.stdout


def test_ninja_reads_a_name_as_it_is_or_it_is_left_out_with_a_word(tmp_path: Path) -> None:
    left_out: list[str] = []
    text = "".join(ninja(reads(*ODD_NAMES, made="out"), ["out"], str, left_out.append))
    assert len(left_out) < len(ODD_NAMES) / 2
    (tmp_path / "written").write_text(text, errors="surrogateescape")
    rule = "rule r\n command = touch out && cp written d\n depfile = d\n deps = gcc\nbuild out: r\n"
    (tmp_path / "build.ninja").write_text(rule)
    subprocess.run(["ninja"], cwd=tmp_path, check=True, capture_output=True)
    listed = subprocess.run(["ninja", "-t", "deps"], cwd=tmp_path, check=True, capture_output=True).stdout
    found = [os.fsdecode(line[4:]) for line in listed.splitlines() if line.startswith(b"    ")]
    assert sorted(found) == sorted(os.path.normpath(name) for name in set(ODD_NAMES) - set(left_out))


def test_what_make_was_told_is_read_as_it_was_declared(tmp_path: Path) -> None:
    names = [f"/s/{name}" for name in ("a b", "a#b", "a$b", "a:b", "a%b", "[a]", "a*", "?", "plain-1.c")]
    written = tmp_path / "d"
    left_out: list[str] = []
    written.write_text("".join(make(reads(*names, made="/s/100%"), ["/s/100%"], str, left_out.append)))
    assert left_out == []
    assert read_rules(str(written), "/").needs["/s/100%"] == set(names)


def test_a_name_that_no_depfile_can_hold_is_left_out_with_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    record = Written()
    record.access("/s/x\ny: z", "read")
    record.access("/s/o", "write", "create")
    monkeypatch.chdir(tmp_path)
    record.save(Path("e"))
    assert main(["deps", "e"]) == 0
    captured = capfd.readouterr()
    assert captured.out == "/s/o:\n"
    assert "/s/x\\x0ay: z: a depfile cannot hold this name" in captured.err


def test_a_name_that_is_not_utf_8_is_written_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    record = Written()
    record.access("/s/\udcff.h", "read")
    record.access("/s/o", "write", "create")
    monkeypatch.chdir(tmp_path)
    record.save(Path("e"))
    for layout in ("make", "ninja"):
        assert main(["deps", "e", "--format", layout]) == 0
        assert capfdbinary.readouterr().out.startswith(b"/s/o: \\\n /s/\xff.h\n")


@pytest.mark.parametrize(("begun_after", "listed"), [(10.0, ["gone"]), (None, ["gone"]), (-10.0, ["appeared", "gone"])])
def test_the_absent_names_are_those_that_the_host_did_not_have(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    begun_after: float | None,
    listed: list[str],
) -> None:
    """What was there all the time and hidden from the action is none: that it is there tells nothing."""
    (tmp_path / "directory").mkdir()
    (tmp_path / "appeared").touch()
    record = Written()
    for name in ("gone", "two\nlines", "directory", "appeared"):
        record.access(str(tmp_path), "read", result=-2, asked=str(tmp_path / name))
    record.access("/s/o", "write", "create")
    if begun_after is not None:
        record.lines[0]["time"] = (tmp_path / "appeared").stat().st_ctime + begun_after
    monkeypatch.chdir(tmp_path)
    record.save(Path("e"))
    assert main(["deps", "e", "--format", "ninja", "--absent", "list"]) == 0
    assert Path("list").read_text().split() == listed
    assert "two\\x0alines: no line can hold this name" in capfd.readouterr().err
    assert main(["deps", "e", "--absent", "."]) == 125
    assert "--absent .: Is a directory; name a file" in capfd.readouterr().err


def test_an_action_that_wrote_nothing_needs_a_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    record = Written()
    record.access("/s/x", "read")
    monkeypatch.chdir(tmp_path)
    record.save(Path("e"))
    assert main(["deps", "e"]) == 125
    assert "-o TARGET" in capfd.readouterr().err
    assert main(["deps", "e", "-o", "t"]) == 0
    assert capfd.readouterr().out == "t: \\\n /s/x\n\n/s/x:\n"
    assert main(["deps", "e", "e", "-o", "t"]) == 125


# Rules and races.


def test_rules_are_read_as_make_reads_them(tmp_path: Path) -> None:
    file = tmp_path / "Makefile"
    file.write_text(
        "# a: comment\nV = x: y\nV := x: y\na b: c \\\n  d e\\ f # g\n\tcmd: x\n%.o: %.c\n"
        "x:: y\nq: | r ; cmd\n$(V): z\n"
    )
    rules = read_rules(str(file), "/w")
    assert rules.needs == {
        "/w/a": {"/w/c", "/w/d", "/w/e f"},
        "/w/b": {"/w/c", "/w/d", "/w/e f"},
        "/w/x": {"/w/y"},
        "/w/q": {"/w/r"},
    }


def test_a_file_without_rules_is_an_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m").write_text("nothing\n")
    e = Written().save(tmp_path / "e")
    assert main(["deps", str(e), "-o", "t", "--declared", str(tmp_path / "m")]) == 125
    assert "it has no rule" in capfd.readouterr().err
    assert main(["deps", str(e), "-o", "t", "--declared", str(tmp_path / "none")]) == 125


def _pair(first: Sequence[tuple[str, ...]], second: Sequence[tuple[str, ...]]) -> list[Action]:
    made = []
    for index, (uses, name) in enumerate(((first, "one"), (second, "two"))):
        record = Written(name)
        record.access(f"/w/{name}", "write", "create")
        for path, *rights in uses:
            record.access(path, *rights, **({"result": -2} if rights == [] else {}))
        made.append(action(record, name, 1000.0 + index))
    return made


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        ([("/w/x", "write")], [("/w/x", "write")], "write-write"),
        ([("/w/x", "read")], [("/w/x", "write", "create")], "read-before-write"),
        ([("/w/x",)], [("/w/x", "write", "create")], "read-before-write"),
        ([("/w/x", "read")], [("/w/x", "read", "write")], "write-after-read"),
        ([("/w/x", "write", "create")], [("/w/x", "read")], "read-after-write"),
        ([("/w/x", "read")], [("/w/x", "read")], None),
        ([("/w/x", "write", "create")], [("/w/y", "read")], None),
    ],
)
def test_a_race_is_told_where_no_rule_orders(
    tmp_path: Path, first: list[tuple[str, ...]], second: list[tuple[str, ...]], kind: str | None
) -> None:
    (tmp_path / "m").write_text("one: a\ntwo: b\nall: one two\n")
    found = list(races(_pair(first, second), read_rules(str(tmp_path / "m"), "/w")))
    assert [race.kind for race in found] == ([kind] if kind else [])
    assert all({race.first.record, race.second.record} == {"one", "two"} for race in found)
    for ordered in ("one: a\ntwo: one\n", "one: m\nm: n\nn: two\ntwo:\n"):
        (tmp_path / "m").write_text(ordered)
        assert list(races(_pair(first, second), read_rules(str(tmp_path / "m"), "/w"))) == []


def test_the_races_that_are_told_are_bounded(tmp_path: Path) -> None:
    (tmp_path / "m").write_text("one:\ntwo:\n")
    uses = [(f"/w/f{number}", "write") for number in range(RACES_MAX + 500)]
    assert len(list(races(_pair(uses, uses), read_rules(str(tmp_path / "m"), "/w")))) == RACES_MAX
