"""A port, or the name of an attribute, that changes while its call is decided is the one that was decided on.

Control messages have no such race: nothing that they say is decided on, and a capability that is sent gives no more
than before. Nor have time stamps, of which all are permitted where one is.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest
from escape.harness import Arena, Found
from escape.test_rights import partly_granted

from races.test_races import CHANGED, raced


@contextlib.contextmanager
def two_ports(kind: socket.SocketKind) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Somebody outside on two ports: the one may be reached, the other may not."""
    with socket.socket(socket.AF_INET, kind) as granted, socket.socket(socket.AF_INET, kind) as other:
        for server in (granted, other):
            server.bind(("127.0.0.1", 0))
            if kind == socket.SOCK_STREAM:
                server.listen(4096)  # nobody accepts
        yield granted, other


def raced_port(arena: Arena, attack: str, attackers: str, kind: socket.SocketKind) -> None:
    with two_ports(kind) as (granted, other):
        allowed, ports = granted.getsockname()[1], [str(server.getsockname()[1]) for server in (granted, other)]

        @contextlib.contextmanager
        def setup(arena: Arena) -> Iterator[Found]:
            yield Found(tuple(ports), other.fileno())

        options = ["--connect", f"tcp:127.0.0.1:{allowed}"]
        raced(arena, "races/addresses", attack, attackers, rounds=CHANGED, setup=setup, options=options)


@pytest.mark.stopped_by("rewriter", "pad")
@pytest.mark.parametrize(
    ("attack", "attackers"),
    [
        ("datagram-connect", "threads"),
        ("sendto", "shared"),
        ("sendmsg", "threads"),
        ("sendmmsg", "threads"),
        ("vector", "vm"),
    ],
)
def test_a_port_that_changes_during_the_call_is_not_sent_to(arena: Arena, attack: str, attackers: str) -> None:
    raced_port(arena, attack, attackers, socket.SOCK_DGRAM)


@pytest.mark.stopped_by("rewriter", "pad")
def test_a_port_that_changes_during_the_call_is_not_connected_to(arena: Arena) -> None:
    raced_port(arena, "connect", "threads", socket.SOCK_STREAM)


@pytest.mark.stopped_by("supervisor")
@pytest.mark.parametrize(("call", "attackers"), [("setxattr", "threads"), ("setxattrat", "shared")])
def test_the_name_of_an_attribute_that_changes_during_the_call_changes_no_permissions(
    arena: Arena, call: str, attackers: str
) -> None:
    grant = ["--grant", "read,lookup,fstat,extattr_set:{base}/partly"]
    raced(arena, "races/addresses", call, attackers, rounds=CHANGED, setup=partly_granted, options=grant)
