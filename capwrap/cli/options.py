"""The options of the commands that take a policy, as data: click is told of them, quick.py reads them alone."""

from __future__ import annotations

from typing import Literal, NamedTuple

PROFILES = ("runtime", "base", "workspace")


class Option(NamedTuple):
    """One option. `many`: may be given again, and all of its values count; else the last one does."""

    name: str
    help: str
    metavar: str | None = None
    kind: Literal["text", "path", "choice", "whole", "seconds", "flag", "count"] = "text"
    many: bool = False
    choices: tuple[str, ...] = ()
    default: str | None = None
    short: str | None = None

    @property
    def keyword(self) -> str:
        """The name of its value in Python."""
        return self.name.removeprefix("--").replace("-", "_")


def _grant(name: str, text: str) -> Option:
    return Option(name, text, "PATH[=VIRTUAL]", "path", many=True)


POLICY = (
    _grant("--ro", "Grant read, list, stat."),
    _grant("--rox", "The same, and execute."),
    _grant("--rw", "The same as --ro, and create, write, rename, delete, change attributes."),
    _grant("--rwx", "The same as --rw, and execute."),
    Option("--grant", "Grant rights by their Capsicum names.", "RIGHTS:PATH[=VIRTUAL]", many=True),
    Option("--deny", "Carve a path or a pattern out of the grants.", "PATH|GLOB", "path", many=True),
    Option("--policy", "Add the policy of a file.", "FILE.toml", "path", many=True),
    Option(
        "--profile",
        "Add a built-in policy: runtime, base or workspace.",
        "NAME",
        "choice",
        many=True,
        choices=PROFILES,
    ),
    Option("--pure", "Start from nothing instead of from workspace.", kind="flag"),
    Option(
        "--net",
        "Which network there is; none by default.",
        "none|loopback|host",
        "choice",
        choices=("none", "loopback", "host"),
    ),
    Option("--connect", "Permit connecting to an address.", "tcp:ADDR:PORT|unix:PATH", many=True),
    Option("--bind", "Permit binding an address.", "tcp:ADDR:PORT|unix:PATH", many=True),
    Option("--env", "Pass or set a variable.", "NAME[=VALUE]|GLOB", many=True),
    Option("--clear-env", "Pass no variable but those of --env.", kind="flag"),
    Option(
        "--limit",
        "Limit cpu, memory, files, processes or file-size; sizes take K, M, G.",
        "NAME=VALUE",
        many=True,
    ),
    Option("--on-violation", "What a refused call does; errno by default.", "errno|errno:NAME|trap|stop|kill"),
    Option("--allow", "Permit an exception.", "memfd-exec|ioctl:NUMBER", many=True),
)


def launch_options(*, chdir: str, pass_fd: str, best_effort: str, quiet: str, verbose: str) -> tuple[Option, ...]:
    """What `run` and `trace` take besides the policy; the texts are the help of what means something else to each."""
    return (
        Option("--chdir", chdir, "DIR", "path"),
        Option("--timeout", "End the target after this time, with status 124.", "SECONDS", "seconds"),
        Option(
            "--method", "How calls are caught.", "auto|ptrace", "choice", choices=("auto", "ptrace"), default="auto"
        ),
        Option("--pass-fd", pass_fd, "N", "whole", many=True),
        Option("--linger", "Wait for what COMMAND leaves behind instead of killing it.", kind="flag"),
        Option("--best-effort", best_effort, kind="flag"),
        Option("--events", "Record everything, as NDJSON.", "FILE|fd:N", "path"),
        Option("--fail-on-violation", "End with 120 where COMMAND succeeded but a call was refused.", kind="flag"),
        Option("--quiet", quiet, kind="flag", short="-q"),
        Option("--verbose", verbose, kind="count", short="-v"),
    )


RUN = launch_options(
    chdir="Start in this directory of the namespace.",
    pass_fd="Leave a descriptor open.",
    best_effort="Start even where the kernel gives less than the policy needs.",
    quiet="No summary of refusals at the end.",
    verbose="Tell of absent names too.",
)
