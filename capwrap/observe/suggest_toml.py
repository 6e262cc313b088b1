"""Suggested entries as a policy file, and merged into one that exists, which keeps its comments and order."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from capwrap.observe.remedy import toml_string
from capwrap.observe.summary import printable
from capwrap.policy.rights import format_rights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from capwrap.observe.places import Places
    from capwrap.observe.suggest import Suggestion

_TABLES = ("private", "grant")
_ARRAYS = ("ro", "rox", "rw", "rwx", "connect", "bind", "allow")


def value_of(entry: Suggestion, places: Places) -> str:
    """Its value as a policy file has it, with ${HOME}, ${PWD} and ${TMPDIR}. ValueError for what is not UTF-8."""
    if entry.key in ("connect", "bind", "allow"):
        value = entry.value.replace("${", "$${")
    else:
        value = places.variable(entry.value)
        if "=/" in value and entry.key in ("ro", "rox", "rw", "rwx"):
            # said in full: the two are told apart before a variable becomes what it stands for
            value = entry.value.replace("${", "$${")
            value = f"{value}={value}"
    toml_string(value)
    return value


def write(entries: list[Suggestion], places: Places, head: list[str], skip: Callable[[Suggestion], None]) -> str:
    """A whole policy file. `head`: lines that stand first; `skip` is told what cannot be said in TOML."""
    usable = _usable(entries, places, skip)
    lines = list(head)
    for key in _ARRAYS:
        listed = [(entry, value) for entry, value in usable if entry.key == key]
        if not listed:
            continue
        active = [item for item in listed if not item[0].risky]
        if active:
            lines += ["", f"{key} = ["]
            lines += _grouped(active)
            lines.append("]")
        lines += [
            f"# {key} = [{toml_string(value)}]  # left out: {printable(entry.risky)}"
            for entry, value in listed
            if entry.risky
        ]
    for key in _TABLES:
        for entry, value in usable:
            if entry.key == key:
                lines += ["", *_table(entry, value, places)]
    return "\n".join(lines).strip("\n") + "\n"


def _table(entry: Suggestion, value: str, places: Places) -> list[str]:
    """A table of its own, with why as comments in front; all of it a comment where it is risky."""
    mark = "# " if entry.risky else ""
    reasons = (entry.why, entry.risky and f"left out: {entry.risky}")
    pairs = _pairs(entry, value, places).items()
    lines = [f"# {printable(reason)}" for reason in reasons if reason]
    return [*lines, f"{mark}[[{entry.key}]]", *(f"{mark}{name} = {toml_string(text)}" for name, text in pairs)]


def _pairs(entry: Suggestion, value: str, places: Places) -> dict[str, str]:
    if entry.key == "grant":
        return {"path": value, "rights": format_rights(int(entry.rights))}
    return {"path": value, "mode": "1777"} if entry.value == places.tmp else {"path": value}


def _usable(
    entries: Iterable[Suggestion], places: Places, skip: Callable[[Suggestion], None]
) -> list[tuple[Suggestion, str]]:
    usable = []
    for entry in entries:
        try:
            usable.append((entry, value_of(entry, places)))
        except ValueError:
            skip(entry)
    return usable


def _grouped(listed: list[tuple[Suggestion, str]]) -> list[str]:
    """The values of an array, a line each, with an empty line between directories."""
    lines: list[str] = []
    former = None
    for entry, value in listed:
        directory = value.rpartition("/")[0]
        if former is not None and directory != former and lines[-1]:
            lines.append("")
        former = directory
        note = f"  # {printable(entry.why)}" if entry.why else ""
        lines.append(f"    {toml_string(value)},{note}")
    return lines


def merge(text: str, entries: list[Suggestion], places: Places, skip: Callable[[Suggestion], None]) -> str:
    """The text of a policy file with the entries added. Risky ones become comments at its end."""
    import tomlkit

    document = tomlkit.parse(text)
    grown: list[Any] = []
    new: dict[str, list[tuple[Suggestion, str]]] = {}
    tables: list[str] = []
    comments: list[str] = []
    inline = False
    for entry, value in _usable(entries, places, skip):
        if entry.risky:
            comments.append(f"# {printable(f'{entry.key}: {value}: left out: {entry.risky}')}\n")
        elif entry.key not in _ARRAYS and not isinstance(document.get(entry.key), tomlkit.items.Array):
            tables += _table(entry, value, places)
        elif entry.key not in _ARRAYS:
            table = tomlkit.inline_table()
            table.update(_pairs(entry, value, places))
            document[entry.key].append(table)
            inline = True
        elif entry.key in document:
            array = document[entry.key]
            array.add_line(value, comment=printable(entry.why) or None)
            if array not in grown:
                grown.append(array)
        else:
            new.setdefault(entry.key, []).append((entry, value))
    for array in grown:
        array.add_line(indent="")
    lines: list[str] = []
    for key, listed in new.items():
        lines += [f"{key} = [", *_grouped(listed), "]", ""]
    # Tables stand behind all that there is, and what did not grow stays as it was written: tomlkit puts tables of one
    # name together.
    merged = _at_the_top(tomlkit.dumps(document) if grown or inline else text, "".join(line + "\n" for line in lines))
    if (tables or comments) and merged and not merged.endswith("\n"):
        merged += "\n"
    merged += "".join(line + "\n" for line in tables) + "".join(comments)
    if text.count("\r\n") and text.count("\r\n") == text.count("\n"):
        merged = merged.replace("\r\n", "\n").replace("\n", "\r\n")
    return merged


def _at_the_top(text: str, keys: str) -> str:
    """Keys of the file's top stand before its first table: behind the comments that it begins with."""
    if not keys:
        return text
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    at = next((index for index, line in enumerate(lines) if line.strip() and not line.startswith("#")), len(lines))
    before = "".join(lines[:at])
    if before and not before.endswith("\n"):
        before += "\n"
    return before + keys + "".join(lines[at:])
