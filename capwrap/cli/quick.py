"""Reads the words of `capwrap run` without click, whose import takes longer than everything else in a cached start.

It knows the usual spellings and leaves all else (help, mistakes, `-vq`, other commands) to click, which alone speaks to
the user. What it does read, it reads as click does.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from capwrap.cli.options import POLICY, RUN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from capwrap.cli.options import Option

COMPLETION = "_CAPWRAP_COMPLETE"
"""The variable by which a shell asks for completions (click's name for it)."""


def values_of_run(words: Sequence[str], environ: Mapping[str, str] = os.environ) -> dict[str, Any] | None:
    """The keywords of `run` that the words after `capwrap` come to; None where click is to read them."""
    if not words or words[0] != "run" or COMPLETION in environ:
        return None
    known = {option.name: option for option in (*POLICY, *RUN)}
    known |= {option.short: option for option in known.values() if option.short is not None}
    values = {option.keyword: _nothing(option) for option in known.values()}
    at = 1
    while at < len(words):
        word = words[at]
        at += 1
        if len(word) < 2 or word[0] != "-":
            at -= 1
            break
        if word == "--":
            break
        name, equals, text = word.partition("=")
        option = known.get(name)
        if option is None or (equals and (option.kind in ("flag", "count") or name == option.short)):
            return None
        if option.kind == "flag":
            values[option.keyword] = True
            continue
        if option.kind == "count":
            values[option.keyword] += 1
            continue
        if not equals:
            if at == len(words):
                return None
            text = words[at]
            at += 1
        try:
            value = _value(option, text)
        except ValueError:
            return None
        values[option.keyword] = (*values[option.keyword], value) if option.many else value
    values["argv"] = tuple(words[at:])
    return values if values["argv"] else None


def _nothing(option: Option) -> Any:
    if option.many:
        return ()
    return {"flag": False, "count": 0}.get(option.kind, option.default)


def _value(option: Option, text: str) -> Any:
    """Raises ValueError for what is none of the option's values."""
    if option.kind == "choice" and text not in option.choices:
        raise ValueError(text)
    if option.kind == "seconds":
        return float(text)
    if option.kind == "whole":
        number = int(text)
        if number < 0:
            raise ValueError(text)
        return number
    return text
