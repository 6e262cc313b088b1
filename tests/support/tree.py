"""What a directory tree holds, as values that two runs can be compared by."""

from __future__ import annotations

import difflib
import fnmatch
import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_SHOWN = 60
"""Lines of difference that a failure message shows."""

_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "link",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}


@dataclass(frozen=True)
class Entry:
    """One name of a tree. Times and inode numbers are left out: two runs never agree on them."""

    kind: str
    mode: int
    owner: tuple[int, int]
    links: int
    content: bytes | None
    """A file's bytes, a link's text, else None."""

    def __str__(self) -> str:
        line = f"{self.kind} mode {self.mode:04o} owner {self.owner[0]}:{self.owner[1]} links {self.links}"
        if self.content is None:
            return line
        if self.kind == "link":
            return f"{line} -> {os.fsdecode(self.content)}"
        return f"{line} {len(self.content)} bytes sha256 {hashlib.sha256(self.content).hexdigest()[:16]}"


def snapshot(root: str | os.PathLike[str], *, ignore: Iterable[str] = ()) -> dict[bytes, Entry]:
    """Every name beneath `root`, by its path relative to it. `ignore` holds globs of relative paths to leave out."""
    top = os.fsencode(root)
    patterns = [os.fsencode(pattern) for pattern in ignore]
    found: dict[bytes, Entry] = {}
    waiting = [b""]
    while waiting:
        directory = waiting.pop()
        with os.scandir(os.path.join(top, directory)) as names:
            for item in names:
                path = os.path.join(directory, item.name)
                if any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns):
                    continue
                found[path] = _entry(item)
                if item.is_dir(follow_symlinks=False):
                    waiting.append(path)
    return found


def _entry(item: os.DirEntry[bytes]) -> Entry:
    status = item.stat(follow_symlinks=False)
    kind = _KINDS[stat.S_IFMT(status.st_mode)]
    content: bytes | None = None
    if kind == "file":
        with open(item.path, "rb") as file:
            content = file.read()
    elif kind == "link":
        content = os.readlink(item.path)
    # A directory's link count tells of its subdirectories, which are entries of their own, and btrfs keeps none.
    links = 1 if kind == "directory" else status.st_nlink
    return Entry(kind, stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid), links, content)


def differences(native: Mapping[bytes, Entry], confined: Mapping[bytes, Entry]) -> list[str]:
    """What differs between two snapshots, a line each and a text diff where both are text; empty if nothing does."""
    lines: list[str] = []
    for path in sorted(native.keys() | confined.keys()):
        left, right = native.get(path), confined.get(path)
        if left == right:
            continue
        name = os.fsdecode(path)
        lines += [f"{name}:", f"  native:   {left or 'absent'}", f"  confined: {right or 'absent'}"]
        if left and right and left.kind == right.kind == "file":
            lines += text_difference(left.content or b"", right.content or b"")
    return lines


def text_difference(native: bytes, confined: bytes) -> list[str]:
    """A bounded unified diff of two byte strings that are text; for others, where they part."""
    if native == confined:
        return []
    try:
        left, right = native.decode().splitlines(), confined.decode().splitlines()
    except UnicodeDecodeError:
        ends = zip(native, confined, strict=False)
        offset = next((i for i, (a, b) in enumerate(ends) if a != b), min(len(native), len(confined)))
        return [f"  bytes differ first at offset {offset}"]
    diff = list(difflib.unified_diff(left, right, "native", "confined", lineterm="", n=1))
    more = [f"  ... {len(diff) - _SHOWN} more lines"] if len(diff) > _SHOWN else []
    return [f"  {line}" for line in diff[:_SHOWN]] + more
