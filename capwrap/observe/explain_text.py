"""explain for people, for programs, and for GitHub's logs: text, JSON, workflow commands."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from capwrap.observe.refusals import quote
from capwrap.observe.summary import REASONS, count, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from capwrap.observe.explain import Explanation, Frame
    from capwrap.observe.places import Places

ANNOTATIONS_MAX = 10
"""annotations of one level that GitHub takes from one step"""
_COMMAND_MAX = 400  # characters of a command line that are shown
_FRAMES_SHOWN = 16
_COMMAND = re.compile(r"^( *)::", re.MULTILINE)


def as_text(one: Explanation) -> str:
    """A few lines, each with what it tells in front."""
    times = f" ({one.count} times)" if one.count > 1 else ""
    what = "absent" if one.absent else "refused"
    lines = [f"{one.id} {what}: {printable(one.object)}: {one.errno}, {REASONS.get(one.kind, one.kind)}{times}"]

    def tell(name: str, *values: str) -> None:
        lines.extend(f"  {name if not index else '':<9} {value}" for index, value in enumerate(values))

    tell("call", one.call)
    if one.asked is not None:
        tell("asked", printable(one.asked))
        via = f", through the symbolic link {printable(one.via)}" if one.via is not None else ""
        tell("resolved", printable(one.path) + via)
    if one.needs:
        tell("needs", ", ".join(one.needs))
    tell("why", printable(one.why))
    if one.stack:
        tell("code", *(_frame(frame) for frame in one.stack[:_FRAMES_SHOWN]))
    tell("by", *(f"{command_line(argv)} (process {pid})" for pid, argv in one.chain))
    if one.cwd is not None:
        tell("in", printable(one.cwd))
    if one.options:
        tell("allow", " ".join(map(str, one.options)))
        tell("policy", *(one.toml or (f"none: {one.hint}",)))
        tell("also", *(printable(sentence) for sentence in one.also))
    else:
        tell("remedy", printable(one.hint or ""))
    return "\n".join(lines) + "\n"


def command_line(argv: Iterable[str]) -> str:
    """A command line as a shell would take it, cut where it is long."""
    text = " ".join(printable(quote(argument)) for argument in argv) or "?"
    return text if len(text) <= _COMMAND_MAX else text[:_COMMAND_MAX] + "..."


def _frame(frame: Frame) -> str:
    place = f"{frame.file}:{frame.line}" if frame.file and frame.line else frame.file
    module = frame.module or "?"
    if frame.offset is not None:
        module += f"+{frame.offset:#x}"
    return printable(f"{frame.name or '?'} ({place}) in {module}" if place else f"{frame.name or '?'} in {module}")


def as_json(one: Explanation) -> dict[str, Any]:
    """The same as an object; bytes that are not UTF-8 stand as \\xNN."""
    return {
        "id": one.id,
        "count": one.count,
        "absent": one.absent,
        "kind": one.kind,
        "syscall": one.syscall,
        "call": one.call,
        "errno": one.errno,
        "path": _clean(one.path),
        "path2": _clean(one.path2),
        "asked": _clean(one.asked),
        "via": _clean(one.via),
        "host": _clean(one.host),
        "address": _clean(one.address),
        "needs": list(one.needs),
        "nearest": _clean(one.nearest),
        "why": _clean(one.why),
        "stack": [
            {
                "module": _clean(frame.module),
                "offset": frame.offset,
                "symbol": _clean(frame.symbol),
                "name": _clean(frame.name),
                "file": _clean(frame.file),
                "line": frame.line,
            }
            for frame in one.stack
        ],
        "commands": [{"pid": pid, "argv": [_clean(argument) for argument in argv]} for pid, argv in one.chain],
        "cwd": _clean(one.cwd),
        "allow": " ".join(map(str, one.options)) or None,
        "policy": list(one.toml),
        "also": list(map(_clean, one.also)),
        "hint": _clean(one.hint),
    }


def json_document(explanations: Iterable[Explanation], refusals: int, untold: int) -> Iterator[str]:
    """A JSON document, piece by piece."""
    yield f'{{"refusals": {refusals}, "untold": {untold}, "explanations": ['
    for index, one in enumerate(explanations):
        yield (",\n" if index else "\n") + json.dumps(as_json(one))
    yield "\n]}\n"


def _clean(text: str | None) -> str | None:
    if text is None:
        return None
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def github(explanations: list[Explanation], refusals: int, untold: int, places: Places) -> Iterator[str]:
    """Workflow commands: at most ANNOTATIONS_MAX annotations, one a path and kind, and everything in a log group.

    GitHub takes a line that begins with `::` as a command, spaces before it or not, and so one that holds `##[`; what
    a record says has neither.
    """
    grouped: dict[tuple[str, str], list[Explanation]] = {}
    for one in explanations:
        grouped.setdefault((one.object, one.kind), []).append(one)
    groups = list(grouped.values())
    shown = groups if len(groups) <= ANNOTATIONS_MAX and not untold else groups[: ANNOTATIONS_MAX - 1]
    for group in shown:
        yield _annotation(group, places)
    if len(shown) < len(groups) or untold:
        more = refusals - sum(one.count for group in shown for one in group)
        yield f"::error title=capwrap::{count(more, 'more refused call')}; the log of this step has them\n"
    if groups:
        yield f"::group::capwrap: {count(refusals, 'call')} refused, explained\n"
        for one in explanations:
            yield _COMMAND.sub(r"\1\\x3a:", as_text(one)).replace("##[", "##\\x5b")
        yield "::endgroup::\n"


def _annotation(group: list[Explanation], places: Places) -> str:
    first = group[0]
    times = sum(one.count for one in group)
    parts = ["title=" + _property(f"capwrap: {first.kind}")]
    for frame in first.stack:
        source = places.source(frame.file or "")
        if source is not None and frame.line:
            parts += ["file=" + _property(printable(source)), f"line={frame.line}"]
            break
    calls = "/".join(dict.fromkeys(one.syscall for one in group))
    lines = [
        f"{printable(first.object)}: {calls}: {first.errno}, {REASONS.get(first.kind, first.kind)}"
        + (f" ({times} times)" if times > 1 else ""),
        f"by {command_line(first.chain[-1][1])}",
    ]
    allow = " ".join(dict.fromkeys(str(option) for one in group for option in one.options))
    lines.append(f"allow with: {allow}" if allow else printable(first.hint or ""))
    return f"::error {','.join(parts)}::{_data(chr(10).join(lines))}\n"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A").replace("##[", "##\\x5b")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
