"""Writes and reads the policy image, whose format rewriters/image.h lays down.

The engine checks an image whole before it uses it (rewriters/image.c); the reader here serves what works with recorded
grant numbers, and the tests.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from capwrap.engine import landlock_abi
from capwrap.policy._sha256 import sha256
from capwrap.policy.build import build_namespace
from capwrap.policy.errors import PolicyError
from capwrap.policy.items import NET_MODES, VIOLATIONS, Address
from capwrap.policy.model import Policy
from capwrap.policy.namespace import Namespace, Node, NodeKind

MAGIC = b"CAPWRAP\0"
VERSION = 1
UNSET = (1 << 64) - 1
ALLOW_MEMFD_EXEC = 1 << 0
ALLOW_SCOPED = 1 << 1

# All little-endian and without padding of their own: every field lies at a multiple of its size.
HEADER = struct.Struct("<8sIIQ32s32s14I4I5Q")
NODE = struct.Struct("<12IQ")
GLOB = struct.Struct("<II")
INSN = struct.Struct("<HBBI")
RELOC = struct.Struct("<II")
ENV = struct.Struct("<IIII")
ADDR = struct.Struct("<IHH16s")
SECTIONS = ("strings", "nodes", "globs", "insns", "relocs", "envs", "addrs")
_RECORDS = {"nodes": NODE, "globs": GLOB, "insns": INSN, "relocs": RELOC, "envs": ENV, "addrs": ADDR}
_SCOPES_ABI = 6
_FAMILIES = {4: 2, 16: 10}  # bytes of the address -> AF_INET, AF_INET6


def compile_image(policy: Policy, *, command: Sequence[str] | None, cwd: str, environ: Mapping[str, str]) -> bytes:
    """The policy image for running ``command`` (None: no particular one) in ``cwd`` with the caller's ``environ``.

    Raises PolicyError where the policy cannot be used on this host.
    """
    return write_image(build_namespace(policy, command=command, cwd=cwd, environ=environ))


class _Strings:
    """The string section: each text once, with a NUL behind it."""

    def __init__(self) -> None:
        self._places: dict[bytes, int] = {b"": 0}
        self._chunks = [b"\0"]
        self._size = 1

    def add(self, text: str) -> tuple[int, int]:
        data = os.fsencode(text)
        if b"\0" in data:
            raise PolicyError(f"a NUL in {text!r}")
        place = self._places.get(data)
        if place is None:
            place = self._places[data] = self._size
            self._chunks.append(data + b"\0")
            self._size += len(data) + 1
        return place, len(data)

    def bytes(self) -> bytes:
        return b"".join(self._chunks)


def landlock_scopes() -> bool:
    """Whether Landlock's scopes for signals and abstract sockets are here: from ABI 6 on (Linux 6.12).

    The program is built for it; the engine refuses an image whose program counts on scopes that are not there.
    """
    return landlock_abi() >= _SCOPES_ABI


def write_image(space: Namespace) -> bytes:
    """The image of a namespace and the settings that it was built with."""
    from capwrap.policy import seccomp
    from capwrap.policy._syscalls import TABLE_SHA256
    from capwrap.policy.rights import Right

    settings = space.settings
    net = NET_MODES.index(settings.net)
    scopes = landlock_scopes()
    program = seccomp.build(
        net=net,
        allow_ioctls=settings.ioctls,
        limit_processes=settings.limits.processes is not None,
        landlock_scopes=scopes,
        hold_truncation=any(node.rights & Right.WRITE and not node.rights & Right.FTRUNCATE for node in space.nodes()),
    )
    strings = _Strings()
    sections: dict[str, tuple[int, bytes]] = {}

    def section(name: str, records: Sequence[bytes]) -> None:
        sections[name] = (len(records), b"".join(records))

    section("nodes", _nodes(space, strings))
    section("globs", [GLOB.pack(*strings.add(pattern)) for pattern in space.globs])
    section("insns", [INSN.pack(insn.code, insn.jt, insn.jf, insn.k) for insn in program.insns])
    section("relocs", [RELOC.pack(reloc.index, reloc.kind) for reloc in program.relocs])
    section("envs", [_env(name, value, strings) for name, value in space.env])
    section("addrs", [_address(address) for address in settings.addresses])
    text = strings.bytes()
    sections["strings"] = (len(text), text)

    body = bytearray()
    table: list[int] = []
    for name in SECTIONS:
        count, data = sections[name]
        table += (HEADER.size + len(body), count)
        body += data
        body += bytes(-len(body) % 8)
    header = HEADER.pack(
        MAGIC,
        VERSION,
        HEADER.size,
        HEADER.size + len(body),
        sha256(body).digest(),
        TABLE_SHA256,
        *table,
        net,
        VIOLATIONS.index(settings.violation.action),
        settings.violation.errno,
        (ALLOW_MEMFD_EXEC if settings.memfd_exec else 0) | (ALLOW_SCOPED if scopes else 0),
        *(UNSET if limit is None else limit for limit in settings.limits.in_order()),
    )
    return header + bytes(body)


def number_nodes(space: Namespace) -> list[Node]:
    """The nodes in the order of the image: breadth first, a node's children consecutive and sorted bytewise."""
    order = [space.root]
    for node in order:
        order += sorted(node.children.values(), key=lambda child: os.fsencode(child.name))
    return order


