"""A descriptor that is written to piece by piece: a piece is there whole, or taken off a regular file again."""

from __future__ import annotations

import os


class Output:
    """Owns the descriptor."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.failure: OSError | None = None
        """why a write failed, the first time that one did"""

    def put(self, data: bytes) -> bool:
        """Write one piece; whether it is there."""
        view = memoryview(data)
        done = 0
        try:
            while done < len(view):
                done += os.write(self.fd, view[done:])
        except OSError as error:
            self.failure = self.failure or error
            self._cut(done)
            return False
        return True

    def close(self) -> bool:
        """Close it; whether everything was written."""
        try:
            os.close(self.fd)  # NFS and disk quotas report a failed write here
        except OSError as error:
            self.failure = self.failure or error
        return self.failure is None

    def _cut(self, surplus: int) -> None:
        """Take the torn end of a piece off a regular file; a pipe keeps it."""
        import stat

        try:
            if surplus and stat.S_ISREG(os.fstat(self.fd).st_mode):
                position = os.lseek(self.fd, 0, os.SEEK_CUR) - surplus
                os.ftruncate(self.fd, position)
                os.lseek(self.fd, position, os.SEEK_SET)
        except OSError as error:
            self.failure = self.failure or error
