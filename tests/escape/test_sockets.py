"""Without a network in the policy nothing outside is reached over a socket, by any family or call."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from escape.harness import Arena, Found, Setup
from escape.outside import accomplice


def _serve(server: socket.socket, token: str) -> None:
    """Tells the secret to everybody who connects, until the socket is shut down."""
    with contextlib.suppress(OSError):
        while True:
            client, _ = server.accept()
            with client, contextlib.suppress(OSError):
                client.sendall(token.encode())


@contextlib.contextmanager
def serving(server: socket.socket, arena: Arena) -> Iterator[None]:
    server.listen()
    thread = threading.Thread(target=_serve, args=(server, arena.token))
    thread.start()
    try:
        yield
    finally:
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def unix_server(where: str, kind: int = socket.SOCK_STREAM) -> Setup:
    """A setup with a unix socket, by its path in the arena or (`@name`) abstract; the attack is told where."""

    @contextlib.contextmanager
    def setup(arena: Arena) -> Iterator[Found]:
        with socket.socket(socket.AF_UNIX, kind) as server:
            if where.startswith("@"):
                name = f"capwrap-{secrets.token_hex(8)}-{where[1:]}"
                server.bind(f"\0{name}")
            else:
                name = str(arena.base / where)
                server.bind(name)
                (arena.base / where).chmod(0o777)
            with serving(server, arena) if kind == socket.SOCK_STREAM else contextlib.nullcontext():
                yield Found((name,))

    return setup


def port_server(kind: int, family: int = socket.AF_INET) -> Setup:
    """A setup with a socket on a loopback port, whose number the attack is told."""

    @contextlib.contextmanager
    def setup(arena: Arena) -> Iterator[Found]:
        with socket.socket(family, kind) as server:
            server.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
            with serving(server, arena) if kind == socket.SOCK_STREAM else contextlib.nullcontext():
                yield Found((str(server.getsockname()[1]),))

    return setup


@pytest.mark.stopped_by("rewriter")
def test_a_unix_socket_outside_the_grants_is_not_there(arena: Arena) -> None:
    arena.holds("escape/sockets", "unix-path", setup=unix_server("secret/sock"), why="ENOENT")


@pytest.mark.stopped_by("rewriter")
def test_a_unix_socket_of_a_read_only_grant_takes_no_connection(arena: Arena) -> None:
    arena.holds("escape/sockets", "unix-path", setup=unix_server("ro/sock"), why="EACCES")


def through_link(arena: Arena) -> contextlib.AbstractContextManager[Found]:
    """The same as a socket in the secret directory, named by a symlink in the workspace."""

    @contextlib.contextmanager
    def setup() -> Iterator[Found]:
        with unix_server("secret/sock")(arena) as found:
            (arena.base / "work/to-socket").symlink_to(found.args[0])
            yield Found((str(arena.base / "work/to-socket"),))

    return setup()


@pytest.mark.stopped_by("rewriter")
def test_a_symlink_leads_no_connection_outside_the_grants(arena: Arena) -> None:
    arena.holds("escape/sockets", "unix-path", setup=through_link)


@pytest.mark.stopped_by("Landlock")
def test_an_abstract_socket_of_somebody_else_is_out_of_reach(arena: Arena) -> None:
    arena.holds("escape/sockets", "unix-abstract", setup=unix_server("@stream"))


@pytest.mark.stopped_by("rewriter")
@pytest.mark.parametrize("call", ["unix-sendto", "unix-sendmsg", "unix-sendmmsg"])
def test_no_datagram_reaches_a_unix_socket_outside_the_grants(arena: Arena, call: str) -> None:
    arena.holds("escape/sockets", call, setup=unix_server("secret/dgram", socket.SOCK_DGRAM))


@pytest.mark.stopped_by("Landlock")
def test_no_datagram_reaches_an_abstract_socket_of_somebody_else(arena: Arena) -> None:
    arena.holds("escape/sockets", "unix-sendto-abstract", setup=unix_server("@dgram", socket.SOCK_DGRAM))


@pytest.mark.stopped_by("rewriter", "Landlock")
@pytest.mark.parametrize("path", ["secret/new", "ro/new", "names/new", "carved/new.key", "new"])
def test_no_socket_is_bound_where_nothing_may_be_made(arena: Arena, path: str) -> None:
    arena.holds("escape/sockets", "unix-bind", f"{{base}}/{path}")


@pytest.mark.stopped_by("rewriter", "Landlock")
@pytest.mark.parametrize(
    "call",
    ["tcp", "tcp-upper-half", "tcp-any", "tcp-mapped", "tcp-fast-open", "tcp-fast-open-message", "mptcp"],
)
def test_no_tcp_connection_is_made(arena: Arena, call: str) -> None:
    outcome, _ = arena.attack("escape/sockets", call, options=None, setup=port_server(socket.SOCK_STREAM))
    native = None
    if outcome.verdict != "ESCAPED":
        assert call in ("mptcp", "tcp-mapped"), str(outcome)
        native = "this kernel was built without it"
    arena.holds("escape/sockets", call, setup=port_server(socket.SOCK_STREAM), native=native)


@pytest.mark.stopped_by("rewriter", "Landlock")
def test_a_connection_that_is_refused_is_answered_as_an_unreachable_network(arena: Arena) -> None:
    arena.holds("escape/sockets", "tcp", setup=port_server(socket.SOCK_STREAM), why="ENETUNREACH")


@pytest.mark.stopped_by("rewriter")
@pytest.mark.parametrize("call", ["udp", "udp-connected", "udp-sendmsg", "udp-sendmmsg"])
def test_no_udp_datagram_is_sent(arena: Arena, call: str) -> None:
    arena.holds("escape/sockets", call, setup=port_server(socket.SOCK_DGRAM), why="ENETUNREACH")


@pytest.mark.stopped_by("rewriter", "Landlock")
def test_no_port_is_bound(arena: Arena) -> None:
    arena.holds("escape/sockets", "tcp-bind", "0", why="EADDRNOTAVAIL")


@pytest.mark.stopped_by("supervisor")
def test_listening_binds_no_port_either(arena: Arena) -> None:
    arena.holds("escape/sockets", "tcp-listen")


@pytest.mark.stopped_by("supervisor")
@pytest.mark.parametrize("call", ["tcp", "tcp-any", "tcp-fast-open", "udp", "udp-sendmsg"])
def test_the_loopback_policy_reaches_no_server_outside(arena: Arena, call: str) -> None:
    kind = socket.SOCK_DGRAM if call.startswith("udp") else socket.SOCK_STREAM
    arena.holds("escape/sockets", call, setup=port_server(kind), options=["--net", "loopback"])


@pytest.mark.stopped_by("rewriter")
def test_no_datagram_goes_to_a_permitted_address_by_way_of_another(arena: Arena) -> None:
    # The kernel asks for CAP_NET_RAW.
    outcome, _ = arena.attack("escape/sockets", "routed", options=None)
    native = None if outcome.verdict == "ESCAPED" else "only CAP_NET_RAW may"
    assert native is None or arena.who.uid or os.geteuid(), str(outcome)
    arena.holds("escape/sockets", "routed", native=native, options=["--net", "loopback"], why="EINVAL|ECONNREFUSED")


@pytest.mark.stopped_by("seccomp")
@pytest.mark.parametrize("how", ["device", "index", "unicast", "unicast6", "information6"])
def test_no_interface_is_chosen_for_a_permitted_address(arena: Arena, how: str) -> None:
    # By eth0, what is for 127.0.0.1 leaves the machine, and a socket of the target's own there does not matter.
    arena.holds("escape/sockets", "interface", how, options=["--net", "loopback"], why="EPERM")


@pytest.mark.stopped_by("rewriter", "pad")
@pytest.mark.parametrize("header", ["own", "left"])
def test_no_message_chooses_an_interface_for_a_permitted_address(arena: Arena, header: str) -> None:
    options = ["--net", "loopback"]
    arena.holds("escape/sockets", "interface-message", header, options=options, why="EINVAL|ECONNREFUSED")


@pytest.mark.stopped_by("seccomp")
@pytest.mark.parametrize("net", ["none", "loopback"])
@pytest.mark.parametrize("how", ["ip", "ip-source", "group", "group-source", "ipv6"])
def test_no_multicast_group_is_joined(arena: Arena, how: str, net: str) -> None:
    arena.holds("escape/sockets", "multicast", how, options=["--net", net], why="ENODEV")


@contextlib.contextmanager
def next_owner_of_a_port(arena: Arena) -> Iterator[Found]:
    """Somebody outside who binds the port that the attack gives up, and answers the first datagram with the secret."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]

        def answer() -> None:
            with contextlib.suppress(TimeoutError):
                _, peer = server.recvfrom(16)
                server.sendto(arena.token.encode(), peer)

        answering = threading.Thread(target=answer)

        def take(number: int) -> None:
            with contextlib.suppress(OSError):
                server.bind(("127.0.0.1", number))
                server.settimeout(60)
                (arena.base / "work/taken").touch()
                answering.start()

        with accomplice(arena.base / "work", "given-up", take, "tried"):
            yield Found((str(port),))
        if answering.is_alive():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
                waker.sendto(b"", server.getsockname())
            answering.join()


