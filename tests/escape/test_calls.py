"""Calls by other doors and other numbers, the calls that are always refused, and filters of the target's own."""

from __future__ import annotations

import ctypes
import errno
import subprocess

import pytest

from capwrap.policy._syscalls import ROWS
from escape.harness import Arena
from escape.running import SOURCES

# As privileges.c lists them; test_every_refused_call_is_tried compares.
REFUSED = [
    "mount",
    "umount2",
    "pivot-root",
    "fsopen",
    "fsmount",
    "fsconfig",
    "fspick",
    "open-tree",
    "open-tree-attr",
    "move-mount",
    "mount-setattr",
    "statmount",
    "listmount",
    "chroot",
    "setns",
    "unshare-user",
    "unshare-mount",
    "unshare-pid",
    "unshare-net",
    "unshare-ipc",
    "unshare-uts",
    "unshare-cgroup",
    "unshare-time",
    "unshare-upper-half",
    "pidfd-getfd",
    "process-vm-readv",
    "process-vm-writev",
    "kcmp",
    "open-by-handle",
    "io-uring-setup",
    "io-uring-enter",
    "io-uring-register",
    "bpf",
    "perf-event-open",
    "userfaultfd",
    "add-key",
    "request-key",
    "keyctl",
    "init-module",
    "finit-module",
    "delete-module",
    "reboot",
    "swapon",
    "swapoff",
    "quotactl",
    "quotactl-fd",
    "acct",
    "syslog",
    "sethostname",
    "setdomainname",
    "settimeofday",
    "clock-settime",
    "iopl",
    "ioperm",
    "fanotify-init",
    "kexec-load",
]


@pytest.mark.stopped_by("seccomp")
@pytest.mark.parametrize("attack", ["int80-open", "int80-openat", "int80-unlink", "int80-getpid", "far-int80"])
def test_no_32_bit_call_is_made(arena: Arena, attack: str) -> None:
    arena.holds("escape/numbers", attack, dies=True)


@pytest.mark.stopped_by("seccomp")
def test_no_call_is_made_by_syscall_from_32_bit_code(arena: Arena) -> None:
    outcome, _ = arena.attack("escape/numbers", "far-syscall", options=None)
    native = "this processor has no syscall in 32-bit code" if outcome.verdict == "UNTRIED" else None
    arena.holds("escape/numbers", "far-syscall", native=native, dies=True)


@pytest.mark.stopped_by("seccomp")
@pytest.mark.parametrize("attack", ["x32-open", "x32-own-numbers"])
def test_no_x32_call_is_made(arena: Arena, attack: str) -> None:
    outcome, _ = arena.attack("escape/numbers", attack, options=None)
    native = None if outcome.verdict == "ESCAPED" else "this kernel has no x32 calls"
    arena.holds("escape/numbers", attack, native=native)


@pytest.mark.stopped_by("rewriter", "Landlock")
@pytest.mark.parametrize(
    "attack",
    [
        "upper-half-number",
        "upper-half-number-mixed",
        "upper-half-dirfd",
        "positive-at-fdcwd",
        "upper-half-flags",
        "upper-half-write-flags",
        "negative-numbers",
    ],
)
def test_the_upper_half_of_a_register_hides_nothing(arena: Arena, attack: str) -> None:
    arena.holds("escape/numbers", attack)


@pytest.mark.stopped_by("seccomp")
def test_numbers_that_nobody_knows_do_nothing(arena: Arena) -> None:
    outcome, _ = arena.attack("escape/numbers", "unknown-numbers", options=None)
    assert outcome.verdict == "HELD", str(outcome)
    arena.holds("escape/numbers", "unknown-numbers", native="the kernel does not know them either", why="ENOSYS")


@pytest.mark.no_attack
def test_every_refused_call_is_tried(arena: Arena) -> None:
    program = arena.programs.path("escape/privileges")
    listed = subprocess.run([program, "list", "/", "0"], capture_output=True, text=True, timeout=30, check=True)
    assert listed.stdout.split() == REFUSED


def numbers(arena: Arena) -> list[tuple[str, int]]:
    program = arena.programs.path("escape/privileges")
    listed = subprocess.run([program, "list-numbers", "/", "0"], capture_output=True, text=True, timeout=30, check=True)
    return [(word, int(number)) for word, number in (line.split() for line in listed.stdout.splitlines())]


@pytest.mark.no_attack
def test_every_call_that_the_table_refuses_is_tried(arena: Arena) -> None:
    assert {row.number for row in ROWS if row.kind == "refuse"} <= {number for _, number in numbers(arena)}


@pytest.mark.stopped_by("seccomp")
def test_whatever_else_the_table_refuses_says_so_whatever_the_kernel_would_say(arena: Arena) -> None:
    errors = {row.number: str(getattr(errno, row.error)) for row in ROWS if row.kind == "refuse" and row.error}
    words = [errors[number] for word, number in numbers(arena) if word == "other"]
    arena.holds("escape/privileges", "each-other", *words)


@pytest.mark.stopped_by("seccomp", "launcher")
@pytest.mark.parametrize("name", REFUSED)
def test_a_call_that_reaches_beyond_any_grant_is_refused(arena: Arena, name: str) -> None:
    outcome, _ = arena.attack("escape/privileges", "call", name, options=None)
    native = None
    if outcome.verdict != "ESCAPED":
        # ENOSYS: the kernel was built without; EPERM: an ordinary user, or a container, may not in any case.
        assert outcome.stdout.split()[1] in ("ENOSYS", "EPERM", "EACCES"), str(outcome)
        native = "this kernel or this user cannot make the call"
    arena.holds("escape/privileges", "call", name, native=native, why="EPERM|ENOSYS")


