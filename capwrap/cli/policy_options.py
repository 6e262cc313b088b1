"""The options of `run` and `compile` that say what the target may do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from capwrap.cli.base import complete_files

if TYPE_CHECKING:
    from collections.abc import Callable

    from capwrap.policy.given import Given

    Decorated = TypeVar("Decorated", bound=Callable[..., Any])

PROFILES = ("runtime", "base", "workspace")

_OPTIONS: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (
        ("--ro",),
        {
            "metavar": "PATH[=VIRTUAL]",
            "shell_complete": complete_files,
            "multiple": True,
            "help": "Grant read, list, stat.",
        },
    ),
    (
        ("--rox",),
        {
            "metavar": "PATH[=VIRTUAL]",
            "shell_complete": complete_files,
            "multiple": True,
            "help": "The same, and execute.",
        },
    ),
    (
        ("--rw",),
        {
            "metavar": "PATH[=VIRTUAL]",
            "shell_complete": complete_files,
            "multiple": True,
            "help": "The same as --ro, and create, write, rename, delete, change attributes.",
        },
    ),
    (
        ("--rwx",),
        {
            "metavar": "PATH[=VIRTUAL]",
            "shell_complete": complete_files,
            "multiple": True,
            "help": "The same as --rw, and execute.",
        },
    ),
    (
        ("--grant",),
        {"metavar": "RIGHTS:PATH[=VIRTUAL]", "multiple": True, "help": "Grant rights by their Capsicum names."},
    ),
    (
        ("--deny",),
        {
            "metavar": "PATH|GLOB",
            "shell_complete": complete_files,
            "multiple": True,
            "help": "Carve a path or a pattern out of the grants.",
        },
    ),
    (
        ("--policy",),
        {
            "metavar": "FILE.toml",
            "shell_complete": complete_files,
            "multiple": True,
            "help": "Add the policy of a file.",
        },
    ),
    (
        ("--profile",),
        {
            "type": click.Choice(PROFILES),
            "metavar": "NAME",
            "multiple": True,
            "help": "Add a built-in policy: runtime, base or workspace.",
        },
    ),
    (("--pure",), {"is_flag": True, "help": "Start from nothing instead of from workspace."}),
    (
        ("--net",),
        {
            "type": click.Choice(("none", "loopback", "host")),
            "metavar": "none|loopback|host",
            "help": "Which network there is; none by default.",
        },
    ),
    (
        ("--connect",),
        {"metavar": "tcp:ADDR:PORT|unix:PATH", "multiple": True, "help": "Permit connecting to an address."},
    ),
    (("--bind",), {"metavar": "tcp:ADDR:PORT|unix:PATH", "multiple": True, "help": "Permit binding an address."}),
    (("--env",), {"metavar": "NAME[=VALUE]|GLOB", "multiple": True, "help": "Pass or set a variable."}),
    (("--clear-env",), {"is_flag": True, "help": "Pass no variable but those of --env."}),
    (
        ("--limit",),
        {
            "metavar": "NAME=VALUE",
            "multiple": True,
            "help": "Limit cpu, memory, files, processes or file-size; sizes take K, M, G.",
        },
    ),
    (
        ("--on-violation",),
        {"metavar": "errno|errno:NAME|trap|stop|kill", "help": "What a refused call does; errno by default."},
    ),
    (("--allow",), {"metavar": "memfd-exec|ioctl:NUMBER", "multiple": True, "help": "Permit an exception."}),
)


def policy_options(function: Decorated) -> Decorated:
    """Add the options to a command's function, which takes them all as keywords."""
    for names, attributes in reversed(_OPTIONS):
        function = click.option(*names, **attributes)(function)
    return function


def given_of(values: dict[str, Any]) -> Given:
    """Take the options out of a command's keywords. Raises PolicyError for a policy file that cannot be read."""
    from capwrap.policy.given import NAMES, Given

    return Given({name: values.pop(name) for name in NAMES})