@pytest.mark.stopped_by("supervisor")
@pytest.mark.parametrize("attack", ["udp-given-up", "udp-disconnected"])
def test_a_loopback_port_that_the_target_gave_up_goes_to_nobody_outside(arena: Arena, attack: str) -> None:
    arena.holds("escape/ports", attack, setup=next_owner_of_a_port, options=["--net", "loopback"])


@contextlib.contextmanager
def next_listener_at_a_port(arena: Arena) -> Iterator[Found]:
    """Somebody outside who listens at the port that the attack gives up, and says the secret to who connects."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.settimeout(20)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]

        def answer() -> None:
            with contextlib.suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    connection.sendall(arena.token.encode())

        answering = threading.Thread(target=answer)

        def take(number: int) -> None:
            with contextlib.suppress(OSError):
                server.bind(("127.0.0.1", number))
                server.listen()
                (arena.base / "work/taken").touch()
                answering.start()

        with accomplice(arena.base / "work", "given-up", take, "tried"):
            yield Found((str(port),))
        if answering.is_alive():
            server.shutdown(socket.SHUT_RDWR)  # an accept that waits ends
            answering.join()


@pytest.mark.stopped_by("supervisor")
@pytest.mark.parametrize(
    ("how", "waiting"),
    [("close", "waits"), ("close", "does-not-wait"), ("shutdown", "waits"), ("disconnect", "does-not-wait")],
)
def test_a_connection_on_its_way_to_a_port_that_is_given_up_reaches_nobody_outside(
    arena: Arena, how: str, waiting: str
) -> None:
    setup, options = next_listener_at_a_port, ["--net", "loopback"]
    arena.holds("escape/ports", "tcp-given-up", how, waiting, setup=setup, options=options)


@pytest.mark.stopped_by("seccomp")
def test_a_connection_that_is_put_off_reaches_nobody_who_has_the_port_by_then(arena: Arena) -> None:
    enabled = int(Path("/proc/sys/net/ipv4/tcp_fastopen").read_text()) & 1
    arena.holds(
        "escape/ports",
        "tcp-put-off",
        setup=next_listener_at_a_port,
        native=None if enabled else "net.ipv4.tcp_fastopen is off",
        options=["--net", "loopback"],
        why="EOPNOTSUPP",
    )


@contextlib.contextmanager
def peer(arena: Arena) -> Iterator[Found]:
    """A socket whose other end the tests have, which send a byte when the attack says that it is ready."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours, theirs, accomplice(arena.base / "work", "ready", lambda _: ours.send(b"x"), "sent"):
        yield Found(stdin=theirs.fileno())