def _nodes(space: Namespace, strings: _Strings) -> list[bytes]:
    order = number_nodes(space)
    numbers = {id(node): number for number, node in enumerate(order)}
    records: list[bytes] = []
    next_child = 1
    for node in order:
        first = next_child if node.children else 0
        next_child += len(node.children)
        records.append(
            NODE.pack(
                *strings.add(node.name),
                0 if node.parent is None else numbers[id(node.parent)],
                first,
                len(node.children),
                node.kind,
                node.flags,
                0,
                *strings.add(node.host),
                *strings.add(node.link),
                node.rights,
            )
        )
    return records


def _env(name: str, value: str | None, strings: _Strings) -> bytes:
    text = name if value is None else f"{name}={value}"
    return ENV.pack(0 if value is None else 1, 0, *strings.add(text))


def _address(address: Address) -> bytes:
    op = 0 if address.op == "connect" else 1
    return ADDR.pack(op, _FAMILIES[len(address.packed)], address.port, address.packed)


@dataclass(frozen=True, slots=True)
class ImageNode:
    """A node as it stands in an image; ``path`` is its virtual place, ``parent`` its parent's number."""

    path: str
    parent: int
    kind: NodeKind
    flags: int
    host: str
    link: str
    rights: int


@dataclass(frozen=True, slots=True)
class Image:
    """What an image says. ``env``: (name or glob, value or None); ``addresses``: (op, family, port, packed)."""

    sha256: bytes
    table: bytes
    nodes: tuple[ImageNode, ...]
    globs: tuple[str, ...]
    insns: tuple[tuple[int, int, int, int], ...]
    relocs: tuple[tuple[int, int], ...]
    env: tuple[tuple[str, str | None], ...]
    addresses: tuple[tuple[int, int, int, bytes], ...]
    net: int
    violation: int
    violation_errno: int
    allow: int
    limits: tuple[int | None, ...]


def read_image(data: bytes) -> Image:
    """Reads an image. Raises PolicyError if it is none, of another version, cut short or changed."""
    if len(data) < HEADER.size or data[:8] != MAGIC:
        raise PolicyError("not a policy image", remedy="capwrap compile makes one")
    fields = HEADER.unpack_from(data)
    version, header_size, size, digest, table = fields[1:6]
    if version != VERSION or header_size != HEADER.size:
        raise PolicyError(f"a policy image of version {version}, not {VERSION}", remedy="compile the policy again")
    if size != len(data) or sha256(data[HEADER.size :]).digest() != digest:
        raise PolicyError("a damaged policy image", remedy="compile the policy again")
    places = {name: (fields[6 + 2 * i], fields[7 + 2 * i]) for i, name in enumerate(SECTIONS)}
    text_at, text_size = places["strings"]

    def records(name: str) -> list[tuple[int, ...]]:
        at, count = places[name]
        layout = _RECORDS[name]
        return list(layout.iter_unpack(data[at : at + count * layout.size]))

    def text(offset: int, length: int) -> str:
        if offset + length >= text_size:
            raise PolicyError("a damaged policy image", remedy="compile the policy again")
        return os.fsdecode(data[text_at + offset : text_at + offset + length])

    nodes: list[ImageNode] = []
    for record in records("nodes"):
        parent, kind, flags, rights = record[2], record[5], record[6], record[12]
        above = nodes[parent].path.rstrip("/") if nodes else ""
        path = f"{above}/{text(*record[:2])}"
        nodes.append(ImageNode(path, parent, NodeKind(kind), flags, text(*record[8:10]), text(*record[10:12]), rights))
    env: list[tuple[str, str | None]] = []
    for mode, _, at, length in records("envs"):
        name, equals, value = text(at, length).partition("=")
        env.append((name, value if mode == 1 and equals else None))
    addrs = ADDR.iter_unpack(data[places["addrs"][0] : places["addrs"][0] + places["addrs"][1] * ADDR.size])
    return Image(
        sha256=digest,
        table=table,
        nodes=tuple(nodes),
        globs=tuple(text(at, length) for at, length in records("globs")),
        insns=tuple((code, jt, jf, k) for code, jt, jf, k in records("insns")),
        relocs=tuple((index, kind) for index, kind in records("relocs")),
        env=tuple(env),
        addresses=tuple((op, family, port, packed[: 4 if family == 2 else 16]) for op, family, port, packed in addrs),
        net=fields[20],
        violation=fields[21],
        violation_errno=fields[22],
        allow=fields[23],
        limits=tuple(None if limit == UNSET else limit for limit in fields[24:29]),
    )
