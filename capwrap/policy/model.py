"""The policy as a value: a sequence of items, each what one option or one entry of a policy file says.

Nothing here touches the file system but ``Policy.load``: what the items mean on a host, with a current directory and
an environment, is settled when a policy is compiled (namespace.py).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

from capwrap.policy.errors import PolicyError, Where
from capwrap.policy.rights import RO, ROX, RW, RWX, Right, did_you_mean, parse_rights

PROFILES = ("runtime", "base", "workspace")
PROFILE_DIR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "profiles")

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


@dataclass(frozen=True, slots=True)
class Limits:
    """Resource limits; None: not set. Seconds, bytes, count, count, bytes."""

    cpu: int | None = None
    memory: int | None = None
    files: int | None = None
    processes: int | None = None
    file_size: int | None = None

    def in_order(self) -> tuple[int | None, ...]:
        """In the order of ``enum cw_limit`` (rewriters/image.h)."""
        return (self.cpu, self.memory, self.files, self.processes, self.file_size)


@dataclass(frozen=True, slots=True)
class Settings:
    """A policy with its profiles and files read in and what is said twice settled; paths are still as written."""

    grants: tuple[Grant, ...] = ()
    denies: tuple[Deny, ...] = ()
    privates: tuple[Private, ...] = ()
    workdirs: tuple[WorkDir, ...] = ()
    closure: bool = False
    proc: bool = False
    devices: bool = False
    env: tuple[EnvRule, ...] = ()
    addresses: tuple[Address, ...] = ()
    unix: tuple[UnixAddress, ...] = ()
    net: NetMode = "none"
    limits: Limits = Limits()
    memfd_exec: bool = False
    ioctls: frozenset[int] = frozenset()
    violation: OnViolation = OnViolation("errno")
    files: tuple[str, ...] = ()  # profile and policy files that were read on the way


@dataclass(frozen=True, slots=True)
class Policy:
    """What a target may do. A value: every method gives a new policy, and ``Policy()`` permits nothing.

    Paths given to the methods are taken literally; a relative one is relative to the current directory of the run.
    """

    items: tuple[Item, ...] = ()

    DEFAULT_PROFILE: ClassVar[str] = "workspace"

    def add(self, *items: Item) -> Policy:
        """The policy with these items behind its own."""
        return Policy(self.items + items)

    def ro(self, path: str | os.PathLike[str], virtual: str | None = None) -> Policy:
        """Read, list, stat."""
        return self.grant(RO, path, virtual)

    def rox(self, path: str | os.PathLike[str], virtual: str | None = None) -> Policy:
        """Read, list, stat and execute."""
        return self.grant(ROX, path, virtual)

    def rw(self, path: str | os.PathLike[str], virtual: str | None = None) -> Policy:
        """Read, and create, write, rename, delete, change attributes."""
        return self.grant(RW, path, virtual)

    def rwx(self, path: str | os.PathLike[str], virtual: str | None = None) -> Policy:
        """As ``rw``, and execute."""
        return self.grant(RWX, path, virtual)

    def grant(self, rights: Right | str, path: str | os.PathLike[str], virtual: str | None = None) -> Policy:
        """Explicit rights: a mask, or text such as ``"read,lookup,fstat"``."""
        mask = parse_rights(rights) if isinstance(rights, str) else Right(rights)
        return self.add(Grant(checked_path(os.fspath(path)), mask, checked_virtual(virtual)))

    def private(self, path: str | os.PathLike[str], rights: Right | str = RWX, *, sticky: bool = False) -> Policy:
        """A private empty directory at ``path``, removed after the run. ``sticky``: mode 1777, else 0700."""
        mask = parse_rights(rights) if isinstance(rights, str) else Right(rights)
        return self.add(Private(checked_path(os.fspath(path)), mask, sticky))

    def deny(self, pattern: str | os.PathLike[str]) -> Policy:
        """Carve a path, or what a glob matches, out of the grants; it need not exist yet."""
        from capwrap.policy import options

        return self.add(options.parse_deny_option(os.fspath(pattern)))

    def env(self, name: str, value: str | None = None) -> Policy:
        """Pass the caller's variable ``name`` (or what a glob matches), or set it to ``value``."""
        from capwrap.policy import options

        return self.add(options.env_rule(name, value))

    def clear_env(self) -> Policy:
        """Forget every environment rule so far."""
        return self.add(ClearEnv())

    def net(self, mode: str) -> Policy:
        """``none`` (the default), ``loopback`` or ``host``."""
        from capwrap.policy import options

        return self.add(options.parse_net_option(mode))

    def connect(self, spec: str) -> Policy:
        """Permit connecting to ``tcp:ADDR:PORT`` or ``unix:PATH``."""
        from capwrap.policy import options

        return self.add(options.parse_address_option(spec, "connect"))

    def bind(self, spec: str) -> Policy:
        """Permit binding ``tcp:ADDR:PORT`` or ``unix:PATH``."""
        from capwrap.policy import options

        return self.add(options.parse_address_option(spec, "bind"))

    def limit(self, name: str, value: int | str) -> Policy:
        """Limit ``cpu`` (seconds), ``memory``, ``file-size`` (bytes, or with K, M, G), ``files`` or ``processes``."""
        from capwrap.policy import options

        return self.add(options.limit_item(name, value))

    def allow(self, what: str) -> Policy:
        """Permit ``memfd-exec``, or ``ioctl:NUMBER``."""
        from capwrap.policy import options

        return self.add(options.parse_allow_option(what))

    def on_violation(self, spec: str) -> Policy:
        """``errno``, ``errno:NAME``, ``trap``, ``stop`` or ``kill``."""
        from capwrap.policy import options

        return self.add(options.parse_violation_option(spec))

    def merge(self, other: Policy) -> Policy:
        """Both: grants add up; where only one can hold (net, limits, ...), ``other`` counts."""
        return Policy(self.items + other.items)

    @classmethod
    def profile(cls, name: str) -> Policy:
        """A built-in profile: ``runtime``, ``base`` or ``workspace``. It is read when the policy is compiled."""
        return cls((profile_item(name),))

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, lazy: bool = False) -> Policy:
        """The policy of a TOML file (capwrap-policy(5)).

        Raises PolicyError where the file cannot be read or used. With ``lazy`` the text is read now and parsed when
        the policy is first needed, so that a run that finds its image in the cache never parses it; the PolicyError
        for what is wrong in it comes then.
        """
        policy = cls((read_policy_file(os.fspath(path)),))
        if not lazy:
            policy.settings()
        return policy

    def settings(self) -> Settings:
        """What the policy says with its profiles and files read in. Raises PolicyError where one cannot be used."""
        flat: list[Item] = []
        files: dict[str, None] = {}
        _flatten(self.items, flat, files, stack=())
        return _settle(flat, tuple(files))


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
    full = os.path.abspath(path)
    try:
        with open(full, encoding="utf-8", newline="") as file:
            return PolicyFile(full, file.read(), where)
    except OSError as error:
        reason = error.strerror or str(error)
        raise PolicyError(f"cannot read the policy {path}: {reason}", where=where) from error
    except UnicodeDecodeError as error:
        raise PolicyError(f"the policy {path} is not UTF-8 (byte {error.start})", where=where) from error


