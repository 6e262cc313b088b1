"""Running programs from Python: `Sandbox.run` is `subprocess.run`, `Sandbox.popen` is `subprocess.Popen`, confined.

The engine serves one run at a time per process: `run` waits for its turn, `popen` raises where another run is under
way.
"""

from __future__ import annotations

import errno
import os
import subprocess
from subprocess import PIPE, CalledProcessError, TimeoutExpired
from typing import TYPE_CHECKING, Any

from capwrap.observe.refusals import Access, Refusal
from capwrap.process import Process, SandboxError, launch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from capwrap.engine import Engine
    from capwrap.policy.model import Policy
    from capwrap.process import File

__all__ = ["Access", "Process", "Refusal", "Result", "Sandbox", "SandboxError"]

METHODS = ("auto", "ptrace")


class Result(subprocess.CompletedProcess[Any]):
    """What `subprocess.run` returns, and what the target was refused and did."""

    def __init__(
        self,
        args: Sequence[str],
        returncode: int,
        stdout: Any = None,
        stderr: Any = None,
        *,
        refusals: tuple[Refusal, ...] = (),
        accesses: tuple[Access, ...] = (),
        complete: bool = True,
    ) -> None:
        super().__init__(args, returncode, stdout, stderr)
        self.refusals = refusals
        """the calls that were not permitted, in order; names that are absent on the host too are not among them"""
        self.accesses = accesses
        """the calls on granted names, in order"""
        self.complete = complete
        """False where something of the target went unobserved"""

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, refusals={len(self.refusals)}, accesses={len(self.accesses)})"


class Sandbox:
    """A policy and how it is enforced; it runs any number of commands.

    `method`: how calls are caught, "auto" or "ptrace". `events`: where each run writes its record (capwrap-events(5)):
    a path, or an open descriptor's number; a later run overwrites the file of an earlier one.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        method: str = "auto",
        events: str | os.PathLike[str] | int | None = None,
        engine: Engine | None = None,
    ) -> None:
        if method not in METHODS:
            raise ValueError(f"method {method!r}: choose one of {', '.join(METHODS)}")
        self.policy = policy
        self.method = method
        self.events = events
        self._engine = engine

    def run(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        input: Any = None,
        stdin: File = None,
        stdout: File = None,
        stderr: File = None,
        capture_output: bool = False,
        timeout: float | None = None,
        check: bool = False,
        **options: Any,
    ) -> Result:
        """Run a command to its end, as `subprocess.run` does; the other options are those of `popen`.

        Raises what `subprocess.run` raises (FileNotFoundError, PermissionError, OSError with ENOEXEC, TimeoutExpired,
        CalledProcessError), PolicyError for a policy that cannot be used, SandboxError where capwrap itself failed.
        """
        if input is not None:
            if stdin is not None:
                raise ValueError("stdin and input arguments may not both be used.")
            stdin = PIPE
        if capture_output:
            if stdout is not None or stderr is not None:
                raise ValueError("stdout and stderr arguments may not be used with capture_output.")
            stdout = stderr = PIPE
        with self._launch(argv, stdin=stdin, stdout=stdout, stderr=stderr, wait_for_turn=True, **options) as process:
            try:
                out, err = process.communicate(input, timeout=timeout)
            except TimeoutExpired as error:
                process.kill()
                out, err = process.communicate()
                raise TimeoutExpired(process.args, error.timeout, out, err) from None
            except BaseException:
                process.kill()
                raise
        code = process.wait()
        result = Result(
            process.args,
            code,
            out,
            err,
            refusals=process.refusals,
            accesses=process.accesses,
            complete=process.complete,
        )
        if check and code:
            raise CalledProcessError(code, process.args, out, err)
        return result

    def popen(self, argv: Sequence[str | os.PathLike[str]], **options: Any) -> Process:
        """Start a command, as `subprocess.Popen` does.

        Options: stdin, stdout, stderr (None, a descriptor, a file, PIPE, DEVNULL, STDOUT), cwd (a directory of the
        namespace), env (the target's whole environment; None: the caller's, as the policy filters it), pass_fds, text,
        encoding, errors, bufsize, linger, best_effort. Raises as `run` does, and RuntimeError where another run of
        this process is under way.
        """
        return self._launch(argv, wait_for_turn=False, **options)

    def _launch(
        self, argv: Sequence[str | os.PathLike[str]], *, wait_for_turn: bool, env: Any = None, **options: Any
    ) -> Process:
        from capwrap import engine as engines
        from capwrap.policy import PolicyError, compiled

        if isinstance(argv, (str, bytes)) or not argv:
            raise TypeError("argv must be a sequence of arguments that is not empty; there is no shell")
        args = [os.fspath(argument) for argument in argv]
        policy = self.policy
        environ: Mapping[str, str] = os.environ
        if env is not None:
            environ = {os.fsdecode(name): os.fsdecode(value) for name, value in env.items()}
            # Passed by name, so that no value gets into the cache of compiled policies.
            policy = policy.clear_env()
            for name in environ:
                policy = policy.env(name)
        try:
            image = compiled(policy, command=args, cwd=os.getcwd(), environ=environ)
        except PolicyError as error:
            from capwrap.elf import ElfError

            if isinstance(error.__cause__, ElfError):  # the command is there but cannot be run: subprocess's answer
                raise OSError(errno.ENOEXEC, error.__cause__.what, args[0]) from error
            raise
        engine = self._engine if self._engine is not None else engines.load()

        def start() -> Process:
            destination, named = self._destination()
            return Process(engine, image, args, environ=environ, events=destination, named=named, **options)

        return launch(
            start,
            wait_for_turn=wait_for_turn,
        )

    def _destination(self) -> tuple[int | None, bool]:
        """The descriptor of the record, and whether it was opened by a name."""
        if self.events is None:
            return None, False
        from capwrap.observe.events_file import is_named, open_destination

        where = f"fd:{self.events}" if isinstance(self.events, int) else os.fspath(self.events)
        return open_destination(where), is_named(where)
