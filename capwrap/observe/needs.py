"""What a call needs, as those who read records take it: its rights, and which of its two names each is asked of."""

from __future__ import annotations

from functools import lru_cache

from capwrap.policy.errors import PolicyError
from capwrap.policy.rights import Right, parse_rights

EXECS = ("execve", "execveat")
#: Calls that ask what would be permitted. They are answered, not refused, so their rights are what a yes needs.
ASKS = ("access", "faccessat", "faccessat2")
#: Of the two names of a rename or a link: what only the one, and only the other has to permit.
FIRST_NAME = Right.RENAMEAT_SOURCE | Right.LINKAT_SOURCE | Right.UNLINKAT
SECOND_NAME = Right.RENAMEAT_TARGET | Right.LINKAT_TARGET
#: What a directory that is there only because something beneath it is granted permits.
ANCESTOR = Right.READ | Right.LOOKUP | Right.FSTAT | Right.FSTATFS | Right.FCHDIR | Right.SEEK


@lru_cache(maxsize=4096)
def rights_of(names: tuple[str, ...], later: Right) -> Right:
    """Rights by their names in a record; `later`: what a right of a later version is taken for."""
    result = Right(0)
    for name in names:
        try:
            result |= parse_rights(name)
        except PolicyError:
            result |= later
    return result
