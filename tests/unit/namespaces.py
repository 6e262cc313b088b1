"""Namespaces made from policies, and what tests say of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from capwrap.policy import Policy
from capwrap.policy.build import build_namespace
from capwrap.policy.namespace import Namespace, Node, NodeFlag, NodeKind


def build(
    policy: Policy, cwd: Path | str = "/", environ: Mapping[str, str] | None = None, command: list[str] | None = None
) -> Namespace:
    return build_namespace(policy, command=command, cwd=str(cwd), environ=environ or {})


def shape(space: Namespace, above: Path | str = "/") -> dict[str, tuple[str, str]]:
    """The nodes that are no ancestors, by path beneath ``above``: kind, and rights, link text or host."""
    found = {}
    for node in space.nodes():
        if node.kind is NodeKind.ANCESTOR:
            continue
        text = node.link or (node.host if node.host != node.path else "") or _rights(node)
        found[os.path.relpath(node.path, above)] = (node.kind.name, text)
    return found


def _rights(node: Node) -> str:
    from capwrap.policy import format_rights

    return format_rights(node.rights)


def capform(space: Namespace, path: Path | str) -> bool:
    return bool(space.index[str(path)].flags & NodeFlag.CAPFORM)


def make_top(tmp_path: Path) -> Path:
    """A canonical directory with files, directories and symlinks of each sort."""
    top = tmp_path.resolve()
    (top / "usr/lib/sub").mkdir(parents=True)
    (top / "usr/lib/file").write_text("x")
    (top / "lib").symlink_to("usr/lib")
    (top / "abs").symlink_to(top / "usr")
    (top / "chain").symlink_to("abs/lib")
    (top / "usr/up").symlink_to("../lib/file")
    (top / "loop").symlink_to("loop")
    (top / "dangling").symlink_to("usr/nothing")
    (top / "work").mkdir()
    return top
