"""Where Landlock permits more than a policy, place by place.

It knows directories and files, and neither names that are not there yet, nor patterns, nor what is carved out of a
directory. capwrap/engine/coarse.c says the same, word for word, of the rules that were made for a run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from capwrap.policy.globs import may_match
from capwrap.policy.namespace import RULES, Namespace, Node, NodeFlag, NodeKind, is_beneath
from capwrap.policy.rights import Right

_ACCESSES = {"execute": Right.FEXECVE, "read": Right.READ, "make sockets": Right.BINDAT}
"""What Landlock may permit more of, and the right that is for it."""


def coarse_places(space: Namespace) -> list[str]:
    """Where Landlock permits more than the policy and what, a line a place."""
    held = {id(node): _held(node) for node in space.nodes()}
    lines = []
    for node in space.nodes():
        if node.kind not in RULES or node.kind in (NodeKind.PROC, NodeKind.PTS):
            continue
        above = list(_rules_above(node))
        there = held[id(node)].union(*(held[id(rule)] for rule in above if _lies_in(node, rule)))
        if more := there - _accesses(node):
            lines.append(f"{node.path}: Landlock lets {_enumerated(more)} here")
        if more := _held_in_directory(node) - there.union(*map(_accesses, above[:1])):
            lines.append(f"{node.path}: Landlock lets {_enumerated(more)} in its whole directory")
    directories = [node for node in space.nodes() if node.kind is not NodeKind.NAME]
    for pattern in space.globs:
        if pattern.endswith("/**") and pattern[:-3] in space.globs:
            continue  # what lies beneath what another one denies
        matched = (held[id(node)] for node in directories if may_match(pattern, node.path))
        if more := frozenset[str]().union(*matched):
            lines.append(f"{pattern}: Landlock knows no patterns, and lets {_enumerated(more)} there")
    return lines


def _accesses(node: Node) -> frozenset[str]:
    """What the policy permits of what Landlock knows."""
    return frozenset(word for word, right in _ACCESSES.items() if node.rights & right)


def _granted(node: Node) -> frozenset[str]:
    """What Landlock permits for a node's rights: the kernel opens a program for reading."""
    found = _accesses(node)
    return found | {"read"} if "execute" in found else found


def _held(node: Node) -> frozenset[str]:
    """What the node's rule permits at its place and beneath."""
    if node.kind in (NodeKind.DIR, NodeKind.PRIVATE):
        found = _granted(node)
        # Where a call can only be decided by the supervisor, the target opens nothing itself but programs.
        return found if node.flags & NodeFlag.CAPFORM or "execute" in found else found - {"read"}
    if node.kind is NodeKind.NAME and _accesses(node) - {"read"} and _is_stable(node):
        return frozenset(("execute", "read"))
    return frozenset()


def _held_in_directory(node: Node) -> frozenset[str]:
    """What the node's rule permits in the whole directory that it is a name of."""
    if node.kind is not NodeKind.NAME or _is_stable(node):
        return frozenset()
    found = _accesses(node) - {"read"}
    return found | {"read"} if "execute" in found else found


def _is_stable(node: Node) -> bool:
    """Whether a name's rule is one of the file itself: it is there, and cannot be replaced."""
    return not node.rights & Right.WRITE and os.path.lexists(node.host)


def _rules_above(node: Node) -> Iterator[Node]:
    """The rules above a node, the deepest first."""
    above = node.parent
    while above is not None:
        if above.kind in RULES:
            yield above
        above = above.parent


def _lies_in(node: Node, rule: Node) -> bool:
    """Whether a node lies on the host beneath the place of a rule above it, as what is denied always does."""
    return node.kind is NodeKind.DENY or (bool(rule.host) and is_beneath(node.host, rule.host))


def _enumerated(words: frozenset[str]) -> str:
    ordered = [word for word in _ACCESSES if word in words]
    return " and ".join(filter(None, [", ".join(ordered[:-1]), ordered[-1]]))
