"""Why a recorded call was refused, and what would allow it: the facts of explain, without their layout."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from capwrap.observe.callformat import format_call
from capwrap.observe.events_file import EventsError
from capwrap.observe.processes import Tree, cut
from capwrap.observe.remedy import Option, read_options, toml_lines, what_else

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from capwrap.observe.reading import Events, Record

GROUPS_MAX = 10_000
"""different refusals that are told apart; others are counted"""
TEXT_MAX = 32 << 20
"""characters of their lines that are kept"""
FRAMES_MAX = 64
_KEPT = (
    *("type", "id", "pid", "syscall", "kind", "errno", "needs", "has", "args", "path", "path2", "asked", "asked2"),
    *("via", "host", "address", "nearest", "denied", "allow", "hint", "cwd"),
)
"""what is told of a line; it may hold anything besides, which is not kept"""

_NEVER_BY_DOTS = "with `..` it leads out of the grant that it begins in"


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a record's `stack`."""

    module: str
    offset: int | None
    symbol: str | None
    file: str | None
    line: int | None

    @property
    def name(self) -> str | None:
        """The function as it was written, where `symbol` is mangled and understood; else `symbol`."""
        return None if self.symbol is None else _written(self.symbol)


@lru_cache(maxsize=4096)
def _written(symbol: str) -> str:
    from capwrap.elf.demangle import demangle

    return demangle(symbol) or symbol


@dataclass(slots=True)
class Group:
    """Refusals that differ in nothing but time: the first one's line, how many there are, and who made the first."""

    record: Record
    chain: tuple[tuple[int, tuple[str, ...]], ...]
    count: int = 0


@dataclass(slots=True)
class Explanation:
    """One refusal, explained. Texts are as the record has them: escape them for where they go."""

    id: int
    count: int
    syscall: str
    kind: str
    errno: str
    absent: bool
    call: str
    path: str
    path2: str | None
    asked: str | None
    via: str | None
    host: str | None
    address: str | None
    needs: tuple[str, ...]
    nearest: str | None
    why: str
    chain: tuple[tuple[int, tuple[str, ...]], ...]
    cwd: str | None
    stack: tuple[Frame, ...]
    options: tuple[Option, ...]
    toml: tuple[str, ...]
    also: tuple[str, ...]
    hint: str | None

    @property
    def object(self) -> str:
        """What the call was about."""
        if self.path and self.path2:
            return f"{self.path} -> {self.path2}"
        return self.path or self.address or f"{self.syscall}()"


@dataclass
class Groups:
    """The refusals of a record, told apart, in bounded memory."""

    groups: dict[tuple[Any, ...], Group] = field(default_factory=dict)
    refusals: int = 0
    untold: int = 0
    """refusals that are in no group, for there were too many different ones"""
    _room: int = TEXT_MAX
    _lines: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """the command lines of the groups, by identity"""

    def read(self, events: Events) -> None:
        """Take all refusals of a record."""
        for _ in self.passing(events, events.run):
            pass

    def passing(self, records: Iterable[Record], run: Record) -> Iterator[Record]:
        """The lines of a record, handed on one by one when their refusals are taken. `run`: its first line."""
        tree = Tree(run.get("argv") or [])
        for record in records:
            if record["type"] == "process":
                tree.see(record)
            elif record["type"] == "refusal":
                self._add(record, tree)
            yield record

    def _add(self, record: Record, tree: Tree) -> None:
        times = max(1, record.get("times") or 1)
        self.refusals += times
        program = (record.get("argv") or [""])[:1]
        key = (
            *(record.get(name) for name in ("kind", "syscall", "path", "path2", "asked", "address", "allow")),
            *(tuple(record["needs"]), tuple(program)),
        )
        group = self.groups.get(key)
        if group is None:
            kept = {name: record[name] for name in _KEPT if name in record}
            kept["argv"] = list(cut(record.get("argv") or []))
            kept["stack"] = _frames(record.get("stack"))
            chain = tree.chain(record["pid"])
            # One command line is of many groups, and held once.
            lines = {id(argv): argv for _, argv in chain if id(argv) not in self._lines}
            size = _size(kept) + sum(len(text) + 16 for argv in lines.values() for text in argv)
            if len(self.groups) >= GROUPS_MAX or size > self._room:
                self.untold += times
                return
            self._room -= size
            self._lines |= lines
            group = self.groups[key] = Group(kept, chain)
        group.count += times


def _size(record: Record) -> int:
    """The characters of a line that is kept, each text counted as 16 more."""
    texts = [value for value in record.values() if isinstance(value, str)]
    texts += [each for value in record.values() if isinstance(value, list) for each in value]
    texts += [text for frame in record["stack"] for text in (frame.module, frame.symbol, frame.file) if text]
    return sum(len(text) + 16 for text in texts)


