"""What was not granted cannot be reached by any name, in any call that takes one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from escape.conftest import variants
from escape.harness import Arena, Found
from escape.running import Outcome

# The policy under which the current directory is not granted unless somebody says so.
PURE = [variant for variant in variants() if variant.endswith("pure")]

# Every call that takes a path, with what it is tried on; all of it lies in the secret directory.
OPERATIONS = {
    "open": "file",
    "openat2": "file",
    "openat": "file",
    "open-path": "file",
    "write": "file",
    "truncating-open": "file",
    "create": "new",
    "stat": "file",
    "lstat": "file",
    "statx": "file",
    "access": "file",
    "faccessat2": "file",
    "statfs": "file",
    "readlink": "link",
    "chdir": ".",
    "list": "listing",
    "exec": "prog",
    "execveat": "prog",
    "truncate": "file",
    "unlink": "file",
    "rmdir": "empty",
    "mkdir": "new",
    "mkfifo": "new",
    "symlink": "new",
    "rename-away": "file",
    "rename-over": "new",
    "exchange": "file",
    "link-away": "file",
    "link-over": "new",
    "chmod": "file",
    "fchmodat2": "file",
    "chown": "file",
    "utimes": "file",
    "utime": "file",
    "setxattr": "file",
    "getxattr": "file",
    "listxattr": "file",
    "removexattr": "file",
    "getxattrat": "file",
    "file-getattr": "file",
    "inotify": "file",
    "name-to-handle": "file",
    "tmpfile": "empty",
    "empty-path-stat": "file",
    "empty-path-chown": "file",
    "empty-path-link": "file",
    "empty-path-exec": "prog",
}

# Ways to name the secret file from the workspace.
ROUTES = {
    "a .. path": "../secret/file",
    "many ..": "../" * 40 + "{base}/secret/file",
    "dots and ..": "./../work/../secret/file",
    "doubled slashes": "{base}//secret///file",
    "an absolute symlink": "absolute",
    "a relative symlink": "relative",
    "a symlinked directory": "directory/file",
    "a symlink upwards": "up/secret/file",
    ".. behind a symlinked directory": "directory/../secret/file",
    "a chain of symlinks through grants": "chain",
    "a symlink to a magic link": "magic",
    "/proc/self/root": "/proc/self/root{base}/secret/file",
    "/proc/thread-self/root": "/proc/thread-self/root{base}/secret/file",
    "/proc/self/task's root": "/proc/self/task/../root{base}/secret/file",
    "/proc/self/cwd": "/proc/self/cwd/../secret/file",
    "the root of the root": "/../../proc/self/root/proc/self/root{base}/secret/file",
    "the sibling of a grant": "{base}/ro/../secret/file",
}


@pytest.mark.stopped_by("rewriter", "Landlock")
@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_absolute_path_outside_the_grants_gives_nothing(arena: Arena, operation: str) -> None:
    arena.holds("escape/paths", operation, f"{{base}}/secret/{OPERATIONS[operation]}")


@pytest.mark.stopped_by("capability form", "rewriter", "Landlock")
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_symlinked_directory_leads_no_call_outside_the_grants(arena: Arena, operation: str) -> None:
    arena.holds("escape/paths", operation, f"directory/{OPERATIONS[operation]}")


@pytest.mark.stopped_by("rewriter", "Landlock")
@pytest.mark.parametrize("operation", OPERATIONS)
def test_dot_dot_leads_no_call_outside_the_grants(arena: Arena, operation: str) -> None:
    arena.holds("escape/paths", operation, f"../secret/{OPERATIONS[operation]}")


@pytest.mark.stopped_by("rewriter", "Landlock")
@pytest.mark.parametrize("route", ROUTES)
def test_no_way_to_write_a_path_reads_a_secret(arena: Arena, route: str) -> None:
    arena.holds("escape/paths", "open", ROUTES[route])


@pytest.mark.stopped_by("rewriter")
@pytest.mark.parametrize("route", ROUTES)
def test_no_way_to_write_a_path_tells_that_a_secret_exists(arena: Arena, route: str) -> None:
    # /proc under --pure and capwrap's private directories aside, the answer is that of a name that does not exist.
    arena.holds("escape/paths", "stat", ROUTES[route], why="ENOENT|ENOTDIR|EACCES")


@pytest.mark.stopped_by("rewriter")
@pytest.mark.parametrize(
    "operation", ["open", "stat", "readlink", "chdir", "exec", "mkdir", "unlink", "list", "access"]
)
def test_an_ungranted_name_is_answered_as_one_that_does_not_exist(arena: Arena, operation: str) -> None:
    there = arena.holds("escape/paths", operation, f"{{base}}/secret/{OPERATIONS[operation]}", why="ENOENT")
    absent, _ = arena.attack("escape/paths", operation, "{base}/absent/absent", options=())
    assert there.stdout.split()[1] == absent.stdout.split()[1]


# Calls that make a name say EEXIST before they look at any right.
MAKING = ["mkdir", "mkfifo", "symlink", "link-over", "create"]


@pytest.mark.stopped_by("rewriter")
@pytest.mark.parametrize(
    "directory", ["{base}/secret", "../secret", "directory", "{base}/carved/private", "{base}/names"]
)
@pytest.mark.parametrize("operation", [*MAKING, "stat", "chmod", "rmdir", "readlink", "setxattr", "name-to-handle"])
def test_an_answer_does_not_tell_whether_an_ungranted_name_exists(arena: Arena, operation: str, directory: str) -> None:
    name = "sibling" if directory.endswith("names") else "file"
    there, _ = arena.attack("escape/paths", operation, f"{directory}/{name}", options=None)
    absent, _ = arena.attack("escape/paths", operation, f"{directory}/absent", options=None)
    assert there.stdout.split()[:2] != absent.stdout.split()[:2], "natively the answers do not differ"
    there, changes = arena.attack("escape/paths", operation, f"{directory}/{name}", options=())
    absent, _ = arena.attack("escape/paths", operation, f"{directory}/absent", options=())
    assert there.verdict == "HELD", str(there)
    assert there.stdout.split()[:2] == absent.stdout.split()[:2], f"{there}\n{absent}"
    assert not changes


RESOLVE_BENEATH, RESOLVE_IN_ROOT = "0x08", "0x10"


@pytest.mark.stopped_by("rewriter")
@pytest.mark.parametrize("resolve", [RESOLVE_BENEATH, RESOLVE_IN_ROOT])
@pytest.mark.parametrize("way", ["private/{}", "private/{}/x", "sub/../private/{}/x", "to-private/{}/x"])
def test_a_scoped_lookup_does_not_tell_whether_a_denied_name_exists(arena: Arena, way: str, resolve: str) -> None:
    @contextlib.contextmanager
    def linked(arena: Arena) -> Iterator[Found]:
        (arena.base / "carved/to-private").symlink_to("private")
        yield Found()

    def answer(name: str, options: tuple[str, ...] | None) -> tuple[Outcome, list[str]]:
        args = (way.format(name), "{base}/carved", resolve)
        return arena.attack("escape/paths", "openat2-scoped", *args, options=options, setup=linked)

    there, absent = answer("file", None)[0], answer("absent", None)[0]
    assert there.stdout.split()[:2] != absent.stdout.split()[:2], "natively the answers do not differ"
    (there, changes), absent = answer("file", ()), answer("absent", ())[0]
    assert there.verdict == "HELD", str(there)
    assert there.stdout.split()[:2] == absent.stdout.split()[:2], f"{there}\n{absent}"
    assert not changes


@pytest.mark.stopped_by("launcher", "rewriter")
@pytest.mark.parametrize("arena", PURE, indirect=True)
@pytest.mark.parametrize("operation", [*MAKING, "open", "stat", "chmod", "unlink"])
def test_an_ungranted_current_directory_tells_nothing(arena: Arena, operation: str) -> None:
    there, _ = arena.attack("escape/paths", operation, "file", options=None, cwd="secret")
    absent, _ = arena.attack("escape/paths", operation, "absent", options=None, cwd="secret")
    assert there.stdout.split()[:2] != absent.stdout.split()[:2], "natively the answers do not differ"
    there, changes = arena.attack("escape/paths", operation, "file", options=(), cwd="secret")
    absent, _ = arena.attack("escape/paths", operation, "absent", options=(), cwd="secret")
    assert there.verdict == "HELD", str(there)
    assert there.stdout.split()[:2] == absent.stdout.split()[:2], f"{there}\n{absent}"
    assert not changes


@pytest.mark.stopped_by("rewriter", "Landlock")
@pytest.mark.parametrize("operation", ["open", "stat", "write", "unlink", "rename-away", "link-away", "chmod"])
def test_the_sibling_of_a_name_granted_alone_is_invisible(arena: Arena, operation: str) -> None:
    arena.holds("escape/paths", operation, "{base}/names/sibling", why="ENOENT")


@pytest.mark.stopped_by("rewriter", "Landlock")
@pytest.mark.parametrize("operation", ["create", "mkdir", "mkfifo", "symlink", "rename-over", "link-over"])
def test_nothing_can_be_made_beside_a_name_granted_alone(arena: Arena, operation: str) -> None:
    arena.holds("escape/paths", operation, "{base}/names/new")


@pytest.mark.stopped_by("supervisor")
def test_a_listing_of_the_directory_of_a_name_granted_alone_shows_that_name_only(arena: Arena) -> None:
    outcome, changes = arena.attack("escape/paths", "list", "{base}/names", options=())
    assert not changes
    assert outcome.stdout.split() in (["ESCAPED", "granted"], ["HELD", "EACCES", f"{arena.base}/names"]), str(outcome)


@pytest.mark.stopped_by("supervisor")
def test_a_listing_of_an_ancestor_shows_grants_only(arena: Arena) -> None:
    outcome, changes = arena.attack("escape/paths", "list", "{base}", options=())
    assert not changes
    assert outcome.verdict == "ESCAPED", str(outcome)
    assert set(outcome.stdout.split()[1:]) == {"work", "other", "ro", "rox", "names", "carved"}


@pytest.mark.stopped_by("rewriter", "Landlock")
@pytest.mark.parametrize("operation", ["create", "mkdir", "symlink", "rename-over", "link-over", "mkfifo"])
def test_nothing_can_be_made_in_an_ancestor_of_a_grant(arena: Arena, operation: str) -> None:
    arena.holds("escape/paths", operation, "{base}/new")


@pytest.mark.stopped_by("rewriter", "Landlock")
@pytest.mark.parametrize("name", ["carved", "carved/sub", "ro", "names", "other"])
@pytest.mark.parametrize("operation", ["rename-dir", "exchange-dir"])
def test_an_ancestor_of_a_denied_path_cannot_be_moved_away(arena: Arena, operation: str, name: str) -> None:
    arena.holds("escape/files", operation, f"{{base}}/{name}")


@contextlib.contextmanager
def with_hooks(arena: Arena) -> Iterator[Found]:
    """A directory with what lies there, beneath one name or another."""
    (arena.base / "other/kept/hooks").mkdir(parents=True)
    (arena.base / "other/bare").mkdir()
    arena.give(arena.base / "other")
    yield Found()


@pytest.mark.stopped_by("rewriter")
@pytest.mark.parametrize("pattern", ["**/kept/hooks", "{base}/**/kept/hooks", "**/k?pt/**"])
def test_a_directory_that_a_pattern_names_cannot_be_moved_away(arena: Arena, pattern: str) -> None:
    options = ["--deny", pattern]
    arena.holds("escape/files", "rename-dir", "{base}/other/kept", setup=with_hooks, options=options, why="EACCES")


@pytest.mark.stopped_by("rewriter")
@pytest.mark.parametrize("denied", ["{base}/other/absent/hooks", "**/absent/hooks"])
def test_no_denied_name_is_made_by_moving_what_holds_it(arena: Arena, denied: str) -> None:
    names = ("{base}/other/kept", "{base}/other/absent")
    arena.holds("escape/files", "rename-onto", *names, setup=with_hooks, options=["--deny", denied], why="EACCES")


@pytest.mark.stopped_by("rewriter")
def test_whether_a_directory_can_be_removed_tells_of_no_denied_name(arena: Arena) -> None:
    def answers(options: list[str] | None) -> list[list[str]]:
        directories = ("{base}/other/kept", "{base}/other/bare")
        runs = [arena.attack("escape/paths", "rmdir", d, setup=with_hooks, options=options) for d in directories]
        return [outcome.stdout.split()[:2] for outcome, _ in runs]

    there, absent = answers(None)
    assert there != absent, "natively the answers do not differ"
    there, absent = answers(["--deny", "{base}/other/kept/hooks", "--deny", "{base}/other/bare/hooks"])
    assert there == absent == ["HELD", "EACCES"]


DENIED = {
    "as written": "{base}/carved/private/file",
    "the directory": "{base}/carved/private",
    "with a slash behind": "{base}/carved/private/",
    "with doubled slashes": "{base}//carved//private//file",
    "with dots": "{base}/carved/./sub/../private/./file",
    "with a dot behind": "{base}/carved/private/.",
    "out of it and back": "{base}/carved/private/../private/file",
    "from a sibling grant": "../carved/private/file",
    "a glob": "{base}/carved/a.key",
    "a glob, with dots": "{base}/carved/./a.key",
    "a glob, deeper": "{base}/carved/sub/b.key",
    "a glob, deeper, through ..": "{base}/carved/private/../sub/b.key",
    "a glob, by a symlink": "{base}/work/key",
}


@pytest.mark.stopped_by("rewriter")
@pytest.mark.parametrize("way", DENIED)
def test_a_denied_path_cannot_be_reached_however_it_is_written(arena: Arena, way: str) -> None:
    arena.holds("escape/paths", "stat", DENIED[way], why="ENOENT")


@pytest.mark.stopped_by("rewriter", "Landlock")
@pytest.mark.parametrize("operation", ["open", "write", "chmod", "unlink", "rename-away", "link-away", "exchange"])
@pytest.mark.parametrize("name", ["carved/private/file", "carved/a.key", "carved/sub/b.key"])
def test_a_denied_path_gives_nothing_to_any_call(arena: Arena, operation: str, name: str) -> None:
    arena.holds("escape/paths", operation, f"{{base}}/{name}", why="ENOENT")


@pytest.mark.stopped_by("rewriter")
@pytest.mark.parametrize("operation", ["create", "mkdir", "symlink", "rename-over", "link-over", "mkfifo"])
def test_a_denied_name_that_does_not_exist_cannot_be_made(arena: Arena, operation: str) -> None:
    arena.holds("escape/paths", operation, "{base}/carved/new.key")


@pytest.mark.stopped_by("rewriter", "Landlock")
@pytest.mark.parametrize(
    "operation",
    [
        "write",
        "truncating-open",
        "truncate",
        "unlink",
        "rename-away",
        "exchange",
        "chmod",
        "chown",
        "utimes",
        "setxattr",
        "fchmodat2",
        "utime",
    ],
)
def test_a_read_only_grant_cannot_be_changed(arena: Arena, operation: str) -> None:
    arena.holds("escape/paths", operation, "{base}/ro/file", why="EACCES")


@pytest.mark.stopped_by("rewriter", "Landlock")
@pytest.mark.parametrize("operation", ["create", "mkdir", "symlink", "rename-over", "link-over", "mkfifo", "tmpfile"])
def test_nothing_can_be_made_in_a_read_only_grant(arena: Arena, operation: str) -> None:
    arena.holds("escape/paths", operation, "{base}/ro" if operation == "tmpfile" else "{base}/ro/new", why="EACCES")


@pytest.mark.stopped_by("rewriter", "Landlock", "exec stop")
@pytest.mark.parametrize("operation", ["exec", "execveat", "empty-path-exec"])
def test_a_grant_without_execute_runs_nothing(arena: Arena, operation: str) -> None:
    arena.holds("escape/paths", operation, "{base}/ro/prog", why="EACCES")


@pytest.mark.stopped_by("supervisor")
@pytest.mark.parametrize("place", ["root", "cwd", "fd", "exe", "environ", "maps", "mem", "ns/mnt", "task", "stat"])
def test_proc_shows_nothing_of_a_process_outside(arena: Arena, place: str) -> None:
    arena.holds("escape/processes", "proc-of-victim", place)


@pytest.mark.stopped_by("supervisor", "Landlock")
@pytest.mark.parametrize("place", ["root", "cwd"])
def test_the_directories_of_a_process_outside_lead_nowhere(arena: Arena, place: str) -> None:
    arena.holds("escape/processes", "path-through-victim", place)
