"""Which target a command was run for: recipes as a makefile has them, compared with command lines as they were run.

A recipe is known with its variables, a command line without. Automatic variables are put in where they can be told from
the rule; what else is a variable or a function may stand for any text. Quotes, backslashes and the kind of white space
count for nothing, since make takes simple commands apart itself.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_SPACE = re.compile(r"\s+")
_IGNORED = str.maketrans("", "", "\\\"'")
_SHELL_FLAG = re.compile(r"-[a-z]*c\Z")
_CUT = 4000
"""of a longer command line the record may not have the end"""


@dataclass(slots=True)
class Recipe:
    """What one rule of a makefile does. `directory`: where its make ran; names are as the makefile has them."""

    target: str
    """the absolute path"""
    name: str
    directory: str
    needs: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    _globs: list[tuple[str, ...]] | None = None

    def runs(self, commands: tuple[str, ...]) -> bool:
        """Whether one of its lines, or with .ONESHELL all of them, can have become one of these command lines."""
        if self._globs is None:
            lines = [line for line in self.lines if line.strip()]
            whole = ["\n".join(lines)] if len(lines) > 1 else []
            self._globs = [self._glob(line) for line in [*lines, *whole]]
        return any(_matches(glob, command) for glob in self._globs for command in commands)

    def _glob(self, line: str) -> tuple[str, ...]:
        """The texts between what may be anything."""
        parts = [""]
        at = 0
        line = line.lstrip("\t @+-")
        while at < len(line):
            if line[at] != "$":
                parts[-1] += line[at]
                at += 1
                continue
            word, at = _reference(line, at + 1)
            value = self._value(word)
            if value is None:
                parts.append("")
            else:
                parts[-1] += value
        return tuple(_plain(part).strip() for part in parts)  # beside a variable that is empty, spaces fall together

    def _value(self, word: str) -> str | None:
        first, ordered = self.needs[:1], [each for each in self.needs if each != "|"]
        values = {"$": "$", "@": self.name, "@D": os.path.dirname(self.name) or ".", "@F": os.path.basename(self.name)}
        values["<"] = first[0] if first and first != ["|"] else ""
        if "|" not in self.needs:
            values["^"] = " ".join(dict.fromkeys(ordered))
            values["+"] = " ".join(ordered)
        return values.get(word)


def _reference(line: str, at: int) -> tuple[str, int]:
    """The variable or function that begins behind a `$`, without brackets, and where the line goes on."""
    if at >= len(line):
        return "", at
    closing = {"(": ")", "{": "}"}.get(line[at])
    if closing is None:
        return line[at], at + 1
    depth, start = 0, at
    while at < len(line):
        depth += (line[at] == line[start]) - (line[at] == closing)
        at += 1
        if not depth:
            break
    return line[start + 1 : at - 1], at


def _plain(text: str) -> str:
    return _SPACE.sub(" ", text.replace("\\\n", " ").translate(_IGNORED))


def _matches(glob: tuple[str, ...], command: str) -> bool:
    """Whether a command line is these texts with anything between them; only the first has to be there in one that may
    have been cut.
    """
    first, last = glob[0], glob[-1]
    if len(command) >= _CUT:
        return bool(first) and (command.startswith(first) or first.startswith(command))
    if len(glob) == 1:
        return command == first
    if not any(glob):
        return False  # nothing but variables: it says nothing
    if not command.startswith(first) or not command.endswith(last):
        return False
    at, end = len(first), len(command) - len(last)
    for text in glob[1:-1]:
        found = command.find(text, at, end)
        if found < 0:
            return False
        at = found + len(text)
    return at <= end


def commands_of(argv: Iterable[str]) -> tuple[str, ...]:
    """A command line to be compared: its words, and what a shell was given, if that is what it may be."""
    words = list(argv)
    found = [_plain(" ".join(words)).strip()]
    if len(words) == 3 and _SHELL_FLAG.match(words[1]):
        found.append(_plain(words[2]).strip())
    return tuple(found)


def _started(recipes: Iterable[Recipe], cwd: str | None) -> Iterable[Recipe]:
    return (recipe for recipe in recipes if cwd is None or recipe.directory == cwd)


class Recipes:
    """All recipes that are declared."""

    def __init__(self) -> None:
        self._all: list[Recipe] = []
        self._of_target: dict[str, list[Recipe]] = {}
        self._found: dict[tuple[tuple[str, ...], str | None], tuple[str, ...]] = {}

    def add(self, recipe: Recipe) -> None:
        """One more."""
        self._all.append(recipe)
        self._of_target.setdefault(recipe.target, []).append(recipe)

    def of(self, targets: Iterable[str], argv: Iterable[str], cwd: str | None) -> tuple[str, ...]:
        """Of these targets, those whose recipes have such a command."""
        commands = commands_of(argv)
        return tuple(
            target
            for target in targets
            if any(recipe.runs(commands) for recipe in _started(self._of_target.get(target, ()), cwd))
        )

    def targets(self, argv: Iterable[str], cwd: str | None) -> tuple[str, ...]:
        """The targets whose recipes have such a command, sorted. `cwd`: where it was started, if that is known."""
        commands = commands_of(argv)
        key = (commands, cwd)
        found = self._found.get(key)
        if found is None:
            here = _started(self._all, cwd)
            found = self._found[key] = tuple(sorted({recipe.target for recipe in here if recipe.runs(commands)}))
        return found
