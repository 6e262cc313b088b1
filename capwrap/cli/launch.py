"""What `run` and `trace` do with their words: COMMAND under a policy, told of and recorded."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NoReturn

from capwrap.cli.messages import FAILED, NOT_FOUND, NOT_RUNNABLE, REFUSED, TIMED_OUT, Failure, printable, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capwrap.engine import Outcome
    from capwrap.observe.append import Appended
    from capwrap.observe.recording import Recording
    from capwrap.policy.given import Given

_LONGEST = (1 << 32) - 1  # ms; struct cw_run has 32 bits


def launch(
    *,
    argv: Sequence[str],
    chdir: str | None,
    timeout: float | None,
    method: str,  # auto is ptrace, the one method that there is
    pass_fd: Sequence[int],
    linger: bool,
    best_effort: bool,
    events: str | None,
    fail_on_violation: bool,
    quiet: bool,
    verbose: int,
    append: bool = False,
    layout: str = "ndjson",
    traced: bool = False,
    **options: Any,
) -> int:
    """Run COMMAND under the policy of `options`; the exit status. Where a signal ended COMMAND, it does not return.

    `append`: the run is added to the record of `events`; `layout`: how that is written, ndjson or chrome. `traced`: the
    policy holds nothing back, and `verbose` tells of every call as it comes.
    """
    from capwrap import engine as engines
    from capwrap.observe.recording import Recording

    given = given_of(options)
    timeout_ms = milliseconds(timeout)
    if chdir == "":
        raise Failure("--chdir: an empty path; name a directory")
    check_descriptors(pass_fd)
    if layout == "chrome" and (append or events is None):
        problem = (
            "nothing can be added to a trace" if append else "there is no file to write; name one with --events FILE"
        )
        raise Failure(f"--format chrome: {problem}")
    image = image_for(given, argv)
    engine = engines.load()
    destination, named, appended = record_to(events, append=append)
    watch = None
    if traced and verbose:
        from capwrap.observe.watching import Watcher

        watch = Watcher(say).tell
    recording = Recording(
        engine,
        image,
        argv,
        events=destination,
        named=named,
        where=events if append else None,
        remember=True,
        traced=traced,
        watch=watch,
        layout=layout,
    )
    asked = engines.Launch(
        image=image,
        argv=[os.fsencode(argument) for argument in argv],
        environ=os.environb,
        chdir=None if chdir is None else os.fsencode(os.path.join(current_directory(), chdir)),
        record_access=recording.recording_accesses,
        record_stack=recording.recording_stacks,
        linger=linger,
        best_effort=best_effort,
        foreground=True,
        timeout_ms=timeout_ms,
        pass_fds=tuple(pass_fd),
        trace=traced,
        prompt=watch is not None,
    )
    if traced and not quiet:
        say("tracing: the command runs unconfined, this is no sandbox")
    outcome = engine.run(asked, recording.sink, jailed=recording.jailed)
    status, signal = ending(outcome)
    recording.finish(outcome, status=status, signal=signal)
    missing = None if appended is None else appended.merge()
    if missing is not None:
        recording.complete = False
        recording.problems.append(missing)
    tell(
        outcome,
        recording,
        argv,
        timeout=timeout,
        quiet=quiet,
        verbose=verbose,
        recorded=events is not None,
        traced=traced,
    )
    if fail_on_violation and status == 0 and outcome.refusals:
        return REFUSED
    if signal is not None:
        die_of(signal)
    return status if status is not None else 0


def given_of(values: dict[str, Any]) -> Given:
    """Take the options of the policy out of a command's keywords. Raises PolicyError for a file that cannot be read."""
    from capwrap.policy.given import NAMES, Given

    return Given({name: values.pop(name) for name in NAMES})


def record_to(events: str | None, *, append: bool) -> tuple[int | None, bool, Appended | None]:
    """Where the run's lines go: a descriptor that becomes the recording's, whether it is a file that was opened by its
    name, and the record that the lines are added to."""
    if events is None:
        if append:
            raise Failure("--append: there is no record to add to; name one with --events FILE")
        return None, False, None
    if append:
        from capwrap.observe.append import Appended

        appended = Appended(events)
        return appended.destination(), False, appended
    from capwrap.observe.events_file import is_named, open_destination

    return open_destination(events), is_named(events), None


