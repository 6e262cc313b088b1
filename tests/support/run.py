"""Run a command natively or confined, as the caller or as an unprivileged user, never without a time limit."""

from __future__ import annotations

import compileall
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import NoReturn

import pytest

TIMEOUT = 120.0
"""Seconds after which a command counts as hung; far above what any of them needs."""

NOBODY = 65534
"""The user and group id of the unprivileged runs. It owns nothing and needs no entry in /etc/passwd."""

REPO = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its wait status as subprocess gives it, and what it wrote."""

    status: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output as text; bytes that are not UTF-8 stand as surrogates."""
        return os.fsdecode(self.stdout)

    def describe(self) -> str:
        """A few lines for a failure message."""
        tail = [os.fsdecode(part)[-4000:] for part in (self.stdout, self.stderr)]
        return f"status {self.status}\n--- stdout\n{tail[0]}\n--- stderr\n{tail[1]}"


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that was started in a session of its own, with all of its group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def run(
    argv: Sequence[str | bytes | Path],
    *,
    cwd: str | bytes | Path,
    env: Mapping[str, str],
    stdin: bytes = b"",
    timeout: float = TIMEOUT,
    pass_fds: Sequence[int] = (),
) -> Outcome:
    """Run a command to its end in a session of its own; a hang is a test failure, and nothing of it is left."""
    process = subprocess.Popen(
        argv,
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        pass_fds=tuple(pass_fds),
    )
    try:
        out, err = process.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired as late:
        kill_group(process)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()  # else the next test is blamed for it
        got = Outcome(-signal.SIGKILL, late.stdout or b"", late.stderr or b"")
        pytest.fail(f"hung for {timeout:.0f} s: {argv}\n{got.describe()}", pytrace=False)
    except BaseException:
        kill_group(process)
        raise
    return Outcome(process.returncode, out, err)


def require(*programs: str) -> None:
    """Fail, naming what to install, where a program that the test needs is missing. Nothing is skipped."""
    for program in programs:
        path_of(program)


def path_of(program: str) -> str:
    """Where a program lies that the test needs: also where an ordinary user's PATH does not lead."""
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if path is None:
        missing(program, PACKAGES.get(program, program))
    return path


def require_file(path: str, package: str) -> str:
    """The path of a file that the test needs, which a Debian package brings."""
    if not os.path.exists(path):
        missing(path, package)
    return path


def missing(what: str, package: str) -> NoReturn:
    """Fail for something that the test needs and that is not there."""
    pytest.fail(f"{what} is not on this machine: install the package {package} (.ci/run does)", pytrace=False)


PACKAGES = {
    "ar": "binutils",
    "bash": "bash",
    "cc": "gcc",
    "chromedriver": "chromium-driver",
    "dpkg-buildpackage": "dpkg-dev",
    "env": "coreutils",
    "find": "findutils",
    "go": "golang-go",
    "ld": "binutils",
    "ldconfig": "libc-bin",
    "ls": "coreutils",
    "mandoc": "mandoc",
    "musl-gcc": "musl-tools",
    "ninja": "ninja-build",
    "node": "nodejs",
    "objdump": "binutils",
    "readelf": "binutils",
    "script": "bsdutils",
    "setfacl": "acl",
    "setfattr": "attr",
    "setpriv": "util-linux",
    "sh": "dash",
    "tclsh": "tcl",
}
"""The Debian package of a program, where its name differs."""


def tool(name: str) -> Path:
    """An installed command of capwrap, beside the Python that runs the tests."""
    path = Path(sys.executable).parent / name
    if not path.exists():
        pytest.fail(f"{path} does not exist: run the tests by `make test`, which installs it", pytrace=False)
    return path


