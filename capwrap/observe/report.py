"""What a report's page shows, gathered from records in one pass and in bounded memory.

The page is made by report_page.py; the tables behind it, with their bounds, are in report_tables.py.
"""

from __future__ import annotations

import errno
from itertools import islice
from typing import TYPE_CHECKING, Any

from capwrap._version import VERSION
from capwrap.observe.explain import Groups, explain
from capwrap.observe.explain_text import as_json, command_line
from capwrap.observe.needs import ASKS
from capwrap.observe.processes import cut
from capwrap.observe.reading import began_at
from capwrap.observe.report_tables import NONE, Calls, Names, Processes, Texts, What
from capwrap.observe.summary import REASONS, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from capwrap.observe.explain import Group
    from capwrap.observe.reading import Events, Record
    from capwrap.observe.replay import Replay

RUNS_MAX = 10_000
"""runs that are described"""
EXPLAINED_MAX = 2_000
"""refusals that are explained; others are counted"""
PROBLEMS_MAX = 100
_TIME_MAX = 1 << 51
"""microseconds; JavaScript has no whole numbers above 2**53"""
_LOOKS = frozenset(("lookup", "fstat", "fstatfs", "seek", "mmap", "flock", "event", "extattr_get", "extattr_list"))
_READS = frozenset(("read", "fchdir", "connectat", "ioctl"))
_NUMBERS = {name: number for number, name in errno.errorcode.items()}
_EXECS = ("execve", "execveat")
_LINKS = ("readlink", "readlinkat")


class Report:
    """Records, gathered. Read them, then take the `document`."""

    def __init__(self) -> None:
        self._texts = Texts()
        self._names = Names()
        self._processes = Processes(self._texts)
        self._calls = Calls()
        self._groups = Groups()
        self._grants: dict[int, None] = {}
        self._runs: list[dict[str, Any]] = []
        self._runs_read = 0
        self._counts = dict.fromkeys(("access", "refusal", "absent", "process"), 0)
        self._begun: float | None = None
        self._offset = 0.0
        """seconds from the beginning of the first run to that of this one"""
        self.problems: list[str] = []

    def read(self, events: Events, replay: Replay | None = None) -> None:
        """Take a record. `replay` takes it too, which tells in the end which grants of its policy nobody used."""
        lines = self._groups.passing(self._passing(events), events.run)
        if replay is not None:
            replay.take(lines)
        else:
            for _ in lines:
                pass
        if self._runs and self._runs_read <= RUNS_MAX:
            self._runs[-1]["end"] = _end(events.end)
        self.problems += events.problems

    def _passing(self, events: Events) -> Iterator[Record]:
        events.next_run = lambda run: self._next_run(events.name, run)
        self._next_run(events.name, events.run)
        for record in events:
            if record["type"] in self._counts:
                self._counts[record["type"]] += 1
                at = int((self._offset + (record.get("t") or 0)) * 1e6)
                self._take(record, max(-_TIME_MAX, min(at, _TIME_MAX)))
            yield record

    def _next_run(self, name: str, run: Record) -> None:
        number = min(self._runs_read, RUNS_MAX)
        self._runs_read += 1
        self._processes.next_run(number)
        if number < RUNS_MAX:
            self._runs.append(_run(name, run))
        time = began_at(run)
        if time is not None and self._begun is None:
            self._begun = time
        self._offset = time - self._begun if time is not None and self._begun is not None else 0.0

    def _take(self, record: Record, at: int) -> None:
        kind, pid = record["type"], record["pid"]
        if kind == "process":
            event = record["event"]
            if event == "start":
                self._processes.start(pid, record.get("parent"), at)
            elif event == "exec":
                self._processes.execute(pid, command_line(cut(record.get("argv") or [])), at)
            else:
                self._processes.end(pid, at, record.get("status"), record.get("signal"))
            return
        rights = record["rights"] if kind == "access" else record["needs"]
        number = -record["result"] if kind == "access" and record["result"] < 0 else 0
        if kind != "access":
            number = _number(record["errno"])
        what = _what(record, rights, number)
        names = [
            self._names.count(name, what)
            for name in (record["path"] or record.get("address"), record.get("path2"))
            if name
        ]
        for key in ("grant", "grant2"):
            grant = record.get(key) if kind == "access" else None
            if grant:
                self._grants[self._names.number(grant)] = None
        both = (names[0] if names else NONE, names[1] if len(names) > 1 else NONE)
        self._calls.add(both, self._processes.number(pid, at), record["syscall"], rights, what, number, at)

    def document(self, replay: Replay | None = None) -> Iterator[tuple[str, object]]:
        """The members of what the page shows, one after the other, so that they need not all be there at a time."""
        policy = None if replay is None else [self._grant(*grant) for grant in replay.grants()]
        self._grants.pop(NONE, None)
        yield "version", VERSION
        yield "runs", self._runs
        yield "problems", [printable(problem) for problem in self.problems[:PROBLEMS_MAX]]
        yield (
            "seen",
            {
                **self._counts,
                "runs": self._runs_read,
                "refusals": self._groups.refusals,
            },
        )
        yield (
            "untold",
            {
                "names": self._names.untold,
                "processes": self._processes.untold,
                "calls": self._calls.untold,
                "refusals": self._groups.untold
                + sum(group.count for group in islice(self._groups.groups.values(), EXPLAINED_MAX, None)),
            },
        )
        yield "granted", list(self._grants)
        yield "policy", policy
        yield "names", self._names.document()
        yield "processes", self._processes.document()
        yield "texts", self._texts.all()
        yield "calls", self._calls.document()
        yield "errnos", {str(number): name for number, name in errno.errorcode.items()}
        yield "reasons", REASONS
        yield "refusals", map(_explained, islice(self._groups.groups.values(), EXPLAINED_MAX))

    def _grant(self, path: str, rights: str, origin: str, used: bool) -> dict[str, Any]:
        name = self._names.number(path)
        return {"name": name, "path": printable(path), "rights": rights, "origin": printable(origin), "used": used}


