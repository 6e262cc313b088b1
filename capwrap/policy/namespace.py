"""The namespace: the virtual tree that the grants form, and what a path means in it.

build.py makes one from a policy; image.py writes it down for the engine; check.py answers questions about it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag

from capwrap.policy.errors import PolicyError
from capwrap.policy.globs import glob_regex
from capwrap.policy.host import MAX_LINKS, Host
from capwrap.policy.model import Settings
from capwrap.policy.observations import Kind

__all__ = [
    "RULES",
    "Lookup",
    "Namespace",
    "Node",
    "NodeFlag",
    "NodeKind",
    "glob_regex",
    "is_beneath",
    "join",
    "relative",
]


class NodeKind(IntEnum):
    """``enum cw_node_kind`` of rewriters/image.h."""

    ANCESTOR = 0
    DIR = 1
    NAME = 2
    DENY = 3
    LINK = 4
    PROC = 5
    PTS = 6
    PRIVATE = 7


class NodeFlag(IntFlag):
    """``enum cw_node_flags`` of rewriters/image.h."""

    CAPFORM = 1 << 0
    IDENTITY = 1 << 1
    OPTIONAL = 1 << 2
    SHM = 1 << 3
    STICKY = 1 << 4
    DEVICE = 1 << 5
    SHOWN = 1 << 6


#: Kinds that decide what lies at and beneath them. The others (ANCESTOR, LINK) take part in the lookup only.
RULES = frozenset((NodeKind.DIR, NodeKind.NAME, NodeKind.DENY, NodeKind.PROC, NodeKind.PTS, NodeKind.PRIVATE))


@dataclass(slots=True, eq=False)
class Node:
    """One name of the namespace. ``path`` is its virtual place; ``rights`` and ``flags`` are plain bit masks."""

    path: str
    parent: Node | None
    kind: NodeKind = NodeKind.ANCESTOR
    rights: int = 0
    flags: int = 0
    host: str = ""
    link: str = ""
    implied: bool = False  # by the devices' list, not met on the host
    additive: bool = False  # every grant that it comes from is additive (model.Grant)
    origin: str = ""  # the option or entry that it comes from, for messages
    children: dict[str, Node] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its last component; "" for the root."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Lookup:
    """Where a virtual path leads: the place, without symlinks; the symlinks followed; the rule that decides there."""

    place: str
    links: tuple[str, ...]
    rule: Node | None


@dataclass(slots=True)
class Namespace:
    """The tree, the deny patterns, and what the compile had to say about the policy.

    ``globs``: absolute patterns, as the engine matches them. ``notes``: rules that do not do what they seem to, a line
    each. ``settings``: the rest of the policy. ``env``: environment rules as (name or glob, value or None).
    """

    root: Node
    index: dict[str, Node]
    host: Host
    settings: Settings
    globs: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    env: tuple[tuple[str, str | None], ...] = ()

    def make(self, path: str) -> Node:
        """The node of a virtual path, made with its ancestors if it is not there."""
        missing: list[str] = []
        while path not in self.index:
            missing.append(path)
            path = path.rpartition("/")[0] or "/"
        node = self.index[path]
        for place in reversed(missing):
            child = self.index[place] = Node(place, node)
            node.children[child.name] = child
            node = child
        return node

    def rule(self, path: str) -> Node | None:
        """The deepest rule at or above a virtual place, or None. Globs are not asked."""
        while True:
            node = self.index.get(path)
            if node is not None and node.kind in RULES and (node.kind is not NodeKind.NAME or node.path == path):
                return node
            if path == "/":
                return None
            path = path.rpartition("/")[0] or "/"

    def host_path(self, path: str) -> str | None:
        """The host path of a virtual place, where a grant gives it one."""
        rule = self.rule(path)
        if rule is None or not rule.host:
            return None
        return rule.host if rule.path == path else join(rule.host, relative(path, rule.path))

    def lookup(self, path: str, *, follow: bool = True) -> Lookup:
        """Follows an absolute virtual path through the symlinks of the namespace and of the granted directories.

        With ``follow`` also a symlink at the end. Raises PolicyError above 40 symlinks.
        """
        cwd = ""
        links: list[str] = []
        rest = _split(path)
        while rest:
            name = rest.pop()
            if name == "..":
                cwd = cwd.rpartition("/")[0]
                continue
            here = f"{cwd}/{name}"
            text = self._link_text(here) if rest or follow else None
            if text is None:
                cwd = here
                continue
            links.append(here)
            if len(links) > MAX_LINKS:
                raise PolicyError(f"too many symbolic links in `{path}`")
            if text.startswith("/"):
                cwd = ""
            rest += _split(text)
        place = cwd or "/"
        return Lookup(place, tuple(links), self.rule(place))

    def _link_text(self, place: str) -> str | None:
        node = self.index.get(place)
        if node is not None and node.kind is NodeKind.LINK:
            return node.link
        host = self.host_path(place)
        if host is None or (host + "/").startswith("/proc/"):
            return None
        kind, text = self.host.look(host)
        return text if kind is Kind.LINK else None

    def denied_by_glob(self, place: str) -> str | None:
        """The deny pattern that matches a virtual place, if any."""
        for pattern in self.globs:
            if glob_regex(pattern).fullmatch(place):
                return pattern
        return None

    def nodes(self) -> Iterator[Node]:
        """All nodes, parents before children, children in the order of their names."""
        stack = [self.root]
        while stack:
            node = stack.pop()
            yield node
            stack += [node.children[name] for name in sorted(node.children, reverse=True)]


def join(directory: str, rest: str) -> str:
    """``directory``/``rest``, also where the directory is / or the rest is empty."""
    if not rest:
        return directory
    return f"{directory.rstrip('/')}/{rest}"


def relative(path: str, above: str) -> str:
    """The part of ``path`` beneath ``above``, without a leading slash."""
    return path[len(above) :].lstrip("/")


def is_beneath(path: str, above: str) -> bool:
    """Whether ``path`` is ``above`` or lies beneath it."""
    return path == above or path.startswith(above.rstrip("/") + "/")


def _split(path: str) -> list[str]:
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]
