"""The commands that run nothing, help, completion, and what the command line imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from capwrap import __version__, engine
from capwrap.cli import main
from capwrap.cli.commands import COMMANDS
from capwrap.policy.image import read_image

sys.path.insert(0, str(Path(__file__).parent))

from fake_engine import FEATURES, FakeEngine, away, install

ROOT = Path(__file__).resolve().parents[2]
LATER = ("bench",)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return away(tmp_path, monkeypatch)


def shell(*command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """A Python of its own with the package in its path."""
    variables = os.environ | {"PYTHONPATH": str(ROOT)} | environ
    return subprocess.run([sys.executable, *command], env=variables, capture_output=True, text=True, check=False)


# Help.


def test_help_lists_the_commands_that_there_are(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capfd.readouterr().out
    assert all(f"  {command} " in out for command in COMMANDS)
    assert not any(command in out.split() for command in LATER)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_every_command_has_help(capfd: pytest.CaptureFixture[str], command: str, flag: str) -> None:
    assert main([command, flag]) == 0
    assert capfd.readouterr().out.startswith(f"Usage: capwrap {command}")


def test_version(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capfd.readouterr().out == f"capwrap {__version__}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], ["inspect", "/bin/sh"]])
def test_output_that_cannot_be_written_is_an_error(arguments: list[str]) -> None:
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "capwrap", *arguments]
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(command, env=environ, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 125
    assert ended.stderr == ("capwrap: standard output: No space left on device; the result could not be written\n")
    closed = subprocess.run(
        command, env=environ, stderr=subprocess.PIPE, text=True, check=False, preexec_fn=lambda: os.close(1)
    )
    assert closed.returncode == 125
    assert closed.stderr == "capwrap: standard output: it is closed; the result could not be written\n"


def test_no_command_is_a_usage_error(capfd: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 125
    assert "capwrap" in capfd.readouterr().err


# What is imported.

HEAVY = {"elftools", "ptrace", "tomllib", "jsonschema", "subprocess", "capwrap.sandbox"}


def imported(statement: str) -> set[str]:
    ended = shell("-c", f"import sys\n{statement}\nprint(*sys.modules)")
    assert ended.returncode == 0, ended.stderr
    return set(ended.stdout.splitlines()[-1].split())


def test_importing_the_command_line_imports_nothing_heavy() -> None:
    modules = imported("import capwrap.cli")
    assert not modules & HEAVY
    assert not any(name.startswith(("capwrap.policy", "capwrap.observe", "capwrap.engine")) for name in modules)


#: What a run with a cached policy imports besides small modules of the library. Each of them is paid by every start of
#: every run; click alone would make it half as long again.
CACHED_RUN = {
    "_cffi_backend",
    "_sha256",  # CPython 3.11
    "_sha2",  # CPython 3.12 and later
    "capwrap",
    "capwrap._version",
    "capwrap.cli",
    "capwrap.cli.launch",
    "capwrap.cli.messages",
    "capwrap.cli.options",
    "capwrap.cli.quick",
    "capwrap.engine",
    "capwrap.engine._engine",
    "capwrap.engine._engine.lib",
    "capwrap.observe",
    "capwrap.observe.recording",
    "capwrap.policy",
    "capwrap.policy._sha256",
    "capwrap.policy.cache",
    "capwrap.policy.files",
    "capwrap.policy.given",
    "capwrap.policy.observations",
    "signal",
}


def test_a_run_with_a_cached_policy_imports_the_options_the_cache_and_the_engine(place: Path) -> None:
    statement = (
        "import capwrap.cli, capwrap.engine\n"
        "capwrap.engine.CEngine.run = lambda *_, **__: capwrap.engine.Outcome()\n"
        f"assert capwrap.cli.main(['run', '--policy', {str(place / 'p.toml')!r}, '--deny', '*.key', 'sh']) == 0\n"
    )
    (place / "p.toml").write_text('extends = ["workspace"]\n')
    first, second = imported(statement), imported(statement)
    assert "capwrap.policy.model" in first  # it was compiled, or the next line says nothing
    assert second - imported("import __future__, errno, importlib, typing") <= CACHED_RUN


def test_the_package_offers_its_names() -> None:
    ended = shell("-c", "from capwrap import Sandbox, Policy, Grant, Right, Result; print(Right.READ in Right(1))")
    assert ended.stdout == "True\n", ended.stderr


def test_python_m_capwrap_is_the_command_line() -> None:
    assert shell("-m", "capwrap", "--version").stdout == f"capwrap {__version__}\n"


# check


def test_check_shows_the_namespace(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('ro = ["/usr"]\n')
    assert main(["check", str(policy)]) == 0
    out, err = capfd.readouterr()
    assert "usr" in out
    assert err == ""


def test_check_warns_of_devices(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('rw = ["/dev/full"]\n')
    assert main(["check", str(policy)]) == 0
    assert "capwrap: warning: /dev/full" in capfd.readouterr().err


def test_check_points_at_what_is_wrong(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('ro = ["/usr"]\nrr = ["/tmp"]\n')
    assert main(["check", str(policy)]) == 125
    err = capfd.readouterr().err
    assert f"{policy}:2:" in err
    assert all(line.startswith("capwrap: ") for line in err.splitlines())


@pytest.mark.parametrize("arguments", [[], ["/no/such/policy.toml"], ["/"], ["a", "b"], ["--against", "x", "y"]])
def test_check_with_wrong_usage_is_125(capfd: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert main(["check", *arguments]) == 125
    assert "internal error" not in capfd.readouterr().err


# inspect


def test_inspect_shows_a_program(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "/bin/sh"]) == 0
    assert "interpreter" in capfd.readouterr().out


def test_inspect_prints_json(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "--json", "/bin/sh"]) == 0
    assert json.loads(capfd.readouterr().out)


@pytest.mark.parametrize("path", ["/no/such/file", "/", ""])
def test_inspect_of_what_is_no_file_is_125(capfd: pytest.CaptureFixture[str], path: str) -> None:
    assert main(["inspect", path]) == 125
    err = capfd.readouterr().err
    assert err.startswith("capwrap: ")
    assert "internal error" not in err


# compile


def test_compile_writes_an_image(place: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('ro = ["/usr"]\n')
    assert main(["compile", str(policy), "--rw", "/tmp", "-o", "x.cap"]) == 0
    nodes = {node.path for node in read_image((place / "x.cap").read_bytes()).nodes}
    assert {"/usr", "/tmp"} <= nodes
    assert str(place) not in nodes
    assert os.listdir(place) == ["x.cap"]


def test_compile_without_a_policy_is_the_workspace(place: Path) -> None:
    assert main(["compile", "-o", "x.cap"]) == 0
    assert str(place) in {node.path for node in read_image((place / "x.cap").read_bytes()).nodes}


def test_compile_writes_to_what_is_no_regular_file(place: Path) -> None:
    command = [sys.executable, "-m", "capwrap", "compile", "--pure", "-o", "/dev/stdout"]
    ended = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, check=True)
    assert read_image(ended.stdout).nodes[0].path == "/"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--pure"],
        ["--pure", "-o", "/"],
        ["--pure", "-o", "/no/such/directory/x.cap"],
        ["--pure", "-o", ""],
        ["--pure", "-o", "/dev/full"],
        ["/no/such/policy.toml", "-o", "x.cap"],
        ["a", "b", "-o", "x.cap"],
    ],
)
def test_compile_with_wrong_usage_is_125_and_leaves_nothing(
    place: Path, capfd: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert main(["compile", *arguments]) == 125
    err = capfd.readouterr().err
    assert err.startswith("capwrap: ")
    assert "internal error" not in err
    assert os.listdir(place) == []


# doctor


def test_doctor_tells_what_follows(capfd: pytest.CaptureFixture[str]) -> None:
    install(FakeEngine())
    assert main(["doctor"]) == 0
    out = capfd.readouterr().out
    assert "kernel 6.18.0" in out
    assert "ABI 7" in out
    assert out.endswith("`capwrap run` can work here.\n")
    assert "Missing" not in out


@pytest.mark.parametrize(
    "name", ["ptrace", "seccomp_trace", "seccomp_user_notif", "openat2", "vdso_gadget", "landlock_abi"]
)
@pytest.mark.parametrize("value", [0, -1])
def test_doctor_fails_where_something_needed_is_missing(
    capfd: pytest.CaptureFixture[str], name: str, value: int
) -> None:
    fake = FakeEngine()
    fake.features = engine.Features(**{**fake.features._asdict(), name: value})
    install(fake)
    assert main(["doctor"]) == 1
    out = capfd.readouterr().out
    assert "needed: " in out
    assert not out.endswith("`capwrap run` can work here.\n")


def test_doctor_says_nothing_of_what_could_not_be_tried(capfd: pytest.CaptureFixture[str]) -> None:
    install(FakeEngine(features=FEATURES._replace(ptrace=-1, process_vm=0, pidfd_getfd=0)))
    assert main(["doctor"]) == 1
    out = capfd.readouterr().out
    assert "process_vm_readv" not in out
    assert "pidfd_getfd" not in out


def test_doctor_says_where_best_effort_helps(capfd: pytest.CaptureFixture[str]) -> None:
    install(FakeEngine(features=FEATURES._replace(landlock_abi=0)))
    assert main(["doctor"]) == 1
    assert capfd.readouterr().out.endswith("`capwrap run` can work here with --best-effort only.\n")


@pytest.mark.parametrize("abi", range(1, 7))
def test_doctor_tells_of_the_steps_of_landlock_that_change_something(
    capfd: pytest.CaptureFixture[str], abi: int
) -> None:
    install(FakeEngine(features=FEATURES._replace(landlock_abi=abi)))
    assert main(["doctor"]) == 0
    there, _, missing = capfd.readouterr().out.partition("Missing")
    for step in (3, 4, 5, 6):
        assert f"Landlock ABI {step} " in (there if step <= abi else missing)
    assert "Landlock ABI 2" not in there + missing


@pytest.mark.parametrize(
    ("soft", "hard", "raises", "told"),
    [(1024, 1024, 0, True), (1024, 1024, 1, False), (1024, 4096, 0, False), (8192, 8192, 0, False)],
)
def test_doctor_tells_where_the_capabilities_take_from_the_limit(
    capfd: pytest.CaptureFixture[str], soft: int, hard: int, raises: int, told: bool
) -> None:
    install(FakeEngine(features=FEATURES._replace(nofile_soft=soft, nofile_hard=hard, cap_sys_resource=raises)))
    assert main(["doctor"]) == 0
    assert ("RLIMIT_NOFILE is 1024" in capfd.readouterr().out) is told


@pytest.mark.parametrize(
    "name", ["process_vm", "mseal", "memfd_noexec_seal", "procmap_query", "fchmodat2", "pidfd_getfd", "unshare_fs"]
)
def test_doctor_tells_what_the_absence_of_a_help_means(capfd: pytest.CaptureFixture[str], name: str) -> None:
    fake = FakeEngine()
    fake.features = engine.Features(**{**fake.features._asdict(), name: -38})
    install(fake)
    assert main(["doctor"]) == 0
    assert "no (Function not implemented)" in capfd.readouterr().out


def test_doctor_prints_json(capfd: pytest.CaptureFixture[str]) -> None:
    install(FakeEngine())
    assert main(["doctor", "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert document["works"] is True
    assert document["features"]["landlock_abi"] == 7


def test_doctor_tells_that_the_workspace_cannot_be_used_here(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    install(FakeEngine())
    assert main(["doctor"]) == 0
    assert "the default policy cannot be used here" in capfd.readouterr().out


# Places and names.


def test_a_removed_current_directory_is_told(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    place.rmdir()
    install(FakeEngine())
    assert main(["doctor"]) == 0
    assert "the default policy cannot be used here: the current directory: No such file" in capfd.readouterr().out
    for arguments in (["inspect", "/bin/sh"], ["compile", "-o", "/dev/null"], ["check", "/dev/null"]):
        assert main(arguments) == 125
        assert "the current directory: No such file or directory" in capfd.readouterr().err


def test_an_empty_name_for_the_output_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", "-o", ""]) == 125
    assert "-o: an empty path" in capfd.readouterr().err


def test_check_shows_names_for_a_terminal(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    name = place / "a\x1b[31m\udcff\nb"
    name.mkdir()
    policy = place / "p\udcfe.toml"
    policy.write_text('ro = ["*"]\n'.replace("*", r"a\u001b[31m\n"))
    assert main(["check", str(policy)]) == 0
    out = capfd.readouterr().out
    assert r"a\x1b[31m\x0a  [ro" in out
    assert r"/p\xfe.toml:1]" in out


UNUSUAL = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def test_names_are_utf_8_whatever_the_locale_says(place: Path) -> None:
    """Python takes the locale's encoding for names: ASCII here."""
    assert shell("-c", "import sys; print(sys.getfilesystemencoding())", **UNUSUAL).stdout == "ascii\n"
    (place / "\u00e4").mkdir()
    (place / "p.toml").write_text('ro = ["\u00e4"]\n', encoding="utf-8")
    plain = shell("-m", "capwrap", "check", "p.toml")
    assert (plain.returncode, "\u00e4/  [ro" in plain.stdout) == (0, True), plain.stderr
    assert shell("-m", "capwrap", "check", "p.toml", **UNUSUAL).stdout == plain.stdout


