"""Directories that know a name by other spellings: there, what is carved out by its name is reached by another.

Such are those of vfat, exfat and NTFS, what a desktop or a share lends to a container, and ext4's with `casefold`.
"""

from __future__ import annotations

import os
import string
from itertools import islice

from capwrap.policy.errors import PolicyError
from capwrap.policy.flags import same_place
from capwrap.policy.globs import may_match, split_glob
from capwrap.policy.host import Host
from capwrap.policy.namespace import Namespace, Node, NodeKind, is_beneath, join, relative
from capwrap.policy.observations import Kind

_SWAPPED = str.maketrans(
    string.ascii_lowercase + string.ascii_uppercase, string.ascii_uppercase + string.ascii_lowercase
)
_ENOUGH = 64  # names of a directory, to find one with a letter in it


def check_spellings(space: Namespace) -> None:
    """Asks of each name that is kept from who may enter the grant around it whether it has other spellings there.

    Raises PolicyError where it has. Of a pattern, the directories before its first special character are asked, or
    those of the grants that it reaches into; not what lies deeper, which may change while a run is on.
    """
    nodes = list(space.nodes())
    asked: dict[str, str | None] = {}
    for node in nodes:
        above = node.parent
        while above is not None:
            if above.kind is NodeKind.DIR and _is_carved(node, above):
                _check(space.host, asked, above, node.path, f"{node.path} cannot be carved out of {above.path}")
            above = above.parent
    for pattern in space.globs:
        before = split_glob(pattern)[0]
        for above in nodes:
            if above.kind is NodeKind.DIR and may_match(pattern, above.path):
                place = join(before if is_beneath(before, above.path) else above.path, "*")
                _check(space.host, asked, above, place, f"the pattern {pattern} cannot be held in {above.path}")


def _is_carved(node: Node, above: Node) -> bool:
    if node.kind in (NodeKind.DIR, NodeKind.NAME):
        return node.rights & above.rights != above.rights and same_place(node, above)
    return node.kind in (NodeKind.DENY, NodeKind.PRIVATE, NodeKind.PROC, NodeKind.PTS)


def _check(host: Host, asked: dict[str, str | None], above: Node, place: str, what: str) -> None:
    """``asked``: what was found in each directory so far. It is a property of the directory, not of the name."""
    directory = above.host
    for name in relative(place, above.path).split("/"):
        if directory not in asked:
            asked[directory] = _other_name(host, directory, name)
        if other := asked[directory]:
            raise PolicyError(
                f"{what}: {directory} does not tell upper from lower case, and has `{other}` for another name",
                remedy="grant what is needed there by name, or have it in a directory that tells them apart",
            )
        directory = join(directory, name)


def _other_name(host: Host, directory: str, name: str) -> str | None:
    """Another spelling by which a directory knows a name of its: of ``name`` if that is there, else of any other."""
    other = name.translate(_SWAPPED)
    if other != name and _is_there(host.look(join(directory, name))):
        known = _is_there(host.look(join(directory, other))) and _is_same(directory, name, other)
        return other if known else None
    for name in _names(directory):
        other = name.translate(_SWAPPED)
        if other != name:
            return other if _is_same(directory, name, other) else None
    return None


def _names(directory: str) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            return [entry.name for entry in islice(entries, _ENOUGH)]
    except OSError:  # it is not there, or closed to the caller
        return []


def _is_there(seen: tuple[Kind, str]) -> bool:
    return seen[0] not in (Kind.ABSENT, Kind.UNREADABLE)


def _is_same(directory: str, name: str, other: str) -> bool:
    """Whether two spellings are one name. Two names of one file (link(2)) are both listed."""
    try:
        same = os.path.samestat(os.lstat(join(directory, name)), os.lstat(join(directory, other)))
    except OSError:  # not there
        return False
    try:
        return same and not {name, other} <= set(os.listdir(directory))
    except OSError:  # nobody may list it: refused rather than believed
        return same
