"""A descriptor gives what the grant of its file gives; capabilities give nothing else and cannot be hurt."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator

import pytest

from escape.harness import Arena, Found


@pytest.mark.stopped_by("rewriter", "Landlock")
@pytest.mark.parametrize(
    "way",
    [
        "reopen-writable",
        "reopen-writable-by-dev-fd",
        "reopen-writable-by-thread-self",
        "reopen-writable-by-pid",
        "reopen-writable-from-path-fd",
        "reopen-writable-relative",
        "reopen-writable-through-link",
        "reopen-truncating",
        "truncate-by-proc",
        "chmod-by-proc",
    ],
)
def test_a_read_only_descriptor_never_becomes_a_writable_one(arena: Arena, way: str) -> None:
    arena.holds("escape/files", way)


@pytest.mark.stopped_by("rewriter")
@pytest.mark.parametrize(
    "call",
    [
        "fchmod",
        "fchmodat2",
        "fchown",
        "fchownat",
        "futimens",
        "utimensat",
        "fsetxattr",
        "setxattrat",
        "setflags",
        "fssetxattr",
        "file-setattr",
    ],
)
def test_a_read_only_descriptor_changes_no_attribute(arena: Arena, call: str) -> None:
    arena.holds("escape/files", call)


@pytest.mark.stopped_by("seccomp")
def test_a_request_to_the_whole_file_system_is_refused(arena: Arena) -> None:
    arena.holds("escape/files", "filesystem-ioctl", why="ENOTTY")


@pytest.mark.stopped_by("rewriter", "Landlock")
@pytest.mark.parametrize(
    "way",
    [
        "link",
        "link-by-proc",
        "link-through-own-link",
        "link-through-symlink",
        "link-by-descriptors",
        "rename-by-descriptors",
    ],
)
def test_a_link_or_rename_gives_a_read_only_file_no_more_rights(arena: Arena, way: str) -> None:
    arena.holds("escape/files", way)


@pytest.mark.stopped_by("rewriter", "Landlock")
def test_a_link_by_the_empty_path_gives_a_read_only_file_no_more_rights(arena: Arena) -> None:
    # Needs CAP_DAC_READ_SEARCH, or (from Linux 6.10) a descriptor that the caller itself opened.
    outcome, _ = arena.attack("escape/files", "link-by-empty-path", options=None)
    native = None if outcome.verdict == "ESCAPED" else "the user lacks CAP_DAC_READ_SEARCH"
    arena.holds("escape/files", "link-by-empty-path", native=native)


@pytest.mark.stopped_by("rewriter", "Landlock")
@pytest.mark.parametrize("call", ["unlink-by-descriptor", "make-by-descriptor", "name-tmpfile-in-read-only"])
def test_a_directory_descriptor_of_a_read_only_grant_changes_nothing(arena: Arena, call: str) -> None:
    arena.holds("escape/files", call)


@pytest.mark.stopped_by("rewriter", "Landlock")
@pytest.mark.parametrize(
    "call",
    ["sibling-by-descriptor", "unlink-sibling-by-descriptor", "denied-by-descriptor", "unlink-denied-by-descriptor"],
)
def test_a_directory_descriptor_does_not_reach_what_its_directory_hides(arena: Arena, call: str) -> None:
    arena.holds("escape/files", call)


@pytest.mark.stopped_by("rewriter", "Landlock")
@pytest.mark.parametrize("name", ["file", "../secret/file", "./file", "/proc/self/fd/0/file", "/dev/fd/0/file"])
def test_an_inherited_directory_outside_is_no_start_of_a_lookup(arena: Arena, name: str) -> None:
    arena.holds("escape/inherited", "stdin-directory", name, stdin="secret", why="ENOENT|ENOTDIR")


@pytest.mark.stopped_by("rewriter")
@pytest.mark.parametrize("name", ["file", "..", "."])
def test_an_inherited_directory_outside_tells_nothing(arena: Arena, name: str) -> None:
    arena.holds("escape/inherited", "stdin-directory-stat", name, stdin="secret", why="ENOENT")


@pytest.mark.stopped_by("rewriter")
@pytest.mark.parametrize("name", ["file", "../secret/file", "/proc/self/cwd/file"])
def test_an_inherited_directory_outside_cannot_become_the_current_one(arena: Arena, name: str) -> None:
    arena.holds("escape/inherited", "stdin-directory-chdir", name, stdin="secret")


@pytest.mark.stopped_by("rewriter", "Landlock")
@pytest.mark.parametrize("call", ["stdin-directory-make", "stdin-directory-unlink"])
def test_nothing_can_be_changed_in_an_inherited_directory_outside(arena: Arena, call: str) -> None:
    arena.holds("escape/inherited", call, stdin="secret")


@pytest.mark.stopped_by("rewriter", "Landlock")
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_PATH])
@pytest.mark.parametrize("path", ["/proc/self/fd/0", "/dev/fd/0", "/dev/stdin", "/proc/thread-self/fd/0"])
def test_an_inherited_read_only_file_cannot_be_reopened_for_writing(arena: Arena, path: str, flags: int) -> None:
    arena.holds("escape/inherited", "stdin-reopen", path, stdin="secret/file", stdin_flags=flags)


@pytest.mark.stopped_by("supervisor")
@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_PATH])
def test_an_inherited_file_outside_that_was_not_opened_for_reading_is_not_read(arena: Arena, flags: int) -> None:
    path = "/proc/self/fd/0"
    arena.holds("escape/inherited", "stdin-read", path, stdin="secret/file", stdin_flags=flags, why="EACCES|ENOENT")


@pytest.mark.stopped_by("rewriter")
def test_the_mode_of_an_inherited_file_outside_cannot_be_changed(arena: Arena) -> None:
    arena.holds("escape/inherited", "stdin-chmod", stdin="secret/file")


@pytest.mark.stopped_by("supervisor")
@pytest.mark.parametrize("call", [("stdin-reopen", "/proc/self/fd/0"), ("stdin-chmod",)])
def test_an_inherited_file_has_no_rights_of_the_grant_that_hides_its_name(arena: Arena, call: tuple[str, ...]) -> None:
    options = "--pure --ro {base} --ro /proc --rw {base}/other={base}/secret"
    arena.holds("escape/inherited", *call, stdin="secret/file", options=options.split(), static=True, why="EACCES")


@pytest.mark.stopped_by("rewriter", "Landlock")
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_PATH])
def test_an_inherited_program_outside_cannot_be_run(arena: Arena, flags: int) -> None:
    arena.holds("escape/inherited", "stdin-exec", stdin="secret/prog", stdin_flags=flags)


@contextlib.contextmanager
def file_of_another_namespace(arena: Arena) -> Iterator[Found]:
    """A file outside, opened for reading, whose path is that of a granted one in the mount namespace that it is of."""
    fresh = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    script = 'mount -t tmpfs -o mode=777 tmpfs "$1" && printf %s "$2" >"$1/file" && chmod 666 "$1/file" && echo && cat'
    keeper = subprocess.Popen(
        [*fresh, "sh", "-c", script, "sh", str(arena.base / "other"), arena.token],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    with keeper.stdin, keeper.stdout:
        try:
            assert keeper.stdout.readline() == b"\n"
            path = f"/proc/{keeper.pid}/root{arena.base}/other/file"
            if arena.who.uid is not None:
                os.chown(path, arena.who.uid, -1)
            with open(path, "rb") as file:
                yield Found(stdin=file.fileno())
        finally:
            keeper.stdin.close()
            keeper.wait()


@pytest.mark.stopped_by("rewriter")
@pytest.mark.parametrize("call", [("stdin-reopen", "/proc/self/fd/0"), ("stdin-chmod",), ("stdin-link",)])
def test_a_descriptor_of_another_mount_namespace_has_no_rights_by_its_path(arena: Arena, call: tuple[str, ...]) -> None:
    native = "a link from one mount to another is made nowhere" if call[0] == "stdin-link" else None
    arena.holds("escape/inherited", *call, setup=file_of_another_namespace, native=native)


@contextlib.contextmanager
def directory_sender(arena: Arena) -> Iterator[Found]:
    """A socket over which somebody outside has sent the descriptor of the secret directory."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours, theirs:
        fd = os.open(arena.base / "secret", os.O_RDONLY | os.O_DIRECTORY)
        try:
            socket.send_fds(ours, [b"x"], [fd])
        finally:
            os.close(fd)
        yield Found(stdin=theirs.fileno())


