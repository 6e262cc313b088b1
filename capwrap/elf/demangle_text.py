"""What demangle.py is made with: bounded reading of a mangled name, and the texts of names and types."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT_MAX = 8192
_STEPS_MAX = 20_000
_DEPTH_MAX = 60
_DIGITS = re.compile(r"[0-9]+")
_SEQUENCE = re.compile(r"([0-9A-Z]*)_")


class Unknown(Exception):
    """No name, or one that is not understood."""


@dataclass(frozen=True, slots=True)
class Type:
    """The text of a type: `left` and `right` of where a pointer's star goes. `kind`: func, array, pack, or ""."""

    left: str
    right: str = ""
    kind: str = ""
    pack: tuple[Type, ...] = ()

    def __str__(self) -> str:
        if self.kind == "pack":
            return ", ".join(text for each in self.pack if (text := str(each)))
        return f"{self.left} {self.right}" if self.kind == "func" else self.left + self.right


@dataclass(slots=True)
class Name:
    """The text of a name."""

    text: str
    last: str
    """the class, for constructors"""
    template: bool = False
    """whether template arguments end it"""
    plain: bool = True
    """False for a constructor, a destructor or a conversion, of which no return type is mangled"""
    after: str = ""
    """what stands behind the parameters: const, &"""


def pointer_to(of: Type, sign: str) -> Type:
    """A pointer or a reference, as `sign` says."""
    if of.kind == "pack":
        return Type("", kind="pack", pack=tuple(pointer_to(each, sign) for each in of.pack))
    if of.kind in ("func", "array"):
        return Type(f"{of.left} ({sign}", f"){of.right}")
    if sign != "*" and of.left.endswith("&"):  # references collapse, [dcl.ref]
        return of if sign == "&&" or not of.left.endswith("&&") else Type(of.left[:-1], of.right)
    return Type(of.left + sign, of.right)


class Cursor:
    """Where a mangled name has been read to."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.at = 0
        self._steps = 0
        self._depth = 0

    def peek(self, count: int = 1) -> str:
        """The next characters."""
        return self.symbol[self.at : self.at + count]

    def take(self, text: str) -> bool:
        """Whether this comes next; then it is read."""
        if self.symbol.startswith(text, self.at):
            self.at += len(text)
            return True
        return False

    def expect(self, text: str) -> None:
        """This comes next, or the name is not understood."""
        if not self.take(text):
            raise Unknown

    def number(self) -> int:
        """A number in base 10."""
        found = _DIGITS.match(self.symbol, self.at)
        if found is None or len(found[0]) > 9:
            raise Unknown
        self.at = found.end()
        return int(found[0])

    def sequence(self) -> int:
        """`_` is 0, `0_` is 1, in base 36."""
        found = _SEQUENCE.match(self.symbol, self.at)
        if found is None or len(found[1]) > 6:
            raise Unknown
        self.at = found.end()
        return int(found[1], 36) + 1 if found[1] else 0

    def bounded(self, text: str) -> str:
        """The same, where it is not too long, and not too much work was done already."""
        self._steps += 1
        if len(text) > TEXT_MAX or self._steps > _STEPS_MAX:
            raise Unknown
        return text

    @contextmanager
    def deeper(self) -> Iterator[None]:
        """One level down."""
        self._depth += 1
        if self._depth > _DEPTH_MAX:
            raise Unknown
        try:
            yield
        finally:
            self._depth -= 1
