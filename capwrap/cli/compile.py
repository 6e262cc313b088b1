"""capwrap compile: the policy image that capwrap-exec runs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from capwrap.cli.base import Command, complete_files, given_options
from capwrap.cli.launch import current_directory, given_of
from capwrap.cli.messages import Failure, printable
from capwrap.cli.options import POLICY

if TYPE_CHECKING:
    from collections.abc import Iterable


@click.command("compile", cls=Command, short_help="Write a policy image for capwrap-exec.")
@given_options(*POLICY)
@click.option(
    "-o", "--output", metavar="FILE.cap", shell_complete=complete_files, required=True, help="Write the image here."
)
@click.argument("source", metavar="[POLICY]", required=False, shell_complete=complete_files)
def command(source: str | None, output: str, **values: Any) -> int:
    """Compile a policy, from the file POLICY and the options of `run`, to one flat file for capwrap-exec.

    Paths are settled now: relative ones, and the directory of the workspace profile, with the current directory.
    """
    from capwrap.policy.image import compile_image

    if source is not None:
        values["policy"] = (source, *values["policy"])
    image = compile_image(given_of(values).policy(), command=None, cwd=current_directory(), environ=os.environ)
    write_whole(output, image)
    return 0


def write_whole(path: str, data: bytes | Iterable[bytes]) -> None:
    """Write a file so that its name never stands for half of it: a new file beside it, then a rename.

    What is not a regular file (a pipe, /dev/stdout) is written as it is. `data` may come in pieces. Raises Failure.
    """
    pieces = (data,) if isinstance(data, bytes) else data
    if not path:
        raise Failure("-o: an empty path; name a file that can be written")
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            with open(path, "wb") as file:
                file.writelines(pieces)
            return
        beside = f"{os.path.realpath(path)}.{os.getpid()}.new"
        try:
            with open(beside, "xb") as file:
                file.writelines(pieces)
                file.flush()
                os.fsync(file.fileno())
            os.rename(beside, os.path.realpath(path))
        except BaseException:
            if os.path.lexists(beside):
                os.unlink(beside)
            raise
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise Failure(f"{printable(path)}: {reason}; name a file that can be written") from None
