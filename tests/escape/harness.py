"""What the attack tests share: an arena of granted and secret directories, and running attacks in and out of capwrap.

The arena, freshly made for every run of an attack (BASE is its absolute path):

    work/    the workspace: read, write, execute; the current directory
    other/   granted read-write
    ro/      granted read-only
    rox/     granted read and execute
    names/   only `names/granted` is granted (read-write); `names/sibling` is not
    carved/  granted read-write, but `carved/private` and every `*.key` beneath it are denied
    secret/  not granted

Every secret holds one random token, so that a test can look for it in what came out.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from escape.outside import snapshot, victim
from escape.running import SOURCES, Outcome, Programs, Who, capwrap, reach, run

# Small, so that an attack can try every descriptor number there is: soft and hard limit.
NOFILE = "1024:2048"


@contextlib.contextmanager
def no_setup(_: Arena) -> Iterator[Found]:
    """Nothing but the arena."""
    yield Found()


@dataclass(frozen=True)
class Found:
    """What a setup made: further arguments of the attack, and descriptor 0."""

    args: tuple[str, ...] = ()
    stdin: int = subprocess.DEVNULL


@dataclass
class Arena:
    """One directory tree to attack in, one user, one policy.

    `images` are the policies that were compiled for this tree so far, by options and current directory. `contained`:
    confined runs are inside of what a container engine would allow. `unshown` collects why an attack was not shown to
    work natively.
    """

    base: Path
    programs: Programs
    who: Who
    pure: bool
    staging: Path
    images: dict[tuple[str, ...], Path]
    contained: bool = False
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    unshown: list[str] = field(default_factory=list)

    def build(self) -> None:
        """Makes the tree anew."""
        base = self.base
        for entry in base.iterdir():
            entry.unlink() if entry.is_symlink() or not entry.is_dir() else shutil.rmtree(entry)
        for name in ("work", "other", "ro", "rox", "names", "carved/private", "carved/sub", "secret/listing/x"):
            (base / name).mkdir(parents=True)
        for name in ("work", "other", "ro", "rox", "carved"):
            (base / name / "file").write_text(f"{name}\n")
        (base / "names/granted").write_text("granted\n")
        for name in ("secret/file", "names/sibling", "carved/private/file", "carved/a.key", "carved/sub/b.key"):
            (base / name).write_text(self.token)
        os.setxattr(base / "secret/file", "user.token", self.token.encode())
        (base / "secret/empty").mkdir()
        (base / "secret/listing/x").rename(base / "secret/listing" / self.token)
        (base / "secret/link").symlink_to(self.token)
        shutil.copy(self.programs.directory / "outsider", base / "secret/prog")
        shutil.copy(self.programs.directory / "outsider", base / "ro/prog")
        # Links for a lookup to go astray on: absolute, relative, to a directory, and a chain through two grants.
        (base / "work/absolute").symlink_to(base / "secret/file")
        (base / "work/relative").symlink_to("../secret/file")
        (base / "work/directory").symlink_to("../secret")
        (base / "work/up").symlink_to("..")
        (base / "work/chain").symlink_to("../other/chain")
        (base / "other/chain").symlink_to(base / "ro/chain")
        (base / "ro/chain").symlink_to("../secret/file")
        (base / "work/magic").symlink_to(f"/proc/self/root{base}/secret/file")
        (base / "work/key").symlink_to("../carved/sub/b.key")
        self.give(base)

    def give(self, top: Path) -> None:
        """Make a directory and all in it the attacker's."""
        if self.who.uid is not None:
            for path in (top, *top.rglob("*")):
                os.chown(path, self.who.uid, self.who.uid, follow_symlinks=False)

    def grants(self) -> list[str]:
        base = self.base
        options = [
            *("--ro", f"{base}/ro", "--rox", f"{base}/rox", "--rw", f"{base}/other"),
            *("--rw", f"{base}/names/granted", "--rw", f"{base}/carved", "--deny", f"{base}/carved/private"),
            *("--deny", f"{base}/carved/**.key", "--rox", str(self.programs.directory)),
        ]
        return ["--pure", "--rwx", f"{base}/work", *options] if self.pure else options

    def outside(self) -> dict[str, tuple[object, ...]]:
        """The state of everything that an attack must not change."""
        base = self.base
        closed = [base / name for name in ("secret", "ro", "rox", "names/sibling")]
        closed += [base / name for name in ("carved/private", "carved/a.key", "carved/sub/b.key")]
        listing: dict[str, tuple[object, ...]] = {
            "base": tuple(sorted(os.listdir(base))),
            "names": tuple(sorted(p.name for p in base.glob("names/*"))),
        }
        return snapshot(closed) | listing

    def command(self, family: str, attack: str, pid: int, args: Sequence[str], *, static: bool = False) -> list[str]:
        """The attack's command line. Under --pure nothing but the program is there, not even a loader."""
        program = self.programs.path(family, static=self.pure or static)
        return [str(program), attack, str(self.base), str(pid), *(a.replace("{base}", str(self.base)) for a in args)]

    def container(self) -> list[str]:
        """A prefix under which a command runs as in a container of docker's default profile."""
        program = self.programs.directory / "dockerlike"
        if not program.exists():
            self.programs.compile(program, [SOURCES / "escape" / "dockerlike.c"])
        return [str(program)]

    def image(self, options: Sequence[str], cwd: str) -> Path:
        """The policy image of the grants and these options, compiled as the user who attacks, once for this tree.

        Options that begin with --pure stand for themselves: without the arena's grants.
        """
        grants = ["--rox", str(self.programs.directory)] if options[:1] == ["--pure"] else self.grants()
        policy = [*grants, *(o.replace("{base}", str(self.base)) for o in options)]
        key = (*policy, cwd)
        if key not in self.images:
            path = self.staging / f"policy-{len(self.images)}.cap"
            user = [*reach(self.who, self.staging), *self.who.prefix()]
            made = run(
                [*user, capwrap(), "compile", *policy, "-o", str(path)], cwd=self.base / cwd, env=self.who.environment
            )
            if made.returncode:
                raise RuntimeError(str(made))
            self.images[key] = path
        return self.images[key]

    def execute(
        self,
        command: Sequence[str],
        *,
        options: Sequence[str] | None,
        stdin: int = subprocess.DEVNULL,
        timeout: float = 120,
        wrap: Sequence[str] = (),
        inner: Sequence[str] = (),
        cwd: str = "work",
    ) -> Outcome:
        """Runs a command in the workspace: natively where `options` is None, else by capwrap-exec with their policy.

        capwrap-exec is `capwrap run` without Python, whose start would take longer than most attacks. `wrap` is a
        prefix that acts before the user changes, `inner` one that acts as the user, outside capwrap.
        """
        # prlimit before setpriv: the hard limit of the caller may be lower for the user.
        limits = ["prlimit", f"--nofile={NOFILE}", "--"]
        if options is None:
            argv = [*wrap, *limits, *self.who.prefix(), *inner, *command]
        else:
            confined = [f"{capwrap()}-exec", str(self.image(options, cwd)), "--", *command]
            container = self.container() if self.contained else []
            argv = [*wrap, *limits, *container, *self.who.prefix(), *inner, *confined]
        return run(argv, cwd=self.base / cwd, env=self.who.environment, stdin=stdin, timeout=timeout)

    def attack(
        self,
        family: str,
        attack: str,
        *args: str,
        options: Sequence[str] | None,
        stdin: str | None = None,
        stdin_flags: int = os.O_RDONLY,
        timeout: float = 120,
        static: bool = False,
        setup: Setup = no_setup,
        wrap: Sequence[str] = (),
        inner: Sequence[str] = (),
        cwd: str = "work",
    ) -> tuple[Outcome, list[str]]:
        """One run in a fresh arena, natively (`options` None) or confined; and what it changed outside, one line each.

        `stdin` is a path to open (relative to the base) for descriptor 0; `setup` makes what the attack finds, and
        yields further arguments for it; `cwd` is the current directory, relative to the base.
        """
        self.build()
        with contextlib.ExitStack() as stack:
            found = stack.enter_context(setup(self))
            fd = found.stdin
            if stdin is not None:
                fd = os.open(self.base / stdin, stdin_flags)
                stack.callback(os.close, fd)
            outsider = stack.enter_context(victim(self.who, self.base))
            before, state = self.outside(), outsider.state()
            command = self.command(family, attack, outsider.pid, [*args, *found.args], static=static)
            outcome = self.execute(
                command,
                options=options,
                stdin=fd,
                timeout=timeout,
                wrap=wrap,
                inner=inner,
                cwd=cwd,
            )
            changes = [] if outsider.state() == state else [f"victim: {state} became {outsider.state()}"]
            after = self.outside()
        changes += [
            f"{k}: {before.get(k)} became {after.get(k)}" for k in before | after if before.get(k) != after.get(k)
        ]
        if self.token in outcome.stdout:
            changes.append("the secret was printed")
        return outcome, changes

    def holds(
        self,
        family: str,
        attack: str,
        *args: str,
        native: str | None = None,
        native_args: Sequence[str] | None = None,
        standin: bool = False,
        options: Sequence[str] = (),
        dies: bool = False,
        stdin: str | None = None,
        stdin_flags: int = os.O_RDONLY,
        static: bool = False,
        setup: Setup = no_setup,
        inner: Sequence[str] = (),
        why: str | None = None,
    ) -> Outcome:
        """The attack works natively and does not confined. Returns how the confined run ended.

        `native` says why there is nothing to show natively, where that is so; `standin`: the attack is on capwrap's own
        mechanism, for which the native run makes a stand-in; `native_args` go in place of `args` there. `dies`: to be
        killed for trying is as good as to be refused. `inner`: as for execute(). `why`: what HELD must say first (an
        errno's name, or several with `|`).
        """
        if native is None:
            outcome, _ = self.attack(
                family,
                attack,
                *(args if native_args is None else native_args),
                *(["standin"] if standin else []),
                options=None,
                stdin=stdin,
                stdin_flags=stdin_flags,
                static=static,
                setup=setup,
                inner=inner,
            )
            assert outcome.verdict == "ESCAPED", f"natively the attack shows nothing: {outcome}"
        else:
            self.unshown.append(native)
        outcome, changes = self.attack(
            family,
            attack,
            *args,
            options=options,
            stdin=stdin,
            stdin_flags=stdin_flags,
            static=static,
            setup=setup,
            inner=inner,
        )
        assert outcome.verdict != "ESCAPED", str(outcome)
        assert not changes, "\n".join([*changes, str(outcome)])
        if not (dies and outcome.returncode < 0):
            assert outcome.verdict == "HELD", str(outcome)
        if why is not None and outcome.verdict == "HELD":
            assert outcome.stdout.split()[1] in why.split("|"), f"held for another reason than {why}: {outcome}"
        return outcome


Setup = Callable[[Arena], contextlib.AbstractContextManager[Found]]
