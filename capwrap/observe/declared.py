"""What a build declares, as rules of make, against what its actions did: undeclared files, races between actions."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from capwrap.observe.deps import Action, Use, is_output
from capwrap.observe.events_file import EventsError

RACES_MAX = 1000
"""races that are told"""
_SIZE_MAX = 64 << 20
_ESCAPED = re.compile(r"\\([ #:\\])|\$\$")


@dataclass(slots=True)
class Rules:
    """Rules as absolute paths: what each target needs."""

    file: str
    needs: dict[str, set[str]] = field(default_factory=dict)

    def before(self, first: str, then: str) -> bool:
        """Whether a declared edge, or several, lead from the target `first` to the target `then`."""
        return first in self._all(then)

    def _all(self, target: str) -> frozenset[str]:
        return _closure(_Frozen(self), target)


@dataclass(frozen=True, slots=True, eq=False)
class _Frozen:
    rules: Rules

    def __hash__(self) -> int:
        return id(self.rules)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Frozen) and other.rules is self.rules


@lru_cache(maxsize=1024)
def _closure(frozen: _Frozen, target: str) -> frozenset[str]:
    needs, found, stack = frozen.rules.needs, set[str](), [target]
    while stack:
        for each in needs.get(stack.pop(), ()):
            if each not in found:
                found.add(each)
                stack.append(each)
    return frozenset(found)


def read_rules(name: str, cwd: str) -> Rules:
    """The rules of a makefile or depfile, or of `make -pn`: `TARGET...: PREREQUISITE...`. Variables, patterns and
    recipes pass by. Relative names are of the directory `cwd`. Raises EventsError where the file cannot be read.
    """
    try:
        with open(name, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read(_SIZE_MAX + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise EventsError(f"--declared {name}: {reason}; name a makefile or depfile") from None
    if len(text) > _SIZE_MAX:
        raise EventsError(f"--declared {name}: larger than {_SIZE_MAX >> 20} MiB; name a makefile or depfile")
    rules = Rules(name)
    for line in text.replace("\\\n", " ").split("\n"):
        if line.startswith(("\t", "#")) or ":" not in line:
            continue
        head, tail = _parted(line)
        if head is None or tail.startswith("=") or "%" in head or "$(" in head:
            continue
        tail = tail.removeprefix(":").partition(";")[0].replace(" | ", " ")
        wanted = {_absolute(word, cwd) for word in _words(tail) if word != "|" and not word.startswith("$(")}
        for target in _words(head):
            rules.needs.setdefault(_absolute(target, cwd), set()).update(wanted)
    if not rules.needs:
        raise EventsError(f"--declared {name}: it has no rule; write `TARGET: PREREQUISITE...` as in a makefile")
    return rules


def _parted(line: str) -> tuple[str | None, str]:
    """A rule's line at its colon; an escaped colon, and one within a word such as c:x, is none."""
    found = re.search(r"(?<!\\)::?(?=\s|=|$)", line)
    if found is None or "=" in line[: found.start()]:
        return None, ""
    return line[: found.start()], line[found.end() :]


def _words(text: str) -> Iterator[str]:
    for word in re.findall(r"(?:\\.|[^\s\\#])+|#.*", text):
        if word.startswith("#"):
            return
        yield _ESCAPED.sub(lambda found: found[1] or "$", word)


def _absolute(word: str, cwd: str) -> str:
    return os.path.normpath(os.path.join(cwd, word))


@dataclass(frozen=True, slots=True)
class Comparison:
    """One action against its rules. Sorted absolute paths."""

    undeclared_inputs: list[str]
    undeclared_outputs: list[str]
    unused: list[str]
    """declared inputs that were not read"""
    missing: list[str]
    """declared targets that were not written"""
    targets: list[str]


def compare(action: Action, rules: Rules, top: str | None) -> Comparison:
    """What the action used and its rules do not say, and the reverse. `top`: only what lies in this directory counts,
    and what is declared; None: everything.
    """
    outputs = action.outputs()
    targets = sorted(set(outputs) & rules.needs.keys())
    needs: set[str] = set()
    for target in targets:
        needs |= rules.needs[target]
    inputs = set(action.inputs())

    def counts(path: str) -> bool:
        return top is None or path.startswith(top.rstrip("/") + "/")

    return Comparison(
        sorted(path for path in inputs - needs if counts(path)),
        sorted(path for path in set(outputs) - set(targets) if counts(path)),
        sorted(path for path in needs - inputs if not os.path.isdir(path)),
        [] if targets else sorted(rules.needs) if len(rules.needs) == 1 else [],
        targets,
    )


@dataclass(frozen=True, slots=True)
class Race:
    """Two actions that no declared edge orders, and the file that both use."""

    kind: str
    """write-write; read-before-write; write-after-read; read-after-write, which came out in the right order by luck"""
    path: str
    first: Action
    second: Action


def races(actions: list[Action], rules: Rules) -> Iterator[Race]:
    """The races, at most RACES_MAX. `first` did its part before `second`, as far as the records know times."""
    makers = {id(action): [path for path in action.outputs() if path in rules.needs] for action in actions}
    users: dict[str, list[Action]] = {}
    shared = {path for action in actions for path, name in action.names.items() if _changes(action, path)}
    for action in actions:
        for path in action.names.keys() & shared:
            users.setdefault(path, []).append(action)
    told = 0
    for path in sorted(users):
        using = users[path]
        for index, one in enumerate(using):
            for other in using[index + 1 :]:
                race = _race(path, one, other)
                if race is None or _ordered(makers[id(one)], makers[id(other)], rules):
                    continue
                yield race
                told += 1
                if told == RACES_MAX:
                    return


def _changes(action: Action, path: str) -> bool:
    """Whether others can see that the action changed a name: not a file that it made and removed itself."""
    use = action.names[path].use
    if use & Use.MADE and use & Use.REMOVED:
        return False
    return bool(use & (Use.WRITTEN | Use.REMOVED))


def _ordered(one: list[str], other: list[str], rules: Rules) -> bool:
    if set(one) & set(other):
        return True  # lines of one recipe, which make runs one after the other
    return any(rules.before(a, b) or rules.before(b, a) for a in one for b in other)


def _race(path: str, one: Action, other: Action) -> Race | None:
    mine, theirs = one.names[path], other.names[path]
    changes, changed = _changes(one, path), _changes(other, path)
    if changes and changed:
        first, second = (one, other) if mine.written_at <= theirs.written_at else (other, one)
        return Race("write-write", path, first, second)
    if changed:
        one, other, mine, theirs = other, one, theirs, mine  # now `one` is the writer
    elif not changes:
        return None
    reads = theirs.use & (Use.READ | Use.EXECUTED | Use.ABSENT)
    if not reads:
        return None
    if theirs.read_at and theirs.read_at < mine.written_at:
        return Race(
            "read-before-write" if is_output(mine) and mine.use & Use.MADE else "write-after-read", path, other, one
        )
    return Race("read-after-write", path, one, other)
