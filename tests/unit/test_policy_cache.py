"""The cache gives what a compile would give, and is never the reason why something fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from capwrap.policy import Policy, PolicyError, cache, compile_image, image
from capwrap.policy.cache import ENTRIES_MAX, cache_directory, compiled
from capwrap.policy.host import TICK_NS

ROOT = Path(__file__).resolve().parents[2]


def wait_a_tick() -> None:
    """Until what has been written so far is older than what a compile takes for settled."""
    end = time.time_ns() + 2 * TICK_NS
    while time.time_ns() < end:
        time.sleep(TICK_NS / 1e9)


class Compiles:
    """Compiles through a cache of its own and counts the compiles that were made."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from capwrap.policy import build

        self.directory = directory
        self.made = 0
        original = build.build_namespace

        def counting(*args: object, **kwargs: object) -> object:
            self.made += 1
            return original(*args, **kwargs)  # type: ignore[arg-type]

        monkeypatch.setattr(build, "build_namespace", counting)

    def __call__(
        self, policy: Policy, *, command: list[str] | None = None, cwd: str = "/", environ: dict[str, str] | None = None
    ) -> bytes:
        arguments = {"command": command, "cwd": cwd, "environ": environ or {}}
        wait_a_tick()
        before = self.made
        image = compiled(policy, directory=str(self.directory), **arguments)  # type: ignore[arg-type]
        self.last_was_made = self.made > before
        made = self.made
        assert image == compile_image(policy, **arguments)  # type: ignore[arg-type]
        self.made = made
        return image

    def entries(self) -> list[Path]:
        return sorted(self.directory.iterdir()) if self.directory.exists() else []


@pytest.fixture
def through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compiles:
    return Compiles(tmp_path / "cache" / "capwrap", monkeypatch)


@pytest.fixture
def top(tmp_path: Path) -> Path:
    top = tmp_path.resolve() / "top"
    (top / "usr/lib").mkdir(parents=True)
    (top / "other").mkdir()
    (top / "lib").symlink_to("usr/lib")
    return top


def test_the_second_time_nothing_is_compiled(through: Compiles, top: Path) -> None:
    policy = Policy.profile("base").ro(top / "lib").rw(top / "new")
    through(policy, command=["env"], environ={"PATH": "/usr/bin"})
    assert through.last_was_made
    through(policy, command=["env"], environ={"PATH": "/usr/bin"})
    assert not through.last_was_made


def relink(top: Path) -> None:
    (top / "lib").unlink()
    (top / "lib").symlink_to("other")


def make_directory(top: Path) -> None:
    (top / "new").mkdir()


def remove(top: Path) -> None:
    (top / "file").unlink()


def replace_directory_by_link(top: Path) -> None:
    (top / "usr/lib").rmdir()
    (top / "usr/lib").symlink_to(top / "other")


@pytest.mark.parametrize("change", [relink, make_directory, remove, replace_directory_by_link])
def test_what_changes_on_the_host_is_seen(through: Compiles, top: Path, change: Callable[[Path], None]) -> None:
    (top / "file").write_text("")
    file = top / "p.toml"
    file.write_text(f'optional = true\nro = ["{top}/lib", "{top}/file", "{top}/new"]\n')
    policy = Policy.load(file)
    through(policy)
    change(top)
    through(policy)
    assert through.last_was_made
    through(policy)
    assert not through.last_was_made


def test_variables_that_were_asked_count_others_do_not(through: Compiles, top: Path) -> None:
    file = top / "p.toml"
    file.write_text('optional = true\nro = ["${HOME}/lib"]\n')
    policy = Policy.load(file)
    through(policy, environ={"HOME": str(top)})
    through(policy, environ={"HOME": str(top), "OTHER": "x"})
    assert not through.last_was_made
    through(policy, environ={"HOME": str(top / "usr")})
    assert through.last_was_made
    through(policy, environ={})
    assert through.last_was_made


def test_the_current_directory_the_policy_and_the_command_count(through: Compiles, top: Path) -> None:
    through(Policy().ro("."), cwd=str(top))
    through(Policy().ro("."), cwd=str(top / "usr"))
    through(Policy().rw("."), cwd=str(top))
    assert len(through.entries()) == 3
    environ = {"PATH": "/usr/bin:/bin"}
    through(Policy.profile("runtime"), command=["true"], environ=environ)
    through(Policy.profile("runtime"), command=["false"], environ=environ)
    assert through.last_was_made
    through(Policy.profile("runtime"), command=["true", "with", "arguments"], environ=environ)
    assert not through.last_was_made
    # What env(1) runs stands in its arguments.
    through(Policy.profile("runtime"), command=["env", "true"], environ=environ)
    through(Policy.profile("runtime"), command=["env", "false"], environ=environ)
    assert through.last_was_made


