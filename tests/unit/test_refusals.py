"""What a refusal is told with: what would allow the call, the nearest grant, and the summary of a run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from event_records import READ, WRITE, granted_tree, image_of, record, refusal_record

from capwrap.observe.namespace import Namespace
from capwrap.observe.records import NONE, EventType, decode
from capwrap.observe.refusals import Reader, Refusal, glob_covers, quote
from capwrap.observe.summary import Summary, printable
from capwrap.policy import Policy, compile_image
from capwrap.policy.rights import Right


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return granted_tree(tmp_path)


@pytest.fixture
def image(tree: Path) -> bytes:
    return image_of(tree)


@pytest.fixture
def reader(image: bytes) -> Reader:
    return Reader(image, ("cc", "-c", "a.c"))


def diagnose(reader: Reader, data: bytes) -> Refusal:
    ((_, refusal),) = reader.read(decode(data))
    assert refusal is not None
    return refusal


@pytest.mark.parametrize(
    ("needs", "option"),
    [
        (Right.READ, "--ro"),
        (Right.LOOKUP | Right.FSTAT, "--ro"),
        (Right.FEXECVE, "--rox"),
        (Right.WRITE | Right.CREATE, "--rw"),
        (Right.WRITE | Right.FEXECVE, "--rwx"),
    ],
)
def test_an_ungranted_path_is_allowed_by_the_least_option(
    reader: Reader, tree: Path, needs: Right, option: str
) -> None:
    refusal = diagnose(reader, refusal_record(f"{tree}/other", int(needs)))
    assert (refusal.allow, refusal.hint) == (f"{option} {tree}/other", None)


def test_an_option_keeps_what_the_place_had(reader: Reader, tree: Path) -> None:
    refusal = diagnose(reader, refusal_record(f"{tree}/lib/a.h", WRITE, "right-missing", 13))
    assert refusal.allow == f"--rwx {tree}/lib/a.h"


def test_a_grant_with_explicit_rights_is_extended_explicitly(reader: Reader, tree: Path) -> None:
    refusal = diagnose(reader, refusal_record(f"{tree}/search/word", READ, "right-missing", 13))
    assert refusal.allow == f"--grant read,lookup,fstat:{tree}/search/word"


def test_beneath_a_mapped_grant_the_option_maps_too(reader: Reader, tree: Path) -> None:
    data = refusal_record("/virtual/x", WRITE, "right-missing", 13, host=os.fsencode(f"{tree}/mapped/x"))
    assert diagnose(reader, data).allow == f"--rw {tree}/mapped/x=/virtual/x"


def test_what_is_denied_by_name_is_allowed_by_no_option(reader: Reader, tree: Path) -> None:
    refusal = diagnose(reader, refusal_record(f"{tree}/lib/secret", READ))
    assert refusal.allow is None
    assert refusal.hint is not None
    assert f"--deny {tree}/lib/secret" in refusal.hint


def test_what_a_pattern_denies_is_allowed_by_no_option(reader: Reader, tree: Path) -> None:
    refusal = diagnose(reader, refusal_record(f"{tree}/lib/x.key", READ))
    assert refusal.allow is None
    assert "*.key" in (refusal.hint or "")


def test_beneath_a_denied_directory_a_deeper_grant_helps(tree: Path) -> None:
    policy = Policy().ro(tree).deny(str(tree / "lib"))
    reader = Reader(compile_image(policy, command=None, cwd=str(tree), environ={}))
    assert diagnose(reader, refusal_record(f"{tree}/lib/a.h", READ)).allow == f"--ro {tree}/lib/a.h"


def test_of_a_rename_the_end_that_lacks_something_is_named(reader: Reader, tree: Path) -> None:
    needs = int(Right.RENAMEAT_SOURCE | Right.RENAMEAT_TARGET)
    source, target = f"{tree}/open/file", f"{tree}/lib/file"
    data = refusal_record(source, needs, "right-missing", 13, path2=os.fsencode(target), syscall="rename")
    refusal = diagnose(reader, data)
    assert refusal.allow == f"--rwx {target}"
    assert refusal.object == f"{source} -> {target}"


def test_of_a_rename_both_ends_are_named_where_both_lack_something(reader: Reader, tree: Path) -> None:
    needs = int(Right.RENAMEAT_SOURCE | Right.RENAMEAT_TARGET)
    data = refusal_record(f"{tree}/a", needs, path2=os.fsencode(f"{tree}/b"), syscall="rename")
    assert diagnose(reader, data).allow == f"--rw {tree}/a --rw {tree}/b"


def test_a_name_that_holds_a_grant_cannot_be_moved_by_any_option(reader: Reader, tree: Path) -> None:
    data = refusal_record(f"{tree}/open", int(Right.UNLINKAT), "right-missing", 13, syscall="rmdir")
    refusal = diagnose(reader, data)
    assert refusal.allow is None
    assert "keeps its name" in (refusal.hint or "")


def test_a_link_out_of_its_grant_names_the_place_that_it_leads_to(reader: Reader, tree: Path) -> None:
    data = refusal_record(f"{tree}/lib/link", READ, "escape", host=b"/etc/shadow")
    assert diagnose(reader, data).allow == "--ro /etc/shadow"


@pytest.mark.parametrize(
    ("syscall", "address", "allow"),
    [
        ("connect", b"tcp:127.0.0.1:80", "--connect tcp:127.0.0.1:80"),
        ("sendto", b"tcp:10.0.0.1:53", "--connect tcp:10.0.0.1:53"),
        ("connect", b"tcp:[::1]:80", "--connect 'tcp:[::1]:80'"),
        ("bind", b"tcp:0.0.0.0:8080", "--bind tcp:0.0.0.0:8080"),
        ("bind", b"tcp:0.0.0.0:0", "--bind 'tcp:0.0.0.0:*'"),
    ],
)
def test_an_address_is_allowed_by_its_option(reader: Reader, syscall: str, address: bytes, allow: str) -> None:
    data = record(EventType.REFUSAL, kind="network", syscall=syscall, extra=address, result=-101)
    refusal = diagnose(reader, data)
    assert refusal.allow == allow
    assert refusal.object == address.decode()


def test_a_unix_socket_is_allowed_by_its_path(reader: Reader, tree: Path) -> None:
    data = refusal_record(f"{tree}/socket", int(Right.CONNECTAT), syscall="connect")
    assert diagnose(reader, data).allow == f"--connect unix:{tree}/socket"


@pytest.mark.parametrize("kind", ["syscall", "signal", "process", "network", "descriptor"])
def test_where_nothing_can_allow_it_there_is_a_sentence(reader: Reader, kind: str) -> None:
    refusal = diagnose(reader, record(EventType.REFUSAL, kind=kind, syscall="mount", result=-1))
    assert refusal.allow is None
    assert (refusal.hint or "").startswith("no option allows")


def test_an_ioctl_is_allowed_by_its_number(reader: Reader) -> None:
    data = record(EventType.REFUSAL, kind="syscall", syscall="ioctl", extra=b"ioctl:0x5413", result=-25)
    assert diagnose(reader, data).allow == "--allow ioctl:0x5413"


def test_an_ioctl_that_never_passes_has_no_option(reader: Reader) -> None:
    data = record(EventType.REFUSAL, kind="syscall", syscall="ioctl", extra=b"ioctl:0x40086602", result=-25)
    refusal = diagnose(reader, data)
    assert refusal.allow is None
    assert (refusal.hint or "").startswith("no option allows it")


@pytest.mark.parametrize(("syscall", "ends"), [("rename", "renameat"), ("linkat", "linkat")])
def test_of_two_names_that_are_not_granted_the_second_is_asked_for_what_it_needs(
    reader: Reader, tree: Path, syscall: str, ends: str
) -> None:
    source, target = f"{tree}/open/file", os.fsencode(f"{tree}/elsewhere")
    # the engine knows the first name's need only, where the lookup of the second fails
    data = refusal_record(source, int(Right[f"{ends}_source".upper()]), path2=target, syscall=syscall)
    refusal = diagnose(reader, data)
    assert refusal.allow == f"--rw {tree}/elsewhere"
    assert f"{ends}_target" in refusal.needs


def test_a_memory_file_is_allowed_by_name(reader: Reader) -> None:
    data = refusal_record("/memfd:x (deleted)", int(Right.FEXECVE), "exec", 13, syscall="execveat")
    assert diagnose(reader, data).allow == "--allow memfd-exec"


def test_every_suggested_option_is_accepted_and_grants_what_was_needed(tree: Path) -> None:
    from capwrap.policy.build import build_namespace
    from capwrap.policy.check import decide
    from capwrap.policy.options import parse_grant_option, parse_path_option

    policy = Policy().rox(tree / "lib").grant("lookup,fstat", tree / "search")
    reader = Reader(compile_image(policy, command=None, cwd=str(tree), environ={}))
    for name in ("lib/a.h", "search/word", "open/file", "passwd"):
        for needs in (Right.READ, Right.WRITE, Right.FEXECVE, Right.FCHMOD | Right.READ):
            refusal = diagnose(reader, refusal_record(f"{tree}/{name}", int(needs), "right-missing", 13))
            if refusal.allow is None:
                continue
            flag, value = refusal.allow.split(" ")
            rights = flag.removeprefix("--")
            item = parse_grant_option(value) if rights == "grant" else parse_path_option(value, rights)
            space = build_namespace(policy.add(item), command=None, cwd=str(tree), environ={})
            gives = decide(space, f"{tree}/{name}").rights
            assert gives & needs == needs
            before = build_namespace(policy, command=None, cwd=str(tree), environ={})
            had = decide(before, f"{tree}/{name}").rights
            assert gives & had == had


def test_an_ancestor_in_a_private_directory_is_allowed_by_granting_it(tree: Path) -> None:
    policy = Policy().private("/tmp").rw(tree)
    reader = Reader(compile_image(policy, command=None, cwd=str(tree), environ={}))
    data = refusal_record(str(tree.parent), int(Right.EXTATTR_GET), "right-missing", 13, syscall="lgetxattr")
    assert diagnose(reader, data).allow == f"--ro {tree.parent}"


def test_what_would_lie_in_an_ancestor_in_a_private_directory_is_allowed_by_granting_it(tree: Path) -> None:
    policy = Policy().private("/tmp").rw(tree / "lib")
    reader = Reader(compile_image(policy, command=None, cwd=str(tree), environ={}))
    assert diagnose(reader, refusal_record(f"{tree}/passwd", READ)).allow == f"--ro {tree}/passwd"
    # In the private directory itself nothing is refused for want of a grant.
    assert reader.namespace.deciding("/tmp/x") is reader.namespace.deciding("/tmp")


@pytest.mark.parametrize("top", ["", "/virtual"])
def test_a_file_system_of_the_kernel_in_a_grant_takes_a_grant_of_its_own(top: str) -> None:
    assert os.lstat("/sys").st_dev != os.stat("/").st_dev
    reader = Reader(compile_image(Policy().rox("/", top or None), command=None, cwd="/", environ={}))
    refusal = diagnose(reader, refusal_record(f"{top}/sys/devices", READ, host=b"/sys/devices"))
    assert refusal.allow == "--ro /sys/devices" + (f"={top}/sys/devices" if top else "")
    # On the grant's own file system it is a link in the path that leads away.
    refusal = diagnose(reader, refusal_record(f"{top}/usr/link", READ, host=b"/usr/link"))
    assert refusal.allow is None
    assert "symbolic link" in (refusal.hint or "")


def test_a_grant_mapped_to_the_root_names_its_host_paths(tree: Path) -> None:
    reader = Reader(compile_image(Policy().ro(tree, "/"), command=None, cwd="/", environ={}))
    data = refusal_record("/passwd", int(Right.WRITE), "right-missing", 13, host=b"")
    assert diagnose(reader, data).allow == f"--rw {tree}/passwd=/passwd"


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        ("{}/lib/include/x", "{}/lib"),
        ("{}/lib", "{}/lib"),
        ("{}/passwords", "{}/passwd"),
        ("{}/passwd", "{}/passwd"),
        ("{}/passwd/beneath", "{}/passwd"),
        ("/virtual/x", "/virtual"),
        ("/nowhere/at/all", None),
    ],
)
def test_the_nearest_grant_shares_most_of_the_path(image: bytes, tree: Path, path: str, nearest: str | None) -> None:
    found = Namespace(image).nearest(path.format(tree))
    assert (None if found is None else found.path) == (None if nearest is None else nearest.format(tree))


def test_a_grant_number_that_the_image_does_not_have_is_none(image: bytes) -> None:
    namespace = Namespace(image)
    assert namespace.grant_path(NONE) is None
    assert namespace.grant_path(1 << 20) is None
    assert namespace.grant_path(0) == "/"


@pytest.mark.parametrize(
    ("pattern", "path", "covered"),
    [
        ("/a/*.key", "/a/x.key", True),
        ("/a/*.key", "/a/x.key/beneath", True),
        ("/a/*.key", "/a/b/x.key", False),
        ("/a/**/.git", "/a/b/c/.git/config", True),
        ("/a/[xy]", "/a/y", True),
        ("/a/[!xy]", "/a/y", False),
    ],
)
def test_a_deny_pattern_covers_what_it_matches_and_all_beneath(pattern: str, path: str, covered: bool) -> None:
    assert glob_covers(pattern, path) is covered


@pytest.mark.parametrize("argument", ["/a b", "/it's", "/$x", "/a\nb", "/\udcff", "-x", "/é", "", "/~", "/\\"])
def test_a_quoted_argument_reaches_the_shell_as_it_was(argument: str) -> None:
    import subprocess

    raw = os.fsencode(argument)
    script = b"printf %s " + os.fsencode(quote(argument))
    assert subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout == raw


def test_refusals_are_grouped_and_counted(reader: Reader) -> None:
    summary = Summary()
    for _ in range(3):
        summary.add(diagnose(reader, refusal_record("/etc/shadow", READ)))
    summary.add(diagnose(reader, refusal_record("/etc/shadow", WRITE)))
    assert summary.lines() == [
        "4 calls refused:",
        "  /etc/shadow: openat: ENOENT, not granted, needs read (3 times)",
        "    allow with: --ro /etc/shadow",
        "  /etc/shadow: openat: ENOENT, not granted, needs write",
        "    allow with: --rw /etc/shadow",
    ]


def test_the_library_of_a_python_is_named_whole(reader: Reader) -> None:
    summary = Summary()
    summary.add(diagnose(reader, refusal_record("/opt/a b/lib/python3.12/os.py", Right.FSTAT)))
    assert summary.lines()[-2:] == [
        "  /opt/a b/lib/python3.12 is the library of a Python, which does not start without it",
        "    allow all of it with: --ro '/opt/a b/lib/python3.12'",
    ]


@pytest.mark.parametrize("path", ["/srv/os.py", "/opt/lib/python3.12/os.pyc", "/opt/lib/python3.12/a/os.py"])
def test_no_directory_is_advised_for_what_is_not_the_mark_of_such_a_library(reader: Reader, path: str) -> None:
    summary = Summary()
    summary.add(diagnose(reader, refusal_record(path, Right.FSTAT)))
    summary.add(diagnose(reader, refusal_record("/opt/lib/python3.12/os.py", WRITE)))
    assert not [line for line in summary.lines() if "all of it" in line]


def test_absent_names_are_told_only_when_asked(reader: Reader) -> None:
    summary = Summary()
    summary.add(diagnose(reader, record(EventType.ABSENT, kind="not-granted", path=b"/etc/x", result=-2)))
    assert summary.lines() == []
    assert summary.lines(verbose=True) == [
        "1 call on names that the host does not have either (absent), 1 name:",
        "  /etc/x (1)",
    ]


def test_names_cannot_write_control_sequences(reader: Reader) -> None:
    summary = Summary()
    summary.add(diagnose(reader, refusal_record(b"/\x1b[31m\xff", READ)))
    text = "\n".join(summary.lines())
    assert "\x1b" not in text
    assert r"/\x1b[31m\xff" in text
    assert r"--ro $'/\033[31m\377'" in text


def test_printable_keeps_letters() -> None:
    assert printable("/é/\u202e") == "/é/\\u202e"
