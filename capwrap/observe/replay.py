"""A record held against a policy, without running anything: what would be refused, and which grants nobody used."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from capwrap.observe.needs import ANCESTOR, ASKS, EXECS, FIRST_NAME, SECOND_NAME, rights_of
from capwrap.policy.check import Decision, decide
from capwrap.policy.errors import PolicyError
from capwrap.policy.namespace import Namespace, NodeKind
from capwrap.policy.rights import RO, Right, format_rights, right_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from capwrap.observe.reading import Record
    from capwrap.policy.namespace import Node

GROUPS_MAX = 10_000
"""different refusals that are told apart; others are counted"""
SEEN_MAX = 100_000
"""what the host was asked and is remembered"""
_ABSENT = (-errno.ENOENT, -errno.ENOTDIR)
_NO_FOLLOW = frozenset(
    [
        "lstat",
        "readlink",
        "readlinkat",
        "unlink",
        "unlinkat",
        "rename",
        "renameat",
        "renameat2",
        "symlink",
        "symlinkat",
        "link",
        "linkat",
        "mkdir",
        "mkdirat",
        "mknod",
        "mknodat",
        "rmdir",
        "lchown",
    ]
)


@dataclass(slots=True)
class Refused:
    """Calls that the policy would refuse, alike but for their time."""

    object: str
    reason: str
    needs: tuple[str, ...]
    calls: dict[str, None] = field(default_factory=dict)
    count: int = 0


class Replay:
    """One policy, and the records that are held against it."""

    def __init__(self, space: Namespace) -> None:
        self._space = space
        self._used: set[int] = set()
        self.refused: dict[tuple[str, str, tuple[str, ...]], Refused] = {}
        self.count = 0
        """calls that would be refused"""
        self.calls = 0
        self._decide = lru_cache(maxsize=1 << 14)(self._decided)

    def take(self, records: Iterable[Record]) -> None:
        """The lines of a record."""
        for record in records:
            kind = record["type"]
            if kind == "access":
                self.calls += 1
                self._names(record, record["rights"], record["result"] in _ABSENT)
            elif kind == "refusal":
                self.calls += 1
                self._refusal(record)

    def _refusal(self, record: Record) -> None:
        kind, address = record["kind"], record.get("address") or ""
        settings = self._space.settings
        if kind == "network" and not record["path"]:
            if settings.net != "host" and not self._permitted(record["syscall"], address):
                self._refuse(record, address or f"{record['syscall']}()", "this address is not permitted", ())
        elif kind == "syscall" and address.startswith("ioctl:"):
            if int(address.removeprefix("ioctl:") or "0", 0) not in settings.ioctls:
                self._refuse(record, address, "this request is not allowed", ())
        elif record["path"].startswith(("/memfd:", "memfd:")) or record["path"].endswith(" (deleted)"):
            if not settings.memfd_exec:
                self._refuse(record, record["path"], "memory files may not be executed", ())
        elif not record["path"].startswith("/") or kind in ("signal", "process", "syscall", "descriptor"):
            self._refuse(record, record["path"] or f"{record['syscall']}()", "no policy allows it", ())
        else:
            self._names(record, record["needs"], False)

    def _permitted(self, syscall: str, address: str) -> bool:
        from capwrap.policy.items import Address
        from capwrap.policy.options import parse_address_option

        op = "bind" if syscall in ("bind", "listen") else "connect"
        try:
            wanted = parse_address_option(address, "bind" if op == "bind" else "connect")
        except PolicyError:
            return False
        return isinstance(wanted, Address) and any(
            each.op == op and each.packed == wanted.packed and each.port in (0, wanted.port)
            for each in self._space.settings.addresses
        )

    def _names(self, record: Record, names: list[str], absent: bool) -> None:
        needs = rights_of(tuple(names), RO)  # of a later version: no less than reading
        path, path2 = record["path"], record.get("path2")
        if record["syscall"] in ASKS:
            needs &= Right.FSTAT  # a no is an answer, and nothing is refused
        if record["syscall"] in EXECS:
            needs |= Right.FEXECVE
            self._name(record, path, needs, absent)
            if path2 and not absent:
                self._name(record, record.get("asked2") or path2, Right.FEXECVE, False)
        elif path2:
            self._name(record, path, needs & ~SECOND_NAME, absent)
            self._name(record, path2, needs & ~FIRST_NAME, absent)
        else:
            self._name(record, path, needs, absent)

    def _name(self, record: Record, path: str, needs: Right, absent: bool) -> None:
        if not path.startswith("/"):
            return
        found = self._decide(path, record["syscall"] not in _NO_FOLLOW)
        if isinstance(found, str):
            if not absent:
                self._refuse(record, path, found, right_names(int(needs)))
            return
        rule = found.grant
        if rule is None:
            node = self._space.index.get(found.place)
            virtual = node is not None and node.kind in (NodeKind.ANCESTOR, NodeKind.LINK) and found.pattern is None
            if absent or (virtual and not needs & ~ANCESTOR):
                return
            self._refuse(record, path, found.reason, right_names(int(needs or Right.FSTAT)))
            return
        served = rule.kind in (NodeKind.PROC, NodeKind.PTS) and record["type"] == "access"
        missing = needs & ~Right(found.rights)
        if rule.kind is NodeKind.DENY or (missing and not served):
            # a name that is not there is answered before a right is asked for
            if not absent:
                self._refuse(record, path, found.reason, right_names(int(missing or needs)))
            return
        self._used.add(id(rule))

    def _decided(self, path: str, follow: bool) -> Decision | str:
        host = self._space.host
        if len(host.seen) > SEEN_MAX:
            host.forget()
        try:
            return decide(self._space, path, follow=follow)
        except PolicyError as error:
            return error.message

    def _refuse(self, record: Record, what: str, reason: str, needs: tuple[str, ...]) -> None:
        self.count += 1
        key = (what, reason, needs)
        group = self.refused.get(key)
        if group is None:
            if len(self.refused) >= GROUPS_MAX:
                return
            group = self.refused[key] = Refused(what, reason, needs)
        group.count += 1
        group.calls[record["syscall"]] = None

    def unused(self) -> Iterator[tuple[str, str, str]]:
        """Grants that no call used: (virtual path, rights, what they come from). Those that the devices or COMMAND's
        own files bring are not told of.
        """
        return (grant[:3] for grant in self.grants() if not grant[3])

    def grants(self) -> Iterator[tuple[str, str, str, bool]]:
        """The same grants, used or not: (virtual path, rights, what they come from, whether a call used it)."""
        for node in self._space.nodes():
            if _is_grant(node) and node.origin:
                yield node.path, format_rights(node.rights), node.origin, id(node) in self._used


def _is_grant(node: Node) -> bool:
    return node.kind in (NodeKind.DIR, NodeKind.NAME, NodeKind.PRIVATE)
