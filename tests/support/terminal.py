"""A command on a pseudo-terminal of its own, as an interactive user has it, without sleeping and hoping."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import pytest


class Terminal:
    """The user's side of the terminal. A wait that takes longer than `timeout` seconds is a test failure."""

    def __init__(self, argv: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str], timeout: float = 60.0) -> None:
        self.timeout = timeout
        self.seen = b""
        self._read = 0
        self.status: int | None = None
        words = [os.fspath(word) for word in argv]
        # The group of the terminal is the child's, as a login shell's would be.
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.chdir(cwd)
                os.execvpe(words[0], words, dict(env))
            finally:
                os._exit(127)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def type(self, text: str) -> None:
        """Type a text; `\\x03` is Ctrl-C, `\\x1a` is Ctrl-Z."""
        os.write(self.fd, text.encode())

    def expect(self, pattern: str) -> re.Match[bytes]:
        """Wait for a pattern in what has not been matched yet."""
        compiled = re.compile(pattern.encode(), re.DOTALL)
        for _ in self._chunks(f"waited for {pattern!r}"):
            found = compiled.search(self.seen, self._read)
            if found:
                self._read = found.end()
                return found
        found = compiled.search(self.seen, self._read)
        if found is None:
            pytest.fail(f"the terminal closed before {pattern!r} came; seen:\n{self._text()}", pytrace=False)
        self._read = found.end()
        return found

    def close(self) -> int:
        """Wait for the end of what the terminal shows and of the command; its wait status."""
        for _ in self._chunks("waited for the end"):
            pass
        self.status = os.waitpid(self.pid, 0)[1]
        return self.status

    def _chunks(self, doing: str) -> Iterator[None]:
        """Once for what is there, and again after each read, until the terminal is closed."""
        deadline = time.monotonic() + self.timeout
        yield
        while True:
            ready, _, _ = select.select([self.fd], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                pytest.fail(f"{doing} for {self.timeout:.0f} s; seen:\n{self._text()}", pytrace=False)
            try:
                data = os.read(self.fd, 65536)
            except OSError:  # EIO: nobody has the other side open any more
                return
            if not data:
                return
            self.seen += data
            yield

    def _text(self) -> str:
        return self.seen.decode(errors="backslashreplace")