def _explained(group: Group) -> object:
    made = as_json(explain(group))
    for frame in made["stack"]:
        if frame["offset"] is not None:
            frame["offset"] = f"{frame['offset']:#x}"  # it may have more bits than a number of JavaScript
    return _shown(made)


def _what(record: Record, rights: Iterable[str], number: int) -> What:
    if record["type"] == "refusal":
        return What.REFUSED
    if record["type"] == "absent":
        return What.ABSENT
    syscall = record["syscall"]
    if number:
        # that a file is no link is an answer: realpath(3) asks so for each directory on its way
        return What.LOOKED if syscall in _LINKS and number == errno.EINVAL else What.FAILED
    if syscall in _EXECS:
        return What.EXECUTED
    what = What.LOOKED
    if syscall in ASKS:
        return what
    for right in rights:
        if right in _READS:
            what = What.READ
        elif right not in _LOOKS and right != "fexecve":
            return What.WRITTEN
    return what


def _number(name: str) -> int:
    """The number of an error's name; a record has numbers for those that have none."""
    return int(name) if name.isdigit() else _NUMBERS.get(name, 0)


def _run(name: str, run: Record) -> dict[str, Any]:
    """A run as the page has it. Nothing vouches for what stands in the line."""
    jail = run.get("jail")
    landlock = jail.get("landlock") if isinstance(jail, dict) else None
    made: dict[str, Any] = {
        "record": printable(name),
        "command": command_line(cut(run.get("argv") or [])),
        "time": began_at(run),
        "traced": run.get("mode") == "trace",
        "coarse": _text(landlock.get("coarse")) if isinstance(landlock, dict) else None,
        "end": None,
    }
    return made | {key: _text(run.get(key)) for key in ("policy", "method", "kernel", "capwrap")}


def _end(end: Record | None) -> dict[str, Any] | None:
    if end is None:
        return None
    lost = end.get("lost")
    return {
        "status": end.get("status"),
        "signal": end.get("signal"),
        "lost": lost if type(lost) is int and 0 <= lost < 1 << 53 else 0,
        "complete": end.get("complete") is True,
    }


def _text(value: object) -> str | None:
    return printable(value[:1000]) if isinstance(value, str) else None


def _shown(value: Any) -> Any:
    """The same with all texts as the page shows them."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [_shown(each) for each in value]
    if isinstance(value, dict):
        return {key: _shown(each) for key, each in value.items()}
    return value
