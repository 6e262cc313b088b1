"""explain as SARIF 2.1.0 (OASIS, Static Analysis Results Interchange Format), which code scanners take.

A result's fingerprint does not depend on when, by which process or in which checkout the call was made: of paths, the
current directory and $HOME are taken out, and temporary names made equal.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import quote as percent

from capwrap._version import VERSION
from capwrap.observe.explain_text import as_json, command_line
from capwrap.observe.places import Places
from capwrap.observe.records import KINDS
from capwrap.observe.summary import REASONS, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from capwrap.observe.explain import Explanation, Frame

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
FINGERPRINT = "capwrapRefusal/v1"
_RULES = tuple(kind for kind in KINDS if kind != "none")


def document(explanations: Iterable[Explanation], *, argv: list[str], places: Places) -> Iterator[str]:
    """The log, piece by piece. `argv`: COMMAND with its arguments."""
    rules = [
        {
            "id": kind,
            "name": "".join(word.capitalize() for word in kind.split("-")),
            "shortDescription": {"text": f"A call was refused: {REASONS.get(kind, kind)}."},
            "help": {"text": "capwrap-run(1) has the options that grant, capwrap(7) the model."},
        }
        for kind in _RULES
    ]
    driver = {"name": "capwrap", "version": VERSION, "semanticVersion": VERSION, "rules": rules}
    head: dict[str, Any] = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints"}
    head["invocations"] = [{"commandLine": command_line(argv), "executionSuccessful": True}]
    yield f'{{"$schema": {json.dumps(SCHEMA)}, "version": "2.1.0", "runs": [{json.dumps(head)[:-1]}, "results": ['
    for index, one in enumerate(explanations):
        yield (",\n" if index else "\n") + json.dumps(_result(one, places))
    yield "\n]}]}\n"


def fingerprint(one: Explanation, places: Places) -> str:
    """The same for the same call on the same thing, whenever and wherever it was made."""
    program = os.path.basename(one.chain[-1][1][0]) if one.chain and one.chain[-1][1] else ""
    parts = (
        *(one.kind, one.syscall, places.general(one.path), places.general(one.path2 or "")),
        *(one.address or "", ",".join(one.needs), program),
    )
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


def _result(one: Explanation, places: Places) -> dict[str, Any]:
    why = f"{one.errno}, {REASONS.get(one.kind, one.kind)}: {printable(one.why)}"
    lines = [f"{printable(one.object)}: {one.call}: {why}."]
    lines.append(f"By: {command_line(one.chain[-1][1])}")
    if one.options:
        lines.append(f"Allow with: {' '.join(map(str, one.options))}")
    elif one.hint:
        lines.append(printable(one.hint))
    own = next((frame for frame in one.stack if frame.line and places.source(frame.file or "")), None)
    result: dict[str, Any] = {
        "ruleId": one.kind,
        "ruleIndex": _RULES.index(one.kind) if one.kind in _RULES else -1,
        "level": "note" if one.absent else "error",
        "message": {"text": "\n".join(lines)},
        "locations": [_location(own, one, places)],
        "partialFingerprints": {FINGERPRINT: fingerprint(one, places)},
        "occurrenceCount": one.count,
        "properties": as_json(one),
    }
    if one.stack:
        frames = [_stack_frame(frame, places) for frame in one.stack]
        result["stacks"] = [{"message": {"text": "where the call was made"}, "frames": frames}]
    return result


def _location(own: Frame | None, one: Explanation, places: Places) -> dict[str, Any]:
    if own is not None and own.file:
        return _physical(own.file, own.line, places)
    if one.path:
        return _physical(one.path, None, places)
    return {"logicalLocations": [{"fullyQualifiedName": printable(one.object), "kind": "resource"}]}


def _physical(path: str, line: int | None, places: Places) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": _artifact(path, places)}
    if line:
        physical["region"] = {"startLine": min(line, 2**31 - 1)}
    return {"physicalLocation": physical}


def _artifact(path: str, places: Places) -> dict[str, Any]:
    """Relative to the current directory where it lies there, as code scanners want it."""
    # A relative name that is no file of the current directory was relative to another one.
    inside = places.inside(path) if path.startswith("/") else places.source(path)
    if inside is not None:
        return {"uri": _uri(inside or "."), "uriBaseId": "%SRCROOT%"}
    return {"uri": ("file://" if path.startswith("/") else "") + _uri(path)}


def _uri(path: str) -> str:
    return percent(path.encode("utf-8", "surrogateescape"), safe="/")


def _stack_frame(frame: Frame, places: Places) -> dict[str, Any]:
    made: dict[str, Any] = {}
    location: dict[str, Any] = _physical(frame.file, frame.line, places) if frame.file else {}
    if frame.symbol:
        logical = {"fullyQualifiedName": printable(frame.name or frame.symbol), "kind": "function"}
        if frame.name != frame.symbol:
            logical["decoratedName"] = printable(frame.symbol)
        location["logicalLocations"] = [logical]
    if location:
        made["location"] = location
    if frame.module:
        made["module"] = printable(frame.module)
    return made