@pytest.mark.stopped_by("Landlock", "seccomp")
@pytest.mark.parametrize("attack", ["by-option", "by-message"])
def test_no_signal_reaches_the_other_end_of_a_socket(arena: Arena, attack: str) -> None:
    outcome, _ = arena.attack("escape/peers", attack, options=None, setup=peer)
    native = None
    if outcome.verdict != "ESCAPED":
        # The tests are root's; and such descriptors came with Linux 6.5.
        assert arena.who.uid or outcome.stdout.split()[1] == "ENOPROTOOPT", str(outcome)
        native = "the user may not signal the tests, or the kernel is older"
    arena.holds("escape/peers", attack, setup=peer, native=native, why="EPERM|ENOPROTOOPT")


@pytest.mark.stopped_by("launcher")
def test_no_message_bears_the_number_of_a_process_outside(arena: Arena) -> None:
    native = "only CAP_SYS_ADMIN may" if arena.who.uid or os.geteuid() else None
    arena.holds("escape/peers", "forged", setup=peer, native=native, why="EPERM")


FAMILIES = {
    "netlink": (16, 3, 0),
    "packet": (17, 3, 0),
    "vsock": (40, 1, 0),
    "alg": (38, 5, 0),
    "key": (15, 3, 2),
    "raw": (2, 3, 1),
    "raw6": (10, 3, 58),
    "tipc": (30, 1, 0),
    "bluetooth": (31, 3, 0),
    "xdp": (44, 3, 0),
    "rds": (21, 5, 0),
    "smc": (43, 1, 0),
    "qipcrtr": (42, 2, 0),
    "can": (29, 3, 1),
    "x25": (9, 5, 0),
    "upper half of netlink": (16, 0x80003, 0),
}


@pytest.mark.stopped_by("seccomp")
@pytest.mark.parametrize("family", FAMILIES)
def test_sockets_are_of_the_unix_and_inet_families_only(arena: Arena, family: str) -> None:
    words = tuple(str(n) for n in FAMILIES[family])
    outcome, _ = arena.attack("escape/sockets", "family", *words, options=None)
    native = None
    if outcome.verdict != "ESCAPED":
        assert outcome.stdout.split()[1] in ("EPERM", "EAFNOSUPPORT", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT"), str(
            outcome
        )
        native = "this kernel lacks the family, or the user the privilege"
    arena.holds("escape/sockets", "family", *words, native=native)


@pytest.mark.stopped_by("seccomp")
def test_no_pair_of_another_family_is_made(arena: Arena) -> None:
    arena.holds("escape/sockets", "pair", "30", "1", "0", native="TIPC is rarely built in", why="EAFNOSUPPORT")
