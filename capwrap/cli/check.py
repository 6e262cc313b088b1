"""capwrap check: is a policy valid, and what does it make of this host?"""

from __future__ import annotations

import os

import click

from capwrap.cli.base import Command, complete_files
from capwrap.cli.messages import emit, printable, say


@click.command("check", cls=Command, short_help="Validate a policy.")
@click.argument("policy", metavar="POLICY", shell_complete=complete_files)
def command(policy: str) -> int:
    """Validate the policy file POLICY and show the namespace that it makes here.

    Rules without effect and device nodes in grants are warned of on stderr.
    """
    from capwrap.cli.run import current_directory
    from capwrap.policy import Policy
    from capwrap.policy.build import build_namespace
    from capwrap.policy.check import tree, warnings

    space = build_namespace(Policy.load(policy), command=None, cwd=current_directory(), environ=os.environ)
    emit("".join(printable(line) + "\n" for line in tree(space)))
    for warning in warnings(space):
        say(f"warning: {printable(warning)}")
    return 0
