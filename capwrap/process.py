"""A command under way in a sandbox: what `subprocess.Popen` offers, and what was refused.

The engine blocks the thread that runs it, so each run has a thread of its own. It serves one run at a time per
process.
"""

from __future__ import annotations

import contextlib
import errno
import io
import locale
import os
import threading
import time
from subprocess import DEVNULL, PIPE, STDOUT, TimeoutExpired
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    from capwrap.engine import Engine, Outcome
    from capwrap.observe.recording import Recording
    from capwrap.observe.refusals import Access, Refusal

    Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]
    File = int | IO[Any] | None

_turn = threading.Lock()  # held by the run that is under way, from its launch to its end


class SandboxError(RuntimeError):
    """capwrap itself could not run the target; the message says why and what to do."""


def launch(make: Callable[[], Process], *, wait_for_turn: bool) -> Process:
    """Start a command, once no other run of this process is under way, and return it when it runs.

    Raises RuntimeError where one is and there is to be no waiting, what `make` raises, and what kept the command from
    running.
    """
    if not _turn.acquire(blocking=wait_for_turn):
        raise RuntimeError("another run of this process is under way; wait for its end, or use another process")
    try:
        process = make()
        process._start()
    except BaseException:
        _turn.release()
        raise
    process._await_start()
    return process


class Process:
    """A command under way: what `subprocess.Popen` offers, and what was refused once it has ended."""

    def __init__(
        self,
        engine: Engine,
        image: bytes,
        args: list[str],
        *,
        environ: Mapping[str, str],
        events: int | None = None,
        named: bool = False,
        stdin: File = None,
        stdout: File = None,
        stderr: File = None,
        cwd: Path | None = None,
        pass_fds: Iterable[int] = (),
        text: bool | None = None,
        encoding: str | None = None,
        errors: str | None = None,
        bufsize: int = -1,
        linger: bool = False,
        best_effort: bool = False,
    ) -> None:
        from capwrap.engine import Launch, environ_bytes
        from capwrap.observe.recording import Recording

        self.args = args
        self.pid = 0
        self.stdin: Any = None
        self.stdout: Any = None
        self.stderr: Any = None
        self._text = (encoding or locale.getencoding(), errors or "strict") if text or encoding or errors else None
        self._engine = engine
        self._given: list[int] = []  # descriptors made for the target, closed here once it has them
        self._begun = threading.Event()
        self._done = threading.Event()
        self._outcome: Outcome | None = None
        self._error: BaseException | None = None
        self._talk: _Talk | None = None
        self._recording: Recording = Recording(engine, image, args, events=events, named=named, keep=True)
        try:
            stdio = self._open_stdio(stdin, stdout, stderr, bufsize)
        except BaseException:
            self._close_given()
            self._close_streams()
            raise
        self._launch = Launch(
            image=image,
            argv=[os.fsencode(argument) for argument in args],
            environ=environ_bytes(environ),
            chdir=None if cwd is None else os.path.join(os.fsencode(os.getcwd()), os.fsencode(cwd)),
            record_access=True,
            record_stack=self._recording.recording_stacks,
            linger=linger,
            best_effort=best_effort,
            stdio=stdio,
            pass_fds=tuple(pass_fds),
        )

    # The run itself

    def _start(self) -> None:
        threading.Thread(target=self._body, name=f"capwrap {self.args[0]}", daemon=True).start()

    def _body(self) -> None:
        """The engine's thread: the whole run."""
        try:
            outcome = self._engine.run(
                self._launch, self._recording.sink, started=self._on_start, jailed=self._recording.jailed
            )
            code = _returncode(outcome)
            failed = outcome.failed or outcome.exec_errno
            signalled = code < 0 and not failed
            self._recording.finish(
                outcome,
                status=None if signalled else 127 if failed else code,
                signal=-code if signalled else None,
            )
            self._outcome = outcome
        except BaseException as error:  # raised again in the thread that asks for the result
            self._error = error
        finally:
            self._close_given()
            _turn.release()
            self._done.set()
            self._begun.set()

    def _on_start(self, pid: int) -> None:
        self.pid = pid
        self._close_given()
        self._begun.set()

    def _await_start(self) -> None:
        self._begun.wait()
        if self._done.is_set():
            try:
                self._raise_failure()
            except BaseException:
                self._close_streams()
                raise

    def _raise_failure(self) -> None:
        """Raise what kept the command from running, if anything did."""
        if self._error is not None:
            raise self._error
        outcome = self._outcome
        if outcome is not None and outcome.failed:
            raise SandboxError(outcome.message or "the engine failed without a message")
        if outcome is not None and outcome.exec_errno:
            raise OSError(outcome.exec_errno, os.strerror(outcome.exec_errno), self.args[0])

    # Its descriptors

    def _open_stdio(self, stdin: File, stdout: File, stderr: File, bufsize: int) -> tuple[int, int, int]:
        zero, self.stdin = self._channel(stdin, write=True, bufsize=bufsize)
        one, self.stdout = self._channel(stdout, write=False, bufsize=bufsize)
        if stderr == STDOUT:
            return zero, one, one if one >= 0 else 1
        two, self.stderr = self._channel(stderr, write=False, bufsize=bufsize)
        return zero, one, two

    def _channel(self, wanted: File, *, write: bool, bufsize: int) -> tuple[int, Any]:
        """(the target's descriptor or -1, our end of a pipe or None)."""
        if wanted is None:
            return -1, None
        if wanted == DEVNULL:
            fd = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            self._given.append(fd)
            return fd, None
        if wanted != PIPE:
            return (wanted if isinstance(wanted, int) else wanted.fileno()), None
        reading, writing = os.pipe()
        theirs, ours = (reading, writing) if write else (writing, reading)
        self._given.append(theirs)
        stream: Any = open(ours, "wb" if write else "rb", 0 if self._text is None and bufsize == 0 else -1)  # noqa: SIM115
        if self._text is not None:
            encoding, errors = self._text
            stream = io.TextIOWrapper(
                stream, encoding=encoding, errors=errors, line_buffering=bufsize == 1, write_through=bufsize == 0
            )
        return theirs, stream

    def _close_given(self) -> None:
        while self._given:
            os.close(self._given.pop())

    def _close_streams(self) -> None:
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                # What was left in the buffer may have no reader any more, as in subprocess.
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    # What subprocess.Popen offers

    @property
    def returncode(self) -> int | None:
        """None while it runs; the exit status, or minus the signal that ended it."""
        return None if self._outcome is None or not self._done.is_set() else _returncode(self._outcome)

    def poll(self) -> int | None:
        """The return code if it has ended, else None."""
        if self._done.is_set():
            self._raise_failure()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; the return code. Raises TimeoutExpired (seconds)."""
        if not self._done.wait(timeout):
            assert timeout is not None
            raise TimeoutExpired(self.args, timeout)
        self._raise_failure()
        assert self._outcome is not None
        return _returncode(self._outcome)

    def communicate(self, input: Any = None, timeout: float | None = None) -> tuple[Any, Any]:
        """Send input, read stdout and stderr to their ends, wait. After TimeoutExpired it can be called again."""
        if self._talk is None:
            self._talk = _Talk(self, input)
        elif input is not None:
            raise ValueError("Cannot send input after starting communication")
        end = None if timeout is None else time.monotonic() + timeout
        for thread in self._talk.threads:
            thread.join(None if end is None else max(end - time.monotonic(), 0))
            if thread.is_alive():
                assert timeout is not None
                raise TimeoutExpired(self.args, timeout, *self._talk.so_far())
        try:
            self.wait(None if end is None else max(end - time.monotonic(), 0))
        except TimeoutExpired:
            assert timeout is not None
            raise TimeoutExpired(self.args, timeout, *self._talk.so_far()) from None
        self._close_streams()
        return self._talk.result(self._text)

    def send_signal(self, number: int) -> None:
        """Send a signal to the command; nothing where it has ended."""
        if not self._done.is_set():
            result = self._engine.signal(int(number))
            if result < 0 and result != -errno.ESRCH:
                raise OSError(-result, os.strerror(-result))

    def terminate(self) -> None:
        """SIGTERM."""
        import signal

        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL; the rest of the target goes with the command."""
        import signal

        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close_streams()
        self._done.wait()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: returncode: {self.returncode} args: {self.args!r}>"

    # What capwrap adds

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """The calls that were not permitted so far, in order."""
        return tuple(self._recording.refusals)

    @property
    def accesses(self) -> tuple[Access, ...]:
        """The calls on granted names so far, in order."""
        return tuple(self._recording.accesses)

    @property
    def complete(self) -> bool:
        """Whether everything that the target did was seen and kept; known when it has ended."""
        return self._recording.complete


