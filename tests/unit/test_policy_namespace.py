"""From grants to the tree: canonicalisation, adding up, capability form, and the tree as a whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from namespaces import build, capform, make_top, shape

from capwrap.policy import Policy, PolicyError, Right
from capwrap.policy.check import decide, nearest, tree, warnings
from capwrap.policy.image import number_nodes
from capwrap.policy.namespace import NodeFlag
from capwrap.policy.observations import Kind
from capwrap.policy.rights import RO, RWX


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return make_top(tmp_path)


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
