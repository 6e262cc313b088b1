"""Attack programs compiled, and commands run by whoever attacks, with how they ended."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SOURCES = Path(__file__).resolve().parent.parent / "programs"
CFLAGS = ("-O1", "-Wall", "-Wextra", "-Werror", "-pthread")
NOBODY = 65534
PATH = "/usr/local/bin:/usr/bin:/bin"


def capwrap() -> str:
    """The capwrap of the environment that runs the tests; FileNotFoundError where there is none."""
    path = Path(sys.executable).with_name("capwrap")
    if not path.exists():
        raise FileNotFoundError(f"{path}: capwrap is not installed beside the interpreter that runs the tests")
    return str(path)


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `returncode` is negative for a signal, as in subprocess."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str

    @property
    def verdict(self) -> str:
        """ESCAPED, HELD, UNTRIED, or what else it was."""
        words = [line.split(" ", 1)[0] for line in self.stdout.splitlines()]
        if "ESCAPED" in words:
            return "ESCAPED"
        for code, word in ((1, "HELD"), (2, "UNTRIED")):
            if self.returncode == code and words[:1] == [word]:
                return word
        return f"died of signal {-self.returncode}" if self.returncode < 0 else f"exit status {self.returncode}"

    def __str__(self) -> str:
        return f"{self.verdict} ({self.returncode})\n$ {' '.join(self.argv)}\n{self.stdout}\n{self.stderr}"


def run(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    pass_fds: Sequence[int] = (),
    timeout: float = 120,
) -> Outcome:
    """Runs a command in a session of its own; whatever is left of its process group at the end is killed.

    Raises subprocess.TimeoutExpired. Output goes through files: a survivor must not hold the test by a pipe.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=env,
            stdin=stdin,
            stdout=out,
            stderr=err,
            pass_fds=pass_fds,
            start_new_session=True,
        )
        try:
            code = process.wait(timeout)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        out.seek(0)
        err.seek(0)
        return Outcome(tuple(argv), code, out.read().decode(errors="replace"), err.read().decode(errors="replace"))


@dataclass
class Programs:
    """The attack programs, compiled once a session, each when it is first asked for."""

    directory: Path
    _made: set[str] = field(default_factory=set)

    def path(self, family: str, *, static: bool = False) -> Path:
        """The executable of `family` ("escape/paths"), linked dynamically or statically."""
        room, name = family.split("/")
        target = self.directory / (f"{room}-{name}" + ("-static" if static else ""))
        if target.name not in self._made:
            sources = [SOURCES / "escape" / "attack.c", SOURCES / room / f"{name}.c"]
            self.compile(target, sources, *(["-static"] if static else []))
            self._made.add(target.name)
        return target

    def compile(self, target: Path, sources: Sequence[Path], *flags: str) -> Path:
        """Compiles and links `sources` to `target`; CalledProcessError, with the compiler's words, where it fails."""
        command = ["cc", *CFLAGS, "-I", str(SOURCES / "escape"), *map(str, sources), "-o", str(target), *flags]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
        target.chmod(0o755)
        return target


@dataclass(frozen=True)
class Who:
    """Who runs the attack: the caller, or by way of setpriv an ordinary user without a home."""

    name: str
    uid: int | None = None

    @property
    def environment(self) -> dict[str, str]:
        environment = {"PATH": PATH, "LANG": "C.UTF-8"}
        if self.uid is None:
            environment["HOME"] = os.environ.get("HOME", "/nonexistent")
        return environment

    def prefix(self) -> list[str]:
        if self.uid is None:
            return []
        return ["setpriv", "--reuid", str(self.uid), "--regid", str(self.uid), "--clear-groups", "--"]


def reach(who: Who, staging: Path) -> list[str]:
    """A prefix under which `who` can run this interpreter: where it lies in a directory that is closed to others, a
    private mount namespace in which that directory holds the interpreter's files alone."""
    if who.uid is None:
        return []
    prefix = Path(sys.base_prefix).resolve()
    closed = [p for p in reversed(prefix.parents) if not p.stat().st_mode & stat.S_IXOTH]
    if not closed:
        return []
    script = (
        'mount --bind "$1" "$2" && mount -t tmpfs -o mode=755 tmpfs "$3" && mkdir -p "$1" && mount --move "$2" "$1" '
        '&& shift 3 && exec "$@"'
    )
    return ["unshare", "-m", "sh", "-c", script, "reach", str(prefix), str(staging), str(closed[0])]
