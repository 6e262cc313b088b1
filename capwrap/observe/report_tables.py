"""The tables behind a report's page: names, processes and calls, in columns, each with a bound.

What is above a bound is counted and not told apart. Texts are as a page shows them: control characters, marks of
direction and bytes that are not UTF-8 stand as escapes (summary.printable).
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from enum import IntEnum
from operator import attrgetter
from typing import Any

from capwrap.observe.places import settled
from capwrap.observe.summary import printable

NAMES_MAX = 250_000
"""different names, the directories above them included"""
PROCESSES_MAX = 50_000
CALLS_MAX = 200_000
"""calls that differ in more than time, descriptor and thread"""
TEXT_MAX = 32 << 20
"""characters of all names, and as many of command lines"""
COMMANDS_MAX = 8
"""command lines that are kept of one process"""
LENGTH_MAX = 4096
"""characters of a name; of longer ones the beginning is shown"""
_KINDS_MAX = 4096
"""different names of calls, and different sets of rights"""

NONE = -1
"""in the place of an index: there is none, or it is above the bound"""


class What(IntEnum):
    """What became of a call, or what it was for."""

    READ = 0
    WRITTEN = 1
    EXECUTED = 2
    LOOKED = 3
    FAILED = 4
    REFUSED = 5
    ABSENT = 6


class Texts:
    """Texts by number, each kept once."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {"...": 0}
        self._room = TEXT_MAX

    def number(self, text: str) -> int:
        """The number of a text; 0, which is `...`, where there is no room for it."""
        number = self._numbers.get(text)
        if number is None:
            if len(text) > self._room:
                return 0
            self._room -= len(text) + 16
            number = self._numbers[text] = len(self._numbers)
        return number

    def all(self) -> list[str]:
        """Them, in the order of their numbers."""
        return list(self._numbers)


class Names:
    """Names as a tree, with the calls on each. A name comes behind the directory that holds it. What is no path, such
    as an address, is a name that nothing holds.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._room = TEXT_MAX
        self.parents = array("i")
        self.counts = tuple(array("Q") for _ in What)
        self.untold = 0
        """calls on names that are not told apart"""

    def count(self, path: str, what: What) -> int:
        """Count a call on a name; the name's number."""
        number = self.number(path)
        if number == NONE:
            self.untold += 1
        else:
            self.counts[what][number] += 1
        return number

    def number(self, path: str) -> int:
        """The number of a name, which may be new."""
        number = self._numbers.get(path)
        if number is not None:
            return number
        if path.startswith("/"):
            path = settled(path)
        if len(path) > LENGTH_MAX:
            path = path[:LENGTH_MAX] + "..."
        new: list[str] = []
        room = self._room
        above: str | None = path
        while above is not None and above not in self._numbers:
            new.append(above)
            room -= len(above) + 16
            above = _above(above)
            if room < 0 or len(self._numbers) + len(new) > NAMES_MAX:
                return NONE
        self._room = room
        number = NONE if above is None else self._numbers[above]
        for each in reversed(new):
            self.parents.append(number)
            number = self._numbers[each] = len(self._numbers)
            for column in self.counts:
                column.append(0)
        return number

    def document(self) -> dict[str, Any]:
        """As the page has it: of each name its last part, who holds it, and counts by What."""
        return {
            "part": (printable(_part(name)) for name in self._numbers),
            "parent": self.parents,
            "counts": {what.name.lower(): self.counts[what] for what in What},
        }


def _above(name: str) -> str | None:
    if not name.startswith("/") or name == "/":
        return None
    return name.rpartition("/")[0] or "/"


def _part(name: str) -> str:
    return name.rpartition("/")[2] or name if name.startswith("/") else name


@dataclass(slots=True)
class _Process:
    pid: int
    parent: int
    run: int
    start: int
    end: int | None = None
    status: int | None = None
    signal: int | None = None
    commands: list[tuple[int, int]] = field(default_factory=list)
    """(time, number of the command line's text)"""


