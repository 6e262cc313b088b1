"""What a build declares, as rules of make, against what its actions did: undeclared files, races between actions."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from capwrap.observe.deps import Action, Use, is_output, joined
from capwrap.observe.events_file import EventsError
from capwrap.observe.recipes import Recipe, Recipes

RACES_MAX = 1000
"""races that are told"""
_SIZE_MAX = 64 << 20
_ESCAPED = re.compile(r"\\([ #:\\%*?[])|\$\$")
_PATTERN = re.compile(r"(?<!\\)%")
_ASSIGNS = re.compile(r"\s*(?:override\s|export\s|private\s)?\s*[^\s:=]+\s*[:?+!]?:?=")
_DATA_BASE = "# Make data base, printed on"
_NODE = re.compile(r'^"(\w+)" \[label="(.*)"\]$', re.MULTILINE)
_EDGE = re.compile(r'^"(\w+)" -> "(\w+)"', re.MULTILINE)


@dataclass(slots=True)
class Rules:
    """Rules as absolute paths: what each target needs."""

    file: str
    needs: dict[str, set[str]] = field(default_factory=dict)
    recipes: Recipes = field(default_factory=Recipes)

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
    """The rules of a makefile or depfile, of `make -pn`, or of `ninja -t graph`. Relative names are of the directory
    `cwd`, or of the one that a make says that it ran in. Raises EventsError where the file cannot be read.
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
    if text.startswith("digraph ninja {"):
        _read_graph(text, cwd, rules)
    else:
        _read_makefile(text, cwd, rules)
    if not rules.needs:
        raise EventsError(f"--declared {name}: it has no rule; write `TARGET: PREREQUISITE...` as in a makefile")
    return rules


def _read_makefile(text: str, cwd: str, rules: Rules) -> None:
    """`TARGET...: PREREQUISITE...` with recipes. Variables and patterns pass by. Of what `make -pn` prints, only its
    data bases count, one of each make, in which CURDIR is the directory.
    """
    printed = text.startswith(_DATA_BASE) or "\n" + _DATA_BASE in text
    counts, directory, none = not printed, cwd, False
    recipes: list[Recipe] = []
    for line in text.replace("\\\n", " ").split("\n"):
        if printed and line.startswith("#"):
            if line.startswith(_DATA_BASE):
                counts, directory = True, cwd
            elif line.startswith("# Finished Make data base"):
                counts = False
            none = line == "# Not a target:"
            continue
        if not counts:
            continue
        if line.startswith("\t"):
            for recipe in recipes:
                recipe.lines.append(line)
            continue
        if printed and line.startswith("CURDIR := "):
            directory = os.path.join(cwd, line.removeprefix("CURDIR := "))
            continue
        head, tail = (None, "") if none or line.startswith("#") else _parted(line)
        none = False
        if line.strip() and not line.startswith("#"):
            recipes = []
        if head is None or tail.startswith("=") or _PATTERN.search(head) or "$(" in head or _ASSIGNS.match(tail):
            continue
        tail, semicolon, command = tail.removeprefix(":").partition(";")
        needs = [word for word in _words(tail) if not word.startswith("$(")]
        wanted = {_absolute(word, directory) for word in needs if word != "|"}
        for target in _words(head):
            path = _absolute(target, directory)
            rules.needs.setdefault(path, set()).update(wanted)
            recipes.append(Recipe(path, target, directory, needs, [command] if semicolon else []))
            rules.recipes.add(recipes[-1])


def _read_graph(text: str, cwd: str, rules: Rules) -> None:
    """What `ninja -t graph` prints: an edge between files, or through a node for an edge of several."""
    names = {found[1]: found[2] for found in _NODE.finditer(text)}
    before: dict[str, list[str]] = {}
    for found in _EDGE.finditer(text):
        before.setdefault(found[2], []).append(found[1])
    for node, name in names.items():
        needs = [each for one in before.get(node, ()) for each in ([one] if one in names else before.get(one, ()))]
        if node in before:
            wanted = {_absolute(names[each], cwd) for each in needs if each in names}
            rules.needs.setdefault(_absolute(name, cwd), set()).update(wanted)


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
    targets = sorted((set(outputs) & rules.needs.keys()) | (set(action.targets) if len(action.targets) == 1 else set()))
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
        [] if targets or action.chain or action.parted else sorted(rules.needs) if len(rules.needs) == 1 else [],
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
    order = _Order(actions, rules)
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
                if race is None or order.of(one, other):
                    continue
                yield race
                told += 1
                if told == RACES_MAX:
                    return


def find_targets(actions: list[Action], rules: Rules) -> None:
    """Set of each action that a make started what it was run for: the targets whose recipes have its command, of these
    those that it wrote if it wrote one, and else the targets that it wrote.
    """
    for action in actions:
        if not action.chain:
            continue
        written = [path for path in action.outputs() if path in rules.needs]
        made = rules.recipes.of(written, action.argv, action.cwd)
        action.targets = made or rules.recipes.targets(action.argv, action.cwd) or tuple(written)


def by_recipe(actions: list[Action]) -> list[Action]:
    """The actions with the lines of each recipe put together, where it is known of what recipe they are."""
    groups: dict[object, list[Action]] = {}
    for action in actions:
        one = action.chain and len(action.targets) == 1
        key = (action.record, action.chain[-1][0], action.targets) if one else id(action)
        groups.setdefault(key, []).append(action)
    return [joined(group) for group in groups.values()]


class _Order:
    """Which actions a build orders, by its rules and by how they were started."""

    def __init__(self, actions: list[Action], rules: Rules) -> None:
        self._rules = rules
        self._written = {id(action): {path for path in action.outputs() if path in rules.needs} for action in actions}
        self._of_record: dict[str, set[str]] = {}
        for action in actions:
            self._of_record.setdefault(action.record, set()).update(self._written[id(action)], action.targets)

    def of(self, one: Action, other: Action) -> bool:
        """Whether one of the two runs behind the other."""
        if one.record != other.record:
            return self._declared(self._of_record[one.record], self._of_record[other.record])
        for (make, mine), (another, theirs) in zip(one.chain, other.chain, strict=False):
            if make != another:
                return True  # two makes that one action ran
            if mine is not theirs:
                return self._declared(self._targets(mine), self._targets(theirs))
        return True  # one of them ran the make that the other is of

    def _targets(self, action: Action) -> set[str]:
        return set(action.targets) or self._written.get(id(action), set())

    def _declared(self, mine: set[str], theirs: set[str]) -> bool:
        """By a target in common, of which they are lines of the recipe, or by edges."""
        if not mine.isdisjoint(theirs):
            return True
        return any(self._rules.before(a, b) or self._rules.before(b, a) for a in mine for b in theirs)


def _changes(action: Action, path: str) -> bool:
    """Whether others can see that the action changed a name: not a file that it made and removed itself."""
    use = action.names[path].use
    if use & Use.MADE and use & Use.REMOVED:
        return False
    return bool(use & (Use.WRITTEN | Use.REMOVED))


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
