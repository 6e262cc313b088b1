"""capwrap inspect: what an ELF file or a script will need."""

from __future__ import annotations

import click

from capwrap.cli.base import Command, complete_files
from capwrap.cli.messages import emit


@click.command("inspect", cls=Command, short_help="Show what an ELF file needs.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.argument("file", metavar="FILE", shell_complete=complete_files)
def command(file: str, as_json: bool) -> int:
    """Show an ELF file: interpreter, library closure, call sites, and the grants that running it needs.

    The file is read, never run.
    """
    from capwrap.cli.launch import current_directory
    from capwrap.elf import inspect as elf

    inspection = elf.inspect(file, cwd=current_directory())
    if as_json:
        import json

        emit(json.dumps(elf.as_json(inspection), indent=2) + "\n")
    else:
        emit(elf.render(inspection))
    return 0