@pytest.mark.stopped_by("rewriter", "Landlock")
@pytest.mark.parametrize("attack", ["received-directory", "received-directory-chdir"])
def test_a_directory_received_over_a_socket_is_no_start_of_a_lookup(arena: Arena, attack: str) -> None:
    arena.holds("escape/sockets", attack, setup=directory_sender)


@pytest.mark.stopped_by("capability form", "rewriter")
@pytest.mark.parametrize(
    "use",
    [
        "own-how",
        "openat",
        "upper-half",
        "dup",
        "fcntl-dup",
        "fchdir",
        "proc",
        "sent",
        "stat",
        "names",
        "exec",
        "submission",
    ],
)
def test_a_capability_used_by_its_number_leads_nowhere_outside(arena: Arena, use: str) -> None:
    arena.holds("escape/caps", use, standin=True)


@pytest.mark.stopped_by("seccomp")
@pytest.mark.parametrize(
    "hurt",
    [
        "close",
        "close-upper-half",
        "close-range",
        "close-range-inner",
        "close-range-unshare",
        "dup2",
        "dup3",
        "dup2-upper-half",
        "fill",
    ],
)
def test_no_capability_can_be_closed_or_replaced(arena: Arena, hurt: str) -> None:
    arena.holds("escape/hurts", hurt, standin=True)


@pytest.mark.stopped_by("seccomp")
@pytest.mark.parametrize("hurt", ["cloexec-range", "setfd"])
def test_no_capability_can_be_made_to_close_on_exec(arena: Arena, hurt: str) -> None:
    arena.holds("escape/hurts", hurt, standin=True)


@pytest.mark.stopped_by("seccomp")
def test_fioclex_closes_no_capability_on_exec(arena: Arena) -> None:
    arena.holds("escape/hurts", "fioclex", native="an O_PATH descriptor takes no ioctl")


@pytest.mark.stopped_by("seccomp")
def test_no_descriptor_can_be_duplicated_into_the_range_of_the_capabilities(arena: Arena) -> None:
    arena.holds("escape/hurts", "land", standin=True, stdin="secret")


@pytest.mark.stopped_by("supervisor")
@pytest.mark.parametrize("where", ["shown-fd", "shown-fdinfo", "shown-link"])
def test_proc_does_not_show_the_capabilities(arena: Arena, where: str) -> None:
    arena.holds("escape/caps", where, standin=True)


@pytest.mark.stopped_by("launcher")
def test_the_capabilities_find_room_where_the_limit_cannot_be_raised(arena: Arena) -> None:
    # Without CAP_SYS_RESOURCE nobody raises a hard limit, in a container root neither: it is shown smaller.
    inner = ["prlimit", "--nofile=1024:1024", "--"]
    outcome, changes = arena.attack("escape/hurts", "fill", options=(), inner=inner)
    assert outcome.verdict == "HELD", str(outcome)
    assert not changes
