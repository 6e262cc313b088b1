"""A right that a grant lacks is not had by another door than the call that it is for."""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from escape.harness import Arena, Found
from escape.outside import accomplice


def made(arena: Arena, name: str) -> Path:
    """A directory of the attacker's with a file."""
    directory = arena.base / name
    directory.mkdir()
    (directory / "file").write_text(f"{name}\n")
    arena.give(directory)
    return directory


@contextlib.contextmanager
def partly_granted(arena: Arena) -> Iterator[Found]:
    """For a grant of some rights."""
    yield Found((str(made(arena, "partly") / "file"),))


@contextlib.contextmanager
def partly_granted_directory(arena: Arena) -> Iterator[Found]:
    with partly_granted(arena):
        yield Found((str(arena.base / "partly"),))


@pytest.mark.stopped_by("supervisor")
def test_a_descriptor_for_writing_is_not_truncated_without_the_right(arena: Arena) -> None:
    grant = ["--grant", "read,write,lookup,fstat,seek:{base}/partly"]
    arena.holds("escape/rights", "truncate-descriptor", setup=partly_granted, options=grant, why="EACCES")


@pytest.mark.stopped_by("seccomp")
def test_a_descriptor_for_writing_is_not_made_shorter_from_within_without_the_right(arena: Arena) -> None:
    grant = ["--grant", "read,write,lookup,fstat,seek:{base}/partly"]
    arena.holds("escape/rights", "collapse-descriptor", setup=partly_granted, options=grant, why="EOPNOTSUPP")


@pytest.mark.stopped_by("supervisor")
@pytest.mark.parametrize("attack", ["mode-by-attribute", "mode-by-attribute-of-descriptor"])
def test_no_extended_attribute_changes_permissions_without_the_right(arena: Arena, attack: str) -> None:
    grant = ["--grant", "read,lookup,fstat,extattr_set,extattr_delete:{base}/partly"]
    arena.holds("escape/rights", attack, setup=partly_granted, options=grant, why="EACCES")


@contextlib.contextmanager
def listed(arena: Arena) -> Iterator[Found]:
    """A file with an access control list: owner, a named user, group, mask, others (linux/posix_acl_xattr.h)."""
    with partly_granted(arena) as found:
        entries = [(1, 6, -1), (2, 4, 1), (4, 0, -1), (0x10, 4, -1), (0x20, 0, -1)]
        acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
        os.setxattr(found.args[0], "system.posix_acl_access", acl)
        yield found


@pytest.mark.stopped_by("supervisor")
def test_no_access_control_list_is_removed_without_the_right_to_change_permissions(arena: Arena) -> None:
    grant = ["--grant", "read,lookup,fstat,extattr_set,extattr_delete:{base}/partly"]
    arena.holds("escape/rights", "mode-by-removing", setup=listed, options=grant, why="EACCES")


@pytest.mark.stopped_by("supervisor")
def test_no_default_list_of_permissions_is_set_without_the_right(arena: Arena) -> None:
    grant = ["--grant", "read,lookup,fstat,extattr_set,extattr_delete:{base}/partly"]
    arena.holds("escape/rights", "default-list", setup=partly_granted_directory, options=grant, why="EACCES")


@pytest.mark.stopped_by("supervisor")
@pytest.mark.parametrize(
    ("attack", "hiding"),
    [
        ("write-by-descriptor", "--rw {base}/other/file={base}/ro/file"),
        ("mode-by-descriptor", "--rw {base}/other={base}/ro"),
    ],
)
def test_a_file_has_no_rights_of_the_grant_that_hides_its_name(arena: Arena, attack: str, hiding: str) -> None:
    options = f"--pure --ro {{base}} --ro {{base}}=/seen --ro /proc {hiding}"
    arena.holds(
        "escape/rights",
        attack,
        "/seen/ro/file",
        native_args=["{base}/ro/file"],
        options=options.split(),
        static=True,
        why="EACCES",
    )


@pytest.mark.stopped_by("supervisor")
def test_a_file_is_not_read_through_a_path_descriptor_without_the_right(arena: Arena) -> None:
    grant = ["--grant", "lookup,fstat:{base}/partly"]
    arena.holds("escape/rights", "read-path-descriptor", setup=partly_granted, options=grant, why="EACCES")


@pytest.mark.stopped_by("supervisor")
def test_a_directory_is_not_listed_through_a_path_descriptor_without_the_right(arena: Arena) -> None:
    # Without the arena's denied patterns, for which every directory would be stood for by a view.
    arena.holds(
        "escape/rights",
        "list-path-descriptor",
        setup=partly_granted_directory,
        options=["--pure", "--grant", "lookup,fstat:{base}/partly"],
        static=True,
    )


@pytest.mark.stopped_by("supervisor")
def test_a_current_directory_is_not_watched_without_the_right(arena: Arena) -> None:
    # Without the arena's denied patterns, for which every directory would be stood for by a view.
    options = ["--pure", "--grant", "read,lookup,fstat,fchdir:{base}/partly"]
    arena.holds(
        "escape/rights",
        "watch-delivered",
        setup=partly_granted_directory,
        options=options,
        static=True,
        why="EAGAIN",
    )


@pytest.mark.stopped_by("supervisor")
@pytest.mark.parametrize("shown", ["whole", "as-a-view"])
def test_a_directory_that_is_watched_is_not_entered_without_the_right(arena: Arena, shown: str) -> None:
    options = ["--pure", "--grant", "read,lookup,fstat,event:{base}/partly"]
    if shown == "as-a-view":
        options += ["--deny", "{base}/partly/file"]
    arena.holds("escape/rights", "enter-watched", setup=partly_granted_directory, options=options, static=True)


@pytest.mark.stopped_by("supervisor")
def test_a_file_is_not_made_longer_than_the_limit(arena: Arena) -> None:
    limit = ["--limit", "file-size=1M"]
    arena.holds("escape/rights", "truncate-beyond-limit", "{base}/work/file", options=limit, why="EFBIG")


@contextlib.contextmanager
def read_only_in_a_closed_directory(arena: Arena) -> Iterator[Found]:
    """A read-only file in a writable directory, which somebody outside unlinks once the attack has closed the way."""
    directory = made(arena, "closed")

    def remove(_: int) -> None:
        directory.chmod(0o700)
        (directory / "file").unlink()
        directory.chmod(0)

    with accomplice(arena.base / "work", "closed", remove, "removed"):
        yield Found()
    directory.chmod(0o700)


@pytest.mark.stopped_by("supervisor")
def test_a_file_that_was_removed_behind_a_closed_way_keeps_the_rights_of_its_name(arena: Arena) -> None:
    # Without the arena's denied patterns, with which no grant is found by text.
    options = ["--pure", "--rw", "{base}/work", "--rw", "{base}/closed", "--ro", "{base}/closed/file"]
    arena.holds(
        "escape/rights",
        "removed-behind-closed",
        setup=read_only_in_a_closed_directory,
        options=options,
        static=True,
        why="EACCES",
    )
