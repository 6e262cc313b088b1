"""The items of a policy: each what one option or one entry of a policy file says, and what it is checked for.

Nothing here touches the file system but ``read_policy_file``: what the items mean on a host, with a current directory
and an environment, is settled when a policy is compiled (build.py).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from capwrap.policy.errors import PolicyError, Where
from capwrap.policy.files import PROFILE_DIR, read_policy_text
from capwrap.policy.rights import RWX, Right, did_you_mean

PROFILES = ("runtime", "base", "workspace")

NetMode: TypeAlias = Literal["none", "loopback", "host"]
ViolationAction: TypeAlias = Literal["errno", "trap", "stop", "kill"]
LimitName: TypeAlias = Literal["cpu", "memory", "files", "processes", "file-size"]
FeatureName: TypeAlias = Literal["closure", "proc", "devices"]
NET_MODES: tuple[NetMode, ...] = ("none", "loopback", "host")
VIOLATIONS: tuple[ViolationAction, ...] = ("errno", "trap", "stop", "kill")
LIMITS: tuple[LimitName, ...] = ("cpu", "memory", "files", "processes", "file-size")


@dataclass(frozen=True, slots=True)
class Profile:
    """A built-in profile by name; its items stand where this one does. A second time it adds nothing."""

    name: str
    where: Where | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """A policy file with the text that it had when it was loaded."""

    path: str
    text: str
    where: Where | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Grant:
    """Rights on a host path, seen by the target at ``virtual`` (None: at the same place).

    ``optional``: that the path does not exist is no error. ``additive``: it never takes away what a grant above it
    gives. ``expand``: ``path`` and ``virtual`` hold ``${VARIABLES}``.
    """

    path: str
    rights: Right
    virtual: str | None = None
    optional: bool = False
    additive: bool = False
    expand: bool = False
    where: Where | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Deny:
    """A path, or a glob (``is_glob``), carved out of the grants."""

    pattern: str
    is_glob: bool
    expand: bool = False
    where: Where | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Private:
    """A private empty directory, made at launch and removed afterwards. ``sticky``: mode 1777, else 0700."""

    path: str
    rights: Right = RWX
    sticky: bool = False
    optional: bool = False
    expand: bool = False
    where: Where | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Empty:
    """A directory that is there where the host has it, and shows nothing but what is granted beneath it."""

    path: str
    where: Where | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class WorkDir:
    """The current directory with these rights; refused where it is / or holds $HOME."""

    rights: Right
    where: Where | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Feature:
    """What is not a plain grant: ``closure`` (COMMAND's files), ``proc``, ``devices``."""

    name: FeatureName


@dataclass(frozen=True, slots=True)
class EnvRule:
    """A variable that is passed (``value`` None; ``name`` may then be a glob, ``LC_*``) or set."""

    name: str
    value: str | None = None
    expand: bool = False
    where: Where | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ClearEnv:
    """Forgets every environment rule before it."""


@dataclass(frozen=True, slots=True)
class Net:
    """The network mode; the last one counts."""

    mode: NetMode


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP address that may be connected to or bound. ``packed``: 4 or 16 bytes, network order; port 0: any."""

    op: Literal["connect", "bind"]
    packed: bytes
    port: int


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A unix socket by path that may be connected to or bound."""

    op: Literal["connect", "bind"]
    path: str
    expand: bool = False
    where: Where | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Limit:
    """A resource limit in seconds (cpu), bytes (memory, file-size) or a count (files, processes)."""

    name: LimitName
    value: int


@dataclass(frozen=True, slots=True)
class Allow:
    """An exception by name: ``memfd-exec``, or an ioctl request number."""

    memfd_exec: bool = False
    ioctl: int | None = None


@dataclass(frozen=True, slots=True)
class OnViolation:
    """What a refusal does to the target. ``errno`` 0: as the contract says."""

    action: ViolationAction
    errno: int = 0


Item: TypeAlias = (
    Profile
    | PolicyFile
    | Grant
    | Deny
    | Private
    | Empty
    | WorkDir
    | Feature
    | EnvRule
    | ClearEnv
    | Net
    | Address
    | UnixAddress
    | Limit
    | Allow
    | OnViolation
)


def checked_path(path: str) -> str:
    """The path, if it can be one: not empty, without a NUL, and not longer than the kernel takes (limits.h)."""
    if not path:
        raise PolicyError("an empty path", remedy="name a file or directory; `.` is the current directory")
    if "\0" in path:
        raise PolicyError(f"a NUL in the path {path!r}")
    encoded = os.fsencode(path)
    if len(encoded) >= 4096 or max(map(len, encoded.split(b"/"))) > 255:
        raise PolicyError(f"the path {path[:40]}... is too long", remedy="a path has 4095 bytes at most, a name 255")
    return path


def checked_virtual(virtual: str | None) -> str | None:
    """A virtual path in its normal form: absolute, no `..`, no doubled or trailing slash."""
    if virtual is None:
        return None
    checked_path(virtual)
    if not virtual.startswith("/"):
        raise PolicyError(f"the virtual path `{virtual}` is not absolute", remedy="write PATH=/VIRTUAL")
    parts = [part for part in virtual.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise PolicyError(f"`..` in the virtual path `{virtual}`", remedy="write the path that is meant")
    return "/" + "/".join(parts)


def profile_item(name: str, where: Where | None = None) -> Profile:
    """The item for a built-in profile; PolicyError if there is none of that name."""
    if name not in PROFILES:
        known = "the built-in profiles are " + ", ".join(PROFILES)
        raise PolicyError(f"no profile `{name}`", where=where, remedy=did_you_mean(name, PROFILES) or known)
    return Profile(name, where)


def read_policy_file(path: str, where: Where | None = None) -> PolicyFile:
    """The item for a policy file with its text; PolicyError if it cannot be read or is not UTF-8."""
    return PolicyFile(*read_policy_text(path, where), where)


def origin(where: Where | None) -> str:
    """What a rule comes from, for messages: ``profile base``, ``policy.toml:3``, or "" for an option."""
    if where is None:
        return ""
    if where.file.startswith(PROFILE_DIR):
        return "profile " + where.file.rpartition("/")[2].removesuffix(".toml")
    return f"{where.file}:{where.line}"
