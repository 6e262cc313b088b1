"""Why COMMAND could not be executed: the target's answer is an errno, and what it comes from stands on the host."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from typing import TYPE_CHECKING

from capwrap.observe.refusals import glob_covers, quote
from capwrap.observe.summary import printable
from capwrap.policy.namespace import NodeKind
from capwrap.policy.rights import Right

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from capwrap.observe.namespace import Namespace

_GRANT = "--profile runtime grants COMMAND and what it loads"


def why_not_started(
    command: Sequence[str], number: int, namespace: Namespace, *, environ: Mapping[str, str], cwd: str
) -> str:
    """Object, reason and remedy, as one line for a terminal. `number`: the errno of the execve."""
    name = command[0]
    shown = printable(name) or "''"
    path = _on_the_host(name, environ, cwd)
    if number in (errno.ENOENT, errno.ENOTDIR):
        if path is None:
            return f"{shown}: not found; check its name and PATH"
        return f"{shown}: not found in the namespace, but {printable(path)} exists on the host; " + (
            _lacking(command, path, namespace, environ, cwd) or _GRANT
        )
    if number == errno.EACCES:
        return f"{shown}: not runnable: {_not_permitted(path)}"
    return f"{shown}: not runnable: {os.strerror(number)}; `capwrap inspect` says what kind of file it is"


def _on_the_host(name: str, environ: Mapping[str, str], cwd: str) -> str | None:
    """The file that the name leads to outside, as an absolute path."""
    if "/" in name:
        path = os.path.join(cwd, name)
        return os.path.normpath(path) if os.path.lexists(path) else None
    found = shutil.which(name, path=environ.get("PATH"))
    return None if found is None else os.path.join(cwd, found)


def _lacking(
    command: Sequence[str], path: str, namespace: Namespace, environ: Mapping[str, str], cwd: str
) -> str | None:
    """The first of COMMAND's programs, interpreters and loaders that cannot be executed in the namespace, and what to
    do about it; None where all can.
    """
    from capwrap.elf.closure import classified_files
    from capwrap.elf.errors import ElfError
    from capwrap.elf.inspect import inspect

    try:
        files = [file.path for file in classified_files(command, environ=environ, cwd=cwd) if file.execute]
        problems = inspect(path, environ=environ, cwd=cwd).problems
    except (ElfError, OSError):
        return None
    for problem in problems:
        if problem.startswith("its "):  # interpreter or loader does not exist
            return f"{printable(problem)}; install it"
    for file in files:
        what = "it" if file == files[0] else f"{printable(file)}, which it needs,"
        place = os.path.realpath(file)
        rule = namespace.deciding(place)
        pattern = next((pattern for pattern in namespace.globs if glob_covers(pattern, place)), None)
        if pattern is not None or (rule is not None and rule.kind is NodeKind.DENY):
            deny = pattern if pattern is not None or rule is None else rule.path
            return f"{what} is denied; take --deny {quote(deny or '')} away"
        if rule is None or not rule.rights & Right.FEXECVE:
            return f"{what} is not granted; {_GRANT}"
    if not command[0].startswith("/") and "/" in command[0]:
        return "name it by its absolute path, since the target starts elsewhere"
    return None


def _not_permitted(path: str | None) -> str:
    if path is not None and not stat.S_ISREG(os.stat(path).st_mode):
        what = "a directory" if os.path.isdir(path) else "no regular file"
        return f"it is {what}; name a program"
    if path is not None and not os.access(path, os.X_OK):
        return "it is not executable; chmod +x it"
    if path is not None and not os.access(path, os.R_OK):
        return "it cannot be read, and only root can follow what it does then; chmod a+r it"
    return f"{os.strerror(errno.EACCES)}; grant it with --rox"
