"""Answers about a namespace: what it grants, as a tree, and what it says of one path and why."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from capwrap.policy.build import build_namespace
from capwrap.policy.namespace import Namespace, Node, NodeFlag, NodeKind
from capwrap.policy.rights import format_rights

__all__ = ["Decision", "build_namespace", "decide", "nearest", "tree", "warnings"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What holds for a path. ``place``: where it leads in the namespace; ``grant``: the rule that decides, None where
    nothing is granted or a pattern denies; ``rights``: what may be done; ``reason``: why, as a sentence."""

    place: str
    grant: Node | None
    rights: int
    reason: str
    pattern: str | None = None


def decide(space: Namespace, path: str, *, follow: bool = True) -> Decision:
    """What the policy says of a path (relative ones: to the current directory that it was built with).

    With ``follow``, of what a symlink at its end leads to. Raises PolicyError above 40 symlinks.
    """
    found = space.lookup(space.host.absolute(path), follow=follow)
    place, rule = found.place, found.rule
    node = space.index.get(place)
    via = f" (through {found.links[-1]})" if found.links else ""
    # A pattern is as deep as what it matches, so no rule is deeper, and at equal depth the deny wins.
    pattern = space.denied_by_glob(place)
    if pattern is not None:
        return Decision(place, None, 0, f"denied by the pattern {pattern}{via}", pattern)
    if rule is None:
        if node is not None and node.kind is NodeKind.LINK:
            return Decision(place, None, 0, f"{place} is a symbolic link to {node.link} on the way to a grant")
        if node is not None:
            return Decision(place, None, 0, f"{place} is a directory only because something beneath it is granted{via}")
        return Decision(place, None, 0, f"{place} is not granted{via}")
    if rule.kind is NodeKind.DENY:
        return Decision(place, rule, 0, f"{place} is denied{_by(rule)}{via}")
    return Decision(place, rule, rule.rights, f"{rule.path} is granted {format_rights(rule.rights)}{_by(rule)}{via}")


def _by(rule: Node) -> str:
    return f" by {rule.origin}" if rule.origin else ""


def nearest(space: Namespace, path: str) -> Node | None:
    """The grant that is closest to an absolute virtual path: one above it, else a neighbour below its directory."""
    rule = space.rule(path)
    if rule is not None:
        return rule
    above = path.rpartition("/")[0] or "/"
    while above != "/" and above not in space.index:
        above = above.rpartition("/")[0] or "/"
    children = space.index[above].children.values() if above in space.index and above != "/" else ()
    return next((child for child in children if child.kind in (NodeKind.DIR, NodeKind.NAME)), None)


def tree(space: Namespace) -> list[str]:
    """The namespace, a line a node: its place, indented, and what it is."""
    lines: list[str] = []
    for node in space.nodes():
        depth = 0 if node.path == "/" else node.path.count("/")
        name = node.path if depth == 0 else node.name + ("/" if _is_directory(node) else "")
        lines.append(f"{'  ' * depth}{name}{_describe(node)}")
    return lines + [f"deny {pattern}" for pattern in space.globs]


def _is_directory(node: Node) -> bool:
    return node.kind not in (NodeKind.NAME, NodeKind.LINK, NodeKind.DENY)


def _describe(node: Node) -> str:
    rights = format_rights(node.rights)
    mapped = f" = {node.host}" if node.host and node.host != node.path else ""
    match node.kind:
        case NodeKind.ANCESTOR:
            return ""
        case NodeKind.DENY:
            text = "denied"
        case NodeKind.LINK:
            return f" -> {node.link}"
        case NodeKind.PROC:
            text = "own processes"
        case NodeKind.PTS:
            text = "own ptys"
        case NodeKind.PRIVATE:
            text = f"{rights}, private and empty"
        case _:
            text = rights + (", device" if node.flags & NodeFlag.DEVICE else "") + mapped
    return f"  [{text}{', ' + node.origin if node.origin else ''}]"


def warnings(space: Namespace) -> list[str]:
    """What a policy's author should know: rules without effect, and device nodes that a grant reaches by name."""
    found = list(space.notes)
    for node in space.nodes():
        if node.kind is NodeKind.NAME and not node.flags & NodeFlag.DEVICE and _is_device(node.host):
            found.append(f"{node.path} is a device node: what it does with the device is up to the target")
        elif node.kind is NodeKind.DIR and (node.host == "/dev" or node.host.startswith("/dev/") or node.host == "/"):
            found.append(f"{node.path} holds device nodes: the target may use those that the caller may use")
    return found


def _is_device(path: str) -> bool:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