def image_for(given: Given, argv: Sequence[str]) -> bytes:
    """The policy image for COMMAND. Raises Failure with status 126 where COMMAND is there but cannot be run."""
    from capwrap.policy.cache import compiled_given

    try:
        return compiled_given(given, command=argv, cwd=current_directory(), environ=os.environ)
    except Exception as error:
        from capwrap.elf import ElfError

        if isinstance(error.__cause__, ElfError):
            raise Failure(printable_lines(str(error)), NOT_RUNNABLE) from error
        raise


def ending(outcome: Outcome) -> tuple[int | None, int | None]:
    """How a run ended, as (exit status, signal), one of them None."""
    if outcome.failed:
        return FAILED, None
    if outcome.exec_errno:
        import errno

        missing = outcome.exec_errno in (errno.ENOENT, errno.ENOTDIR)
        return (NOT_FOUND if missing else NOT_RUNNABLE), None
    if outcome.timed_out:
        return TIMED_OUT, None
    if os.WIFSIGNALED(outcome.status):
        return None, os.WTERMSIG(outcome.status)
    return os.WEXITSTATUS(outcome.status), None


def die_of(signal: int) -> NoReturn:
    """End as COMMAND did, by the same signal, without a core file of capwrap's own."""
    import resource
    import signal as signals

    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    try:
        signals.signal(signal, signals.SIG_DFL)
    except (OSError, ValueError):
        pass  # SIGKILL has no disposition, the signals that libc keeps for itself have the default one
    else:
        signals.pthread_sigmask(signals.SIG_UNBLOCK, {signal})
    os.kill(os.getpid(), signal)
    os._exit(128 + signal)  # where the signal did not end us: process 1 of a container has no default action


def tell(
    outcome: Outcome,
    recording: Recording,
    argv: Sequence[str],
    *,
    timeout: float | None,
    quiet: bool,
    verbose: int,
    recorded: bool,
    traced: bool = False,
) -> None:
    """Say what went wrong with the run, then with the record, then what was refused, or would have been."""
    if outcome.failed:
        say(printable_lines(outcome.message or "the engine failed without a message"))
    elif outcome.exec_errno:
        from capwrap.observe.not_started import why_not_started

        namespace = recording.reader.namespace
        say(why_not_started(argv, outcome.exec_errno, namespace, environ=os.environ, cwd=current_directory()))
    elif outcome.message:
        say(printable_lines(outcome.message))
    if outcome.timed_out:
        say(f"{printable(argv[0])}: timed out after {timeout:g} s; --timeout gives it longer")
    for problem in recording.problems:
        say(problem)
    if not quiet and (recording.observed or (verbose and outcome.absent)):
        lines = recording.summary.lines(verbose=verbose > 0, record=recorded, absent=outcome.absent, traced=traced)
        if lines:
            say("\n".join(lines))
    if verbose > 1:
        from capwrap.observe.summary import count

        say(
            f"{count(outcome.processes + 1, 'process', 'processes')}, {count(outcome.stops, 'stop')}, "
            f"{count(outcome.deliveries, 'descriptor')} delivered, {count(outcome.refusals, 'refusal')}, "
            f"{outcome.absent} absent"
        )


def printable_lines(text: str) -> str:
    """Lines for a terminal."""
    return "\n".join(printable(line) for line in text.splitlines())


def milliseconds(timeout: float | None) -> int:
    """--timeout for the engine; 0: none. Raises Failure for what is no time."""
    if timeout is None:
        return 0
    if not 0 < timeout * 1000 <= _LONGEST:
        raise Failure(f"--timeout {timeout:g}: not between 0 and {_LONGEST // 1000} seconds; leave it out for no limit")
    return max(1, round(timeout * 1000))


def check_descriptors(numbers: Sequence[int]) -> None:
    """Raise Failure where a descriptor of --pass-fd is not open."""
    if not numbers:
        return
    import fcntl

    for number in numbers:
        try:
            fcntl.fcntl(number, fcntl.F_GETFD)
        except (OSError, OverflowError):
            raise Failure(
                f"--pass-fd {number}: no such descriptor is open; open it in the shell, e.g. {number}<FILE"
            ) from None


def current_directory() -> str:
    """The caller's current directory. Raises Failure where it has been removed or cannot be named."""
    try:
        return os.getcwd()
    except OSError as error:
        raise Failure(f"the current directory: {error.strerror}; change to one that exists") from None
