"""The summary after a run: refusals grouped by what was refused, counted, each with what would allow it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from capwrap.observe.refusals import Refusal

SHOWN = 100
"""groups that are shown; the record has all"""

_LANDMARK = re.compile(r"(/.*/lib(?:64)?/python3\.[0-9]+t?)/os\.py\Z", re.DOTALL)

REASONS = {
    "not-granted": "not granted",
    "right-missing": "a right is missing",
    "escape": "leads out of its grant",
    "syscall": "this call is refused",
    "signal": "not a process of the target",
    "process": "not a process of the target",
    "network": "this address is not permitted",
    "exec": "may not be executed",
    "descriptor": "the descriptor lies in no grant",
}


def printable(value: str) -> str:
    """Text for a terminal: control characters and bytes that are not UTF-8 as escapes."""
    if value.isprintable():
        return value
    return "".join(char if char.isprintable() else _escape(char) for char in value)


def _escape(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


@dataclass(slots=True)
class _Group:
    first: Refusal
    count: int = 0
    calls: dict[str, None] = field(default_factory=dict)


class Summary:
    """Collects refusals and absent names of a run, and tells them."""

    def __init__(self) -> None:
        self._groups: dict[tuple[object, ...], _Group] = {}
        self._absent: dict[str, int] = {}
        self.refusals = 0
        self.absent = 0

    def add(self, refusal: Refusal) -> None:
        """Count one refusal or absent name."""
        if refusal.absent:
            self.absent += 1
            self._absent[refusal.object] = self._absent.get(refusal.object, 0) + 1
            return
        self.refusals += 1
        key = (refusal.object, refusal.kind, refusal.needs, refusal.allow, refusal.path == "" and refusal.syscall)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(refusal)
        group.count += 1
        group.calls[refusal.syscall] = None

    def lines(self, *, verbose: bool = False, record: bool = False, absent: int = 0, traced: bool = False) -> list[str]:
        """What to print, without a prefix. `record`: the whole list is being recorded anyway. `absent`: calls on absent
        names as the engine counted them, which hands them out only to a record. `traced`: nothing was refused, but
        would have been.
        """
        lines: list[str] = []
        if self.refusals:
            lines.append(f"{count(self.refusals, 'call')} {'would have been ' if traced else ''}refused:")
            shown = list(self._groups.values()) if verbose else list(self._groups.values())[:SHOWN]
            for group in shown:
                lines += _tell(group)
            lines += _python(shown)
            if len(shown) < len(self._groups):
                where = "the record has them" if record else "--events FILE records them, -v shows them"
                lines.append(f"  and {len(self._groups) - len(shown)} more; {where}")
        absent = max(absent, self.absent)
        if verbose and absent:
            ordered = sorted(self._absent.items(), key=lambda item: -item[1])
            names = f", {count(len(ordered), 'name')}:" if ordered else ""
            lines.append(f"{count(absent, 'call')} on names that the host does not have either (absent){names}")
            lines += [f"  {printable(name)} ({count})" for name, count in ordered[:SHOWN]]
            if len(ordered) > SHOWN:
                lines.append(f"  and {len(ordered) - SHOWN} more names")
        return lines


def count(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def _python(groups: list[_Group]) -> list[str]:
    """The one directory that a Python outside of the grants does not start without. Of a virtual environment
    the program is granted, and that finds its library by looking for os.py (Modules/getpath.py in CPython).
    """
    from capwrap.observe.refusals import quote

    lines: list[str] = []
    for group in groups:
        found = _LANDMARK.match(group.first.path)
        if found is not None and group.first.allow == f"--ro {quote(found[0])}":
            lines.append(f"  {printable(found[1])} is the library of a Python, which does not start without it")
            lines.append(f"    allow all of it with: --ro {quote(found[1])}")
    return lines


def _tell(group: _Group) -> list[str]:
    refusal = group.first
    reason = REASONS.get(refusal.kind, refusal.kind)
    needs = f", needs {', '.join(refusal.needs)}" if refusal.needs else ""
    times = f" ({group.count} times)" if group.count > 1 else ""
    near = f"; nearest grant {printable(refusal.nearest)}" if refusal.nearest is not None else ""
    calls = "/".join(group.calls)
    what = calls if refusal.object == f"{refusal.syscall}()" else f"{printable(refusal.object)}: {calls}"
    lines = [f"  {what}: {refusal.errno}, {reason}{needs}{near}{times}"]
    if refusal.allow is not None:
        lines.append(f"    allow with: {refusal.allow}")
    elif refusal.hint is not None:
        lines.append(f"    {printable(refusal.hint)}")
    return lines
