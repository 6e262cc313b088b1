"""Rights under their Capsicum names (FreeBSD rights(4)); the bits come from rewriters/rights.tbl."""

from __future__ import annotations

import enum
from collections.abc import Iterable

from capwrap.policy import _rights
from capwrap.policy.errors import PolicyError

_N = _rights.NAMES


class Right(enum.IntFlag):
    """What a grant permits. ``CAP_READ`` of rights(4) is ``Right.READ`` here and ``read`` in policies."""

    READ = 1 << _N["read"]
    WRITE = 1 << _N["write"]
    SEEK = 1 << _N["seek"]
    LOOKUP = 1 << _N["lookup"]
    FSTAT = 1 << _N["fstat"]
    FSTATFS = 1 << _N["fstatfs"]
    FCHDIR = 1 << _N["fchdir"]
    MMAP = 1 << _N["mmap"]
    FLOCK = 1 << _N["flock"]
    EVENT = 1 << _N["event"]
    EXTATTR_GET = 1 << _N["extattr_get"]
    EXTATTR_LIST = 1 << _N["extattr_list"]
    FEXECVE = 1 << _N["fexecve"]
    CREATE = 1 << _N["create"]
    FTRUNCATE = 1 << _N["ftruncate"]
    FCHMOD = 1 << _N["fchmod"]
    FCHOWN = 1 << _N["fchown"]
    FCHFLAGS = 1 << _N["fchflags"]
    FUTIMES = 1 << _N["futimes"]
    FSYNC = 1 << _N["fsync"]
    MKDIRAT = 1 << _N["mkdirat"]
    MKFIFOAT = 1 << _N["mkfifoat"]
    MKNODAT = 1 << _N["mknodat"]
    SYMLINKAT = 1 << _N["symlinkat"]
    LINKAT_SOURCE = 1 << _N["linkat_source"]
    LINKAT_TARGET = 1 << _N["linkat_target"]
    RENAMEAT_SOURCE = 1 << _N["renameat_source"]
    RENAMEAT_TARGET = 1 << _N["renameat_target"]
    UNLINKAT = 1 << _N["unlinkat"]
    EXTATTR_SET = 1 << _N["extattr_set"]
    EXTATTR_DELETE = 1 << _N["extattr_delete"]
    BINDAT = 1 << _N["bindat"]
    CONNECTAT = 1 << _N["connectat"]
    IOCTL = 1 << _N["ioctl"]


NONE = Right(0)
RO = Right(_rights.RO)
ROX = Right(_rights.ROX)
RW = Right(_rights.RW)
RWX = Right(_rights.RWX)

#: The sets that have a name of their own, as ``--ro`` and its kin give them.
SETS: dict[str, Right] = {"ro": RO, "rox": ROX, "rw": RW, "rwx": RWX}

#: The masks for which a directory grant can have a capability form (ARCHITECTURE.md, rule 8).
WHOLE: frozenset[int] = frozenset(int(mask) for mask in SETS.values())

#: What a character device of the list permits: its data, and what ``>/dev/null`` asks for, but never its name or
#: attributes: run by root, a target with ``unlinkat`` or ``fchmod`` on /dev/null would change the host's.
DEVICE = RO | Right.WRITE | Right.CREATE | Right.FTRUNCATE | Right.FSYNC

#: What ``--connect unix:PATH`` and ``--bind unix:PATH`` add to what the name has already.
CONNECT = Right.CONNECTAT | Right.LOOKUP | Right.FSTAT
BIND = Right.BINDAT | Right.LOOKUP | Right.FSTAT

_BY_NAME: dict[str, Right] = {name: Right(1 << bit) for name, bit in _N.items()} | SETS
_IN_ORDER: tuple[tuple[str, int], ...] = tuple(sorted(((n, 1 << b) for n, b in _N.items()), key=lambda item: item[1]))
_SET_NAMES: dict[int, str] = {int(mask): name for name, mask in SETS.items()}


def parse_rights(text: str) -> Right:
    """``read,lookup,fstat``, ``CAP_READ``, ``ro``, or a mixture; PolicyError for a name that is none, or for none."""
    result = NONE
    for word in text.split(","):
        name = word.strip().lower().removeprefix("cap_")
        right = _BY_NAME.get(name)
        if right is None:
            message = f"unknown right `{word.strip()}`" if word.strip() else f"empty right in `{text}`"
            general = "rights have Capsicum names, such as read,lookup,fstat, or are sets: ro, rox, rw, rwx"
            raise PolicyError(message, remedy=did_you_mean(name, _BY_NAME) or general)
        result |= right
    return result


def right_names(rights: int) -> tuple[str, ...]:
    """The names of single rights, in the order of the table."""
    return tuple(name for name, bit in _IN_ORDER if rights & bit)


def format_rights(rights: int) -> str:
    """The shortest text that ``parse_rights`` reads back: a set's name, or names with commas; ``none`` for 0."""
    if rights in _SET_NAMES:
        return _SET_NAMES[rights]
    # A set and what goes beyond it reads better than thirty names.
    for mask, name in sorted(_SET_NAMES.items(), key=lambda item: -item[0].bit_count()):
        if rights & mask == mask:
            return ",".join((name, *right_names(rights & ~mask)))
    return ",".join(right_names(rights)) or "none"


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """``did you mean `rox`?`` for a word close to one or two known ones, else None."""
    from difflib import get_close_matches

    close = get_close_matches(word, list(known), n=2, cutoff=0.6)
    return "did you mean " + " or ".join(f"`{name}`" for name in close) + "?" if close else None
