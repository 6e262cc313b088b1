"""check --against: what a policy would refuse of a record, and what nobody used."""

from __future__ import annotations

from pathlib import Path

import pytest
from recorded import Written

from capwrap.cli import main


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("in/a", "in/b", "out/c", "in/deep/d"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "in/link").symlink_to(tmp_path / "out/c")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def against(record: Written, policy: str, capfd: pytest.CaptureFixture[str]) -> tuple[int, str]:
    Path("p.toml").write_text(policy)
    record.save(Path("e"))
    status = main(["check", "p.toml", "--against", "e"])
    return status, capfd.readouterr().out


def test_what_the_policy_grants_is_not_told(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    record = Written()
    record.access(f"{place}/in/a", "read")
    record.access(f"{place}/in/none", "read", result=-2)
    assert against(record, f'ro = ["{place}/in"]', capfd) == (0, "nothing of 2 calls would be refused\n")


@pytest.mark.parametrize(
    ("path", "rights", "says"),
    [
        ("out/c", ["read"], "is not granted"),
        ("in/a", ["read", "write"], "is granted ro"),
        ("in/deep/d", ["read"], "is denied"),
        ("in/link", ["read"], "through"),
    ],
)
def test_what_the_policy_would_refuse_is_told_with_the_reason(
    place: Path, capfd: pytest.CaptureFixture[str], path: str, rights: list[str], says: str
) -> None:
    record = Written()
    for _ in range(2):
        record.access(f"{place}/{path}", *rights)
    status, text = against(record, f'ro = ["{place}/in"]\ndeny = ["{place}/in/deep"]', capfd)
    assert status == 1
    assert "2 calls of 2 would be refused:" in text
    assert f"  {place}/{path}: openat: needs" in text
    assert says in text
    assert "(2 times)" in text


def test_a_grant_that_nobody_used_is_told_with_its_place(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    record = Written()
    record.access(f"{place}/in/a", "read")
    status, text = against(record, f'ro = ["{place}/in/a",\n  "{place}/out"]', capfd)
    assert status == 0
    assert f"no call used:\n  {place}/out  [ro, {place}/p.toml:2]\n" in text
    assert "in/a  [" not in text


def test_a_refusal_of_the_run_that_the_policy_grants_is_none(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    record = Written()
    record.refusal(f"{place}/out/c", "read")
    record.refusal("", why="network", syscall="connect", address="tcp:127.0.0.1:80")
    record.refusal("", why="syscall", syscall="ioctl", address="ioctl:0x1234")
    policy = f'ro = ["{place}/out"]\nconnect = ["tcp:127.0.0.1:80"]\nallow = ["ioctl:0x1234"]'
    assert against(record, policy, capfd)[0] == 0
    assert against(record, "", capfd)[0] == 1


def test_what_no_policy_can_allow_stays_refused(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    record = Written()
    record.refusal("", why="signal", syscall="kill")
    status, text = against(record, 'rwx = ["/"]', capfd)
    assert status == 1
    assert "kill(): kill: no policy allows it" in text


def test_both_ends_of_a_rename_are_decided(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    record = Written()
    rights = ("renameat_source", "renameat_target")
    record.access(f"{place}/in/a", *rights, syscall="rename", path2=f"{place}/out/new", result=0)
    policy = f'rw = ["{place}/in"]\n'
    status, text = against(record, policy, capfd)
    assert status == 1
    assert f"{place}/out/new: rename: needs renameat_target" in text
    assert f"{place}/in/a:" not in text
    assert (
        against(record, policy + f"# both\nextends = []\n[[grant]]\npath = '{place}/out'\nrights = 'rw'", capfd)[0] == 0
    )


def test_an_absent_name_and_a_directory_above_a_grant_are_no_refusals(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    record = Written()
    record.refusal("/nowhere/x", "read", kind="absent")
    record.access("/nowhere/y", "read", result=-2)
    record.access(str(place), "fstat", syscall="stat", result=0)
    assert against(record, f'ro = ["{place}/in"]', capfd)[0] == 0


def test_a_record_that_cannot_be_read_is_125(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Path("p.toml").write_text("")
    Path("e").write_text("x\n")
    assert main(["check", "p.toml", "--against", "e"]) == 125
    assert "e:1: no JSON" in capfd.readouterr().err


def test_names_are_shown_for_a_terminal(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    record = Written()
    record.access("/\x1b[2J\n\u202e", "read")
    _, text = against(record, "", capfd)
    assert "/\\x1b[2J\\x0a\\u202e: openat" in text
