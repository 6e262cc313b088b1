"""A call is decided on what the kernel then uses: nothing that another thread changes meanwhile takes part in it.

Every race goes a bounded number of rounds, against two attackers, and says how many there were.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from escape.harness import Arena, Found, Setup, no_setup
from escape.test_ipc import kept
from escape.test_sockets import serving, unix_server

ROUNDS = 4000
# Of the calls that change something: there are many.
CHANGED = int(os.environ.get("CAPWRAP_CHANGED", "600"))
# An exec and a fork each.
EXECS = 400
# Natively a round takes so little that the attackers may not run during many of them; it ends at the first escape.
NATIVELY = 250


def raced(
    arena: Arena,
    family: str,
    attack: str,
    *args: str,
    rounds: int = ROUNDS,
    setup: Setup,
    stdin: str | None = None,
    options: Sequence[str] = (),
    static: bool = False,
) -> None:
    """Natively the race is won within NATIVELY times as many rounds; confined it is not in `rounds`."""
    many = [*args, str(rounds * NATIVELY)]
    outcome = arena.holds(
        family,
        attack,
        *args,
        str(rounds),
        native_args=many,
        setup=setup,
        stdin=stdin,
        options=options,
        static=static,
    )
    # Where a container lets a call of the race not be made at all, it ends before its first round.
    assert arena.contained or outcome.stdout == f"HELD none in {rounds} rounds\n", str(outcome)


@contextlib.contextmanager
def two_sides(arena: Arena) -> Iterator[Found]:
    """A granted counterpart for every secret, of the same name."""
    base = arena.base
    for name in ("carved", "other"):
        (base / name / "link").symlink_to("granted")
    shutil.copy(arena.programs.path("races/flips", static=True), base / "rox/prog")
    yield Found()


def raced_path(arena: Arena, call: str, attackers: str, directory: str, rounds: int = ROUNDS) -> None:
    """The granted directory's name has the length of the secret one's."""

    @contextlib.contextmanager
    def setup(arena: Arena) -> Iterator[Found]:
        with two_sides(arena):
            yield Found((directory,))

    raced(arena, "races/flips", call, attackers, rounds=rounds, setup=setup)


def changed_path(arena: Arena, call: str, attackers: str) -> None:
    @contextlib.contextmanager
    def setup(arena: Arena) -> Iterator[Found]:
        yield Found(("carved",))

    raced(arena, "races/changes", call, attackers, rounds=CHANGED, setup=setup)


# The one is a whole directory, whose calls the target makes itself in capability form; of the other something is
# denied, so that the supervisor performs them.
DIRECTORIES = ["other/", "carved"]


@pytest.mark.stopped_by("rewriter", "capability form", "Landlock")
@pytest.mark.parametrize("directory", DIRECTORIES)
@pytest.mark.parametrize("call", ["open", "openat2", "stat", "statx", "readlink", "chdir", "rename", "link", "unlink"])
def test_a_path_that_a_thread_changes_during_the_call_leads_nowhere_outside(
    arena: Arena, call: str, directory: str
) -> None:
    raced_path(arena, call, "threads", directory)


@pytest.mark.stopped_by("rewriter", "capability form", "Landlock")
@pytest.mark.parametrize("directory", DIRECTORIES)
@pytest.mark.parametrize(
    ("call", "attackers"), [*itertools.product(["open", "stat", "rename"], ["vm", "shared"]), ("open", "vfork")]
)
def test_a_path_that_another_process_changes_during_the_call_leads_nowhere_outside(
    arena: Arena, call: str, directory: str, attackers: str
) -> None:
    raced_path(arena, call, attackers, directory)


CHANGES = ["rename-to", "mkdir", "mkfifo", "symlink", "create", "chmod", "utime", "truncate", "setxattr"]


@pytest.mark.stopped_by("rewriter", "capability form", "Landlock")
@pytest.mark.parametrize("call", CHANGES)
def test_a_path_that_a_thread_changes_during_the_call_changes_nothing_outside(arena: Arena, call: str) -> None:
    changed_path(arena, call, "threads")


@pytest.mark.stopped_by("rewriter", "capability form", "Landlock")
@pytest.mark.parametrize("attackers", ["vm", "shared"])
@pytest.mark.parametrize("call", CHANGES if CHANGED > 600 else ["rename-to", "create", "chmod"])
def test_a_path_that_another_process_changes_during_the_call_changes_nothing_outside(
    arena: Arena, call: str, attackers: str
) -> None:
    changed_path(arena, call, attackers)


@pytest.mark.stopped_by("rewriter", "Landlock")
@pytest.mark.parametrize("attackers", ["threads", "vm", "shared"])
def test_an_address_that_changes_during_the_call_is_bound_nowhere_outside(arena: Arena, attackers: str) -> None:
    raced(arena, "races/changes", "bind", attackers, rounds=CHANGED, setup=no_setup)


@pytest.mark.stopped_by("supervisor")
@pytest.mark.parametrize("attackers", ["threads", "vm", "shared"])
def test_a_name_that_changes_during_the_call_opens_no_queue_of_somebody_else(arena: Arena, attackers: str) -> None:
    raced(arena, "races/changes", "queue", attackers, rounds=CHANGED, setup=kept("queue"))


@pytest.mark.stopped_by("rewriter", "capability form", "Landlock")
@pytest.mark.parametrize("directory", DIRECTORIES)
@pytest.mark.parametrize("call", ["open", "stat", "rename"])
def test_a_path_on_a_page_that_comes_and_goes_leads_nowhere_outside(arena: Arena, call: str, directory: str) -> None:
    raced_path(arena, call, "truncated", directory, rounds=EXECS)


@pytest.mark.stopped_by("rewriter", "pad", "Landlock", "exec stop")
@pytest.mark.parametrize("attackers", ["threads", "vm", "shared", "vfork"])
def test_a_path_that_changes_during_an_exec_runs_nothing_outside(arena: Arena, attackers: str) -> None:
    raced_path(arena, "exec", attackers, "rox///", rounds=EXECS)


@contextlib.contextmanager
def loader_outside(arena: Arena) -> Iterator[Found]:
    """A program that is not granted, beside one whose name alone is."""
    source = Path(__file__).parents[1] / "programs/races/bare.c"
    loader = arena.base / "names/sibling"
    loader.unlink()
    arena.programs.compile(loader, [source], "-static-pie", "-nostdlib", "-fno-stack-protector")
    yield Found((str(loader),))


@pytest.mark.stopped_by("exec stop")
def test_a_program_that_changes_during_its_exec_gets_no_loader_outside(arena: Arena) -> None:
    # Landlock knows no names that may be made anew, and lets all in their directory be executed.
    options = ["--pure", "--rwx", "{base}/work", "--rwx", "{base}/names/granted"]
    rounds = EXECS // 4
    outcome = arena.holds(
        "races/loaders",
        "changing-loader",
        str(rounds),
        native_args=[str(rounds * NATIVELY)],
        setup=loader_outside,
        options=options,
        static=True,
    )
    assert outcome.stdout == f"HELD none in {rounds} rounds\n", str(outcome)


@contextlib.contextmanager
def two_sockets(arena: Arena) -> Iterator[Found]:
    """A server on either side: the granted one says that it is, the other the secret."""
    with unix_server("secret/sock")(arena), socket.socket(socket.AF_UNIX) as granted:
        granted.bind(str(arena.base / "carved/sock"))
        yield Found()


@pytest.mark.stopped_by("rewriter", "supervisor")
@pytest.mark.parametrize("attackers", ["threads", "vm", "shared"])
def test_an_address_that_changes_during_the_call_connects_nowhere_outside(arena: Arena, attackers: str) -> None:
    raced(arena, "races/flips", "connect", attackers, setup=two_sockets)


@pytest.mark.stopped_by("rewriter", "Landlock")
@pytest.mark.parametrize("attackers", ["threads", "vm", "shared"])
def test_an_open_how_that_changes_during_the_call_makes_nothing_writable(arena: Arena, attackers: str) -> None:
    raced(arena, "races/flips", "how", attackers, setup=two_sides)


@pytest.mark.stopped_by("rewriter", "pad")
@pytest.mark.parametrize("attackers", ["threads", "vm"])
def test_a_message_whose_address_comes_and_goes_reaches_nobody_outside(arena: Arena, attackers: str) -> None:
    setup = unix_server("secret/dgram", socket.SOCK_DGRAM)

    @contextlib.contextmanager
    def unanswered(arena: Arena) -> Iterator[Found]:
        with setup(arena):
            yield Found()

    raced(arena, "races/flips", "sendmsg", attackers, setup=unanswered)


@contextlib.contextmanager
def listener_on_the_same_port(arena: Arena) -> Iterator[Found]:
    """Somebody outside, of the same user, who lets others have the port as well."""
    user = os.geteuid() if arena.who.uid is None else arena.who.uid
    mine = os.geteuid()
    os.seteuid(user)
    try:
        server = socket.socket()
    finally:
        os.seteuid(mine)
    with server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind(("0.0.0.0", 0))
        port = str(server.getsockname()[1])
        with serving(server, arena):
            yield Found((port,))


@pytest.mark.stopped_by("seccomp")
def test_a_port_that_is_closed_while_a_connection_is_decided_is_nobody_elses_beside(arena: Arena) -> None:
    setup, rounds = listener_on_the_same_port, str(EXECS * NATIVELY)
    arena.holds("races/ports", "close", rounds, setup=setup, options=["--net", "loopback"], why="EADDRINUSE")


@pytest.mark.stopped_by("supervisor")
def test_a_connection_that_ends_while_it_begins_to_listen_listens_nowhere(arena: Arena) -> None:
    raced(arena, "races/ports", "listen", setup=no_setup, rounds=EXECS // 4, options=["--net", "loopback"])


@pytest.mark.stopped_by("capability form", "supervisor", "Landlock")
@pytest.mark.parametrize(
    "attack", ["swapped-open", "swapped-stat", "swapped-create", "swapped-chmod", "swapped-unlink"]
)
def test_a_directory_swapped_with_a_symlink_leads_nowhere_outside(arena: Arena, attack: str) -> None:
    raced(arena, "races/swaps", attack, setup=two_sides)


@contextlib.contextmanager
def partly_granted(arena: Arena) -> Iterator[Found]:
    """A directory to be granted without fchmod, and a symlink out of it to its counterpart in a grant of everything."""
    for name in ("partly", "work"):
        directory = arena.base / name / "real"
        directory.mkdir(parents=True)
        (directory / "file").write_text("granted\n")
    (arena.base / "partly/false").symlink_to("../work/real")
    for name in ("partly", "work"):
        arena.give(arena.base / name)
    yield Found()


@pytest.mark.stopped_by("supervisor")
def test_an_open_file_in_a_directory_swapped_with_a_symlink_keeps_its_rights(arena: Arena) -> None:
    rights = "read,lookup,fstat,seek,symlinkat,mkdirat,unlinkat,renameat_source,renameat_target"
    options = ["--grant", f"{rights}:{{base}}/partly"]
    raced(arena, "races/swaps", "swapped-fchmod", setup=partly_granted, options=options)


@pytest.mark.stopped_by("capability form", "rewriter", "Landlock")
@pytest.mark.parametrize("attack", ["moved-cwd", "moved-directory", "moved-path"])
def test_dot_dot_in_a_directory_that_moves_leads_nowhere_outside(arena: Arena, attack: str) -> None:
    raced(arena, "races/swaps", attack, setup=two_sides)


@pytest.mark.stopped_by("supervisor", "Landlock")
@pytest.mark.parametrize("attack", ["replaced-openat", "replaced-fchdir", "replaced-fstatat", "replaced-mkdirat"])
def test_a_directory_descriptor_that_is_replaced_leads_nowhere_outside(arena: Arena, attack: str) -> None:
    raced(arena, "races/swaps", attack, setup=two_sides, stdin="secret")


@pytest.mark.stopped_by("supervisor")
@pytest.mark.parametrize("attack", ["replaced-fchmod", "replaced-futimens", "replaced-reopen"])
def test_a_file_descriptor_that_is_replaced_changes_no_read_only_file(arena: Arena, attack: str) -> None:
    raced(arena, "races/swaps", attack, setup=two_sides)


@pytest.mark.stopped_by("supervisor")
def test_an_inherited_file_is_not_reopened_as_what_replaces_its_descriptor_is_open(arena: Arena) -> None:
    raced(arena, "races/swaps", "replaced-inherited", setup=two_sides, stdin="secret/file")
