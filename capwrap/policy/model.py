"""The policy as a value: a sequence of items, and what they come to once profiles and files are read in.

Nothing here touches the file system but ``Policy.load`` and the reading of profiles: what a policy means on a host is
settled when it is compiled (build.py).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import ClassVar

from capwrap.policy.errors import PolicyError
from capwrap.policy.files import profile_path
from capwrap.policy.items import (
    Address,
    Allow,
    ClearEnv,
    Deny,
    Empty,
    EnvRule,
    Feature,
    Grant,
    Item,
    Limit,
    Net,
    NetMode,
    OnViolation,
    PolicyFile,
    Private,
    Profile,
    UnixAddress,
    WorkDir,
    checked_path,
    checked_virtual,
    profile_item,
    read_policy_file,
)
from capwrap.policy.rights import RO, ROX, RW, RWX, Right, parse_rights


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

    grants: tuple[Grant, ...]
    denies: tuple[Deny, ...]
    privates: tuple[Private, ...]
    empties: tuple[Empty, ...]
    workdirs: tuple[WorkDir, ...]
    closure: bool
    proc: bool
    devices: bool
    env: tuple[EnvRule, ...]
    addresses: tuple[Address, ...]
    unix: tuple[UnixAddress, ...]
    net: NetMode
    limits: Limits
    memfd_exec: bool
    ioctls: frozenset[int]
    violation: OnViolation
    files: tuple[str, ...]  # profile and policy files that were read on the way


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
        empties=tuple(item for item in flat if isinstance(item, Empty)),
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
