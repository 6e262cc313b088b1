"""What a deny takes out of the grants, by its path or by a pattern."""

from __future__ import annotations

from pathlib import Path

import pytest
from namespaces import build, capform, make_top, shape

from capwrap.policy import Policy, PolicyError
from capwrap.policy.check import decide, warnings
from capwrap.policy.namespace import NodeKind
from capwrap.policy.rights import RO, RWX


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return make_top(tmp_path)


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
