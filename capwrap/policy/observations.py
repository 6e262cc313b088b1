"""What can be seen of the host at one path: what a compile notes (host.py) and a cached image rests on (cache.py).

A launch that finds its image in the cache imports this and cache.py, and nothing else of the package.
"""

from __future__ import annotations

import os
import stat
from enum import Enum


class Kind(Enum):
    """What stands at a path, without following a symlink there."""

    DIR = "d"
    LINK = "l"
    FILE = "f"
    ABSENT = "a"
    UNREADABLE = "e"  # a directory on the way cannot be searched


def look(path: str) -> tuple[Kind, str]:
    """What stands at a path now, without following a symlink there, and the symlink's text."""
    try:
        mode = os.lstat(path).st_mode
        if stat.S_ISLNK(mode):
            return Kind.LINK, os.readlink(path)
        return (Kind.DIR if stat.S_ISDIR(mode) else Kind.FILE), ""
    except (FileNotFoundError, NotADirectoryError):
        return Kind.ABSENT, ""
    except OSError:
        return Kind.UNREADABLE, ""


def identity(path: str) -> tuple[int, int, int]:
    """Size, mtime in ns and inode of what a path leads to; -1 thrice where there is nothing."""
    try:
        status = os.stat(path)
    except OSError:
        return (-1, -1, -1)
    return (status.st_size, status.st_mtime_ns, status.st_ino)