def origin(where: Where | None) -> str:
    """What a rule comes from, for messages: ``profile base``, ``policy.toml:3``, or "" for an option."""
    if where is None:
        return ""
    if where.file.startswith(PROFILE_DIR):
        return "profile " + where.file.rpartition("/")[2].removesuffix(".toml")
    return f"{where.file}:{where.line}"


def profile_path(name: str) -> str:
    """Where the TOML file of a built-in profile lies."""
    return os.path.join(PROFILE_DIR, f"{name}.toml")


def _settle(flat: list[Item], files: tuple[str, ...]) -> Settings:
    """Puts flattened items where they belong; where only one can hold, the last does."""
    env: list[EnvRule] = []
    net: NetMode = "none"
    limits: dict[str, int] = {}
    violation = OnViolation("errno")
    for item in flat:
        match item:
            case EnvRule():
                # The later rule for one name counts; a glob is a name of its own.
                env = [rule for rule in env if rule.name != item.name]
                env.append(item)
            case ClearEnv():
                env = []
            case Net(mode):
                net = mode
            case Limit(name, value):
                limits[name.replace("-", "_")] = value
            case OnViolation():
                violation = item
            case _:
                pass
    return Settings(
        grants=tuple(item for item in flat if isinstance(item, Grant)),
        denies=tuple(item for item in flat if isinstance(item, Deny)),
        privates=tuple(item for item in flat if isinstance(item, Private)),
        workdirs=tuple(item for item in flat if isinstance(item, WorkDir)),
        closure=Feature("closure") in flat,
        proc=Feature("proc") in flat,
        devices=Feature("devices") in flat,
        env=tuple(env),
        addresses=tuple(dict.fromkeys(item for item in flat if isinstance(item, Address))),
        unix=tuple(item for item in flat if isinstance(item, UnixAddress)),
        net=net,
        limits=Limits(**limits),
        memfd_exec=any(isinstance(item, Allow) and item.memfd_exec for item in flat),
        ioctls=frozenset(item.ioctl for item in flat if isinstance(item, Allow) and item.ioctl is not None),
        violation=violation,
        files=files,
    )


def _flatten(items: tuple[Item, ...], flat: list[Item], files: dict[str, None], stack: tuple[str, ...]) -> None:
    for item in items:
        if isinstance(item, Profile):
            source = read_policy_file(profile_path(item.name), item.where)
        elif isinstance(item, PolicyFile):
            source = item
        else:
            flat.append(item)
            continue
        if source.path in stack:
            chain = " -> ".join(os.path.basename(path) for path in (*stack, source.path))
            raise PolicyError(f"policies that extend each other: {chain}", where=item.where, remedy="break the circle")
        if source.path in files:
            continue
        files[source.path] = None
        # tomllib takes longer to import than a cached policy takes to load.
        from capwrap.policy.toml_format import parse_policy

        _flatten(parse_policy(source.text, source.path), flat, files, (*stack, source.path))
