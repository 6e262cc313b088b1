"""The values of command-line options, which policy files use too: text in, items of items.py out.

Every function raises PolicyError with a remedy for what it cannot read.
"""

from __future__ import annotations

import errno
import re
from typing import Literal

from capwrap.policy.errors import PolicyError
from capwrap.policy.globs import check_glob, is_glob
from capwrap.policy.ioctls import NEVER, STOP
from capwrap.policy.items import (
    LIMITS,
    NET_MODES,
    VIOLATIONS,
    Address,
    Allow,
    Deny,
    EnvRule,
    Grant,
    Limit,
    LimitName,
    Net,
    OnViolation,
    UnixAddress,
    checked_path,
    checked_virtual,
)
from capwrap.policy.rights import SETS, Right, did_you_mean, parse_rights

_ENV_NAME = re.compile(r"[^=\0]+\Z")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_SIZES: frozenset[LimitName] = frozenset(("memory", "file-size"))
_MAX = (1 << 64) - 2  # UINT64_MAX stands for "not set" in the image


def split_path(text: str) -> tuple[str, str | None]:
    """``PATH[=VIRTUAL]`` as (path, virtual).

    The last ``=/`` divides the two, for a virtual path is absolute: ``a=b`` is a path, and a path that itself holds
    ``=/`` is written with its virtual path behind it; where that is the same path, the middle divides them.
    """
    half = len(text) // 2
    if text.startswith("/") and text[:half] + "=" + text[:half] == text:
        return checked_path(text[:half]), checked_virtual(text[:half])
    path, equals, virtual = text.rpartition("=/")
    if not equals:
        return checked_path(text), None
    return checked_path(path), checked_virtual("/" + virtual)


def parse_path_option(text: str, rights: Right | str) -> Grant:
    """``PATH[=VIRTUAL]`` of --ro, --rox, --rw and --rwx; ``rights`` is a mask or a set's name."""
    path, virtual = split_path(text)
    return Grant(path, SETS[rights] if isinstance(rights, str) else rights, virtual)


def parse_grant_option(text: str) -> Grant:
    """``RIGHTS:PATH[=VIRTUAL]`` of --grant."""
    rights, colon, rest = text.partition(":")
    if not colon:
        raise PolicyError(f"no rights in `{text}`", remedy="write RIGHTS:PATH, such as read,lookup,fstat:/data")
    path, virtual = split_path(rest)
    return Grant(path, parse_rights(rights), virtual)


def parse_deny_option(text: str) -> Deny:
    """``PATH`` or ``GLOB`` of --deny."""
    checked_path(text)
    if is_glob(text):
        check_glob(text)
    return Deny(text, is_glob(text))


def env_rule(name: str, value: str | None = None) -> EnvRule:
    """A rule that passes ``name`` (also a glob) or sets it."""
    if not _ENV_NAME.match(name):
        raise PolicyError(f"`{name}` is no name of a variable", remedy="write NAME, NAME=VALUE or a glob such as LC_*")
    if value is not None and is_glob(name):
        raise PolicyError(f"a glob cannot be set: `{name}={value}`", remedy="name one variable")
    if value is not None and "\0" in value:
        raise PolicyError(f"a NUL in the value of {name}")
    return EnvRule(name, value)


def parse_env_option(text: str) -> EnvRule:
    """``NAME``, ``NAME=VALUE`` or ``GLOB`` of --env."""
    name, equals, value = text.partition("=")
    return env_rule(name, value if equals else None)


def parse_net_option(text: str) -> Net:
    """``none``, ``loopback`` or ``host`` of --net."""
    for mode in NET_MODES:
        if text == mode:
            return Net(mode)
    raise PolicyError(f"unknown network mode `{text}`", remedy=_choices(text, NET_MODES))


def parse_address_option(text: str, op: Literal["connect", "bind"]) -> Address | UnixAddress:
    """``tcp:ADDR:PORT`` (IPv4, ``[IPv6]``; PORT a number or ``*``) or ``unix:PATH`` of --connect and --bind."""
    kind, _, rest = text.partition(":")
    if kind == "unix":
        return UnixAddress(op, checked_path(rest))
    if kind != "tcp":
        raise PolicyError(f"`{text}` is no address", remedy="write tcp:ADDR:PORT or unix:PATH")
    host, colon, port_text = rest.rpartition(":")
    if not colon or not host:
        raise PolicyError(f"no port in `{text}`", remedy="write tcp:ADDR:PORT, with `*` for any port")
    return Address(op, _packed_address(host, text), _port(port_text, text))


