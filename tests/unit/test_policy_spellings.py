"""What is carved out of a directory that does not tell upper from lower case.

No such file system can be counted on where tests run, so that lstat(2) stands in for one: it finds a name by any case.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from namespaces import build

from capwrap.policy import Policy, PolicyError


@pytest.fixture
def folding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with `Data/Secret` in it, in which each name is found whatever its case, by lstat alone."""
    top = tmp_path.resolve()
    (top / "Data/sub").mkdir(parents=True)
    (top / "Data/Secret").write_text("x")
    real, listdir = os.lstat, os.listdir

    def folded(path: str | Path) -> str:
        found = top
        if not Path(path).is_relative_to(top):
            return str(path)
        for name in Path(path).relative_to(top).parts:
            listed = listdir(found) if found.is_dir() else []
            found /= next((entry for entry in listed if entry.lower() == name.lower()), name)
        return str(found)

    monkeypatch.setattr(os, "lstat", lambda path, **more: real(folded(path), **more))
    return top


@pytest.mark.parametrize("name", ["Data/Secret", "Data", "Data/absent/name", "Data/sub", "Data/12"])
def test_nothing_is_denied_where_it_has_another_spelling(folding: Path, name: str) -> None:
    with pytest.raises(PolicyError, match=f"{name} cannot be carved out of .*does not tell upper from lower case"):
        build(Policy().rw(folding).deny(folding / name))


def test_a_directory_that_nobody_may_list_is_not_believed(folding: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(path: object) -> list[str]:
        raise PermissionError(path)

    monkeypatch.setattr(os, "listdir", closed)
    with pytest.raises(PolicyError, match="does not tell upper from lower case"):
        build(Policy().rw(folding).deny(folding / "Data/Secret"))


def test_no_lesser_grant_is_made_where_it_has_another_spelling(folding: Path) -> None:
    with pytest.raises(PolicyError, match="has `dATA` for another name"):
        build(Policy().rw(folding).ro(folding / "Data/Secret"))
    build(Policy().ro(folding).rw(folding / "Data"))


@pytest.mark.parametrize("pattern", ["**.key", "Data/*.key", "Data/**/x"])
def test_no_pattern_is_denied_where_names_have_other_spellings(folding: Path, pattern: str) -> None:
    with pytest.raises(PolicyError, match=r"cannot be held in .*does not tell upper from lower case"):
        build(Policy().rw(folding).deny(f"{folding}/{pattern}"))


def test_a_mapped_grant_is_asked_where_it_lies(folding: Path) -> None:
    with pytest.raises(PolicyError, match=f"/d/Secret cannot be carved out of /d: {folding}/Data does not"):
        build(Policy().rw(folding / "Data", "/d").deny("/d/Secret"))


def test_two_files_that_differ_by_case_are_two_files(tmp_path: Path) -> None:
    top = tmp_path.resolve()
    (top / "secret").write_text("x")
    (top / "SECRET").write_text("y")
    (top / "linked").write_text("z")
    os.link(top / "linked", top / "LINKED")
    for name in ("secret", "SECRET", "linked", "absent", "*.key"):
        build(Policy().rw(top).deny(top / name))


def test_that_there_is_no_other_spelling_is_among_what_a_cached_policy_rests_on(tmp_path: Path) -> None:
    top = tmp_path.resolve()
    (top / "secret").write_text("x")
    assert f"{top}/SECRET" in build(Policy().rw(top).deny(top / "secret")).host.seen
