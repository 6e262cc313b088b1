"""From grants to the tree: canonicalisation, adding up, carving, flags."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from capwrap.policy import Policy, PolicyError, Right
from capwrap.policy.build import build_namespace
from capwrap.policy.check import decide, nearest, tree, warnings
from capwrap.policy.image import number_nodes
from capwrap.policy.namespace import Namespace, Node, NodeFlag, NodeKind
from capwrap.policy.observations import Kind
from capwrap.policy.rights import DEVICE, RO, ROX, RW, RWX


def build(
    policy: Policy, cwd: Path | str = "/", environ: Mapping[str, str] | None = None, command: list[str] | None = None
) -> Namespace:
    return build_namespace(policy, command=command, cwd=str(cwd), environ=environ or {})


def shape(space: Namespace, above: Path | str = "/") -> dict[str, tuple[str, str]]:
    """The nodes that are no ancestors, by path beneath ``above``: kind, and rights, link text or host."""
    found = {}
    for node in space.nodes():
        if node.kind is NodeKind.ANCESTOR:
            continue
        text = node.link or (node.host if node.host != node.path else "") or _rights(node)
        found[os.path.relpath(node.path, above)] = (node.kind.name, text)
    return found


def _rights(node: Node) -> str:
    from capwrap.policy import format_rights

    return format_rights(node.rights)


def capform(space: Namespace, path: Path | str) -> bool:
    return bool(space.index[str(path)].flags & NodeFlag.CAPFORM)


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A canonical directory with files, directories and symlinks of each sort."""
    top = tmp_path.resolve()
    (top / "usr/lib/sub").mkdir(parents=True)
    (top / "usr/lib/file").write_text("x")
    (top / "lib").symlink_to("usr/lib")
    (top / "abs").symlink_to(top / "usr")
    (top / "chain").symlink_to("abs/lib")
    (top / "usr/up").symlink_to("../lib/file")
    (top / "loop").symlink_to("loop")
    (top / "dangling").symlink_to("usr/nothing")
    (top / "work").mkdir()
    return top


# Grants.


def test_a_symlink_to_a_directory_becomes_a_link_and_a_grant_of_its_target(top: Path) -> None:
    assert shape(build(Policy().ro(top / "lib")), top) == {"lib": ("LINK", "usr/lib"), "usr/lib": ("DIR", "ro")}


def test_every_symlink_on_the_way_becomes_a_link(top: Path) -> None:
    assert shape(build(Policy().ro(top / "chain/file")), top) == {
        "chain": ("LINK", "abs/lib"),
        "abs": ("LINK", f"{top}/usr"),
        "usr/lib/file": ("NAME", "ro"),
    }


def test_a_symlink_to_a_file_becomes_a_link_and_the_file_s_name(top: Path) -> None:
    assert shape(build(Policy().ro(top / "usr/up")), top) == {
        "usr/up": ("LINK", "../lib/file"),
        "lib": ("LINK", "usr/lib"),
        "usr/lib/file": ("NAME", "ro"),
    }


def test_links_know_their_own_place(top: Path) -> None:
    node = build(Policy().ro(top / "lib")).index[f"{top}/lib"]
    assert node.host == node.path
    assert node.flags == NodeFlag.IDENTITY
    assert node.rights == 0


def test_dot_dot_is_that_of_the_real_directory(top: Path) -> None:
    assert shape(build(Policy().ro(top / "lib/../lib/sub")), top)["usr/lib/sub"] == ("DIR", "ro")


def test_relative_paths_start_at_the_current_directory(top: Path) -> None:
    assert shape(build(Policy().rw("sub").ro("./file").ro("."), top / "usr/lib"), top / "usr/lib") == {
        ".": ("DIR", "ro"),
        "sub": ("DIR", "rw"),
    }


