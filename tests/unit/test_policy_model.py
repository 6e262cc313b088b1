from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from capwrap.policy import Policy, PolicyError, Right
from capwrap.policy.items import PROFILES, EnvRule, Grant, OnViolation
from capwrap.policy.model import Limits
from capwrap.policy.rights import RO, RWX


def test_a_policy_is_a_value() -> None:
    empty = Policy()
    one = empty.ro("/usr")
    assert empty == Policy()
    assert one != empty
    assert one == Policy().ro("/usr")
    assert hash(one) == hash(Policy().ro("/usr"))


def test_the_empty_policy_permits_nothing() -> None:
    settings = Policy().settings()
    assert not settings.grants
    assert not settings.env
    assert settings.net == "none"
    assert (settings.closure, settings.proc, settings.devices) == (False, False, False)


def test_methods_say_what_options_say(tmp_path: Path) -> None:
    settings = (
        Policy()
        .ro(tmp_path)
        .rwx("w", "/virtual")
        .grant("read,lookup", "/data")
        .grant(Right.READ, "/one")
        .deny("*.key")
        .net("loopback")
        .connect("tcp:127.0.0.1:80")
        .connect("unix:/run/s")
        .limit("memory", "1K")
        .limit("cpu", 5)
        .allow("ioctl:1")
        .allow("memfd-exec")
        .on_violation("kill")
        .settings()
    )
    assert settings.grants == (
        Grant(str(tmp_path), RO),
        Grant("w", RWX, "/virtual"),
        Grant("/data", Right.READ | Right.LOOKUP),
        Grant("/one", Right.READ),
    )
    assert settings.denies[0].is_glob
    assert settings.net == "loopback"
    assert (len(settings.addresses), len(settings.unix)) == (1, 1)
    assert settings.limits == Limits(memory=1024, cpu=5)
    assert settings.ioctls == {1}
    assert settings.memfd_exec
    assert settings.violation == OnViolation("kill")


def test_merge_adds_up_and_the_other_counts_where_only_one_can_hold() -> None:
    merged = Policy().ro("/a").net("host").limit("cpu", 1).merge(Policy().ro("/b").net("none").limit("cpu", 2))
    settings = merged.settings()
    assert [grant.path for grant in settings.grants] == ["/a", "/b"]
    assert settings.net == "none"
    assert settings.limits.cpu == 2


def test_the_later_environment_rule_for_a_name_counts() -> None:
    settings = Policy().env("A").env("LC_*").env("A", "x").settings()
    assert settings.env == (EnvRule("LC_*"), EnvRule("A", "x"))


def test_clear_env_forgets_what_came_before_only() -> None:
    assert Policy().env("A").clear_env().env("B").settings().env == (EnvRule("B"),)
    assert Policy.profile("runtime").clear_env().settings().env == ()


def test_a_profile_that_comes_twice_adds_nothing() -> None:
    once = Policy.profile("base").settings()
    again = Policy.profile("runtime").merge(Policy.profile("base")).merge(Policy.profile("runtime")).settings()
    assert replace(again, files=()) == replace(once, files=())
    # Also not what was cleared in between.
    assert Policy.profile("base").clear_env().merge(Policy.profile("base")).settings().env == ()


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_can_be_read(name: str) -> None:
    settings = Policy.profile(name).settings()
    assert settings.closure
    assert settings.proc
    assert settings.devices
    assert settings.net == "none"


def test_profiles_build_on_one_another() -> None:
    runtime, base, workspace = (Policy.profile(name).settings() for name in PROFILES)
    assert set(runtime.grants) < set(base.grants) == set(workspace.grants)
    assert not base.workdirs
    assert [workdir.rights for workdir in workspace.workdirs] == [RWX]


def test_profiles_grant_no_secret_and_nothing_writable() -> None:
    for grant in Policy.profile("base").settings().grants:
        assert grant.optional
        assert not grant.rights & (Right.WRITE | Right.UNLINKAT | Right.CREATE)
        words = grant.path.lower()
        for secret in ("shadow", "private", "sudoers", "ssh", "key", "token", "environment", "machine-id"):
            assert secret not in words
        assert grant.path not in ("/", "/etc", "/etc/ssl", "/etc/pki", "/etc/pki/tls", "/var", "/run", "/root", "/home")


def test_an_unknown_profile_is_answered_with_the_known_one() -> None:
    with pytest.raises(PolicyError, match="did you mean `workspace`"):
        Policy.profile("workspce")


@pytest.mark.parametrize("virtual", ["relative", "/a/../b", ""])
def test_virtual_paths_are_absolute_and_without_dot_dot(virtual: str) -> None:
    with pytest.raises(PolicyError):
        Policy().ro("/a", virtual)


def test_a_policy_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"absent\.toml: No such file"):
        Policy.load(tmp_path / "absent.toml")


def test_load_reports_at_once_and_lazy_load_when_it_is_needed(tmp_path: Path) -> None:
    file = tmp_path / "p.toml"
    file.write_text("rx = []\n")
    with pytest.raises(PolicyError):
        Policy.load(file)
    policy = Policy.load(file, lazy=True)
    with pytest.raises(PolicyError):
        policy.settings()


def test_a_loaded_policy_is_what_the_file_said_then(tmp_path: Path) -> None:
    file = tmp_path / "p.toml"
    file.write_text('ro = ["/a"]\n')
    policy = Policy.load(file)
    file.write_text('ro = ["/b"]\n')
    assert [grant.path for grant in policy.settings().grants] == ["/a"]
