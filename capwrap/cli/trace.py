"""capwrap trace: COMMAND unconfined, and what the policy would have refused."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from capwrap.cli.base import Command, complete_files
from capwrap.cli.messages import REFUSED, Failure, say
from capwrap.cli.policy_options import given_of, policy_options
from capwrap.cli.run import check_descriptors, current_directory, die_of, ending, image_for, milliseconds, tell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capwrap.policy.given import Given


@click.command(
    "trace",
    cls=Command,
    context_settings={"allow_interspersed_args": False},
    short_help="Run COMMAND unconfined, and say what a policy would have refused.",
    epilog="Exit status: COMMAND's own, or of its signal; 120 a call would have been refused (--fail-on-violation), "
    "124 timed out, 125 capwrap failed, 126 not runnable, 127 not found.",
)
@policy_options
@click.option("--chdir", metavar="DIR", shell_complete=complete_files, help="Start in this directory.")
@click.option("--timeout", type=float, metavar="SECONDS", help="End the target after this time, with status 124.")
@click.option(
    "--method",
    type=click.Choice(("auto", "ptrace")),
    metavar="auto|ptrace",
    default="auto",
    help="How calls are caught.",
)
@click.option(
    "--pass-fd", type=click.IntRange(0), metavar="N", multiple=True, help="As for run; all are left open here."
)
@click.option("--linger", is_flag=True, help="Wait for what COMMAND leaves behind instead of killing it.")
@click.option("--best-effort", is_flag=True, help="As for run; a trace needs nothing of the kernel to confine with.")
@click.option("--events", metavar="FILE|fd:N", shell_complete=complete_files, help="Record everything, as NDJSON.")
@click.option("--append", is_flag=True, help="Add to the record of --events instead of overwriting it.")
@click.option("--fail-on-violation", is_flag=True, help="End with 120 where COMMAND succeeded but a call was refused.")
@click.option("-q", "--quiet", is_flag=True, help="No warning at first, and no summary at the end.")
@click.option("-v", "--verbose", count=True, help="Tell of every call as it comes.")
@click.argument("argv", metavar="COMMAND [ARG]...", nargs=-1, required=True, shell_complete=complete_files)
def command(**values: Any) -> int:
    """Run COMMAND unconfined, and record what it reached and every call that the policy would have refused.

    The options of run make the policy, workspace by default. Nothing is held back: this is no sandbox.
    """
    given = given_of(values)
    return trace(given, **values)


def trace(
    given: Given,
    *,
    argv: Sequence[str],
    chdir: str | None,
    timeout: float | None,
    method: str,  # auto is ptrace, the one method that there is
    pass_fd: Sequence[int],
    linger: bool,
    best_effort: bool,  # nothing is confined, so nothing can be missing
    events: str | None,
    append: bool,
    fail_on_violation: bool,
    quiet: bool,
    verbose: int,
) -> int:
    """Run COMMAND unconfined; the exit status. Where a signal ended COMMAND, it does not return."""
    from capwrap import engine as engines
    from capwrap.observe.recording import Recording

    timeout_ms = milliseconds(timeout)
    if chdir == "":
        raise Failure("--chdir: an empty path; name a directory")
    check_descriptors(pass_fd)
    image = image_for(given, argv)
    engine = engines.load()
    destination = None
    appended = None
    if append and events is None:
        raise Failure("--append: there is no record to add to; name one with --events FILE")
    if append and events is not None:
        from capwrap.observe.append import Appended

        appended = Appended(events)
        destination = appended.destination()
    elif events is not None:
        from capwrap.observe.events_file import open_destination

        destination = open_destination(events)
    watch = None
    if verbose:
        from capwrap.observe.watching import Watcher

        watch = Watcher(say).tell
    recording = Recording(engine, image, argv, events=destination, traced=True, watch=watch, remember=True)
    launch = engines.Launch(
        image=image,
        argv=[os.fsencode(argument) for argument in argv],
        environ=os.environb,
        chdir=None if chdir is None else os.fsencode(os.path.join(current_directory(), chdir)),
        record_access=recording.recording_accesses,
        record_stack=recording.recording_stacks,
        linger=linger,
        foreground=True,
        timeout_ms=timeout_ms,
        trace=True,
        prompt=watch is not None,
    )
    if not quiet:
        say("tracing: the command runs unconfined, this is no sandbox")
    outcome = engine.run(launch, recording.sink, jailed=recording.jailed)
    status, signal = ending(outcome)
    recording.finish(outcome, status=status, signal=signal)
    if appended is not None:
        appended.merge()
    tell(
        outcome,
        recording,
        argv,
        timeout=timeout,
        quiet=quiet,
        verbose=verbose,
        recorded=events is not None,
        traced=True,
    )
    if fail_on_violation and status == 0 and outcome.refusals:
        return REFUSED
    if signal is not None:
        die_of(signal)
    return status if status is not None else 0