def find(events: Events, number: int) -> Group:
    """The refusal or absent name with this id. Raises EventsError where the record has none."""
    tree = Tree(events.run.get("argv") or [])
    for record in events:
        if record["type"] == "process":
            tree.see(record)
        if record.get("id") != number:
            continue
        if record["type"] not in ("refusal", "absent"):
            raise EventsError(f"{events.name}: {number} is no refusal; it is of type `{record['type']}`")
        record["stack"] = _frames(record.get("stack"))
        return Group(record, tree.chain(record["pid"]), max(1, record.get("times") or 1))
    raise EventsError(f"{events.name}: no line has the id {number}; without an id all refusals are explained")


def explain(group: Group) -> Explanation:
    """What is known of a refusal."""
    record = group.record
    options = read_options(record.get("allow") or "") or ()
    hint = record.get("hint")
    if not options and not hint:
        hint = "no option is known that allows it"
    lines: tuple[str, ...] = ()
    if options:
        try:
            lines = tuple(toml_lines(options))
        except ValueError as error:
            hint = str(error)
    needs, has = tuple(record["needs"]), tuple(record.get("has") or ())
    chain = group.chain or ((record["pid"], tuple(record.get("argv") or ())),)
    return Explanation(
        id=record["id"],
        count=group.count,
        syscall=record["syscall"],
        kind=record["kind"],
        errno=record["errno"],
        absent=record["type"] == "absent",
        call=format_call(record["syscall"], _registers(record.get("args")), _names(record)),
        path=record["path"],
        path2=record.get("path2"),
        asked=record.get("asked"),
        via=record.get("via"),
        host=record.get("host"),
        address=record.get("address"),
        needs=needs,
        nearest=record.get("nearest"),
        why=_why(record),
        chain=chain,
        cwd=record.get("cwd"),
        stack=tuple(record.get("stack") or ()),
        options=options,
        toml=lines,
        also=tuple(what_else(options, needs, has)) if options else (),
        hint=hint,
    )


def explained(groups: Iterable[Group]) -> Iterable[Explanation]:
    """One after the other, so that many need no more memory than one."""
    return (explain(group) for group in groups)


def _names(record: Record) -> tuple[str | None, ...]:
    return (record.get("asked") or record["path"], record.get("asked2") or record.get("path2"))


def _registers(args: list[str] | None) -> tuple[int, ...]:
    try:
        numbers = tuple(int(text, 16) for text in args or ())
    except ValueError:
        return ()
    return numbers if len(numbers) == 6 and all(0 <= number < 1 << 64 for number in numbers) else ()


def _why(record: Record) -> str:
    """Why the nearest grant did not do, as a sentence."""
    kind, nearest, denied = record["kind"], record.get("nearest"), record.get("denied")
    if kind == "network":
        return "the network is closed but for the addresses that are permitted"
    if kind in ("signal", "process"):
        return "it names a process that is not of the target"
    if kind == "syscall":
        return "this call is refused whatever is granted"
    if kind == "descriptor":
        return "the descriptor that it starts at leads to nothing that was granted"
    if denied is not None:
        return f"carved out of the grants by {denied}"
    has = record.get("has") or []
    missing = [name for name in record["needs"] if name not in has]
    if has and missing and nearest is not None:
        return f"the grant {nearest} covers it, but does not give {', '.join(missing)}"
    if kind == "exec":
        return "what is to be executed is no file that may be executed"
    asked, via = record.get("asked"), record.get("via")
    where = "no grant covers it" if nearest is None else f"the nearest grant, {nearest}, does not cover it"
    if has and not missing:
        return (
            "what holds a grant or a denial keeps its name"
            if kind == "right-missing"
            else "a link led out of its grant"
        )
    if via is not None:
        return f"the symbolic link {via} leads there; {where}"
    if asked is not None and ".." in asked.split("/"):
        return f"{_NEVER_BY_DOTS}; {where}"
    return where


def _frames(stack: object) -> tuple[Frame, ...]:
    """The frames of a record, whatever stands in it."""
    if isinstance(stack, tuple):
        return stack
    frames: list[Frame] = []
    for entry in (stack if isinstance(stack, list) else [])[:FRAMES_MAX]:
        if not isinstance(entry, dict):
            continue
        texts = {
            name: value[:4096] if isinstance(value := entry.get(name), str) and value else None
            for name in ("module", "symbol", "file")
        }
        numbers = {
            name: value if type(value := entry.get(name)) is int and 0 <= value < 1 << 63 else None
            for name in ("offset", "line")
        }
        frames.append(
            Frame(texts["module"] or "", numbers["offset"], texts["symbol"], texts["file"], numbers["line"] or None)
        )
    return tuple(frames)
