"""The namespace of a run as its policy image has it: what a record's grant numbers and paths stand for.

Paths are taken by their text here, for a record has them without symlinks; nothing is decided, only explained.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from capwrap.observe.records import NONE
from capwrap.policy.image import read_image
from capwrap.policy.namespace import RULES, NodeKind

if TYPE_CHECKING:
    from capwrap.policy.image import ImageNode

GRANTS = RULES - {NodeKind.DENY}


class Namespace:
    """The virtual tree of a policy image. Raises PolicyError for what is none."""

    def __init__(self, image: bytes) -> None:
        content = read_image(image)
        self._nodes = content.nodes
        self._index = {node.path: node for node in content.nodes}
        self.globs = content.globs
        """the deny patterns"""

    def grant_path(self, number: int) -> str | None:
        """The virtual path of a record's grant; None for CW_NONE and for what the image does not have."""
        if number == NONE or number >= len(self._nodes):
            return None
        return self._nodes[number].path

    def deciding(self, path: str) -> ImageNode | None:
        """The deepest grant or denial that covers a path."""
        way = self._upwards(path)
        found = next((node for node in way if node.kind in RULES and _covers(node, path)), None)
        if found is not None and found.kind is NodeKind.PRIVATE and way[0] is not found:
            # What a private directory holds of the namespace's ancestors and links, and what would lie in them, exists
            # in the namespace alone.
            return None
        return found

    def nearest(self, path: str) -> ImageNode | None:
        """The grant closest to a path: the deepest that covers it, else the shallowest beneath the deepest directory
        that both share, and of several there the one with the most similar name. None if they share only the root.
        """
        way = self._upwards(path)
        for node in way:
            if node.kind in GRANTS and (node is way[0] or _covers(node, path)):
                return node
        shared = way[0].path
        if shared == "/":
            return None
        beneath = [node for node in self._nodes if node.kind in GRANTS and node.path.startswith(shared + "/")]
        return min(
            beneath,
            key=lambda node: (node.path.count("/"), -_common(node.path, path), node.path),
            default=None,
        )

    def host_of(self, path: str) -> str | None:
        """What a path would be on the host by the grant that covers it; None where there is none, or no host's."""
        node = self.deciding(path)
        if node is None or not node.host or node.kind not in (NodeKind.DIR, NodeKind.NAME):
            return None
        beneath = path[len(node.path.rstrip("/")) :]
        return (node.host.rstrip("/") + beneath) or "/"

    def _upwards(self, path: str) -> list[ImageNode]:
        """The nodes on the way to an absolute path, as far as the tree goes, the deepest first and the root last."""
        way = [self._index["/"]]
        at = ""
        for name in path.split("/"):
            if not name or name == ".":
                continue
            at = f"{at}/{name}"
            node = self._index.get(at)
            if node is None:
                break
            way.append(node)
        return way[::-1]


def _covers(node: ImageNode, path: str) -> bool:
    return node.kind is not NodeKind.NAME or node.path == path.rstrip("/")


def _common(one: str, other: str) -> int:
    """How many characters two paths begin with in common."""
    length = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        length += 1
    return length
