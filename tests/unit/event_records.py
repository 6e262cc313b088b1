"""Records as the engine writes them, for tests of what reads them; and a policy for them to be about."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from capwrap.observe import records
from capwrap.observe.records import NONE, EventType, ProcessEvent
from capwrap.policy import Policy, compile_image
from capwrap.policy._syscalls import ROWS
from capwrap.policy.rights import Right

NUMBERS = {row.name: row.number for row in ROWS}
READ, WRITE = int(Right.READ), int(Right.WRITE)
KINDS = {name: number for number, name in enumerate(records.KINDS)}


def record(
    kind_of: int,
    *,
    kind: int | str = 0,
    syscall: str = "openat",
    t: int = 1_500_000,
    pid: int = 12,
    tid: int = 12,
    result: int = 0,
    rights: int = 0,
    grant: int = NONE,
    grant2: int = NONE,
    path: bytes = b"",
    path2: bytes = b"",
    host: bytes = b"",
    extra: bytes = b"",
    asked: bytes = b"",
    asked2: bytes = b"",
    via: bytes = b"",
    registers: bytes = b"",
    surplus: bytes = b"",
) -> bytes:
    """A struct cw_event with its strings; `surplus` is what a later engine puts behind them."""
    strings = (path, path2, host, extra, asked, asked2, via, registers)
    body = b"".join(strings) + surplus
    body += bytes(-len(body) % 8)
    number = KINDS[kind] if isinstance(kind, str) else kind
    header = records.HEADER.pack(
        records.HEADER.size + len(body),
        kind_of,
        number,
        NUMBERS[syscall],
        t,
        pid,
        tid,
        result,
        rights,
        grant,
        grant2,
        *map(len, strings),
    )
    return header + body


def refusal_record(path: str | bytes, needs: int, kind: str = "not-granted", errno: int = 2, **more: Any) -> bytes:
    raw = path if isinstance(path, bytes) else os.fsencode(path)
    more.setdefault("host", raw)
    return record(EventType.REFUSAL, kind=kind, path=raw, rights=needs, result=-errno, **more)


def process(event: ProcessEvent, pid: int, result: int = 0, extra: bytes = b"") -> bytes:
    return record(EventType.PROCESS, kind=event, pid=pid, result=result, extra=extra, syscall="execve")


def granted_tree(tmp_path: Path) -> Path:
    """Directories and files to grant."""
    for name in ("lib/include", "mapped", "open", "search"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("lib/a.h", "lib/secret", "passwd", "search/word", "open/file"):
        (tmp_path / name).write_text(name)
    return tmp_path


def image_of(tree: Path) -> bytes:
    """The image of a policy for it: grants of every kind, denies, and one that lies elsewhere."""
    policy = (
        Policy()
        .rox(tree / "lib")
        .deny(str(tree / "lib" / "secret"))
        .deny(str(tree / "**" / "*.key"))
        .ro(tree / "passwd")
        .ro(tree / "mapped", "/virtual")
        .rw(tree / "open")
        .grant("lookup,fstat", tree / "search")
    )
    return compile_image(policy, command=None, cwd=str(tree), environ={})
