"""The examples of docs/integration, as their readers have them: copied, and run with capwrap in PATH."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from support.compare import Bench
from support.run import REPO, Outcome, tool


class Example:
    """The files of examples/NAME in the bench's directory."""

    def __init__(self, bench: Bench, name: str) -> None:
        self.bench = bench

        def setup(work: Path) -> None:
            shutil.copytree(REPO / "examples" / name, work, dirs_exist_ok=True)

        bench.fresh(setup=setup)
        self.env = bench.env | {"PATH": f"{tool('capwrap').parent}{os.pathsep}{bench.env['PATH']}"}

    def path(self, name: str) -> Path:
        """A file of it."""
        return self.bench.work / name

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace what has to be in a file."""
        text = self.path(name).read_text()
        assert old in text, f"{name}: {text}"
        self.path(name).write_text(text.replace(old, new))

    def run(self, *argv: str | Path, status: int | None = 0, **env: str) -> Outcome:
        """Run a command there; `status` is what it has to end with (None: anything)."""
        done = self.bench.runner.native(argv, cwd=self.bench.work, env=self.env | env)
        assert status is None or done.status == status, f"{argv}: {done.describe()}"
        return done

    def said(self, *argv: str | Path, status: int | None = 0, **env: str) -> str:
        """What a command wrote, standard output first."""
        done = self.run(*argv, status=status, **env)
        return done.text + os.fsdecode(done.stderr)
