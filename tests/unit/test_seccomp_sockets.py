"""Sockets are of two families, and addresses and message headers are the pad's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seccomp_calls import ALLOW, FDS, HIGH, TRACE, U32, U64, check, flips, near, program, starts, verdict

from capwrap.policy import _pad, seccomp, seccomp_sockets

SLOTS = near(0, _pad.PAD_SLOT, _pad.PAD_MSGHDR, _pad.PAD_SLOT + 256, _pad.PAD_MSGHDR_END, _pad.PAD_SLOT_END)


def expect_sendmsg(_fd: int, header: int) -> str:
    return ALLOW if header in range(_pad.PAD_MSGHDR, _pad.PAD_MSGHDR_END, 64) else TRACE


@given(FDS, SLOTS)
def test_sendmsg_passes_with_a_header_of_the_pad_only_and_execve_never(fd: int, pointer: int) -> None:
    assert verdict("execve", pointer, U64, U64) == TRACE
    assert verdict("sendmsg", fd, pointer, 0) == expect_sendmsg(fd, pointer)


def test_every_header_of_the_pad_passes() -> None:
    for slot in range(_pad.PAD_SLOT, _pad.PAD_SLOT_END, 1024):
        assert verdict("execve", slot + 256, ip=_pad.PAD_STUB + 2) == TRACE
        assert verdict("sendmsg", 3, slot + 256) == TRACE
    for header in range(_pad.PAD_MSGHDR, _pad.PAD_MSGHDR_END, 64):
        assert verdict("sendmsg", 3, header) == ALLOW


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ((1, 1, 0), ALLOW),
        ((1, 0x80002, 0), ALLOW),
        ((1, 3, 0), ALLOW),
        ((1, 5, 0), ALLOW),
        ((1, 4, 0), "ESOCKTNOSUPPORT"),
        ((1, 4, 6), "EPROTONOSUPPORT"),
        ((1, 11, 0), "EINVAL"),
        ((1, 77, 0), "EINVAL"),
        ((16, 77, 0), "EINVAL"),
        ((2, 1, 263), "EINVAL"),
        ((2, 3, U32), "EINVAL"),
        ((2, 1, 0), ALLOW),
        ((2, 0x80801, 6), ALLOW),
        ((10, 2, 17), ALLOW),
        ((2, 1, 132), "EPROTONOSUPPORT"),
        ((2, 1, 262), "EPROTONOSUPPORT"),
        ((2, 2, 1), "EACCES"),
        ((2, 2, 136), "EPROTONOSUPPORT"),
        ((2, 3, 1), "EPERM"),
        ((10, HIGH | 3, 58), "EPERM"),
        ((2, 5, 0), "ESOCKTNOSUPPORT"),
        ((2, 10, 0), "ESOCKTNOSUPPORT"),
        *(((family, 1, 0), "EAFNOSUPPORT") for family in (0, 3, 16, 17, 29, 38, 40, 43, U32)),
        ((HIGH | 16, 3, 0), "EAFNOSUPPORT"),
        ((HIGH | 1, HIGH | 1, HIGH), ALLOW),
    ],
)
def test_sockets_are_unix_or_inet(args: tuple[int, ...], expected: str) -> None:
    assert verdict("socket", *args) == expected
    assert verdict("socketpair", *args) == expected


POINTS = (
    *(0, _pad.PAD_IN4, seccomp_sockets.IN4_CONNECT[1], _pad.PAD_IN6, seccomp_sockets.IN6_CONNECT[1], _pad.PAD_IN6_END),
    *(_pad.PAD_FDPATH, _pad.PAD_FDPATH_END, _pad.PAD_ABSTRACT, _pad.PAD_ABSTRACT_END),
)
POINTERS = st.one_of(
    near(*POINTS), st.integers(_pad.PAD_FDPATH // 32, _pad.PAD_ABSTRACT_END // 32).map(lambda slot: slot * 32)
)
SOCKLENS = near(16, 28, 110, 3, 0)


def is_slot(address: int, region: tuple[int, int], stride: int) -> bool:
    return address in range(*region, stride)


def connects(address: int, length: int) -> bool:
    in4 = is_slot(address, (_pad.PAD_IN4, _pad.PAD_IN4 + 0x1000), 32) and length == 16
    in6 = is_slot(address, (_pad.PAD_IN6, _pad.PAD_IN6 + 0x1000), 32) and length == 28
    return in4 or in6


def is_abstract(address: int, length: int) -> bool:
    return is_slot(address, (_pad.PAD_ABSTRACT, _pad.PAD_ABSTRACT_END), 128) and 3 <= length <= 110


def expect_connect(_fd: int, address: int, length: int) -> str:
    low = length & U32
    return ALLOW if connects(address, low) or is_abstract(address, low) else TRACE


def expect_bind(_fd: int, address: int, length: int) -> str:
    low = length & U32
    in4 = is_slot(address, (_pad.PAD_IN4 + 0x1000, _pad.PAD_IN4_END), 32) and low == 16
    in6 = is_slot(address, (_pad.PAD_IN6 + 0x1000, _pad.PAD_IN6_END), 32) and low == 28
    return ALLOW if in4 or in6 or is_abstract(address, low) else TRACE


def expect_sendto(_fd: int, _buf: int, _len: int, _flags: int, address: int, length: int) -> str:
    low = length & U32
    return ALLOW if address == 0 or connects(address, low) or is_abstract(address, low) else TRACE


@given(FDS, POINTERS, SOCKLENS)
def test_an_address_passes_if_published_and_with_its_length_only(fd: int, address: int, length: int) -> None:
    assert verdict("connect", fd, address, length) == expect_connect(fd, address, length)
    assert verdict("bind", fd, address, length) == expect_bind(fd, address, length)
    assert verdict("sendto", fd, U64, U64, 0, address, length) == expect_sendto(fd, U64, U64, 0, address, length)


def test_no_address_passes_for_both_connect_and_bind_but_an_abstract_one() -> None:
    for address in range(_pad.PAD_FDPATH, _pad.PAD_ABSTRACT, 32):
        for length in (16, 28, 110):
            assert "trace" in (verdict("connect", 3, address, length), verdict("bind", 3, address, length))


def test_an_abstract_address_passes_with_the_scopes_of_landlock_only() -> None:
    for name in ("connect", "bind"):
        assert verdict(name, 3, _pad.PAD_ABSTRACT, 9) == ALLOW
        assert verdict(name, 3, _pad.PAD_ABSTRACT, 9, using=program(scopes=False)) == TRACE


def test_descriptors_of_peers_need_the_scopes_of_landlock() -> None:
    without = program(scopes=False)
    for name, option in (("getsockopt", 77), ("setsockopt", 76)):
        assert verdict(name, 3, 1, option) == ALLOW
        assert verdict(name, 3, 1, option, using=without) == "ENOPROTOOPT"
        assert verdict(name, 3, HIGH | 1, HIGH | option, using=program(seccomp.NET_HOST, scopes=False)) == "ENOPROTOOPT"
        for level, other in ((0, option), (1, option - 60), (6, option), (41, 1)):
            assert verdict(name, 3, level, other, using=without) == ALLOW


def test_listen_stops_unless_the_network_is_the_hosts() -> None:
    assert verdict("listen", 3, 5) == TRACE
    assert verdict("listen", 3, 5, using=program(seccomp.NET_LOOPBACK)) == TRACE
    assert verdict("listen", 3, 5, using=program(seccomp.NET_HOST)) == ALLOW


@pytest.mark.parametrize(
    ("level", "option", "expected"),
    [
        (0, 4, "EPERM"),
        (HIGH, HIGH | 4, "EPERM"),
        (0, 50, "EPERM"),
        (1, 25, "EPERM"),
        (HIGH | 1, HIGH | 62, "EPERM"),
        (41, 6, "EPERM"),
        (41, 32, "EPERM"),
        (41, 50, "EPERM"),
        (41, 57, "EPERM"),
        (41, 76, "EPERM"),
        (0, 1, ALLOW),
        (41, 26, ALLOW),
        (1, 4, ALLOW),
    ],
)
def test_no_option_routes_around_an_address(level: int, option: int, expected: str) -> None:
    assert verdict("setsockopt", 3, level, option) == expected
    assert verdict("setsockopt", 3, level, option, using=program(seccomp.NET_LOOPBACK)) == expected
    assert verdict("setsockopt", 3, level, option, using=program(seccomp.NET_LOOPBACK, scopes=False)) == expected
    assert verdict("setsockopt", 3, level, option, using=program(seccomp.NET_HOST)) == ALLOW


def test_no_connection_is_put_off_with_the_loopback_network() -> None:
    for net, expected in ((seccomp.NET_NONE, ALLOW), (seccomp.NET_LOOPBACK, "EOPNOTSUPP"), (seccomp.NET_HOST, ALLOW)):
        assert verdict("setsockopt", 3, HIGH | 6, HIGH | 30, using=program(net)) == expected
        assert verdict("setsockopt", 3, 6, 23, using=program(net)) == ALLOW


def test_no_port_is_shared_with_the_loopback_network() -> None:
    for net, expected in ((seccomp.NET_NONE, ALLOW), (seccomp.NET_LOOPBACK, "0"), (seccomp.NET_HOST, ALLOW)):
        assert verdict("setsockopt", 3, HIGH | 1, HIGH | 15, using=program(net)) == expected
        assert verdict("setsockopt", 3, 1, 2, using=program(net)) == ALLOW


def test_edges_of_addresses() -> None:
    inet = [*range(_pad.PAD_FDPATH - 32, _pad.PAD_ABSTRACT_END + 129, 32), 0]
    points = [x for edge in POINTS for x in (*range(edge - 128, edge + 129), *flips(edge))]
    lengths = [0, 2, 3, 4, 15, 16, 17, 27, 28, 29, 109, 110, 111, 16 | HIGH, 28 | HIGH, 110 | HIGH]
    for name, expected in (("connect", expect_connect), ("bind", expect_bind)):
        check(name, expected, [3], points, [16, 28, 110])
        check(name, expected, [3], inet, lengths)
    check("sendto", expect_sendto, [3], [0], [0], [0], points, [16, 28, 110])
    check("sendto", expect_sendto, [3], [0], [0], [0], inet, lengths)


def test_exactly_these_sockets_are_made() -> None:
    protocols = [*range(300)]
    unix = {1: ALLOW, 2: ALLOW, 3: ALLOW, 5: ALLOW}
    inet = {1: {0: ALLOW, 6: ALLOW}, 2: {0: ALLOW, 17: ALLOW, 1: "EACCES", 58: "EACCES"}}
    for type_ in [*range(16), *(1 ^ 1 << n for n in range(4, 64)), *(2 ^ 1 << n for n in range(4, 64))]:
        kind = type_ & 0xF
        # SOCK_NONBLOCK, SOCK_CLOEXEC and SOCK_MAX of linux/net.h
        invalid = bool(type_ & U32 & ~0x8080F) or kind >= 11
        assert verdict("socket", 1, type_, 0) == ("EINVAL" if invalid else unix.get(kind, "ESOCKTNOSUPPORT"))
        for protocol in protocols:
            said = inet[kind].get(protocol, "EPROTONOSUPPORT") if kind in inet else "ESOCKTNOSUPPORT"
            # IPPROTO_MAX of linux/in.h
            expected = "EINVAL" if invalid or protocol >= 263 else "EPERM" if kind == 3 else said
            assert verdict("socket", 2, type_, protocol) == expected
        assert verdict("socket", 10, type_, 0) == verdict("socket", 2, type_, 0)
    for family in range(64):
        known = family in (1, 2, 10)
        assert verdict("socket", family, 1, 0) == (ALLOW if known else "EAFNOSUPPORT")
    for level in range(300):
        for option in range(80):
            routes = option in {0: (4, 50), 1: (25, 62), 41: (6, 32, 50, 57, 76)}.get(level, ())
            joins = (level, option) in {*((0, n) for n in (35, 39, 42, 46)), *((41, n) for n in (20, 27, 42, 46))}
            assert verdict("setsockopt", 3, level, option) == ("EPERM" if routes else "ENODEV" if joins else ALLOW)


def test_edges_of_headers() -> None:
    slots = (_pad.PAD_SLOT, _pad.PAD_SLOT_END)
    headers = (_pad.PAD_MSGHDR, _pad.PAD_MSGHDR_END)
    check("sendmsg", expect_sendmsg, [3], [*starts(headers, 64), *starts(slots, 1024, 256), *flips(headers[0])])
