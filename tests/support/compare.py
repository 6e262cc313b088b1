"""The claim that most system tests make: confined, a program does exactly what it does natively."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from support.run import TIMEOUT, Outcome, Runner, base_env
from support.tree import Entry, differences, snapshot, text_difference

Files = Mapping[str, str | bytes]
Setup = Callable[[Path], None]

# What capwrap-exec, which has no -q, adds behind a command's own standard error.
_REFUSALS = re.compile(rb"(?:^capwrap: refused: .*\n)+(?:^capwrap: and \d+ more refusals\n)?\Z", re.MULTILINE)


def write_files(root: Path, files: Files) -> None:
    """Write files by relative path, with their directories; what begins with `#!` becomes executable."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content.encode() if isinstance(content, str) else content
        path.write_bytes(data)
        path.chmod(0o755 if data.startswith(b"#!") else 0o644)


def copying(*programs: Path, then: Files | None = None) -> Setup:
    """A setup that copies programs into the directory, and writes further files."""

    def setup(work: Path) -> None:
        for program in programs:
            shutil.copy2(program, work)
        write_files(work, then or {})

    return setup


@dataclass(frozen=True)
class Pair:
    """What the two runs of a comparison did."""

    native: Outcome
    confined: Outcome
    tree: Mapping[bytes, Entry]
    """What both left behind."""


@dataclass(frozen=True)
class Bench:
    """A place for one test: `work`, where a command runs, and an empty `home` beside it, outside of what it may see."""

    root: Path
    runner: Runner

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def env(self) -> dict[str, str]:
        return base_env(self.home)

    @property
    def events(self) -> Path:
        return self.root / "events.ndjson"

    def fresh(self, files: Files | None = None, setup: Setup | None = None) -> Path:
        """Empty `work` and `home`, and fill `work`; owned by the user who runs."""
        self.clear()
        for directory in (self.work, self.home):
            directory.mkdir(mode=0o755)
        write_files(self.work, files or {})
        if setup:
            setup(self.work)
        self.runner.own(self.work)
        self.runner.own(self.home)
        return self.work

    def clear(self) -> None:
        """Remove `work` and `home`, also where a test left directories that their owner cannot enter."""
        for top in (self.work, self.home):
            for directory, names, _files in os.walk(top):
                for path in (os.path.join(directory, name) for name in names):
                    if not os.path.islink(path):
                        os.chmod(path, 0o700)
            if top.exists():
                shutil.rmtree(top)

    def confined(
        self,
        command: str | Sequence[str | bytes | Path],
        *,
        options: Sequence[str | bytes | Path] = ("-q",),
        env: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT,
        stdin: bytes = b"",
        pass_fds: Sequence[int] = (),
    ) -> Outcome:
        """Run a command, or a shell script given as one string, confined in `work` as it stands."""
        return self.runner.confined(
            _argv(command),
            cwd=self.work,
            env=self.env | dict(env or {}),
            options=options,
            timeout=timeout,
            stdin=stdin,
            pass_fds=pass_fds,
        )

    def compare(
        self,
        command: str | Sequence[str | bytes | Path],
        *,
        files: Files | None = None,
        setup: Setup | None = None,
        options: Sequence[str | bytes | Path] = (),
        env: Mapping[str, str] | None = None,
        ignore: Sequence[str] = (),
        stderr: bool = True,
        stdout: bool = True,
        status: int | None = 0,
        timeout: float = TIMEOUT,
        stdin: bytes = b"",
        record: bool = True,
    ) -> Pair:
        """Run a command natively and then confined, in two fresh and equal trees at one absolute path.

        Fails, showing what differs and what capwrap refused, unless exit status, standard output, standard error
        and the trees that were left are the same. `status` is the exit status that the native run must have (None:
        any), `ignore` names paths that no two runs agree on, `env` is set in both, and `record` writes the record that
        a failure message quotes.
        """
        argv = _argv(command)
        added = dict(env or {})
        flags = [word for name in added for word in ("--env", name)]
        self.fresh(files, setup)
        native = self.runner.native(argv, cwd=self.work, env=self.env | added, timeout=timeout, stdin=stdin)
        if status is not None and native.status != status:
            pytest.fail(f"the native run already fails: {argv}\n{native.describe()}", pytrace=False)
        left = snapshot(self.work, ignore=ignore)

        self.fresh(files, setup)
        confined = self._confined(argv, [*options, *flags], self.env | added, timeout, stdin, record)
        right = snapshot(self.work, ignore=ignore)

        wrong = []
        if native.status != confined.status:
            wrong.append(f"exit status: native {native.status}, confined {confined.status}")
        if stdout and native.stdout != confined.stdout:
            wrong += ["stdout:", *text_difference(native.stdout, confined.stdout)]
        if stderr and native.stderr != confined.stderr:
            wrong += ["stderr:", *text_difference(native.stderr, confined.stderr)]
        wrong += differences(left, right)
        if wrong:
            report = "\n".join(wrong)
            pytest.fail(
                f"confined, it is not as natively: {argv}\n{report}\n{self.refusals_text()}\n"
                f"confined run: {confined.describe()}",
                pytrace=False,
            )
        return Pair(native, confined, right)

    def _confined(
        self,
        argv: Sequence[str | bytes | Path],
        options: Sequence[str | bytes | Path],
        env: Mapping[str, str],
        timeout: float,
        stdin: bytes,
        record: bool,
    ) -> Outcome:
        """Through Python; through capwrap-exec where CAPWRAP_EXEC asks for it, for it may be a sanitized build."""
        self.events.unlink(missing_ok=True)
        if os.environ.get("CAPWRAP_EXEC"):
            image = self.root / "policy.cap"
            image.unlink(missing_ok=True)
            ended = self.runner.executed(
                argv, cwd=self.work, env=env, options=options, image=image, timeout=timeout, stdin=stdin
            )
            return replace(ended, stderr=_REFUSALS.sub(b"", ended.stderr))
        recording = ("--events", self.events) if record else ()
        return self.runner.confined(
            argv, cwd=self.work, env=env, options=["-q", *recording, *options], timeout=timeout, stdin=stdin
        )

    def records(self, kind: str | None = None) -> list[dict[str, object]]:
        """The records of the last run that had `--events` with `self.events`, all or of one type."""
        with open(self.events, encoding="utf-8") as lines:
            records = [json.loads(line) for line in lines]
        return [record for record in records if kind is None or record["type"] == kind]

    def refusals_text(self, most: int = 20) -> str:
        """What was refused, a line each, for a failure message."""
        if not self.events.exists():
            return "(no record)"
        names = ("syscall", "path", "path2", "kind", "errno", "allow")
        lines: dict[str, None] = {}
        for record in self.records("refusal"):
            lines["  refused: " + " ".join(f"{name}={record[name]}" for name in names if record.get(name))] = None
        more = [f"  ... and {len(lines) - most} more"] if len(lines) > most else []
        return "\n".join([*list(lines)[:most], *more]) or "(nothing was refused)"


def _argv(command: str | Sequence[str | bytes | Path]) -> list[str | bytes | Path]:
    """A string is a script for /bin/sh, which stops at the first command that fails."""
    return ["/bin/sh", "-euc", command] if isinstance(command, str) else list(command)