class Processes:
    """The processes of all runs. One that was seen without its start begins where it was seen."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self._all: list[_Process] = []
        self._live: dict[int, int] = {}
        self._run = 0
        self.untold = 0
        """processes that began above the bound"""

    def next_run(self, run: int) -> None:
        """What is seen from now on is of another run; process numbers begin anew."""
        self._run = run
        self._live.clear()

    def number(self, pid: int, at: int) -> int:
        """The process that has this pid now."""
        number = self._live.get(pid)
        return self._begin(pid, NONE, at) if number is None else number

    def start(self, pid: int, parent: int | None, at: int) -> None:
        """A process begins; `parent`: the pid of the one that it comes from."""
        above = NONE if parent is None else self._live.get(parent, NONE)
        if self._begin(pid, above, at) == NONE:
            self.untold += 1

    def _begin(self, pid: int, parent: int, at: int) -> int:
        if len(self._all) >= PROCESSES_MAX:
            self._live.pop(pid, None)
            return NONE
        number = self._live[pid] = len(self._all)
        self._all.append(_Process(pid, parent, self._run, at))
        return number

    def execute(self, pid: int, command: str, at: int) -> None:
        """A process runs another program."""
        number = self.number(pid, at)
        if number != NONE:
            commands = self._all[number].commands
            del commands[COMMANDS_MAX - 1 :]
            commands.append((at, self._texts.number(command)))

    def end(self, pid: int, at: int, status: int | None, signal: int | None) -> None:
        """A process is over."""
        number = self._live.pop(pid, NONE)
        if number != NONE:
            process = self._all[number]
            process.end, process.status, process.signal = at, status, signal

    def document(self) -> dict[str, Any]:
        """As the page has it, in columns."""
        names = ("pid", "parent", "run", "start", "end", "status", "signal")
        columns: dict[str, Any] = {name: map(attrgetter(name), self._all) for name in names}
        columns["commands"] = ([item for pair in process.commands for item in pair] for process in self._all)
        return columns


class Calls:
    """Calls, those that differ only in time, thread and descriptor taken together."""

    def __init__(self) -> None:
        self._rows: dict[int, int] = {}
        self._syscalls: dict[str, int] = {"": 0}
        self._rights: dict[tuple[str, ...], int] = {(): 0}
        self._columns = {
            **{name: array("i") for name in ("name", "name2", "process")},
            **{name: array("H") for name in ("syscall", "rights", "what", "errno")},
            **{name: array("q") for name in ("first", "last", "count")},
        }
        self.untold = 0
        """calls that are in no row"""

    def add(
        self, names: tuple[int, int], process: int, syscall: str, rights: list[str], what: What, errno: int, at: int
    ) -> None:
        """A call. `names`: numbers of its one or two names; `errno`: 0 for success."""
        call = _entry(self._syscalls, syscall)
        right = _entry(self._rights, tuple(rights[:64]))
        errno = min(errno, 4095)
        key = 0
        for value in (names[0] + 1, names[1] + 1, process + 1):
            key = key << 20 | value
        key = (((key << 12 | call) << 12 | right) << 12 | errno) << 3 | what
        row = self._rows.get(key)
        columns = self._columns
        if row is not None:
            columns["count"][row] += 1
            columns["last"][row] = max(columns["last"][row], at)
            return
        if len(self._rows) >= CALLS_MAX:
            self.untold += 1
            return
        self._rows[key] = len(self._rows)
        values = (*names, process, call, right, int(what), errno, at, at, 1)
        for column, value in zip(columns.values(), values, strict=True):
            column.append(value)

    def document(self) -> dict[str, Any]:
        """As the page has it, in columns; calls, rights and errors by number. No call can be added any more."""
        self._rows.clear()
        made: dict[str, Any] = dict(self._columns)
        made["syscalls"] = list(self._syscalls)
        made["rightSets"] = [list(rights) for rights in self._rights]
        return made


def _entry(numbers: dict[Any, int], key: object) -> int:
    """The number of a key; 0 where there are too many."""
    number = numbers.get(key)
    if number is None:
        if len(numbers) >= _KINDS_MAX:
            return 0
        number = numbers[key] = len(numbers)
    return number
