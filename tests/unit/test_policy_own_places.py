"""What of a namespace is not simply the host's: /proc, devices, private directories, the workspace, COMMAND's files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from namespaces import build, capform, make_top, shape

from capwrap.policy import Policy, PolicyError, Right
from capwrap.policy.check import decide
from capwrap.policy.namespace import Namespace, NodeFlag, NodeKind
from capwrap.policy.rights import DEVICE, RO, ROX, RW, RWX


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return make_top(tmp_path)


def test_proc_is_always_the_launcher_s_view() -> None:
    for policy in (Policy().ro("/proc"), Policy().ro("/"), Policy().rwx("/")):
        node = build(policy).index["/proc"]
        assert (node.kind, node.rights, node.host) == (NodeKind.PROC, RO, "")


@pytest.mark.parametrize("path", ["/proc/self/environ", "/proc/1", "/proc/self", "/proc/thread-self/fd"])
def test_processes_cannot_be_granted(path: str) -> None:
    with pytest.raises(PolicyError, match="process to process"):
        build(Policy().ro(path))


@pytest.mark.parametrize(
    ("path", "virtual"), [("/proc", "/p"), ("/usr", "/proc/x"), ("/usr", "/proc"), ("/proc/self", "/s")]
)
def test_proc_cannot_be_mapped(path: str, virtual: str) -> None:
    with pytest.raises(PolicyError, match="/proc cannot be mapped"):
        build(Policy().ro(path, virtual))


def test_a_mapped_root_does_not_show_the_host_s_proc() -> None:
    space = build(Policy().ro("/", "/host"))
    assert space.index["/host/proc"].kind is NodeKind.DENY
    assert space.index["/host/dev/pts"].kind is NodeKind.DENY


def test_links_into_proc_are_links_and_nothing_more(top: Path) -> None:
    (top / "mtab").symlink_to("/proc/self/mounts")
    assert shape(build(Policy().ro(top / "mtab")), top) == {"mtab": ("LINK", "/proc/self/mounts")}


def test_ptys_of_others_are_not_in_a_grant_of_dev() -> None:
    assert build(Policy().rw("/dev")).index["/dev/pts"].kind is NodeKind.PTS
    assert build(Policy().rw("/dev", "/d")).index["/d/pts"].kind is NodeKind.DENY


def test_devices_of_the_profile() -> None:
    space = build(Policy.profile("runtime"))
    null = space.index["/dev/null"]
    assert (null.kind, null.rights, null.host) == (NodeKind.NAME, DEVICE, "/dev/null")
    assert null.flags == NodeFlag.DEVICE | NodeFlag.IDENTITY
    assert space.index["/dev/fd"].link == "/proc/self/fd"
    assert space.index["/dev/stderr"].link == "/proc/self/fd/2"
    assert (space.index["/dev/pts"].kind, space.index["/dev/pts"].rights) == (NodeKind.PTS, RW)
    shm = space.index["/dev/shm"]
    assert (shm.kind, shm.rights) == (NodeKind.PRIVATE, RW)
    assert shm.flags & (NodeFlag.SHM | NodeFlag.STICKY) == NodeFlag.SHM | NodeFlag.STICKY


def test_an_explicit_grant_takes_the_place_of_a_private_directory(top: Path) -> None:
    space = build(Policy().private(top).ro(top))
    assert (space.index[str(top)].kind, space.index[str(top)].rights) == (NodeKind.DIR, RO)


def written(top: Path, text: str) -> Policy:
    (top / "policy.toml").write_text(text)
    return Policy.load(top / "policy.toml")


def test_an_empty_directory_is_one_that_the_host_has(top: Path) -> None:
    (top / "file").touch()
    names = [str(top / name) for name in ("usr", "lib", "file", "absent", "absent/too")]
    space = build(written(top, f"empty = {names!r}"))
    shown = [node.path for node in space.nodes() if node.flags & NodeFlag.SHOWN]
    assert shown == [str(top / "usr"), *([str(top / "usr/lib")] if (top / "usr/lib").is_dir() else [])]


def test_an_empty_directory_leaves_what_is_granted_around_it_and_beneath_it_and_what_is_denied(top: Path) -> None:
    empty = written(top, f"empty = [{str(top / 'usr')!r}]")
    for policy in (Policy().ro(top), Policy().ro(top / "usr"), Policy().ro(top).deny(top / "usr")):
        assert shape(build(policy.merge(empty)), top) == shape(build(policy), top)
    space = build(Policy().ro(top / "usr/include").merge(empty))
    assert space.index[str(top / "usr")].flags & NodeFlag.SHOWN


def test_private_directories_lie_behind_the_host_s_symlinks(top: Path) -> None:
    assert shape(build(Policy().private(top / "lib", sticky=True)), top) == {
        "lib": ("LINK", "usr/lib"),
        "usr/lib": ("PRIVATE", "rwx"),
    }
    assert shape(build(Policy().private(top / "lib/no/such/place")), top)["usr/lib/no/such/place"] == ("PRIVATE", "rwx")


def test_connecting_adds_to_what_the_name_has(top: Path) -> None:
    space = build(Policy().connect(f"unix:{top}/lib/sock"))
    assert space.index[f"{top}/usr/lib/sock"].rights == Right.CONNECTAT | Right.LOOKUP | Right.FSTAT
    space = build(Policy().ro(top).bind(f"unix:{top}/work/sock"))
    assert space.index[f"{top}/work/sock"].rights == RO | Right.BINDAT
    # Read-write grants can do both already.
    assert shape(build(Policy().rw(top).bind(f"unix:{top}/work/sock")), top) == {".": ("DIR", "rw")}


def workspace(cwd: Path, **environ: str) -> Namespace:
    return build(Policy.profile("workspace"), cwd, environ)


def test_workspace_grants_the_current_directory_and_hides_home(top: Path) -> None:
    home = top / "usr"
    (home / "project").mkdir()
    space = workspace(home / "project", HOME=str(home))
    assert decide(space, "x").rights == RWX
    assert space.index[str(home)].kind is NodeKind.PRIVATE
    assert capform(space, home)
    assert capform(space, home / "project")
    assert capform(space, "/usr")


@pytest.mark.parametrize("cwd", ["usr", "", "lib/..", "abs"])
def test_workspace_refuses_where_the_current_directory_holds_home(top: Path, cwd: str) -> None:
    with pytest.raises(PolicyError, match=r"\$HOME") as caught:
        workspace(top / cwd, HOME=str(top / "abs"))
    assert "--profile base" in (caught.value.remedy or "")


def test_workspace_refuses_the_root() -> None:
    with pytest.raises(PolicyError, match="current directory is /") as caught:
        workspace(Path("/"))
    assert "--profile base" in (caught.value.remedy or "")


def test_workspace_starts_without_a_usable_home(top: Path) -> None:
    for environ in ({}, {"HOME": ""}, {"HOME": "relative"}, {"HOME": "/"}):
        space = build(Policy.profile("workspace"), top / "work", environ)
        assert decide(space, "x").rights == RWX


def test_workspace_has_a_private_tmpdir_unless_it_lies_in_a_grant(top: Path) -> None:
    assert workspace(top / "work", TMPDIR=str(top / "tmp")).index[str(top / "tmp")].kind is NodeKind.PRIVATE
    assert str(top / "work/tmp") not in workspace(top / "work", TMPDIR=str(top / "work/tmp")).index


def test_a_workspace_that_is_reached_through_a_symlink_is_seen_through_it(top: Path) -> None:
    (top / "ws").symlink_to("work")
    space = workspace(top / "work", PWD=str(top / "ws"))
    assert space.index[str(top / "ws")].link == "work"
    assert decide(space, str(top / "ws/x")).rights == RWX
    # A PWD that is something else is not believed.
    assert str(top / "lib") not in workspace(top / "work", PWD=str(top / "lib")).index


def test_runtime_grants_command_and_its_libraries_by_name() -> None:
    space = build(Policy.profile("runtime"), "/", {"PATH": "/usr/bin:/bin"}, ["env", "true"])
    path = os.path.realpath("/usr/bin/env")
    assert decide(space, path).rights == ROX
    assert space.index[path].kind is NodeKind.NAME
    loader = decide(space, "/lib64/ld-linux-x86-64.so.2")
    assert loader.rights == ROX
    assert decide(space, os.path.realpath("/usr/bin/true")).rights == ROX
    assert decide(space, "/usr/bin/id").rights == 0


def test_base_grants_command_beneath_usr_with_nothing_of_its_own() -> None:
    with_command = build(Policy.profile("base"), "/", {"PATH": "/usr/bin:/bin"}, ["env"])
    assert shape(with_command) == shape(build(Policy.profile("base")))
    assert capform(with_command, "/usr")


def test_a_denied_file_of_the_closure_stays_denied_and_is_reported() -> None:
    space = build(Policy.profile("runtime").deny("/usr/bin/env"), "/", {"PATH": "/usr/bin"}, ["env"])
    assert decide(space, "/usr/bin/env").rights == 0
    assert any("which COMMAND needs, is denied" in note for note in space.notes)
    space = build(Policy.profile("runtime").deny("**/env"), "/", {"PATH": "/usr/bin"}, ["env"])
    assert "/usr/bin/env" not in space.index


def test_a_command_that_is_not_found_is_no_error_here() -> None:
    assert shape(build(Policy.profile("runtime"), "/", {"PATH": "/usr/bin"}, ["no-such-command"]))
