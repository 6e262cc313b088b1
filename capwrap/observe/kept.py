"""Whether a record still says what was written to it: it may lie where the target can change it."""

from __future__ import annotations

import os
import stat

from capwrap.policy._sha256 import sha256

_PIECE = 1 << 20


class Kept:
    """What was written to a file that was opened by its name, as a digest, since a record may be long."""

    def __init__(self, fd: int) -> None:
        """`fd` stays the caller's; ValueError where it is no regular file."""
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ValueError("not a regular file")
        self._path = os.readlink(f"/proc/self/fd/{fd}")
        self._digest = sha256()
        self._size = 0
        # A file that its owner may not read is compared by its length alone.
        try:
            self._fd = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
            self._readable = True
        except PermissionError:
            self._fd = os.dup(fd)
            self._readable = False

    def wrote(self, data: bytes) -> None:
        """These bytes were written behind all others."""
        self._digest.update(data)
        self._size += len(data)

    def close(self) -> str | None:
        """What somebody else did to the file, if anything. The target has to be over."""
        try:
            return self._changed()
        finally:
            os.close(self._fd)

    def _changed(self) -> str | None:
        is_now = os.fstat(self._fd)
        try:
            there = os.stat(self._path, follow_symlinks=False)
        except OSError:
            return "removed"
        if (there.st_dev, there.st_ino) != (is_now.st_dev, is_now.st_ino):
            return "replaced"
        return None if is_now.st_size == self._size and self._says_the_same() else "changed"

    def _says_the_same(self) -> bool:
        found = sha256()
        at = 0
        while self._readable and (piece := os.pread(self._fd, min(_PIECE, self._size - at), at)):
            found.update(piece)
            at += len(piece)
        return not self._readable or found.digest() == self._digest.digest()
