"""What is measured, and what each row is to reach."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.contestants import CAPWRAP, CAPWRAP_RUN, FLOOR, NATIVE

HERE = Path(__file__).parent
REPO = HERE.parent

MICRO_CALLS = 5000
READ_FILE = "/usr/bin/env"
"""A regular file beneath a read-only grant of the base profile."""


@dataclass(frozen=True)
class Aim:
    """A bound on one contestant of a row.

    `kind`: ``ratio`` to another contestant, ``over`` it in ms, ``ms``, or ``stops`` a call.
    """

    kind: str
    limit: float
    who: str = CAPWRAP
    against: str = NATIVE

    def text(self) -> str:
        """The aim in a few words."""
        match self.kind:
            case "ratio":
                return f"{self.who} <= {self.limit:g}x {self.against}"
            case "over":
                return f"{self.who} <= {self.against} + {self.limit:g} ms"
            case "stops":
                return f"{self.who}: {self.limit:g} stop a call"
            case _:
                return f"{self.who} <= {self.limit:g} ms"


@dataclass(frozen=True)
class Workload:
    """One row: a command, and how it is timed.

    A loop (`calls` > 0) prints its own nanoseconds, so that nobody's start is in them; any other command is run by
    the clock, `times` a round, and the median of these counts.
    """

    name: str
    title: str
    command: tuple[str, ...]
    calls: int = 0
    times: int = 1
    pinned: bool = False
    aims: tuple[Aim, ...] = ()
    also_run: bool = False
    """whether `capwrap run` takes part"""
    prepare: tuple[str, ...] = ()
    """run natively before each measurement, untimed"""
    directory: str = "."
    """where it runs, beneath the work directory"""


def compile_programs(target: Path) -> None:
    """Compile programs/*.c into a directory. Raises CalledProcessError, or FileNotFoundError without a compiler."""
    for source in sorted((HERE / "programs").glob("*.c")):
        subprocess.run(
            [os.environ.get("CC", "cc"), "-std=gnu11", "-O2", "-pthread", str(source), "-o", str(target / source.stem)],
            check=True,
        )


def _lua(work: Path, tell: Callable[[str], None]) -> bool:
    """Unpack Lua's source into work/lua, where its archive is here."""
    cache = Path(os.environ.get("CAPWRAP_SOURCES") or REPO / ".cache/sources")
    found = [path for path in sorted(cache.glob("lua5.4_*.orig.tar.*")) if path.suffix != ".asc"]
    if not found:
        tell(f"no row `lua`: the source of lua5.4 is not in {cache}; `make sources` fetches it")
        return False
    target = work / "lua"
    target.mkdir()
    subprocess.run(
        ["tar", "-xf", str(found[-1]), "-C", str(target), "--strip-components=1", "--no-same-owner"], check=True
    )
    return True


def _loops(bin_dir: Path, work: Path, calls: int) -> list[Workload]:
    loop = str(bin_dir / "loop")

    def row(
        name: str,
        title: str,
        kind: str,
        path: str = "",
        *,
        share: float = 1,
        pinned: bool = False,
        aims: tuple[Aim, ...] = (),
    ) -> Workload:
        count = max(int(calls * share), 1)
        command = (loop, kind, str(count), path) if path else (loop, kind, str(count))
        return Workload(name, title, command, calls=count, pinned=pinned, aims=aims)

    floor = (Aim("ratio", 1.5, against=FLOOR), Aim("stops", 1))
    link = work / "link"
    link.symlink_to("hello.c")
    (work / "read-write").write_text("text\n")
    return [
        row("nothing", "getppid, a call nobody stops", "nothing"),
        row("open", "open+close", "open", READ_FILE, aims=floor),
        row("open-1cpu", "open+close, one CPU", "open", READ_FILE, pinned=True, aims=floor),
        row("open-rw", "open+close, a writable grant", "open", str(work / "read-write")),
        row("stat", "stat", "stat", READ_FILE, aims=floor),
        row("stat-1cpu", "stat, one CPU", "stat", READ_FILE, pinned=True, aims=floor),
        row("readlink", "readlink", "readlink", str(link)),
        row("mkdir", "mkdir+rmdir", "mkdir", str(work / "made"), share=0.2),
        row("fork", "fork+wait", "fork", share=0.1),
        row("thread", "thread create+join", "thread", share=0.2),
        row("exec", "fork+exec+wait", "exec", str(bin_dir / "nothing"), share=0.2, aims=(Aim("ratio", 2.2),)),
    ]


def _commands(work: Path, tell: Callable[[str], None]) -> list[Workload]:
    made = [
        Workload(
            "start",
            "start of /bin/true",
            ("/bin/true",),
            times=11,
            also_run=True,
            aims=(
                Aim("ratio", 1.0, against="bwrap"),
                Aim("over", 2.0),
                Aim("ms", 80.0, who=CAPWRAP_RUN),
            ),
        )
    ]
    compilers = {"gcc": (3.0, 1.9), "clang": (1.6, None)}
    for compiler, (limit, pinned_limit) in compilers.items():
        if shutil.which(compiler) is None:
            tell(f"no row `{compiler}`: it is not on PATH")
            continue
        command = (compiler, "-O2", "-c", "hello.c", "-o", "hello.o")
        title = f"{compiler} -O2 -c hello.c"
        made.append(Workload(compiler, title, command, times=3, aims=(Aim("ratio", limit),)))
        pinned_aims = () if pinned_limit is None else (Aim("ratio", pinned_limit),)
        made.append(Workload(f"{compiler}-1cpu", f"{title}, one CPU", command, times=3, pinned=True, aims=pinned_aims))
    if shutil.which("make") is None or shutil.which("gcc") is None:
        tell("no row `lua`: make or gcc is not on PATH")
    elif _lua(work, tell):
        made.append(
            Workload(
                "lua",
                "Lua, make -j2",
                ("make", "-j2", "linux"),
                prepare=("make", "clean"),
                directory="lua",
                aims=(Aim("ratio", 1.35),),
            )
        )
    return made


def workloads(work: Path, tell: Callable[[str], None], calls: int = MICRO_CALLS) -> list[Workload]:
    """All rows that this machine can run, with their files in `work`; its `bin` holds the compiled programs."""
    bin_dir = work / "bin"
    bin_dir.mkdir()
    compile_programs(bin_dir)
    shutil.copy(HERE / "programs/hello.c", work / "hello.c")
    rows = [*_loops(bin_dir, work, calls), *_commands(work, tell)]
    if shutil.which("taskset") is None:
        tell("no rows on one CPU: taskset is not on PATH")
        rows = [row for row in rows if not row.pinned]
    return rows
