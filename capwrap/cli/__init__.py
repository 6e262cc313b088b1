"""The command line."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from capwrap.cli.messages import FAILED, Failure, printable, say

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status. Nothing that goes wrong ends in a traceback (CAPWRAP_DEBUG shows it)."""
    _natural_signals()
    try:
        code = _invoke(sys.argv[1:] if arguments is None else arguments)
    except Exception as error:  # the one place where everything ends
        code = _report(error)
    return _flushed(code)


def _invoke(words: Sequence[str]) -> int:
    from capwrap.cli.quick import values_of_run

    values = values_of_run(words)
    if values is not None:
        from capwrap.cli.launch import launch

        return launch(**values)
    from capwrap.cli.commands import invoke

    return invoke(words)


def _natural_signals() -> None:
    """Ctrl-C ends capwrap as it ends any program; a run hands the signal to the engine."""
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _report(error: Exception) -> int:
    """Tell an error: what is foreseen as a message, anything else as an internal error."""
    if isinstance(error, Failure):
        say(str(error))
        return error.status
    if type(error).__name__ in ("PolicyError", "ElfError", "EngineError", "EventsError"):
        say("\n".join(printable(line) for line in str(error).split("\n")))
        return FAILED
    if os.environ.get("CAPWRAP_DEBUG"):
        import traceback

        say(traceback.format_exc())
    if isinstance(error, OSError) and error.strerror:
        name = os.fsdecode(error.filename) + ": " if isinstance(error.filename, (str, bytes)) else ""
        say(printable(f"{name}{error.strerror}"))
        return FAILED
    remedy = "set CAPWRAP_DEBUG=1 for the traceback, and report it"
    say(printable(f"internal error: {type(error).__name__}: {error}; {remedy}"))
    return FAILED


def _flushed(code: int) -> int:
    """click's help goes through sys.stdout: a failure to write it belongs to us, not to the interpreter's end."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError) as error:
        say(f"standard output: {getattr(error, 'strerror', None) or error}")
        code = code or FAILED
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        except OSError:
            os._exit(code)
    return code
