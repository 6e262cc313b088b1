"""Denies: paths and patterns carved out of the grants of a namespace."""

from __future__ import annotations

import re

from capwrap.policy.errors import PolicyError
from capwrap.policy.globs import escape_glob, may_match, split_glob, variants
from capwrap.policy.host import Host
from capwrap.policy.items import Deny, origin
from capwrap.policy.namespace import Namespace, NodeKind, is_beneath, join, relative

_GRANTS = frozenset((NodeKind.DIR, NodeKind.NAME, NodeKind.PRIVATE, NodeKind.PROC, NodeKind.PTS))


def carve(space: Namespace) -> None:
    """Puts the policy's denies into a namespace that has all its grants.

    Raises PolicyError for a path that cannot be denied; a deny that changes nothing is noted.
    """
    # All places are found before the first is carved: a carved directory hides the symlinks in it.
    places: dict[str, Deny] = {}
    for deny in space.settings.denies:
        text = space.host.expand(deny.pattern) if deny.expand and not deny.is_glob else deny.pattern
        if text is None:
            raise _unset(deny)
        if deny.is_glob:
            _glob(space, deny)
            continue
        try:
            found = _deny_places(space, space.host.absolute(text))
        except PolicyError as error:
            raise error.at(deny.where) from None
        granted = [place for place in found if _granted(space, place)]
        if not granted:
            space.notes.append(f"deny {deny.pattern} has no effect: nothing there is granted")
        for place in granted or found[:1]:
            places.setdefault(place, deny)
    for place, deny in places.items():
        node = space.make(place)
        # The root is always a directory; without a grant of its own it lists what lies beneath and no more.
        kind = NodeKind.DENY if node.parent is not None else NodeKind.ANCESTOR
        node.kind, node.host, node.link, node.rights, node.flags = kind, "", "", 0, 0
        node.origin = origin(deny.where)
    # A pattern is as deep as what it matches: a rule of that very name, which the engine would find first, is none.
    for node in [node for node in space.index.values() if node.parent is not None]:
        if (pattern := space.denied_by_glob(node.path)) is not None:
            if node.kind in _GRANTS:
                space.notes.append(f"{node.path}, which is granted, is denied by the pattern {pattern}")
            node.kind, node.host, node.link, node.rights, node.flags = NodeKind.DENY, "", "", 0, 0
    for place, deny in places.items():
        beneath = sorted(n.path for n in space.index.values() if n.kind in _GRANTS and is_beneath(n.path, place))
        if beneath:
            more = ", ..." if len(beneath) > 3 else ""
            space.notes.append(f"deny {deny.pattern} leaves the deeper {', '.join(beneath[:3])}{more}")


def _granted(space: Namespace, place: str) -> bool:
    """Whether a rule decides at a place, or a symlink of the namespace stands there."""
    node = space.index.get(place)
    return (node is not None and node.kind is NodeKind.LINK) or space.rule(place) is not None


def _deny_places(space: Namespace, path: str) -> list[str]:
    """Where a denied path can be seen: as a virtual path and as a host path, and where its symlinks lead."""
    try:
        name, target = space.lookup(path, follow=False), space.lookup(path)
        host_name, walk = _walk_parent(space, path), space.host.walk(path)
    except PolicyError as error:
        raise PolicyError(f"cannot deny `{path}`: {error.message}") from error
    if walk.process and not walk.links:
        raise PolicyError(
            f"`{path}` differs from process to process and cannot be denied",
            remedy="deny /proc, or leave out what grants it: the target sees its own processes there and no others",
        )
    # The symlinks between the name itself and its target are names of the same thing.
    places = dict.fromkeys((name.place, *target.links[len(name.links) :], target.place))
    if walk.process:  # a symlink into /proc, such as /etc/mtab: what it leads to stays
        places = {place: None for place in places if not is_beneath(place, "/proc")}
    for host in {host_name: None} if walk.process else {host_name: None, walk.path: None}:
        for node in space.index.values():
            if node.host and node.kind in (NodeKind.DIR, NodeKind.NAME) and is_beneath(host, node.host):
                places.setdefault(join(node.path, relative(host, node.host)), None)
    return list(places)


def _walk_parent(space: Namespace, path: str) -> str:
    """The host path with the symlinks before its last component followed."""
    parent, _, name = path.rstrip("/").rpartition("/")
    if name in ("", ".", ".."):
        return space.host.walk(path).path
    return join(space.host.walk(parent or "/").path, name)


def _glob(space: Namespace, deny: Deny) -> None:
    text = deny.pattern
    if deny.expand:
        expanded = _expand_glob(space.host, text)
        if expanded is None:
            raise _unset(deny)
        text = expanded
    if text.startswith("**/"):
        text = "/" + text
    elif not text.startswith("/"):
        text = f"{escape_glob(space.host.cwd).rstrip('/')}/{text}"
    literal, rest = split_glob(text)
    found: list[str] = []
    for place in _deny_places(space, literal) if literal != "/" else ["/"]:
        found += variants(f"{escape_glob(place).rstrip('/')}/{rest}")
    if not any(
        may_match(pattern, node.path) for pattern in found for node in space.index.values() if node.kind in _GRANTS
    ):
        space.notes.append(f"deny {deny.pattern} has no effect: nothing there is granted")
    space.globs += [pattern for pattern in dict.fromkeys(found) if pattern not in space.globs]


def _expand_glob(host: Host, text: str) -> str | None:
    """Variables of a pattern, taken literally: a home directory named `a[b]` is no class."""
    pieces: list[str] = []
    for piece in re.split(r"(\$\$\{|\$\{[^}]*\})", text):
        expanded = host.expand(piece)
        if expanded is None:
            return None
        pieces.append(escape_glob(expanded) if piece.startswith("$") else piece)
    return "".join(pieces)


def _unset(deny: Deny) -> PolicyError:
    message = f"a variable in `{deny.pattern}` has no value"
    return PolicyError(message, where=deny.where, remedy="set it, or leave the rule out")