def test_a_command_that_changes_or_is_overtaken_in_path_is_seen(through: Compiles, top: Path) -> None:
    for directory in ("first", "second"):
        (top / directory).mkdir()
    script = top / "second/tool"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    arguments: dict[str, Any] = {"command": ["tool"], "environ": {"PATH": f"{top}/first:{top}/second"}}
    through(Policy.profile("runtime"), **arguments)
    through(Policy.profile("runtime"), **arguments)
    assert not through.last_was_made
    script.write_text("#!/usr/bin/env bash\n")
    through(Policy.profile("runtime"), **arguments)
    assert through.last_was_made
    overtaking = top / "first/tool"
    overtaking.write_text("#!/bin/sh\n")
    overtaking.chmod(0o755)
    through(Policy.profile("runtime"), **arguments)
    assert through.last_was_made


def test_a_policy_file_s_text_and_that_of_what_it_extends_count(through: Compiles, top: Path) -> None:
    (top / "common.toml").write_text(f'ro = ["{top}/usr"]\n')
    (top / "p.toml").write_text('extends = ["common.toml"]\n')
    through(Policy.load(top / "p.toml", lazy=True))
    through(Policy.load(top / "p.toml", lazy=True))
    assert not through.last_was_made
    (top / "common.toml").write_text(f'ro = ["{top}/other"]\n')
    through(Policy.load(top / "p.toml", lazy=True))
    assert through.last_was_made
    (top / "p.toml").write_text("ro = []\n")
    through(Policy.load(top / "p.toml", lazy=True))
    assert through.last_was_made


