"""Dependencies written down: depfiles of make and ninja, and JSON."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from capwrap.observe.declared import Comparison, Race
    from capwrap.observe.deps import Action

#: Characters that make(1) reads as something else wherever they stand in a rule, and has no escape for.
_NOT_IN_MAKE = re.compile(r"[\0-\x1f\x7f;=|]|^~|[ \\&]$|\(.*\)$|^\.[A-Z_]+$")
_MARKED_IN_MAKE = re.compile(r"(\\*)([ #:*?[])")
#: What make takes apart in turn, each with escapes of its own, so that a name with two of them is read otherwise.
_PATTERNS_OF_MAKE = (frozenset("\\"), frozenset("%"), frozenset("*?["))
_NOT_IN_WILDCARD = set("*?[]~ ()$#\\%,:;|")
#: What ninja takes as a part of a name (depfile_parser.in.cc); at anything else a name ends.
_OF_NINJA = re.compile(r"(?!.*\\[:#$])[A-Za-z0-9+,/_:.~(){}%=@\[\]!\\ #$\x80-\U0010ffff-]+(?<![\\:])")


class Unwritable(ValueError):
    """A name that a depfile cannot hold."""


def prerequisite(path: str) -> str:
    """A name as make reads it behind the colon of a rule. Raises Unwritable."""
    if _NOT_IN_MAKE.search(path) or sum(not each.isdisjoint(path) for each in _PATTERNS_OF_MAKE) > 1:
        raise Unwritable(path)
    return _MARKED_IN_MAKE.sub(r"\1\1\\\2", path).replace("$", "$$")


def target(path: str) -> str:
    """A name as make reads it before the colon of a rule, where a `%` would make a pattern of it. Raises Unwritable."""
    return prerequisite(path).replace("%", "\\%")


def ninja_name(path: str) -> str:
    """A name as ninja reads it in a depfile. Raises Unwritable."""
    if not _OF_NINJA.fullmatch(path):
        raise Unwritable(path)
    spaced = re.sub(r"(\\*) ", r"\1\1\\ ", path)
    return spaced.replace("#", "\\#").replace("$", "$$")


def make(action: Action, targets: list[str], shown: Callable[[str], str], skip: Callable[[str], None]) -> Iterator[str]:
    """A rule, as text. What was looked for in vain is needed as soon as it is there, by $(wildcard); a file that goes
    away is no error, by an empty rule of its own (gcc -MP). `skip` is told what cannot be written.
    """
    needs = [path for path in action.inputs() if path not in set(targets)]
    inputs = _escaped(prerequisite, needs, shown, skip)
    written = _escaped(target, targets, shown, skip)
    if not written:
        return
    yield " ".join(written) + ":"
    for name in inputs:
        yield f" \\\n {name}"
    for path in action.absent():
        name = shown(path)
        if _NOT_IN_WILDCARD.isdisjoint(name) and name.isprintable():
            yield f" \\\n $(wildcard {name})"
    yield "\n"
    for name in inputs:
        yield "\n" + name.replace("%", "\\%") + ":\n"


def ninja(
    action: Action, targets: list[str], shown: Callable[[str], str], skip: Callable[[str], None]
) -> Iterator[str]:
    """A rule for ninja's `depfile`, which has no word for what is not there."""
    inputs = _escaped(ninja_name, [path for path in action.inputs() if path not in set(targets)], shown, skip)
    written = _escaped(ninja_name, targets, shown, skip)
    if not written:
        return
    yield " ".join(written) + ":"
    for name in inputs:
        yield f" \\\n {name}"
    yield "\n"


def _escaped(
    escape: Callable[[str], str], paths: list[str], shown: Callable[[str], str], skip: Callable[[str], None]
) -> list[str]:
    names: list[str] = []
    for path in paths:
        try:
            names.append(escape(shown(path)))
        except Unwritable:
            skip(path)
    return names


def as_json(action: Action, targets: list[str], compared: Comparison | None) -> dict[str, Any]:
    """An action as an object; bytes that are not UTF-8 stand as \\xNN."""
    made: dict[str, Any] = {
        "record": _clean(action.record),
        "argv": list(map(_clean, action.argv)),
        "targets": list(map(_clean, targets)),
        "inputs": list(map(_clean, action.inputs())),
        "outputs": list(map(_clean, action.outputs())),
        "absent": list(map(_clean, action.absent())),
    }
    if action.chain:
        made["cwd"] = None if action.cwd is None else _clean(action.cwd)
    if compared is not None:
        made["undeclared_inputs"] = list(map(_clean, compared.undeclared_inputs))
        made["undeclared_outputs"] = list(map(_clean, compared.undeclared_outputs))
        made["unused_inputs"] = list(map(_clean, compared.unused))
    return made


def race_json(race: Race) -> dict[str, Any]:
    """A race as an object."""
    return {
        "kind": race.kind,
        "path": _clean(race.path),
        "first": _racing(race.first),
        "second": _racing(race.second),
    }


def _racing(action: Action) -> dict[str, Any]:
    named = {"record": _clean(action.record), "argv": list(map(_clean, action.argv))}
    return named | {"targets": list(map(_clean, action.targets))}


def document(actions: Iterable[dict[str, Any]], found: Iterable[dict[str, Any]] | None) -> Iterator[str]:
    """The whole as one JSON document, piece by piece, so that it need not be in memory."""
    yield '{\n "actions": ['
    yield from _listed(actions)
    if found is not None:
        yield ',\n "races": ['
        yield from _listed(found)
    yield "\n}\n"


def _listed(objects: Iterable[dict[str, Any]]) -> Iterator[str]:
    empty = True
    for each in objects:
        yield ("\n" if empty else ",\n") + json.dumps(each, indent=1)
        empty = False
    yield "]" if empty else "\n ]"


def _clean(text: str) -> str:
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
