"""System V objects and POSIX queues that the target did not make are not there."""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from escape.harness import Arena, Found, Setup
from escape.outside import accomplice

KINDS = {"shm": 0, "sem": 1, "msg": 2}


def kept(kind: str) -> Setup:
    """A setup in which a process outside keeps one object of each kind, with the secret in those that hold text.

    The attack is told the id and the key, or the queue's name.
    """

    @contextlib.contextmanager
    def setup(arena: Arena) -> Iterator[Found]:
        name, key = f"/capwrap-{secrets.token_hex(4)}", str(0x4000_0000 + secrets.randbelow(1 << 24))
        program = str(arena.programs.path("escape/ipc"))
        keeper = subprocess.Popen(
            [*arena.who.prefix(), program, "keep", str(arena.base), "0", name, key, arena.token],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        with keeper.stdin, keeper.stdout:
            try:
                ids = keeper.stdout.readline().split()
                assert len(ids) == len(KINDS), ids
                yield Found((name,) if kind == "queue" else (ids[KINDS[kind]], key))
            finally:
                keeper.stdin.close()
                keeper.wait()

    return setup


@pytest.mark.stopped_by("rewriter")
@pytest.mark.parametrize(
    "attack",
    [
        "shm-attach",
        "shm-by-key",
        "shm-stat",
        "shm-stat-by-index",
        "shm-remove",
        "shm-lock",
        "sem-operate",
        "sem-timed",
        "sem-value",
        "sem-count",
        "msg-count",
        "sem-remove",
        "sem-by-key",
        "msg-receive",
        "msg-send",
        "msg-remove",
        "msg-by-key",
    ],
)
def test_a_system_v_object_of_somebody_else_is_out_of_reach(arena: Arena, attack: str) -> None:
    arena.holds("escape/ipc", attack, setup=kept(attack.split("-", maxsplit=1)[0]))


class Message(ctypes.Structure):
    """struct msgbuf"""

    _fields_ = (("type", ctypes.c_long), ("text", ctypes.c_char * 64))


NEXT = Path("/proc/sys/kernel/msg_next_id")


@contextlib.contextmanager
def next_owner_of_a_number(arena: Arena) -> Iterator[Found]:
    """Somebody outside whose new queue has the number that the attack gave up, and the secret in it.

    The numbers come round to it after some millions of queues (ipc/util.c); root may choose the next one.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    queue = -1

    def take(number: int) -> None:
        nonlocal queue
        for _ in range(1000 if os.access(NEXT, os.W_OK) else 0):
            NEXT.write_text(str(number))
            queue = libc.msgget(0, 0o1666)  # IPC_PRIVATE, IPC_CREAT
            if queue == number:
                message = ctypes.byref(Message(1, arena.token.encode()))
                assert libc.msgsnd(queue, message, ctypes.c_size_t(63), 0) == 0
                return
            libc.msgctl(queue, 0, None)  # IPC_RMID: somebody else was given the number

    try:
        with accomplice(arena.base / "work", "removed", take, "taken"):
            yield Found()
    finally:
        libc.msgctl(queue, 0, None)


@pytest.mark.stopped_by("supervisor")
def test_a_number_that_the_target_gave_up_is_not_its_own_again(arena: Arena) -> None:
    native = None if os.access(NEXT, os.W_OK) else "only root may choose the next number, where it can be chosen"
    setup = next_owner_of_a_number
    arena.holds("escape/ipc", "msg-number-again", setup=setup, native=native, why="EINVAL")


@pytest.mark.stopped_by("supervisor")
@pytest.mark.parametrize("attack", ["queue-open", "queue-unlink"])
def test_a_posix_queue_of_somebody_else_is_out_of_reach(arena: Arena, attack: str) -> None:
    arena.holds("escape/ipc", attack, setup=kept("queue"))


@contextlib.contextmanager
def shared_memory(arena: Arena) -> Iterator[Found]:
    """A file of the secret in the machine's /dev/shm."""
    path = f"/dev/shm/capwrap-{secrets.token_hex(4)}"
    with open(path, "x") as file:
        file.write(arena.token)
    try:
        yield Found((path,))
    finally:
        Path(path).unlink(missing_ok=True)


@contextlib.contextmanager
def temporary_file(arena: Arena) -> Iterator[Found]:
    """A file of the secret in the machine's /tmp."""
    path = f"/tmp/capwrap-{secrets.token_hex(4)}"
    with open(path, "x") as file:
        file.write(arena.token)
    try:
        yield Found((path,))
    finally:
        Path(path).unlink(missing_ok=True)


@pytest.mark.stopped_by("launcher", "Landlock")
@pytest.mark.parametrize("operation", ["open", "stat", "unlink"])
@pytest.mark.parametrize("place", [shared_memory, temporary_file])
def test_the_machines_shared_and_temporary_files_are_not_there(arena: Arena, place: Setup, operation: str) -> None:
    native = "a sticky directory: only its owner may" if arena.who.uid and operation == "unlink" else None
    arena.holds("escape/paths", operation, setup=place, native=native, why="ENOENT")