def test_a_file_that_keeps_its_size_and_time_is_seen_to_change(through: Compiles, top: Path) -> None:
    common = top / "common.toml"
    common.write_text(f'ro = ["{top}/usr"]\n')
    (top / "p.toml").write_text('extends = ["common.toml"]\n')
    through(Policy.load(top / "p.toml", lazy=True))
    before = common.stat()
    common.write_text(f'rw = ["{top}/usr"]\n')
    os.utime(common, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (common.stat().st_size, common.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    through(Policy.load(top / "p.toml", lazy=True))
    assert through.last_was_made


def test_what_has_just_changed_is_not_kept(through: Compiles, top: Path) -> None:
    common = top / "common.toml"
    common.write_text(f'ro = ["{top}/usr"]\n')
    (top / "p.toml").write_text('extends = ["common.toml"]\n')
    policy = Policy.load(top / "p.toml", lazy=True)
    wait_a_tick()
    arguments: dict[str, Any] = {"command": None, "cwd": "/", "environ": {}, "directory": str(through.directory)}
    os.utime(common)
    compiled(policy, **arguments)
    assert not through.entries()
    wait_a_tick()
    compiled(policy, **arguments)
    assert through.entries()


def test_what_changes_while_it_is_compiled_is_not_kept(
    through: Compiles, top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from capwrap.policy import toml_format

    common = top / "common.toml"
    common.write_text(f'ro = ["{top}/usr"]\n')
    (top / "p.toml").write_text('extends = ["common.toml"]\n')
    policy = Policy.load(top / "p.toml", lazy=True)
    original = toml_format.parse_policy

    def changed_behind_its_back(text: str, file: str) -> object:
        common.write_text(f'ro = ["{top}/other"]\n')
        return original(text, file)

    wait_a_tick()
    monkeypatch.setattr(toml_format, "parse_policy", changed_behind_its_back)
    compiled(policy, command=None, cwd="/", environ={}, directory=str(through.directory))
    assert not through.entries()


@pytest.fixture
def with_library(top: Path) -> Path:
    """A directory with `tool`, linked with libone.so, which lies in `second`; an empty `first` is searched before."""
    for directory in ("first", "second"):
        (top / directory).mkdir()
    (top / "one.c").write_text("int one(void) { return 0; }\n")
    (top / "tool.c").write_text("int one(void);\nint main(void) { return one(); }\n")
    for command in (
        ["cc", "-shared", "-fPIC", "-o", "second/libone.so", "one.c"],
        [
            "cc",
            "-o",
            "tool",
            "tool.c",
            "-Lsecond",
            "-lone",
            "-Wl,--disable-new-dtags,-rpath,$ORIGIN/first:$ORIGIN/third",
        ],
    ):
        subprocess.run(command, check=True, cwd=top)
    return top


@pytest.mark.parametrize("place", ["first", "third", "second/glibc-hwcaps"])
def test_a_library_that_comes_to_lie_earlier_is_seen(through: Compiles, with_library: Path, place: str) -> None:
    arguments: dict[str, Any] = {
        "command": [str(with_library / "tool")],
        "environ": {"LD_LIBRARY_PATH": str(with_library / "second")},
    }
    policy = Policy.profile("runtime").env("LD_LIBRARY_PATH")
    through(policy, **arguments)
    through(policy, **arguments)
    assert not through.last_was_made
    (with_library / place).mkdir(exist_ok=True)
    if place == "second/glibc-hwcaps":
        (with_library / place / "x86-64-v2").mkdir()
        (with_library / place / "x86-64-v2/libone.so").symlink_to("../../libone.so")
    else:
        (with_library / place / "libone.so").symlink_to("../second/libone.so")
    through(policy, **arguments)
    assert through.last_was_made


def test_a_library_that_was_missing_is_seen_to_come(through: Compiles, with_library: Path) -> None:
    library = with_library / "second/libone.so"
    moved = library.rename(with_library / "libone.so")
    arguments: dict[str, Any] = {
        "command": [str(with_library / "tool")],
        "environ": {"LD_LIBRARY_PATH": str(with_library / "second")},
    }
    policy = Policy.profile("runtime").env("LD_LIBRARY_PATH")
    through(policy, **arguments)
    through(policy, **arguments)
    assert not through.last_was_made
    moved.rename(library)
    through(policy, **arguments)
    assert through.last_was_made


def test_what_env_runs_for_a_script_is_seen_to_change(through: Compiles, top: Path) -> None:
    for directory in ("first", "second"):
        (top / directory).mkdir()
    script = top / "script"
    script.write_text("#!/usr/bin/env tool\n")
    tool = top / "second/tool"
    tool.write_text("#!/bin/sh\n")
    for file in (script, tool):
        file.chmod(0o755)
    arguments: dict[str, Any] = {"command": [str(script)], "environ": {"PATH": f"{top}/first:{top}/second"}}
    through(Policy.profile("runtime"), **arguments)
    through(Policy.profile("runtime"), **arguments)
    assert not through.last_was_made
    (top / "first/tool").symlink_to(tool)
    through(Policy.profile("runtime"), **arguments)
    assert through.last_was_made


def test_variables_and_arguments_that_env_takes_for_a_script_count(through: Compiles, top: Path) -> None:
    expands, takes = top / "expands", top / "takes"
    expands.write_text("#!/usr/bin/env -S ${TOOL}\n")
    takes.write_text("#!/usr/bin/env -u\n")  # the script's path is the variable to unset, its first argument is run
    for file in (expands, takes):
        file.chmod(0o755)
    policy = Policy.profile("runtime").env("TOOL")
    for tool in ("true", "false", "true"):
        through(policy, command=[str(expands)], environ={"PATH": "/usr/bin:/bin", "TOOL": tool})
        assert through.last_was_made
        through(policy, command=[str(takes), tool], environ={"PATH": "/usr/bin:/bin"})
        assert through.last_was_made
    through(policy, command=[str(takes), tool], environ={"PATH": "/usr/bin:/bin"})
    assert not through.last_was_made


def test_another_landlock_is_another_image(through: Compiles, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for abi in (7, 0):
        for module in (cache, image):
            monkeypatch.setattr(module, "landlock_abi", lambda abi=abi: abi)
        through(Policy().ro(top))
        assert through.last_was_made


def test_a_command_that_is_not_found_is_looked_for_again(through: Compiles, top: Path) -> None:
    through(Policy.profile("runtime"), command=[str(top / "absent")])
    assert not through.entries()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: data[:60] + bytes([data[60] ^ 1]) + data[61:],
        lambda data: data[:-1] + bytes([data[-1] ^ 0x80]),
        lambda data: b"x" * len(data),
    ],
)
def test_a_spoilt_entry_is_compiled_again(through: Compiles, top: Path, spoil: Callable[[bytes], bytes]) -> None:
    through(Policy().ro(top))
    (entry,) = through.entries()
    good = entry.read_bytes()
    entry.write_bytes(spoil(good))
    through(Policy().ro(top))
    assert through.last_was_made
    assert entry.read_bytes() == good


def test_entries_are_private(through: Compiles, top: Path) -> None:
    through(Policy().ro(top))
    assert through.directory.stat().st_mode & 0o777 == 0o700
    assert [entry.stat().st_mode & 0o777 for entry in through.entries()] == [0o600]


def test_what_others_can_write_is_not_used(through: Compiles, top: Path) -> None:
    through(Policy().ro(top))
    (entry,) = through.entries()
    entry.chmod(0o620)
    through(Policy().ro(top))
    assert through.last_was_made
    through.directory.chmod(0o777)
    through(Policy().ro(top))
    assert through.last_was_made


def test_an_entry_that_is_a_symlink_or_a_fifo_is_not_followed(through: Compiles, top: Path) -> None:
    through(Policy().ro(top))
    (entry,) = through.entries()
    moved = top / "moved"
    entry.rename(moved)
    entry.symlink_to(moved)
    through(Policy().ro(top))
    assert through.last_was_made
    assert not entry.is_symlink()
    entry.unlink()
    os.mkfifo(entry, 0o600)
    through(Policy().ro(top))
    assert through.last_was_made


def test_a_directory_that_cannot_be_made_is_no_error(through: Compiles, top: Path) -> None:
    through.directory.parent.mkdir()
    through.directory.write_text("in the way")
    through(Policy().ro(top))
    assert through.last_was_made
    assert through.directory.read_text() == "in the way"


def test_a_home_directory_that_does_not_exist_is_not_made(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.setenv(name, str(top / "nonexistent/home"))
        assert cache.compiled(Policy(), command=None, cwd="/", environ={})
        assert not (top / "nonexistent").exists()
        monkeypatch.setenv(name, str(top / "nonexistent"))
        wait_a_tick()
        assert cache.compiled(Policy(), command=None, cwd="/", environ={})
        assert (top / "nonexistent").exists() == (name == "XDG_CACHE_HOME")
        shutil.rmtree(top / "nonexistent", ignore_errors=True)


def test_errors_of_the_policy_come_through(through: Compiles, top: Path) -> None:
    with pytest.raises(PolicyError):
        compiled(Policy().ro(top / "a/b"), command=None, cwd="/", environ={}, directory=str(through.directory))
    assert not through.entries()


def test_the_entries_used_longest_ago_are_removed(through: Compiles, top: Path) -> None:
    through(Policy().ro(top))
    (kept,) = through.entries()
    for number in range(ENTRIES_MAX + 10):
        old = through.directory / f"{number:064x}.policy"
        old.write_bytes(b"")
        os.utime(old, (number, number))
    foreign = through.directory / "README"
    foreign.write_text("")
    through(Policy().rw(top))
    entries = through.entries()
    assert len(entries) == ENTRIES_MAX + 1
    assert kept in entries
    assert foreign in entries
    assert not (through.directory / f"{0:064x}.policy").exists()


def test_using_an_entry_makes_it_young_again(through: Compiles, top: Path) -> None:
    through(Policy().ro(top))
    (entry,) = through.entries()
    os.utime(entry, (1000, 1000))
    through(Policy().ro(top))
    assert not through.last_was_made
    assert entry.stat().st_mtime > 1000


def test_the_directory_is_that_of_the_xdg_specification(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/u")
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    assert cache_directory() == "/c/capwrap"
    for unusable in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", unusable)
        assert cache_directory() == "/home/u/.cache/capwrap"
    monkeypatch.delenv("HOME")
    assert cache_directory() is None
    assert cache.compiled(Policy(), command=None, cwd="/", environ={})


def test_a_hit_imports_neither_parser_nor_compiler(tmp_path: Path) -> None:
    file = tmp_path / "p.toml"
    file.write_text('extends = ["base"]\n')
    program = (
        "import sys\n"
        "from capwrap.policy import Policy, compiled\n"
        "policy = Policy.profile('workspace').merge(Policy.load(sys.argv[1], lazy=True))\n"
        "compiled(policy, command=['env'], cwd=sys.argv[2], environ={'PATH': '/usr/bin'})\n"
        "print(*(name for name in sys.modules if name.split('.')[0] in ('tomllib', 'elftools', 'json', 'hashlib')),\n"
        "      *(name for name in sys.modules if name.endswith(('.seccomp', '.build', '.image', '.closure'))))\n"
    )
    environ = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    runs = [
        subprocess.run(
            [sys.executable, "-c", program, str(file), str(tmp_path)],
            env=environ,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()
        for _ in range(2)
    ]
    assert "tomllib" in runs[0]
    assert runs[1] == []
