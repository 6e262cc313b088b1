"""What can be seen of the host at one path: what a compile notes (host.py) and a cached image rests on (cache.py).

A launch that finds its image in the cache imports this and cache.py, and nothing else of the package.
"""

from __future__ import annotations

import os
import stat
from enum import Enum
from typing import TypeAlias


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


#: What changes with a file: device, inode, size, time of modification and of change in ns. Nobody can set the last.
Identity: TypeAlias = tuple[int, int, int, int, int]
NOWHERE: Identity = (-1, -1, -1, -1, -1)


def identity(path: str) -> Identity:
    """The identity of the file that a path leads to."""
    try:
        status = os.stat(path)
    except OSError:
        return NOWHERE
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