def _packed_address(host: str, text: str) -> bytes:
    from socket import AF_INET, AF_INET6, inet_pton

    bracketed = host.startswith("[") and host.endswith("]")
    try:
        return inet_pton(AF_INET6, host[1:-1]) if bracketed else inet_pton(AF_INET, host)
    except (OSError, ValueError) as error:
        if host == "*":
            remedy = "every address is two: 0.0.0.0 and [::]"
        elif ":" in host and not bracketed:
            remedy = f"an IPv6 address stands in brackets: tcp:[{host}]:PORT"
        else:
            remedy = "addresses are numeric, such as 127.0.0.1 or [::1]; look the name up first"
        raise PolicyError(f"`{host}` in `{text}` is no IPv4 or [IPv6] address", remedy=remedy) from error


def _port(port: str, text: str) -> int:
    if port == "*":
        return 0
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise PolicyError(f"`{port}` in `{text}` is no port", remedy="a port is 1 to 65535, or `*` for any")
    return int(port)


def parse_limit_option(text: str) -> Limit:
    """``NAME=VALUE`` of --limit; memory and file-size take K, M and G (powers of 1024)."""
    name, equals, value = text.partition("=")
    if not equals:
        raise PolicyError(f"no value in `{text}`", remedy="write NAME=VALUE, such as memory=2G")
    return limit_item(name, value)


def limit_item(name: str, value: int | str) -> Limit:
    """A limit from its name and a number, or text as of --limit."""
    known = next((limit for limit in LIMITS if limit == name), None)
    if known is None:
        raise PolicyError(f"unknown limit `{name}`", remedy=_choices(name, LIMITS))
    match = re.fullmatch(r"([0-9]{1,20})([KMG]?)", str(value).strip().upper())
    if match is None or (match[2] and known not in _SIZES):
        what = {"cpu": "a number of seconds", "files": "a count", "processes": "a count"}.get(
            known, "a number of bytes, or with K, M or G"
        )
        raise PolicyError(f"`{value}` is no value for the limit `{name}`", remedy=f"{name} takes {what}")
    number = int(match[1]) * _UNITS[match[2]]
    if number > _MAX:
        raise PolicyError(f"the limit `{name}` = {value} is too large", remedy="leave it out for no limit")
    return Limit(known, number)


def parse_allow_option(text: str) -> Allow:
    """``memfd-exec`` or ``ioctl:NUMBER`` (decimal or 0x...) of --allow."""
    if text == "memfd-exec":
        return Allow(memfd_exec=True)
    kind, colon, number = text.partition(":")
    if kind == "ioctl" and colon:
        try:
            request = int(number, 0)
        except ValueError:
            request = -1
        if request in NEVER | STOP:
            raise PolicyError(
                f"the ioctl request {request:#x} is never passed",
                remedy="leave it out; it would reach a terminal, a process or attributes past what was granted",
            )
        if 0 <= request < 1 << 32:
            return Allow(ioctl=request)
        raise PolicyError(f"`{number}` is no ioctl request", remedy="write its number, such as ioctl:0x5413")
    raise PolicyError(f"`{text}` is nothing that can be allowed", remedy=_choices(text, ("memfd-exec", "ioctl:NUMBER")))


def parse_violation_option(text: str) -> OnViolation:
    """``errno``, ``errno:NAME``, ``trap``, ``stop`` or ``kill`` of --on-violation."""
    for action in VIOLATIONS:
        if text == action:
            return OnViolation(action)
    kind, _, name = text.partition(":")
    if kind != "errno":
        raise PolicyError(f"unknown answer to a violation `{text}`", remedy=_choices(text, (*VIOLATIONS, "errno:NAME")))
    number = getattr(errno, name, None) if name.isupper() and name.startswith("E") else None
    if not isinstance(number, int):
        known = tuple(errno.errorcode.values())
        raise PolicyError(
            f"`{name}` is no errno", remedy=did_you_mean(name, known) or "write its name, such as errno:EPERM"
        )
    return OnViolation("errno", number)


def _choices(word: str, known: tuple[str, ...]) -> str:
    return did_you_mean(word, known) or "choose one of " + ", ".join(known)