@pytest.mark.stopped_by("seccomp")
@pytest.mark.parametrize("attack", ["clone-user", "clone-mount", "clone-pid", "clone-net", "clone-upper-half"])
def test_clone_makes_no_namespace(arena: Arena, attack: str) -> None:
    native = "only root makes these without a user namespace" if arena.who.uid and attack != "clone-user" else None
    native = None if attack == "clone-upper-half" else native
    arena.holds("escape/privileges", attack, native=native, why="EPERM")


@pytest.mark.stopped_by("seccomp")
def test_clone_untraced_is_refused(arena: Arena) -> None:
    arena.holds("escape/privileges", "clone-untraced", why="EPERM")


@pytest.mark.stopped_by("seccomp")
def test_clone3_is_unknown(arena: Arena) -> None:
    arena.holds("escape/privileges", "clone3", why="ENOSYS")


@pytest.mark.stopped_by("seccomp")
@pytest.mark.parametrize("attack", ["trace-me", "trace-child"])
def test_the_target_traces_nobody(arena: Arena, attack: str) -> None:
    arena.holds("escape/privileges", attack, why="EPERM")


@pytest.mark.stopped_by("seccomp", "launcher")
def test_a_file_handle_made_outside_opens_nothing(arena: Arena) -> None:
    arena.build()
    # struct file_handle: bytes, type, and up to 128 bytes of handle.
    handle = ctypes.create_string_buffer((128).to_bytes(4, "little") + bytes(4 + 128), 136)
    mount = ctypes.c_int()
    path = str(arena.base / "secret/file").encode()
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.name_to_handle_at(-100, path, handle, ctypes.byref(mount), 0) == 0, ctypes.get_errno()
    size = int.from_bytes(handle.raw[:4], "little")
    words = (str(int.from_bytes(handle.raw[4:8], "little")), handle.raw[8 : 8 + size].hex())
    # The arena is built anew for each run: the handle's inode may be gone, but to be told so (ESTALE) is to be let in.
    outcome, changes = arena.attack("escape/privileges", "open-handle", *words, options=())
    assert outcome.verdict == "HELD", str(outcome)
    assert outcome.stdout.split()[1] in ("EPERM", "ENOSYS")
    assert not changes


@pytest.mark.stopped_by("seccomp", "launcher")
def test_chroot_into_a_grant_is_refused(arena: Arena) -> None:
    native = "only root may" if arena.who.uid else None
    arena.holds("escape/privileges", "chroot-work", native=native, why="EPERM")


@pytest.mark.stopped_by("launcher")
def test_root_keeps_the_file_capabilities_only(arena: Arena) -> None:
    arena.holds("escape/privileges", "privileges-kept", native="a user has none" if arena.who.uid else None)


@pytest.mark.stopped_by("no_new_privs")
def test_no_new_privileges_cannot_be_taken_back(arena: Arena) -> None:
    arena.holds("escape/privileges", "new-privileges")


@pytest.mark.stopped_by("seccomp")
@pytest.mark.parametrize("attack", ["own-listener", "own-listener-tsync", "own-listener-upper-half"])
def test_a_listener_of_the_targets_own_is_refused(arena: Arena, attack: str) -> None:
    arena.holds("escape/filters", attack, why="EBUSY")


@pytest.mark.stopped_by("supervisor")
@pytest.mark.parametrize("data", ["0", "1", "2", "257", "437", "39", "65535"])
def test_the_data_of_a_filter_of_the_targets_own_decides_nothing(arena: Arena, data: str) -> None:
    arena.holds("escape/filters", "own-trace-data", data, native="natively nobody is told of RET_TRACE")


@pytest.mark.stopped_by("rewriter", "Landlock")
@pytest.mark.parametrize("attack", ["own-filter", "break-openat2", "trap-openat2", "kill-openat2"])
def test_a_filter_of_the_targets_own_opens_no_way_out(arena: Arena, attack: str) -> None:
    arena.holds("escape/filters", attack)


@pytest.mark.stopped_by("seccomp")
def test_system_calls_cannot_be_dispatched_to_the_target(arena: Arena) -> None:
    arena.holds("escape/filters", "user-dispatch", why="EINVAL")


@pytest.mark.stopped_by("seccomp")
def test_rules_of_the_targets_own_are_not_accepted_in_vain(arena: Arena) -> None:
    arena.holds("escape/filters", "own-ruleset", native="natively the rules hold", why="EOPNOTSUPP")


@pytest.mark.stopped_by("rewriter", "Landlock")
def test_a_process_that_cannot_be_read_is_still_confined(arena: Arena) -> None:
    arena.holds("escape/filters", "not-dumpable")


@pytest.mark.stopped_by("rewriter")
def test_a_path_at_the_edge_of_what_is_mapped_is_decided_whole(arena: Arena) -> None:
    arena.holds("escape/filters", "bad-pointers")


@pytest.mark.stopped_by("rewriter")
def test_a_path_too_long_is_not_cut_short(arena: Arena) -> None:
    arena.holds("escape/filters", "long-path")


@pytest.mark.no_attack
def test_the_sources_of_the_attacks_stay_small() -> None:
    for source in SOURCES.glob("*/*.c"):
        if source.parent.name in ("escape", "races"):
            assert len(source.read_text().splitlines()) < 400, source
