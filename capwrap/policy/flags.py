"""What follows from the tree as a whole: which nodes say nothing new, and which grants have a capability form."""

from __future__ import annotations

from capwrap.policy.globs import may_match
from capwrap.policy.namespace import RULES, Namespace, Node, NodeFlag, NodeKind, is_beneath, join, relative
from capwrap.policy.rights import WHOLE

#: Host directories whose files are not what they seem to be: no grant in them is decided by registers alone, and what
#: lies on a file system of the kernel's there belongs to no grant that merely holds its mount point (grants.c).
SPECIAL = ("/proc", "/sys", "/dev")


def prune(space: Namespace) -> None:
    """Takes out what repeats the rule above it: a file of the closure in a granted directory, a deny in a deny.

    Without this, one file named twice would cost its whole directory the capability form.
    """
    order: list[Node] = []
    stack: list[tuple[Node, Node | None]] = [(space.root, None)]
    while stack:
        node, rule = stack.pop()
        order.append(node)
        if rule is not None or node.kind is not NodeKind.ANCESTOR:
            node.flags &= ~NodeFlag.SHOWN  # it is there anyway, and whole
        if rule is not None and _repeats(node, rule):
            node.kind, node.host, node.link, node.rights, node.flags = NodeKind.ANCESTOR, "", "", 0, 0
        below = node if node.kind in RULES and node.kind is not NodeKind.NAME else rule
        stack += [(child, below) for child in node.children.values()]
    for node in reversed(order):
        empty = node.kind is NodeKind.ANCESTOR and not node.children and not node.flags & NodeFlag.SHOWN
        if empty and node.parent is not None:
            del node.parent.children[node.name]
            del space.index[node.path]


def _repeats(node: Node, rule: Node) -> bool:
    if node.kind is NodeKind.DENY:
        return rule.kind is NodeKind.DENY
    if rule.kind is not NodeKind.DIR or (_is_special(node.host) and not _is_special(rule.host)):
        return False
    if node.kind is NodeKind.LINK:
        # The kernel follows the symlink itself; what it then finds is what is there, not what was there.
        return not node.implied and same_place(node, rule)
    if node.kind in (NodeKind.DIR, NodeKind.NAME):
        return node.rights == rule.rights and not node.flags & NodeFlag.DEVICE and same_place(node, rule)
    return False


def same_place(node: Node, rule: Node) -> bool:
    """Whether a node's host path is what its virtual path is in the directory above anyway."""
    return node.host == join(rule.host, relative(node.path, rule.path))


def settle_flags(space: Namespace) -> None:
    """Sets IDENTITY, and CAPFORM where image.h allows it (ARCHITECTURE.md, rules 7 and 8)."""
    candidates: set[int] = set()
    nodes = list(space.nodes())
    for node in nodes:
        if node.host and node.host == node.path:
            node.flags |= NodeFlag.IDENTITY
        if node.kind in (NodeKind.DIR, NodeKind.PRIVATE) and node.rights in WHOLE and not _special(node):
            candidates.add(id(node))
    for node in nodes:
        if node.kind is NodeKind.ANCESTOR:
            continue
        above = node.parent
        while above is not None:
            if id(above) in candidates and not _harmless(node, above):
                candidates.discard(id(above))
            above = above.parent
    for node in nodes:
        if id(node) in candidates and not any(may_match(pattern, node.path) for pattern in space.globs):
            node.flags |= NodeFlag.CAPFORM


def _special(node: Node) -> bool:
    return node.kind is NodeKind.DIR and (node.host == "/" or _is_special(node.host))


def _is_special(host: str) -> bool:
    return any(is_beneath(host, top) for top in SPECIAL)


def _harmless(node: Node, above: Node) -> bool:
    """Whether a lookup that starts at ``above`` and meets ``node``'s place gives no more than ``node`` would."""
    if node.kind is NodeKind.LINK:
        return above.kind is NodeKind.PRIVATE or same_place(node, above)
    if node.kind is not NodeKind.DIR or node.rights & above.rights != above.rights:
        return False
    return node.host == node.path if above.kind is NodeKind.PRIVATE else same_place(node, above)
