from __future__ import annotations

import errno

import pytest

from capwrap.policy import options
from capwrap.policy.errors import PolicyError
from capwrap.policy.items import Address, Allow, Deny, EnvRule, Grant, Limit, Net, OnViolation, UnixAddress
from capwrap.policy.rights import RO, RW, Right


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/usr", ("/usr", None)),
        ("src", ("src", None)),
        ("/data=/mnt", ("/data", "/mnt")),
        ("a=b", ("a=b", None)),  # a virtual path is absolute, so this is a name
        ("a=/b=/c", ("a=/b", "/c")),
        ("/a=/b=/a=/b", ("/a=/b", "/a=/b")),
        ("/a=/b=/a=/c", ("/a=/b=/a", "/c")),
        ("/data=//mnt/./x/", ("/data", "/mnt/x")),
        ("/data=/", ("/data", "/")),
    ],
)
def test_path_and_virtual_path_are_divided_at_the_last_equals_slash(
    text: str, expected: tuple[str, str | None]
) -> None:
    assert options.split_path(text) == expected


@pytest.mark.parametrize("text", ["", "=/mnt", "/data=/a/../b", "a\0b"])
def test_paths_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(PolicyError):
        options.split_path(text)


def test_path_options_carry_their_set() -> None:
    assert options.parse_path_option("/data=/mnt", "ro") == Grant("/data", RO, "/mnt")
    assert options.parse_path_option("x", RW) == Grant("x", RW)


def test_grant_takes_rights_before_the_first_colon() -> None:
    assert options.parse_grant_option("read,fstat:/a:b") == Grant("/a:b", Right.READ | Right.FSTAT)
    with pytest.raises(PolicyError, match="no rights"):
        options.parse_grant_option("/data")


def test_deny_knows_a_glob_from_a_path() -> None:
    assert options.parse_deny_option("/a/b") == Deny("/a/b", False)
    assert options.parse_deny_option("*.key") == Deny("*.key", True)


@pytest.mark.parametrize("pattern", ["/a[", "/a[b/c]", "/a/../*", "**/" * 5 + "x"])
def test_a_pattern_that_would_not_match_what_it_seems_to_is_refused(pattern: str) -> None:
    with pytest.raises(PolicyError):
        options.parse_deny_option(pattern)


@pytest.mark.parametrize("pattern", ["/a[]]", "/a[!b]", "/[a-z]*", "/a[[]"])
def test_classes_are_understood(pattern: str) -> None:
    assert options.parse_deny_option(pattern).is_glob


def test_env_rules() -> None:
    assert options.parse_env_option("LANG") == EnvRule("LANG")
    assert options.parse_env_option("LC_*") == EnvRule("LC_*")
    assert options.parse_env_option("A=b=c") == EnvRule("A", "b=c")
    assert options.parse_env_option("A=") == EnvRule("A", "")
    for bad in ("", "=x", "LC_*=x", "A=\0"):
        with pytest.raises(PolicyError):
            options.parse_env_option(bad)


@pytest.mark.parametrize(
    ("text", "packed", "port"),
    [
        ("tcp:127.0.0.1:80", b"\x7f\0\0\1", 80),
        ("tcp:10.0.0.1:*", b"\x0a\0\0\1", 0),
        ("tcp:[::1]:443", b"\0" * 15 + b"\1", 443),
    ],
)
def test_tcp_addresses(text: str, packed: bytes, port: int) -> None:
    assert options.parse_address_option(text, "connect") == Address("connect", packed, port)


def test_unix_addresses_are_paths() -> None:
    assert options.parse_address_option("unix:/run/a:b", "bind") == UnixAddress("bind", "/run/a:b")


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("tcp:localhost:80", "numeric"),
        ("tcp:*:80", "0.0.0.0"),
        ("tcp:::1:80", r"brackets: tcp:\[::1\]"),
        ("tcp:127.0.0.1:0", "1 to 65535"),
        ("tcp:127.0.0.1:65536", "1 to 65535"),
        ("tcp:127.0.0.1:http", "1 to 65535"),
        ("tcp:127.0.0.1", "tcp:ADDR:PORT"),
        ("udp:127.0.0.1:53", "tcp:ADDR:PORT or unix:PATH"),
        ("tcp:127.1:80", "numeric"),
    ],
)
def test_addresses_that_cannot_be_are_refused_with_a_remedy(text: str, remedy: str) -> None:
    with pytest.raises(PolicyError, match=remedy):
        options.parse_address_option(text, "connect")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("memory=2G", Limit("memory", 2 << 30)),
        ("file-size=10k", Limit("file-size", 10 << 10)),
        ("cpu=60", Limit("cpu", 60)),
        ("processes=0", Limit("processes", 0)),
    ],
)
def test_limits(text: str, expected: Limit) -> None:
    assert options.parse_limit_option(text) == expected


@pytest.mark.parametrize(
    "text", ["memory", "mem=1G", "cpu=1K", "memory=-1", "memory=1T", "memory=99999999999G", "cpu="]
)
def test_limits_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(PolicyError):
        options.parse_limit_option(text)


def test_net_allow_and_violation() -> None:
    assert options.parse_net_option("loopback") == Net("loopback")
    assert options.parse_allow_option("memfd-exec") == Allow(memfd_exec=True)
    assert options.parse_allow_option("ioctl:0x5413") == Allow(ioctl=0x5413)
    assert options.parse_violation_option("kill") == OnViolation("kill")
    assert options.parse_violation_option("errno:EPERM") == OnViolation("errno", errno.EPERM)


@pytest.mark.parametrize("text", ["errno:", "errno:EPREM", "errno:errorcode", "panic"])
def test_unknown_answers_are_refused(text: str) -> None:
    with pytest.raises(PolicyError):
        options.parse_violation_option(text)


@pytest.mark.parametrize(
    "text", ["ioctl:", "ioctl:-1", "ioctl:0x100000000", "everything", "ioctl:0x5412", "ioctl:0x40086602"]
)
def test_unknown_exceptions_are_refused(text: str) -> None:
    with pytest.raises(PolicyError):
        options.parse_allow_option(text)
