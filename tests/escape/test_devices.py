"""Device nodes, terminals, core files, /proc and /sys: nothing there gives what no grant gave."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from escape.harness import Arena, Found
from escape.outside import accomplice
from escape.test_processes import BESIDE, UNHURT


@pytest.mark.stopped_by("rewriter", "launcher")
@pytest.mark.parametrize("attack", ["node-char", "node-block", "node-by-descriptor", "node-upper-half"])
def test_no_device_node_is_made(arena: Arena, attack: str) -> None:
    native = "only root makes device nodes" if arena.who.uid or os.geteuid() else None
    arena.holds("escape/devices", attack, native=native, why="EPERM")


@pytest.mark.stopped_by("rewriter", "Landlock")
@pytest.mark.parametrize("device", ["/dev/kmsg", "/dev/mem", "/dev/loop0", "/dev/kvm", "/dev/fuse", "/dev/console"])
def test_devices_outside_the_list_are_not_there(arena: Arena, device: str) -> None:
    outcome, _ = arena.attack("escape/devices", "open-device", device, options=None)
    native = None if outcome.verdict == "ESCAPED" else "this machine or this user has no such device"
    arena.holds("escape/devices", "open-device", device, native=native, why="ENOENT")


FILES = [
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/hostname",
    "/proc/sys/vm/drop_caches",
    "/proc/sysrq-trigger",
    "/proc/self/uid_map",
    "/proc/self/oom_score_adj/../../sys/kernel/hostname",
    "/proc/self/../sys/kernel/hostname",
    "/proc/irq/default_smp_affinity",
    "/sys/kernel/uevent_helper",
    "/sys/power/state",
    "/sys/fs/cgroup/cgroup.procs",
]


@pytest.mark.stopped_by("rewriter", "Landlock")
@pytest.mark.parametrize("path", FILES)
def test_nothing_of_the_kernels_own_files_can_be_written(arena: Arena, path: str) -> None:
    outcome, _ = arena.attack("escape/devices", "open-for-writing", path, options=None)
    native = None if outcome.verdict == "ESCAPED" else "this machine or this user cannot write it"
    arena.holds("escape/devices", "open-for-writing", path, native=native)


@pytest.mark.stopped_by("rewriter", "Landlock")
@pytest.mark.parametrize(
    "path",
    [
        "/proc/self/net/tcp",
        "/proc/net/unix",
        "/proc/kallsyms",
        "/proc/keys",
        "/proc/kcore",
        "/proc/1/cmdline",
        "/proc/sched_debug",
        "/proc/modules",
        "/proc/cmdline",
        "/proc/mounts/../keys",
        "/sys/kernel/notes",
    ],
)
def test_what_proc_and_sys_do_not_list_cannot_be_read(arena: Arena, path: str) -> None:
    outcome, _ = arena.attack("escape/devices", "read-proc", path, options=None)
    native = None if outcome.verdict == "ESCAPED" else "this kernel or this user has nothing there"
    arena.holds("escape/devices", "read-proc", path, native=native)


@pytest.mark.stopped_by("supervisor")
def test_the_mount_table_names_nothing_outside_the_namespace(arena: Arena) -> None:
    for name in ("mounts", "mountinfo", "mountstats"):
        outcome, changes = arena.attack("escape/devices", "read-proc", f"/proc/self/{name}", options=())
        assert not changes
        assert str(arena.base / "secret") not in outcome.stdout
        for source in ("/dev/vda", "/dev/sd", "/dev/nvme", "overlay"):
            assert source not in outcome.stdout, str(outcome)


@contextlib.contextmanager
def terminal(arena: Arena) -> Iterator[Found]:
    """A terminal, of which the attack gets the side that a shell has."""
    master, slave = os.openpty()
    try:
        if arena.who.uid is not None:
            os.chown(os.ttyname(slave), arena.who.uid, -1)
        yield Found(stdin=slave)
    finally:
        os.close(slave)
        os.close(master)


@contextlib.contextmanager
def typed_at_terminal(arena: Arena) -> Iterator[Found]:
    """The same, with somebody who types a line again and again until the attack is over."""
    master, slave = os.openpty()
    over = threading.Event()

    def type_lines() -> None:
        while not over.wait(0.05):
            with contextlib.suppress(OSError):
                os.write(master, b"\n")

    typist = threading.Thread(target=type_lines)
    typist.start()
    try:
        if arena.who.uid is not None:
            os.chown(os.ttyname(slave), arena.who.uid, -1)
        yield Found(stdin=slave)
    finally:
        over.set()
        typist.join()
        os.close(slave)
        os.close(master)


# A session's leader that opens a terminal gets it as the controlling one.
CONTROLLING = ["sh", "-c", 'exec < "$(readlink /proc/self/fd/0)" && exec "$@"', "sh"]


@pytest.mark.stopped_by("seccomp")
@pytest.mark.parametrize(
    "attack",
    ["terminal-input", "terminal-input-upper-half", "terminal-linux", "terminal-discipline"],
)
def test_nothing_is_typed_into_or_set_on_the_callers_terminal(arena: Arena, attack: str) -> None:
    outcome, _ = arena.attack("escape/devices", attack, options=None, setup=terminal, inner=CONTROLLING)
    if outcome.verdict != "ESCAPED":
        # EIO: dev.tty.legacy_tiocsti is off; ENOTTY: not a console; EPERM: a user.
        assert outcome.stdout.split()[1] in ("EIO", "ENOTTY", "EPERM"), str(outcome)
    outcome, changes = arena.attack("escape/devices", attack, options=(), setup=terminal, inner=CONTROLLING)
    assert outcome.verdict == "HELD", str(outcome)
    assert outcome.stdout.split()[1] in ("ENOTTY", "EPERM"), str(outcome)
    assert not changes


@pytest.mark.stopped_by("Landlock")
@pytest.mark.parametrize("attack", ["terminal-async", "terminal-fioasync", "terminal-async-owned"])
def test_input_at_the_terminal_signals_nobody_outside(arena: Arena, attack: str) -> None:
    inner = [*CONTROLLING, "sh", "-c", BESIDE, "sh"]
    outcome, _ = arena.attack("escape/devices", attack, options=None, setup=typed_at_terminal, inner=inner)
    assert "victim 138" in outcome.stdout, f"natively nobody dies: {outcome}"
    outcome, changes = arena.attack("escape/devices", attack, options=(), setup=typed_at_terminal, inner=inner)
    assert UNHURT in outcome.stdout, str(outcome)
    assert outcome.verdict == "HELD", str(outcome)
    assert not changes


@contextlib.contextmanager
def terminal_of_somebody_else(arena: Arena) -> Iterator[Found]:
    """Somebody outside who opens terminals until one has the number that the attack gave back; a secret is typed there.

    One that the attack had before it is the lowest free number, which the kernel gives out next.
    """
    with contextlib.ExitStack() as opened:

        def open_until(number: int) -> None:
            for _ in range(64):
                master, slave = os.openpty()
                opened.callback(os.close, slave)
                opened.callback(os.close, master)
                if os.ttyname(slave) == f"/dev/pts/{number}":
                    if arena.who.uid is not None:
                        os.chown(slave, arena.who.uid, -1)
                    os.write(master, arena.token.encode() + b"\n")
                    return

        with accomplice(arena.base / "work", "closed", open_until, "reused"):
            yield Found()


@pytest.mark.stopped_by("supervisor")
def test_a_terminal_whose_number_was_once_the_targets_is_not_there(arena: Arena) -> None:
    arena.holds("escape/devices", "terminal-reused", setup=terminal_of_somebody_else, why="ENOENT")


# The file system's label and id, its encryption's salt, the blocks of a file, thawing (of what is not frozen), and a
# block device's read-only flag: all harmless where they are let through.
REQUESTS = ["0x81009431", "0x80111500", "0x40106614", "0x1", "0xc0045878", "0x125d"]


@pytest.mark.stopped_by("seccomp")
@pytest.mark.parametrize("number", REQUESTS)
def test_ioctl_requests_that_are_not_listed_are_refused(arena: Arena, number: str) -> None:
    outcome, _ = arena.attack("escape/devices", "strange-ioctl", number, "{base}/work/file", options=None)
    native = None if outcome.verdict == "ESCAPED" else "this file system or this user has no such request"
    arena.holds("escape/devices", "strange-ioctl", number, "{base}/work/file", native=native, why="ENOTTY|EPERM")


@pytest.mark.stopped_by("launcher")
@pytest.mark.parametrize("directory", ["{base}/work", "{base}/ro", "{base}/secret"])
def test_no_core_file_is_written(arena: Arena, directory: str) -> None:
    piped = Path("/proc/sys/kernel/core_pattern").read_text().startswith(("|", "/", "@"))
    native = "core files of this machine do not go to the current directory" if piped else None
    arena.holds("escape/devices", "core-file", directory, native=native)
