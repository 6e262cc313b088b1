"""Deny patterns: `*` and `?` stop at `/`, `**` does not, `[..]` classes. rewriters/namespace.c matches them too."""

from __future__ import annotations

import re
from functools import lru_cache

from capwrap.policy.errors import PolicyError

_SPECIAL = re.compile(r"[*?\[]")
_ESCAPED = re.compile(r"\[([*?\[])\]")
_DEEP_MAX = 4  # each `/**/` doubles the number of patterns


def is_glob(text: str) -> bool:
    """Whether a text has special characters."""
    return _SPECIAL.search(text) is not None


def check_glob(pattern: str) -> None:
    """Raises PolicyError for what would match nothing, or not what it seems to."""
    if pattern.count("**/") > _DEEP_MAX:
        raise PolicyError(f"more than {_DEEP_MAX} `**/` in `{pattern}`", remedy="write a shorter pattern")
    if ".." in pattern.split("/"):
        raise PolicyError(f"`..` in the pattern `{pattern}`", remedy="write the directory that is meant")
    if "***" in pattern:
        raise PolicyError(f"`***` in the pattern `{pattern}`", remedy="write `**`")
    _tokens(pattern)


def escape_glob(path: str) -> str:
    """A pattern that matches exactly this path."""
    return _SPECIAL.sub(r"[\g<0>]", path)


def split_glob(pattern: str) -> tuple[str, str]:
    """The leading components that match only themselves, as a path, and the rest of the pattern."""
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    fixed = 0
    while fixed < len(parts) and not is_glob(_ESCAPED.sub("", parts[fixed])):
        fixed += 1
    return "/" + "/".join(_ESCAPED.sub(r"\1", part) for part in parts[:fixed]), "/".join(parts[fixed:])


def variants(pattern: str) -> list[str]:
    """The patterns that stand for one: `/**/` may also be no directory at all, and a match hides all beneath it."""
    done = [""]
    for index, piece in enumerate(pattern.split("/**/")):
        done = [piece] if index == 0 else [f"{head}{middle}{piece}" for head in done for middle in ("/**/", "/")]
    return [variant for head in done for variant in ((head,) if head.endswith("**") else (head, head + "/**"))]


def may_match(pattern: str, path: str) -> bool:
    """Whether a pattern could match at, beneath or above a path, judged by the text before its first special
    character."""
    special = _SPECIAL.search(pattern)
    prefix = pattern[: special.start()] if special else pattern
    directory = path.rstrip("/") + "/"
    return directory.startswith(prefix) or prefix.startswith(directory)


@lru_cache(maxsize=1024)
def glob_regex(pattern: str) -> re.Pattern[str]:
    """A pattern as a regular expression, to be used with ``fullmatch``."""
    return re.compile("".join(_tokens(pattern)), re.DOTALL)


def _tokens(pattern: str) -> list[str]:
    out: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "*":
            deep = pattern.startswith("**", at)
            out.append(".*" if deep else "[^/]*")
            at += 2 if deep else 1
        elif char == "?":
            out.append("[^/]")
            at += 1
        elif char == "[":
            at, token = _class(pattern, at)
            out.append(token)
        else:
            out.append(re.escape(char))
            at += 1
    return out


def _class(pattern: str, at: int) -> tuple[int, str]:
    """The class that begins at ``at``: where it ends, and it as a regular expression."""
    negated = pattern[at + 1 : at + 2] in ("!", "^")
    start = at + 2 if negated else at + 1
    end = pattern.find("]", start + 1)  # a `]` right behind the bracket is a member
    if end < 0 or "/" in pattern[at:end]:
        raise PolicyError(f"`[` without `]` in the pattern `{pattern}`", remedy="a `[` itself is written `[[]`")
    if not pattern[start:end].isascii():
        # The engine matches bytes, and such a character has several: the deny would match nothing.
        raise PolicyError(f"a character that is not ASCII in a class of `{pattern}`", remedy="write a pattern for each")
    members: list[str] = []
    while start < end:
        low = high = pattern[start]
        if pattern[start + 1] == "-" and start + 2 < end:
            high = pattern[start + 2]
            start += 2
        if high < low:
            raise PolicyError(
                f"an empty range `{low}-{high}` in the pattern `{pattern}`", remedy=f"write `{high}-{low}`"
            )
        members.append(re.escape(low) + ("-" + re.escape(high) if high != low else ""))
        start += 1
    return end + 1, f"(?!/)[{'^' if negated else ''}{''.join(members)}]"
