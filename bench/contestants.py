"""Who runs a command: each contestant is what stands in front of it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

NATIVE, FLOOR, CAPWRAP, CAPWRAP_RUN = "native", "floor", "capwrap", "capwrap run"


@dataclass(frozen=True)
class Contestant:
    """`name`, and the arguments before the command's own."""

    name: str
    prefix: tuple[str, ...]


def _bwrap(work: str) -> list[str]:
    return ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--bind", work, work, "--"]


def _proot(_work: str) -> list[str]:
    return ["-r", "/"]


def _strace(_work: str) -> list[str]:
    return ["-f", "--seccomp-bpf", "-e", "trace=file", "-o", "/dev/null", "--"]


def _landrun(work: str) -> list[str]:
    return ["--best-effort", "--rox", "/", "--rwx", work, "--rw", "/tmp,/dev", "--env", "PATH", "--"]


def _firejail(_work: str) -> list[str]:
    return ["--quiet", "--noprofile", "--"]


def _minijail(work: str) -> list[str]:
    writable = ["--fs-path-advanced-rw", work, "--fs-path-advanced-rw", "/tmp", "--fs-path-rw", "/dev"]
    return ["--fs-path-rx", "/", *writable, "--"]


def _syd(_work: str) -> list[str]:
    return ["-poff", "-mallow/all+/***", "--"]


PEERS: dict[str, Callable[[str], list[str]]] = {
    "bwrap": _bwrap,
    "proot": _proot,
    "strace": _strace,
    "landrun": _landrun,
    "firejail": _firejail,
    "minijail0": _minijail,
    "syd": _syd,
}
"""Each peer with the arguments that let it read everything and write in the work directory."""


def peers(work: Path, tell: Callable[[str], None]) -> Iterator[Contestant]:
    """The peers on PATH that can run a command here; what keeps one from it is told."""
    for name, arguments in PEERS.items():
        program = shutil.which(name)
        if program is None:
            continue
        prefix = (program, *arguments(str(work)))
        try:
            tried = subprocess.run(
                [*prefix, "/bin/true"],
                cwd=work,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            why = "" if tried.returncode == 0 else tried.stderr.strip() or f"it ended with {tried.returncode}"
        except subprocess.TimeoutExpired:
            why = "it did not end within a minute"
        if why:
            tell(f"{name} is here and left out: it cannot run /bin/true: {why.splitlines()[-1]}")
        else:
            yield Contestant(name, prefix)