def base_env(home: Path) -> dict[str, str]:
    """The environment of both runs: only names that capwrap passes on by itself, so that both see the same."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "USER": "tester",
        "LOGNAME": "tester",
        "SHELL": "/bin/sh",
    }


@dataclass(frozen=True)
class Runner:
    """Who runs, and which installed capwrap: the caller's, or a copy that an unprivileged user can read."""

    name: str
    prefix: tuple[str, ...] = ()
    capwrap: tuple[str, ...] = ()
    capwrap_exec: tuple[str, ...] = ()
    uid: int | None = None
    extra_env: Mapping[str, str] = field(default_factory=dict)
    verb: str = "run"
    """the command of capwrap by which `confined` runs"""

    def own(self, path: Path) -> None:
        """Give a tree to the user who runs."""
        if self.uid is None:
            return
        for each in [path, *path.rglob("*")]:
            os.chown(each, self.uid, self.uid, follow_symlinks=False)

    def native(
        self, argv: Sequence[str | bytes | Path], *, cwd: str | bytes | Path, env: Mapping[str, str], **how: object
    ) -> Outcome:
        """Run a command without capwrap."""
        return run([*self.prefix, *argv], cwd=cwd, env=env, **how)  # type: ignore[arg-type]

    def confined(
        self,
        argv: Sequence[str | bytes | Path],
        *,
        cwd: str | bytes | Path,
        env: Mapping[str, str],
        options: Sequence[str | bytes | Path] = (),
        **how: object,
    ) -> Outcome:
        """Run a command by `capwrap run OPTIONS -- COMMAND`, or by `trace`."""
        return self.command([self.verb, *options, "--", *argv], cwd=cwd, env=env, **how)

    def command(
        self, argv: Sequence[str | bytes | Path], *, cwd: str | bytes | Path, env: Mapping[str, str], **how: object
    ) -> Outcome:
        """Run any command of capwrap."""
        return run([*self.prefix, *self.capwrap, *argv], cwd=cwd, env={**env, **self.extra_env}, **how)  # type: ignore[arg-type]

    def executed(
        self,
        argv: Sequence[str | bytes | Path],
        *,
        cwd: str | bytes | Path,
        env: Mapping[str, str],
        options: Iterable[str | bytes | Path] = (),
        image: Path,
        **how: object,
    ) -> Outcome:
        """Run a command by capwrap-exec on a policy that `capwrap compile` wrote to `image`."""
        compiled = self.command(["compile", *options, "-o", image], cwd=cwd, env=env)
        if compiled.status != 0:
            pytest.fail(f"capwrap compile failed: {compiled.describe()}", pytrace=False)
        return run([*self.prefix, *self.capwrap_exec, image, "--", *argv], cwd=cwd, env=env, **how)  # type: ignore[arg-type]


def caller() -> Runner:
    """The runner of whoever runs the tests. CAPWRAP_EXEC names another capwrap-exec, such as a sanitized one."""
    engine = os.environ.get("CAPWRAP_EXEC")
    return Runner("caller", (), (str(tool("capwrap")),), (engine or str(tool("capwrap-exec")),))


def nobody(copy: Path) -> Runner:
    """A runner for uid 65534, with Python and capwrap copied to `copy` where the originals cannot be read by it."""
    require("setpriv")
    python = _readable_python(copy)
    site = copy / "site"
    large = ("*mypy*", "ruff*", "pip*", "setuptools*", "selenium*", "trio*", "pydantic*", "pre_commit*", "virtualenv*")
    leave = shutil.ignore_patterns(*large, "distlib*")
    shutil.copytree(sysconfig.get_path("platlib"), site, ignore=leave)
    if not (site / "capwrap").is_dir():  # an editable install: the package lies in the tree
        shutil.copytree(REPO / "capwrap", site / "capwrap")
        for extension in REPO.glob("*.so"):
            shutil.copy2(extension, site)
    engine = copy / "capwrap-exec"
    shutil.copy2(os.environ.get("CAPWRAP_EXEC") or tool("capwrap-exec"), engine)
    (entry,) = metadata.entry_points(group="console_scripts", name="capwrap")
    # The copy cannot be written to by who runs it, so every start would compile every module anew.
    compileall.compile_dir(site, quiet=2)
    start = copy / "run-capwrap.py"
    start.write_text(
        f"import sys\nfrom {entry.module} import {entry.attr} as main\nsys.argv[0] = 'capwrap'\nsys.exit(main())\n"
    )
    for path in [copy, *copy.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or os.access(path, os.X_OK) else 0o444))
    user = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all")
    env = {"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}
    if python.is_relative_to(copy):
        env |= {"PYTHONHOME": str(python.parent.parent), "LD_LIBRARY_PATH": str(python.parent.parent / "lib")}
    return Runner("nobody", user, (str(python), str(start)), (str(engine),), NOBODY, env)


def _readable_python(copy: Path) -> Path:
    """The Python under the virtual environment, copied where others than its owner cannot reach it."""
    base = Path(sys.base_prefix)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    if all(parent.stat().st_mode & 0o001 for parent in [base, *base.parents]):
        return base / "bin" / version
    home = copy / "python"
    (home / "bin").mkdir(parents=True)
    shutil.copy2((base / "bin" / version).resolve(), home / "bin" / version)
    leave = ("test", "tests", "site-packages", "idlelib", "ensurepip", "lib2to3", "tkinter", "config-*")
    shutil.copytree(base / "lib" / version, home / "lib" / version, ignore=shutil.ignore_patterns(*leave))
    for library in (base / "lib").glob("libpython*.so*"):
        shutil.copy2(library, home / "lib", follow_symlinks=False)
    return home / "bin" / version
