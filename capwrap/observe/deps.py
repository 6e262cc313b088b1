"""What a command read, wrote and looked for in vain, from its record: an action of a build, or all of them."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field
from enum import IntFlag
from typing import TYPE_CHECKING

from capwrap.observe.events_file import EventsError
from capwrap.observe.places import settled
from capwrap.observe.reading import began_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capwrap.observe.builds import Chain
    from capwrap.observe.reading import Events, Record

NAMES_MAX = 1_000_000
"""different names that are kept of all records together"""
USES_MAX = 4_000_000
"""names that are kept of all actions together"""

#: Not the build's: what the kernel makes up.
_KERNELS = ("/proc/", "/sys/", "/dev/")
_TICK = 0.1
"""seconds by which the time stamps of files may lag behind the clock, and more"""
_ABSENT = (-errno.ENOENT, -errno.ENOTDIR)
_WRITES = frozenset(("write", "create", "ftruncate", "futimes", "symlinkat", "mkfifoat"))
_OPENS = frozenset(("open", "openat", "openat2", "creat"))
_EXECS = frozenset(("execve", "execveat"))
_RENAMES = frozenset(("rename", "renameat", "renameat2"))
_LINKS = frozenset(("link", "linkat"))
_REMOVES = frozenset(("unlink", "unlinkat"))


class Use(IntFlag):
    """What an action did with a name."""

    READ = 1
    """its content, before the action itself wrote it"""
    WRITTEN = 2
    ABSENT = 4
    """looked for, and not there, before the action itself made it"""
    REMOVED = 8
    """after it was written, or as it was found"""
    EXECUTED = 16
    MADE = 32
    """written while it was not there"""


@dataclass(slots=True)
class Name:
    """A name in one action. Times are seconds, since 1970 where the record knows when it began; 0: never."""

    use: int = 0
    """flags of Use"""
    read_at: float = 0.0
    written_at: float = 0.0


@dataclass(slots=True, eq=False)
class Action:
    """One record, or what one process did that a make or ninja in it started."""

    record: str
    argv: list[str]
    begun: float = 0.0
    """seconds since 1970; 0: the record does not know"""
    names: dict[str, Name] = field(default_factory=dict)
    cwd: str | None = None
    """where it was started, if that is known"""
    chain: Chain = ()
    """the makes that it is of, with their actions, itself the last"""
    targets: tuple[str, ...] = ()
    """what it was run for, as far as rules tell; of several it is not known which"""
    parted: bool = False
    """whether it is what is left of a record that was split"""
    beneath: dict[str, set[str]] = field(default_factory=dict)
    """of each directory in which it wrote something: the names there that lead to it"""

    def inputs(self) -> list[str]:
        """Files that were read, and programs that were executed, sorted. No directories."""
        return sorted(
            path
            for path, name in self.names.items()
            if name.use & (Use.READ | Use.EXECUTED) and not (name.use & Use.MADE) and not os.path.isdir(path)
        )

    def outputs(self) -> list[str]:
        """Files that were written and not removed again, sorted."""
        return sorted(path for path, name in self.names.items() if is_output(name))

    def absent(self) -> list[str]:
        """Names that were looked for in vain and that the action did not make, sorted."""
        return sorted(
            path
            for path, name in self.names.items()
            if name.use & Use.ABSENT and not name.use & (Use.READ | Use.WRITTEN | Use.EXECUTED)
        )

    def appearing(self) -> list[str]:
        """Those of `absent` that were not on the host either when the action began, to be looked at again later.

        Others are there and were refused, or lie behind a private directory: that they are there tells nothing.
        """
        return [path for path in self.absent() if not _there_since(path, self.begun)]


def is_output(name: Name) -> bool:
    """Whether an action leaves it behind as written."""
    return bool(name.use & Use.WRITTEN and not name.use & Use.REMOVED)


class Collector:
    """Reads records, a line at a time; its memory grows with the names of each action, up to USES_MAX."""

    def __init__(self, split: bool = False) -> None:
        """`split`: a record of a make or ninja is an action for each process that it started."""
        self.actions: list[Action] = []
        self._split = split
        self._paths: dict[str, str] = {}
        """the names, each once, however many actions use it"""
        self._uses = 0

    def read(self, events: Events) -> Action:
        """The action of one record; where records are split, what is beneath no make in it."""
        start = began_at(events.run) or 0.0
        first = action = Action(events.name, list(events.run.get("argv") or []), start)
        self.actions.append(first)
        build = None
        if self._split:
            from capwrap.observe.builds import Build

            build = Build(first, lambda: self._another(first, start))

        def next_run(run: Record) -> None:
            nonlocal start
            start = began_at(run) or 0.0

        events.next_run = next_run
        for record in events:
            kind = record["type"]
            if build is not None:
                if kind == "process":
                    build.see(record)
                    continue
                whose = build.action(record["pid"])
                if whose is None:
                    continue
                action = whose
            if kind == "access":
                self._access(action, record, start + record.get("t", 0))
            elif kind in ("absent", "refusal") and (kind == "absent" or record["errno"] in ("ENOENT", "ENOTDIR")):
                self._looked(action, _asked(record), start + record.get("t", 0))
        first.parted = self.actions[-1] is not first
        if first.parted and not first.names:
            self.actions.remove(first)
        return first

    def _another(self, first: Action, start: float) -> Action:
        self.actions.append(Action(first.record, [], start))
        return self.actions[-1]

    def _name(self, action: Action, path: str) -> Name | None:
        if not path.startswith("/") or path.startswith(_KERNELS):
            return None
        path = settled(path)
        name = action.names.get(path)
        if name is None:
            path = self._paths.setdefault(path, path)
            if len(self._paths) > NAMES_MAX or self._uses >= USES_MAX:
                most = f"{NAMES_MAX} different names" if self._uses < USES_MAX else f"{USES_MAX} names of all actions"
                raise EventsError(f"{action.record}: more than {most}; take fewer records at a time")
            self._uses += 1
            name = action.names[path] = Name()
        return name

    def _access(self, action: Action, record: Record, at: float) -> None:
        result, syscall, path = record["result"], record["syscall"], record["path"]
        if result in _ABSENT:
            self._looked(action, _asked(record), at)
            return
        if result < 0:
            return
        rights = record["rights"]
        path2 = record.get("path2")
        if syscall in _EXECS:
            self._executed(action, path, at)
            if path2:
                self._executed(action, path2, at)
        elif syscall in _RENAMES:
            directory = settled(path) in action.beneath
            if directory:
                self._moved(action, settled(path), settled(path2 or "/"), at)
            if not directory or self._is_left(action, path):
                self._removed(action, path, at)
                self._written(action, path2 or "", at)
        elif syscall in _LINKS:
            self._read(action, path, at)
            self._written(action, path2 or "", at)
        elif syscall in _REMOVES:
            self._removed(action, path, at)
        elif not _WRITES.isdisjoint(rights):
            if "read" in rights and "create" not in rights and "ftruncate" not in rights:
                self._read(action, path, at)
            self._written(action, path, at)
        elif syscall in _OPENS and "read" in rights:
            self._read(action, path, at)

    def _looked(self, action: Action, path: str, at: float) -> None:
        name = self._name(action, path)
        if name is not None and not name.use & (Use.WRITTEN | Use.READ):
            name.use |= Use.ABSENT
            name.read_at = name.read_at or at

    def _read(self, action: Action, path: str, at: float) -> None:
        name = self._name(action, path)
        if name is not None and not name.use & Use.WRITTEN:
            name.use |= Use.READ
            name.read_at = name.read_at or at

    def _executed(self, action: Action, path: str, at: float) -> None:
        name = self._name(action, path)
        if name is not None:
            name.use |= Use.EXECUTED
            if not name.use & Use.WRITTEN:
                name.read_at = name.read_at or at

    def _written(self, action: Action, path: str, at: float) -> None:
        name = self._name(action, path)
        if name is None:
            return
        if not name.use & (Use.READ | Use.WRITTEN):
            name.use |= Use.MADE
        name.use = (name.use | Use.WRITTEN) & ~Use.REMOVED
        name.written_at = name.written_at or at
        path = settled(path)
        while (parent := path.rpartition("/")[0]) and path not in action.beneath.setdefault(parent, set()):
            action.beneath[parent].add(path)
            path = parent

    def _is_left(self, action: Action, path: str) -> bool:
        """Whether the action wrote this name itself: a file, where there had been a directory."""
        name = action.names.get(settled(path))
        return name is not None and is_output(name)

    def _moved(self, action: Action, first: str, second: str, at: float) -> None:
        """A directory was renamed, and with it what the action had written in it."""
        stack = [first]
        while stack:
            for path in action.beneath.pop(stack.pop(), ()):
                name = action.names.get(path)
                if name is not None and is_output(name):
                    self._removed(action, path, at)
                    self._written(action, second + path[len(first) :], at)
                stack.append(path)

    def _removed(self, action: Action, path: str, at: float) -> None:
        name = self._name(action, path)
        if name is None:
            return
        name.use |= Use.REMOVED
        name.written_at = name.written_at or at


def joined(actions: Sequence[Action]) -> Action:
    """Several actions that ran one after the other, as one: the lines of a recipe."""
    if len(actions) == 1:
        return actions[0]
    first = actions[0]
    whole = Action(first.record, first.argv, first.begun, {}, first.cwd, first.chain, first.targets)
    for action in actions:
        for path, after in action.names.items():
            name = whole.names.setdefault(path, Name())
            new = after.use
            if name.use & Use.WRITTEN:
                new &= ~(Use.READ | Use.ABSENT)
            if name.use & (Use.READ | Use.WRITTEN):
                new &= ~(Use.MADE | Use.ABSENT)
            if new & Use.WRITTEN:
                name.use &= ~Use.REMOVED
            name.use |= new
            name.read_at = name.read_at or after.read_at
            name.written_at = name.written_at or after.written_at
    return whole


def _there_since(path: str, begun: float) -> bool:
    """Whether a name is on the host, and has been since before a time. Its inode change time tells: no program can set
    it, and a rename does; a directory's changes with what is in it, and tells nothing.
    """
    try:
        found = os.lstat(path)
    except (OSError, ValueError):
        return False
    return not begun or stat.S_ISDIR(found.st_mode) or found.st_ctime < begun - _TICK


def _asked(record: Record) -> str:
    """The name that was looked for: a lookup that fails ends somewhere on its way."""
    return str(record.get("asked") or record["path"])
