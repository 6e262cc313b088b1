"""Rules of calls on sockets: which there are, and which addresses the pad has published."""

from __future__ import annotations

import errno

from capwrap.policy import _pad
from capwrap.policy.bpf import ALU_AND, Target
from capwrap.policy.seccomp_rules import ALLOW, NET_HOST, NET_LOOPBACK, TRACE, Rules, refuse

#: The inet slots are halved: what may be connected to, and what may be bound. In one region, a permitted --bind
#: would also permit to connect to the same address, and the other way round. The engine publishes accordingly.
IN4_CONNECT = (_pad.PAD_IN4, (_pad.PAD_IN4 + _pad.PAD_IN4_END) // 2)
IN4_BIND = (IN4_CONNECT[1], _pad.PAD_IN4_END)
IN6_CONNECT = (_pad.PAD_IN6, (_pad.PAD_IN6 + _pad.PAD_IN6_END) // 2)
IN6_BIND = (IN6_CONNECT[1], _pad.PAD_IN6_END)

IN4_LEN, IN6_LEN = 16, 28  # sizeof(struct sockaddr_in), sizeof(struct sockaddr_in6)
ABSTRACT_MIN = 3  # family and the NUL that makes a name abstract

# linux/net.h
_SOCK_NONBLOCK, _SOCK_CLOEXEC, _SOCK_MAX = 0o4000, 0o2000000, 11

# linux/in.h
_IPPROTO_MAX = 263

# asm-generic/socket.h
_SOL_SOCKET, _SO_PASSPIDFD, _SO_PEERPIDFD = 1, 76, 77

# linux/in.h, linux/socket.h: the levels of options
_SOL_IP, _SOL_TCP, _SOL_IPV6 = 0, 6, 41


def _rule_socket(r: Rules) -> None:
    asm = r.asm
    # Flags, types and protocols that do not exist: in the order of net/socket.c and net/ipv4/af_inet.c.
    r.lo(1)
    asm.jset(0xFFFFFFFF & ~(0xF | _SOCK_NONBLOCK | _SOCK_CLOEXEC), refuse(errno.EINVAL))
    r.lo(0)
    asm.search({1: "socket.unix", 2: "socket.inet", 10: "socket.inet"}, refuse(errno.EAFNOSUPPORT))
    asm.label("socket.unix")
    # The kernel makes SOCK_RAW a SOCK_DGRAM here.
    r.lo(1)
    asm.op(ALU_AND, 0xF)
    asm.jge(_SOCK_MAX, refuse(errno.EINVAL))
    asm.search(dict.fromkeys((1, 2, 3, 5), ALLOW), "socket.unix.none")
    asm.label("socket.unix.none")
    r.lo(2)
    asm.search(dict.fromkeys((0, 1), refuse(errno.ESOCKTNOSUPPORT)), refuse(errno.EPROTONOSUPPORT))
    asm.label("socket.inet")
    r.lo(1)
    asm.op(ALU_AND, 0xF)
    asm.jge(_SOCK_MAX, refuse(errno.EINVAL))
    r.lo(2)
    asm.jge(_IPPROTO_MAX, refuse(errno.EINVAL))
    r.lo(1)
    asm.op(ALU_AND, 0xF)
    asm.search({1: "socket.stream", 2: "socket.dgram", 3: refuse(errno.EPERM)}, refuse(errno.ESOCKTNOSUPPORT))
    # TCP and UDP only: SCTP connects and binds by setsockopt(2) with addresses in memory, Landlock overlooked MPTCP
    # before Linux 6.15, and ping sockets are EACCES wherever net.ipv4.ping_group_range is at its default.
    asm.label("socket.stream")
    r.lo(2)
    asm.search({0: ALLOW, 6: ALLOW}, refuse(errno.EPROTONOSUPPORT))
    asm.label("socket.dgram")
    r.lo(2)
    asm.search({0: ALLOW, 17: ALLOW, 1: refuse(errno.EACCES), 58: refuse(errno.EACCES)}, refuse(errno.EPROTONOSUPPORT))


def _rule_getsockopt(r: Rules) -> None:
    # SO_PEERPIDFD (Linux 6.5) is a descriptor of whoever made the other end, and signals go through it. Landlock's
    # scope keeps them inside the target; without it there is no such option.
    asm = r.asm
    if r.options.landlock_scopes:
        asm.goto(ALLOW)
        return
    r.lo(1)
    asm.jeq(_SOL_SOCKET, None, ALLOW)
    r.lo(2)
    asm.jeq(_SO_PEERPIDFD, refuse(errno.ENOPROTOOPT), ALLOW)


def _rule_setsockopt(r: Rules) -> None:
    options = _options(r)
    r.lo(1)
    r.asm.search({level: f"setsockopt.{level}" for level in options}, ALLOW)
    for level, verdicts in options.items():
        r.asm.flush()
        r.asm.label(f"setsockopt.{level}")
        r.lo(2)
        r.asm.search(verdicts, ALLOW)


def _options(r: Rules) -> dict[int, dict[int, Target]]:
    """What is refused of setsockopt(2), by level."""
    options: dict[int, dict[int, Target]] = {}
    if not r.options.landlock_scopes:
        # Messages bring such a descriptor as well.
        options[_SOL_SOCKET] = {_SO_PASSPIDFD: refuse(errno.ENOPROTOOPT)}
    if r.options.net == NET_HOST:
        return options
    # A source route sends the packets for a permitted address to another one first: IP_OPTIONS, IPV6_2292PKTOPTIONS,
    # IPV6_RTHDR, and what IPV6_FLOWLABEL_MGR keeps for a label. An interface that is chosen gets them, those
    # for 127.0.0.1 as well: SO_BINDTODEVICE, SO_BINDTOIFINDEX, IP_UNICAST_IF, IPV6_UNICAST_IF, IPV6_PKTINFO.
    # To join a multicast group is to send its address to the network, unasked and unbound: refused as on a
    # machine without an interface. (IP_ADD_MEMBERSHIP, IP_ADD_SOURCE_MEMBERSHIP, IPV6_ADD_MEMBERSHIP,
    # IPV6_JOIN_ANYCAST, MCAST_JOIN_GROUP, MCAST_JOIN_SOURCE_GROUP.)
    route: Target = refuse(errno.EPERM)
    join: Target = refuse(errno.ENODEV)
    options.setdefault(_SOL_SOCKET, {}).update(dict.fromkeys((25, 62), route))
    options[_SOL_IP] = dict.fromkeys((4, 50), route) | dict.fromkeys((35, 39, 42, 46), join)
    options[_SOL_IPV6] = dict.fromkeys((6, 32, 50, 57, 76), route) | dict.fromkeys((20, 27, 42, 46), join)
    if r.options.net == NET_LOOPBACK:
        # TCP_FASTOPEN_CONNECT: connect(2) is over at once, and whoever has the port when something is written gets it.
        options[_SOL_TCP] = {30: refuse(errno.EOPNOTSUPP)}
        # SO_REUSEPORT: whoever of the same user binds the port beside the target's gets a part of what is for it. It is
        # without effect rather than an error, on which servers that need no second one would not start.
        options[_SOL_SOCKET][15] = refuse(0)
    return options


def _rule_sendmsg(r: Rules) -> None:
    # Its name is NULL or a published address, whoever wrote it last: a region of its own, which no other bytes reach.
    r.hi(1)
    r.asm.jeq(0, None, TRACE)
    r.lo(1)
    r.slot((_pad.PAD_MSGHDR, _pad.PAD_MSGHDR_END), _pad.PAD_MSGHDR_STRIDE, ALLOW, TRACE)


#: Slots of socket addresses: their region, its stride, and the least and the greatest length of an address.
_Slots = tuple[tuple[int, int], int, int, int]


def _addresses(r: Rules, address: int, length: int, regions: tuple[_Slots, ...]) -> None:
    """Passes where the address is a slot and the length one of it, else stops."""
    asm = r.asm
    r.hi(address)
    asm.jeq(0, None, TRACE)
    for region, stride, least, most in regions:
        other = asm.fresh("address.other")
        r.lo(address)
        asm.within(region[0], region[1], None, other)
        asm.jset(stride - 1, TRACE)
        r.lo(length)
        if least == most:
            asm.jeq(least, ALLOW, TRACE)
        else:
            asm.within(least, most + 1, ALLOW, TRACE)
        asm.label(other)
    asm.goto(TRACE)


_INET_CONNECT = (
    (IN4_CONNECT, _pad.PAD_IN_STRIDE, IN4_LEN, IN4_LEN),
    (IN6_CONNECT, _pad.PAD_IN_STRIDE, IN6_LEN, IN6_LEN),
)


_INET_BIND = (
    (IN4_BIND, _pad.PAD_IN_STRIDE, IN4_LEN, IN4_LEN),
    (IN6_BIND, _pad.PAD_IN_STRIDE, IN6_LEN, IN6_LEN),
)


def _abstract(r: Rules) -> tuple[_Slots, ...]:
    # The length is part of an abstract name, so a slot is all the prefixes of its name too. That is harmless where
    # Landlock keeps abstract names inside the target, and not elsewhere.
    if not r.options.landlock_scopes:
        return ()
    return (((_pad.PAD_ABSTRACT, _pad.PAD_ABSTRACT_END), _pad.PAD_UN_STRIDE, ABSTRACT_MIN, _pad.PAD_UN_LEN),)


def _rule_connect(r: Rules) -> None:
    _addresses(r, 1, 2, _INET_CONNECT + _abstract(r))


def _rule_bind(r: Rules) -> None:
    _addresses(r, 1, 2, _INET_BIND + _abstract(r))


def _rule_listen(r: Rules) -> None:
    # listen(2) on an inet socket without an address binds it to a port of all interfaces, and no Landlock sees it.
    r.asm.goto(ALLOW if r.options.net == NET_HOST else TRACE)


def _rule_sendto(r: Rules) -> None:
    asm = r.asm
    r.lo(4)
    asm.jeq(0, None, "sendto.address")
    r.hi(4)
    asm.jeq(0, ALLOW, TRACE)
    asm.label("sendto.address")
    _addresses(r, 4, 5, _INET_CONNECT + _abstract(r))