# Completion, as capwrap(1) documents it.


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_the_completion_script_is_printed(name: str) -> None:
    ended = shell("-m", "capwrap", _CAPWRAP_COMPLETE=f"{name}_source")
    assert ended.returncode == 0, ended.stderr
    assert "_CAPWRAP_COMPLETE" in ended.stdout


def complete(words: str) -> list[str]:
    """What bash would be offered at the end of the words."""
    count = len(words.split(" ")) - 1
    ended = shell("-m", "capwrap", _CAPWRAP_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(count))
    return ended.stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("capwrap in", ["plain,inspect"]),
        ("capwrap run --profile w", ["plain,workspace"]),
        ("capwrap run --net l", ["plain,loopback"]),
        ("capwrap run --method a", ["plain,auto"]),
        ("capwrap run --fail", ["plain,--fail-on-violation"]),
        ("capwrap run --ro x", ["file,x"]),
        ("capwrap run --policy x", ["file,x"]),
        ("capwrap run x", ["file,x"]),
        ("capwrap run -- x", ["file,x"]),
        ("capwrap check x", ["file,x"]),
        ("capwrap inspect x", ["file,x"]),
        ("capwrap compile --pure -o x", ["file,x"]),
    ],
)
def test_completion_offers(words: str, offered: list[str]) -> None:
    assert complete(words) == offered


def test_completion_offers_the_commands() -> None:
    assert {line.removeprefix("plain,") for line in complete("capwrap ")} == set(COMMANDS)


def test_the_choices_of_the_command_line_are_those_of_the_policy() -> None:
    import click

    from capwrap.cli.run import command
    from capwrap.policy.items import NET_MODES, PROFILES
    from capwrap.sandbox import METHODS

    choices = {option.name: option.type.choices for option in command.params if isinstance(option.type, click.Choice)}
    assert {name: tuple(values) for name, values in choices.items()} == {
        "profile": PROFILES,
        "net": NET_MODES,
        "method": METHODS,
    }
