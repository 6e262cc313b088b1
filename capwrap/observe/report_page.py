"""The page of a report: one HTML file that needs nothing else. Its parts lie in page/.

What a record says may be anybody's text. It stands in the page as JSON alone, in a block that no browser executes, and
the script makes text nodes of it; the Content-Security-Policy permits this script and this style by their digests, no
others, and nothing from anywhere else.
"""

from __future__ import annotations

import base64
import hashlib
import json
from array import array
from collections.abc import Iterator
from importlib.resources import files
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

SCRIPTS = ("dom.js", "data.js", "table.js", "tree.js", "sections.js", "main.js")
"""in the order in which they run, as one"""
_MARK = "@{}@"
_CHUNK = 4096  # values of a list that are written at a time
#: What could end the block of JSON, or begin a comment in it. They stand in strings only, where JSON has these escapes.
_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def page(members: Iterable[tuple[str, object]]) -> Iterator[bytes]:
    """The page, piece by piece. `members`: names and values of what it shows, as Report.document gives them: objects of
    JSON; an iterator or an array stands for a list.
    """
    style, script = _part("page.css"), "\n".join(map(_part, SCRIPTS))
    rest = _part("page.html")
    for name, text in (("policy", security_policy(style, script)), ("style", style)):
        before, rest = _split(rest, name)
        yield (before + text).encode()
    before, rest = _split(rest, "data")
    yield before.encode()
    for piece in _object(members):
        yield piece.encode("ascii")
    before, rest = _split(rest, "script")
    yield (before + script + rest).encode()


def security_policy(style: str, script: str) -> str:
    """The Content-Security-Policy for what stands between the tags. Trusted Types let no text become markup."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_digest(script)}'",
            f"style-src '{_digest(style)}'",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def embedded(value: object) -> str:
    """A value as JSON in ASCII that can stand in a page."""
    return json.dumps(value, separators=(",", ":")).translate(_ESCAPES)


def _object(members: Iterable[tuple[str, object]]) -> Iterator[str]:
    """An object of JSON in pieces, so that there is never the whole of a long one."""
    yield "{"
    for index, (name, value) in enumerate(members):
        yield f"{',' if index else ''}{embedded(name)}:"
        if isinstance(value, dict):
            yield from _object(value.items())
        elif isinstance(value, (array, Iterator)):
            yield from _list(iter(value))
        else:
            yield embedded(value)
    yield "}\n"


def _list(values: Iterator[object]) -> Iterator[str]:
    opening = "["
    while chunk := list(islice(values, _CHUNK)):
        yield opening + embedded(chunk)[1:-1]
        opening = ","
    yield "[]" if opening == "[" else "]"


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _split(text: str, mark: str) -> tuple[str, str]:
    before, _, behind = text.partition(_MARK.format(mark))
    return before, behind


def _part(name: str) -> str:
    return (files("capwrap.observe") / "page" / name).read_text(encoding="utf-8")