def test_what_does_not_exist_yet_is_granted_by_name(top: Path) -> None:
    assert shape(build(Policy().rw(top / "lib/new")), top) == {
        "lib": ("LINK", "usr/lib"),
        "usr/lib/new": ("NAME", "rw"),
    }
    assert shape(build(Policy().rw(top / "dangling")), top) == {
        "dangling": ("LINK", "usr/nothing"),
        "usr/nothing": ("NAME", "rw"),
    }


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("absent/x", "absent does not exist"),
        ("absent/../usr", "absent does not exist"),
        ("usr/lib/file/x", "file is not a directory"),
        ("loop", "too many symbolic links"),
        ("loop/x", "too many symbolic links"),
    ],
)
def test_what_cannot_be_reached_is_an_error(top: Path, path: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        build(Policy().rw(top / path))


def test_an_absent_parent_comes_with_a_remedy(top: Path) -> None:
    with pytest.raises(PolicyError, match="mkdir -p"):
        build(Policy().rw(top / "a/b"))


def test_a_tilde_that_no_shell_expanded_is_told(top: Path) -> None:
    with pytest.raises(PolicyError, match=r"write \$\{HOME\} in a policy file"):
        build(Policy().ro("~/x"), cwd=top)


def test_rights_on_one_path_add_up_whatever_it_is_called(top: Path) -> None:
    space = build(Policy().grant("read", top / "lib").grant("lookup", top / "usr/lib").grant("fstat", top / "abs/lib"))
    assert space.index[f"{top}/usr/lib"].rights == Right.READ | Right.LOOKUP | Right.FSTAT


def test_the_deepest_rule_decides_also_where_it_gives_less(top: Path) -> None:
    space = build(Policy().rwx(top).ro(top / "usr").grant("read", top / "usr/lib/file"))
    assert decide(space, f"{top}/work/x").rights == RWX
    assert decide(space, f"{top}/usr/x").rights == RO
    assert decide(space, f"{top}/lib/file").rights == Right.READ
    assert decide(space, "/etc/passwd").grant is None


def test_a_grant_on_a_file_system_of_the_kernel_repeats_no_grant_around_it() -> None:
    space = build(Policy().rox("/").rox("/dev/null").rox("/sys/devices").rox("/usr"))
    assert {"/dev/null", "/sys/devices"} <= space.index.keys()
    assert "/usr" not in space.index
    space = build(Policy().rox("/dev").rox("/dev/null"))
    assert "/dev/null" not in space.index


def test_what_repeats_the_rule_above_is_left_out(top: Path) -> None:
    space = build(Policy().rox(top).rox(top / "usr/lib").rox(top / "chain/file"))
    assert shape(space, top) == {".": ("DIR", "rox")}
    assert capform(space, top)


def test_mapped_grants_lie_where_they_are_told_and_are_canonical_on_the_host(top: Path) -> None:
    space = build(Policy().ro(top / "chain", "/data/lib").rw(top / "lib/new", "/data/out"))
    assert shape(space) == {"data/lib": ("DIR", f"{top}/usr/lib"), "data/out": ("NAME", f"{top}/usr/lib/new")}
    assert not space.index["/data/lib"].flags & NodeFlag.IDENTITY
    assert capform(space, "/data/lib")


def test_mapped_grants_follow_the_links_of_the_namespace(top: Path) -> None:
    space = build(Policy().ro(top / "lib").ro(top / "work", f"{top}/lib/extra"))
    assert space.index[f"{top}/usr/lib/extra"].host == f"{top}/work"


def test_a_mapped_grant_of_the_root_is_the_root(top: Path) -> None:
    space = build(Policy().ro(top, "/"))
    assert space.root.host == str(top)
    assert decide(space, "/usr/lib/file").rights == RO


def test_a_mapped_grant_takes_the_place_of_the_host_s_own(top: Path) -> None:
    space = build(Policy().rwx(top / "work").ro(top / "usr", str(top / "work")))
    node = space.index[f"{top}/work"]
    assert (node.host, node.rights) == (f"{top}/usr", RO)
    assert "has no effect" in space.notes[0]


def test_two_host_paths_at_one_place_are_an_error(top: Path) -> None:
    with pytest.raises(PolicyError, match="two host paths at /d"):
        build(Policy().ro(top / "usr", "/d").ro(top / "work", "/d"))


def test_additive_grants_never_take_away(top: Path) -> None:
    file = top / "p.toml"
    file.write_text(f'optional = true\nadditive = true\nro = ["{top}/usr/lib", "{top}/usr/up", "{top}/absent/x"]\n')
    space = build(Policy().rwx(top / "usr").merge(Policy.load(file)))
    assert decide(space, f"{top}/usr/lib/file").rights == RWX
    assert capform(space, top / "usr")
    # On the same path as a grant that is not additive they are one with it.
    space = build(Policy().rwx(top / "usr").ro(top / "usr/lib").merge(Policy.load(file)))
    assert decide(space, f"{top}/usr/lib/sub").rights == RO


def test_variables_are_expanded_in_policy_files_only(top: Path) -> None:
    (top / "${HOME}").mkdir()
    file = top / "p.toml"
    file.write_text('ro = ["${HOME}/lib", "${PWD}/$${HOME}", "${XDG_CACHE_HOME}=/c"]\n')
    (top / "usr/.cache").mkdir()
    space = build(Policy.load(file), top, {"HOME": f"{top}/usr"})
    assert shape(space, top).keys() >= {"usr/lib", "${HOME}"}
    assert space.index["/c"].host == f"{top}/usr/.cache"
    assert shape(build(Policy().ro("${HOME}"), top), top) == {"${HOME}": ("DIR", "ro")}


def test_a_variable_without_a_value_is_an_error_unless_the_entry_is_optional(top: Path) -> None:
    file = top / "p.toml"
    file.write_text('ro = ["${HOME}"]\n')
    with pytest.raises(PolicyError, match="has no value") as caught:
        build(Policy.load(file))
    assert caught.value.where is not None
    file.write_text('optional = true\nro = ["${HOME}"]\n')
    assert shape(build(Policy.load(file))) == {}


def test_optional_grants_of_what_is_not_there_are_left_out(top: Path) -> None:
    file = top / "p.toml"
    file.write_text(f'optional = true\nro = ["{top}/absent", "{top}/a/b", "{top}/loop", "{top}/usr/lib/file/x"]\n')
    assert shape(build(Policy.load(file))) == {}


def test_a_directory_that_cannot_be_searched_is_named(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lstat = os.lstat

    def refusing(path: str) -> os.stat_result:
        if path.startswith(f"{top}/work/"):
            raise PermissionError  # root, who may run this test, searches every directory
        return lstat(path)

    monkeypatch.setattr(os, "lstat", refusing)
    with pytest.raises(PolicyError, match=r"work/x cannot be searched \(permission denied\)"):
        build(Policy().ro(top / "work/x/y"))


# Denies.


def test_a_denied_path_and_all_beneath_it_is_gone(top: Path) -> None:
    space = build(Policy().rwx(top).deny(top / "usr/lib"))
    assert shape(space, top) == {".": ("DIR", "rwx"), "usr/lib": ("DENY", "none")}
    assert decide(space, f"{top}/lib/sub/x").rights == 0
    assert decide(space, f"{top}/usr").rights == RWX
    assert not capform(space, top)


def test_a_deny_follows_the_symlinks_in_front_of_it(top: Path) -> None:
    assert shape(build(Policy().rwx(top).deny(top / "chain/file")), top)["usr/lib/file"][0] == "DENY"


def test_denying_a_symlink_denies_it_and_what_it_leads_to(top: Path) -> None:
    denied = {
        path for path, (kind, _) in shape(build(Policy().rwx(top).deny(top / "chain")), top).items() if kind == "DENY"
    }
    assert denied == {"chain", "abs", "usr/lib"}


def test_at_equal_depth_the_deny_wins_in_either_order(top: Path) -> None:
    for policy in (Policy().ro(top / "lib").deny(top / "usr/lib"), Policy().deny(top / "usr/lib").ro(top / "lib")):
        assert decide(build(policy), f"{top}/usr/lib/file").rights == 0


def test_a_deeper_grant_survives_a_deny_and_is_reported(top: Path) -> None:
    space = build(Policy().rw(top).deny(top / "usr").ro(top / "usr/lib"))
    assert decide(space, f"{top}/usr/lib/file").rights == RO
    assert decide(space, f"{top}/usr/x").rights == 0
    assert any("leaves the deeper" in note for note in space.notes)


def test_what_does_not_exist_yet_can_be_denied(top: Path) -> None:
    space = build(Policy().rwx(top).deny(top / "lib/secret/deep"))
    assert decide(space, f"{top}/usr/lib/secret/deep/x").rights == 0
    assert decide(space, f"{top}/usr/lib/secret").rights == RWX


def test_a_deny_by_host_path_holds_where_the_path_is_mapped(top: Path) -> None:
    space = build(Policy().ro(top / "usr", "/data").deny(top / "lib/sub"))
    assert decide(space, "/data/lib/sub").rights == 0
    assert decide(space, "/data/lib/file").rights == RO


def test_a_deny_by_virtual_path_holds_too_through_symlinks_of_the_grant(top: Path) -> None:
    (top / "usr/ln").symlink_to("lib")
    space = build(Policy().ro(top / "usr", "/data").deny("/data/ln/sub"))
    assert space.index["/data/lib/sub"].kind is NodeKind.DENY


def test_a_deny_that_lies_in_no_grant_is_kept_and_reported(top: Path) -> None:
    space = build(Policy().ro(top / "usr").deny(top / "work/x"))
    assert space.index[f"{top}/work/x"].kind is NodeKind.DENY
    assert "has no effect" in warnings(space)[0]


def test_a_denied_link_target_outside_the_grants_leaves_no_trace(top: Path) -> None:
    space = build(Policy().ro(top / "usr").deny(top / "usr/up"))
    assert f"{top}/lib" not in space.index
    assert space.index[f"{top}/usr/lib/file"].kind is NodeKind.DENY


def test_a_pattern_is_anchored_at_the_current_directory(top: Path) -> None:
    space = build(Policy().rwx(top).deny("*.key"), top / "work")
    assert decide(space, "a.key").pattern is not None
    assert decide(space, "a.key/beneath").pattern is not None
    assert decide(space, f"{top}/a.key").rights == RWX


def test_a_pattern_that_begins_with_stars_matches_anywhere(top: Path) -> None:
    space = build(Policy().rwx(top).deny("**/.env"), top / "work")
    assert decide(space, f"{top}/.env").rights == 0
    assert decide(space, f"{top}/usr/lib/.env").rights == 0
    assert decide(space, "/.env").rights == 0


def test_a_pattern_wins_over_a_grant_of_what_it_matches_and_of_what_lies_beneath(top: Path) -> None:
    policy = Policy().ro(top).rw(top / "usr/lib").rwx(top / "usr/lib/sub").ro(top / "usr/lib/file", "/data/file")
    for given in (policy.deny(f"{top}/usr/l*"), Policy().deny(f"{top}/usr/l*").merge(policy)):
        space = build(given)
        grants = [node.path for node in space.nodes() if node.kind in (NodeKind.DIR, NodeKind.NAME)]
        assert grants == ["/data/file", str(top)]
        assert decide(space, f"{top}/usr/lib/sub/x").rights == 0
        assert any("usr/lib/sub, which is granted, is denied by the pattern" in note for note in space.notes)


def test_a_pattern_follows_the_symlinks_in_front_of_it(top: Path) -> None:
    space = build(Policy().rwx(top).deny(f"{top}/lib/*.key"))
    assert decide(space, f"{top}/usr/lib/a.key").rights == 0
    space = build(Policy().rwx(top / "usr", "/data").deny(f"{top}/lib/*.key"))
    assert decide(space, "/data/lib/a.key").rights == 0


def test_a_directory_with_special_characters_is_taken_literally_in_patterns(top: Path) -> None:
    odd = top / "a[b]*"
    odd.mkdir()
    space = build(Policy().rwx(top).deny("*.key"), odd)
    assert decide(space, f"{odd}/x.key").rights == 0
    assert decide(space, f"{top}/ab/x.key").rights == RWX


def test_a_pattern_that_reaches_no_grant_is_reported(top: Path) -> None:
    assert "has no effect" in build(Policy().ro(top / "usr").deny(top / "work/*.key")).notes[0]
    assert not build(Policy().ro(top / "usr").deny("**/*.key")).notes
    assert not build(Policy().private(top / "usr").deny(top / "usr/*.key")).notes


def test_the_root_can_be_denied(top: Path) -> None:
    space = build(Policy().rwx("/").deny("/").ro(top / "usr"))
    assert space.root.kind is NodeKind.ANCESTOR
    assert decide(space, "/etc/passwd").rights == 0
    assert decide(space, f"{top}/usr/x").rights == RO


def test_the_root_is_a_directory(top: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be /"):
        build(Policy().ro(top / "usr/lib/file", "/"))


def test_a_link_never_has_anything_beneath_it(top: Path) -> None:
    # The mapped grant was there before the second policy's symlink was met.
    space = build(Policy().ro(top / "work", f"{top}/lib/x").connect(f"unix:{top}/lib/sock"))
    assert space.index[f"{top}/lib"].kind is NodeKind.ANCESTOR
    assert "is a symbolic link on the host" in space.notes[0]


@pytest.mark.parametrize("path", ["/" + "x" * 256, "/x" * 2048])
def test_what_is_longer_than_a_path_can_be_is_refused(path: str) -> None:
    with pytest.raises(PolicyError, match="too long"):
        Policy().ro(path)
    with pytest.raises(PolicyError, match="too long"):
        Policy().ro("/usr", path)


@pytest.mark.parametrize("path", ["/proc/self/environ", "/proc/self", "/proc/1/maps"])
def test_processes_cannot_be_denied_by_name(path: str) -> None:
    with pytest.raises(PolicyError, match="cannot be denied"):
        build(Policy.profile("runtime").deny(path))


def test_denying_a_link_into_proc_denies_the_link(top: Path) -> None:
    (top / "mtab").symlink_to("/proc/self/mounts")
    for policy in (Policy().ro(top), Policy().ro(top / "mtab").ro("/proc"), Policy().ro("/")):
        space = build(policy.deny(top / "mtab"))
        assert [node.path for node in space.nodes() if node.kind is NodeKind.DENY] == [f"{top}/mtab"]
    assert "/proc/self" not in build(Policy.profile("runtime").deny("/dev/stdin")).index


def test_files_of_proc_that_are_no_process_s_can_be_denied() -> None:
    assert decide(build(Policy.profile("runtime").deny("/proc/cpuinfo")), "/proc/cpuinfo").rights == 0


# Capability form.


@pytest.mark.parametrize("grant", ["ro", "rox", "rw", "rwx"])
def test_a_whole_directory_with_a_whole_set_has_capability_form(top: Path, grant: str) -> None:
    assert capform(build(Policy().grant(grant, top)), top)


def test_other_rights_have_none(top: Path) -> None:
    assert not capform(build(Policy().grant("read,lookup", top)), top)
    assert not capform(build(Policy().grant("ro,bindat", top)), top)


def test_a_nested_grant_with_more_rights_leaves_it_one_with_less_does_not(top: Path) -> None:
    space = build(Policy().ro(top).rw(top / "usr"))
    assert capform(space, top)
    assert capform(space, top / "usr")
    space = build(Policy().rwx(top).ro(top / "usr"))
    assert not capform(space, top)
    assert capform(space, top / "usr")
    space = build(Policy().rw(top).rox(top / "usr"))
    assert not capform(space, top)


def test_names_mapped_directories_and_private_ones_beneath_take_it_away(top: Path) -> None:
    assert not capform(build(Policy().ro(top).rw(top / "usr/lib/file")), top)
    assert not capform(build(Policy().ro(top).rw(top / "work", f"{top}/usr")), top)
    assert not capform(build(Policy().ro(top).private(top / "work")), top)
    assert not capform(build(Policy().rwx(top).private(top / "work")), top)


def test_a_pattern_that_could_match_takes_it_away_another_does_not(top: Path) -> None:
    policy = Policy().rwx(top / "usr").rwx(top / "work")
    space = build(policy.deny(top / "usr/*.key"))
    assert not capform(space, top / "usr")
    assert capform(space, top / "work")
    assert not capform(build(policy.deny("**/x")), top / "work")
    assert not capform(build(policy.deny(top / "w*")), top / "work")
    assert capform(build(policy.deny(top / "x*")), top / "work")


def test_private_directories_have_it_also_around_the_current_directory(top: Path) -> None:
    space = build(Policy().private(top).rwx(top / "work"))
    assert capform(space, top)
    assert capform(space, top / "work")


@pytest.mark.parametrize("path", ["/", "/proc/sys", "/sys", "/dev"])
def test_special_file_systems_have_none(path: str) -> None:
    space = build(Policy().ro(path))
    assert not any(node.flags & NodeFlag.CAPFORM for node in space.nodes())


# What is not the host's.


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


# workspace.


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


# COMMAND.


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


# The tree as a whole.


def test_children_are_sorted_bytewise_and_consecutive(top: Path) -> None:
    for name in ("b", "B", "é", "a-", "a", "a.b", "\udcff"):
        (top / name).mkdir()
    space = build(
        Policy()
        .ro(top)
        .merge(Policy())
        .rw(top / "b")
        .rw(top / "B")
        .rw(top / "é")
        .rw(top / "a-")
        .rw(top / "a")
        .rw(top / "a.b")
        .rw(f"{top}/\udcff")
    )
    order = number_nodes(space)
    for node in order:
        numbers = [order.index(child) for child in node.children.values()]
        assert sorted(numbers) == list(range(min(numbers), min(numbers) + len(numbers))) if numbers else True
        names = [os.fsencode(child.name) for child in order if child.parent is node]
        assert names == sorted(names)


def test_a_path_as_deep_as_a_path_can_be_is_no_problem() -> None:
    policy = Policy().private("/" + "/".join(["d"] * 2000))
    assert len(number_nodes(build(policy))) == 2001


def test_ten_thousand_names_keep_their_directory_s_siblings_few(top: Path) -> None:
    policy = Policy().add(*(item for n in range(10_000) for item in Policy().ro(top / f"work/f{n}").items))
    space = build(policy)
    assert len(space.index[f"{top}/work"].children) == 10_000
    # Each path was looked at once, whatever the number of grants through it.
    assert len(space.host.seen) == 10_000 + len(top.parts)
    assert space.host.seen[f"{top}/work"] == (Kind.DIR, "")


def test_the_tree_names_what_each_place_is(top: Path) -> None:
    lines = tree(build(Policy().ro(top / "lib").rw(top / "work", "/w").deny(top / "lib/sub").deny("/x/*.key")))
    text = "\n".join(lines)
    assert "lib -> usr/lib" in text
    assert f"w/  [rw = {top}/work]" in text
    assert "sub  [denied]" in text
    assert "deny /x/*.key" in text


def test_decisions_say_why(top: Path) -> None:
    file = top / "p.toml"
    file.write_text(f'ro = ["{top}/lib"]\n')
    space = build(Policy.load(file).deny(top / "lib/*.key"))
    assert decide(space, f"{top}/lib/file").reason == (f"{top}/usr/lib is granted ro by {file}:1 (through {top}/lib)")
    assert "denied by the pattern" in decide(space, f"{top}/lib/a.key").reason
    assert "only because something beneath" in decide(space, str(top)).reason
    assert "symbolic link" in decide(space, f"{top}/lib", follow=False).reason
    assert "not granted" in decide(space, "/nowhere").reason


def test_the_nearest_grant_is_above_or_beside(top: Path) -> None:
    space = build(Policy().ro(top / "usr").ro(top / "usr/lib/file").rw(top / "work"))
    assert nearest(space, f"{top}/work/a/b") is space.index[f"{top}/work"]
    assert nearest(space, f"{top}/other") in (space.index[f"{top}/usr"], space.index[f"{top}/work"])
    assert nearest(space, "/nowhere") is None


def test_device_nodes_in_grants_are_warned_of() -> None:
    assert any("device node" in text for text in warnings(build(Policy().rw("/dev/full"))))
    assert any("device nodes" in text for text in warnings(build(Policy().rw("/dev"))))
    assert not warnings(build(Policy.profile("runtime")))