class _Talk:
    """The threads that feed stdin and drain stdout and stderr of one process."""

    def __init__(self, process: Process, data: Any) -> None:
        self.threads: list[threading.Thread] = []
        self._chunks: dict[str, list[bytes] | None] = {"stdout": None, "stderr": None}
        for name in ("stdout", "stderr"):
            stream = getattr(process, name)
            if stream is not None and not stream.closed:
                chunks: list[bytes] = []
                self._chunks[name] = chunks
                self._spawn(_drain, stream.fileno(), chunks)
        if process.stdin is not None and not process.stdin.closed:
            self._spawn(_feed, process.stdin, data)

    def _spawn(self, function: Any, *arguments: Any) -> None:
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self.threads.append(thread)
        thread.start()

    def so_far(self) -> tuple[bytes | None, bytes | None]:
        """What has been read, as bytes whatever the mode, as subprocess has it."""
        out, err = (None if chunks is None else b"".join(chunks) for chunks in self._chunks.values())
        return out, err

    def result(self, text: tuple[str, str] | None) -> tuple[Any, Any]:
        """What was read in all."""
        out, err = self.so_far()
        if text is None:
            return out, err
        return _decoded(out, text), _decoded(err, text)


def _drain(fd: int, chunks: list[bytes]) -> None:
    while chunk := os.read(fd, 1 << 16):
        chunks.append(chunk)


def _feed(stream: Any, data: Any) -> None:
    try:
        if data:
            stream.write(data)
        stream.close()
    except (BrokenPipeError, ValueError):
        return  # the command did not want all of it, or the caller closed the stream after a timeout


def _decoded(data: bytes | None, text: tuple[str, str]) -> str | None:
    if data is None:
        return None
    return data.decode(*text).replace("\r\n", "\n").replace("\r", "\n")


def _returncode(outcome: Outcome) -> int:
    return os.waitstatus_to_exitcode(outcome.status)
