"""Where the keys and array elements of a TOML text stand.

tomllib says what a text means but not where; an error about a value must point at it. The text given here has been
parsed by tomllib, so it is valid TOML, and this scanner only has to find its way through it: it skips what it need not
understand, and where it should still be wrong, the error has no caret, not a wrong meaning.
"""

from __future__ import annotations

import re
from typing import TypeAlias

Path: TypeAlias = tuple[str | int, ...]

_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BLANK = re.compile(r"[ \t]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
# The closing quotes of a multi-line string may have one or two quotes of its content before them.
_STRINGS = (
    re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}', re.DOTALL),
    re.compile(r"'''.*?'{3,5}", re.DOTALL),
    re.compile(r'"(?:[^"\\\n]|\\.)*"'),
    re.compile(r"'[^'\n]*'"),
)
_SCALAR = re.compile(r"[^,\]}#\n]+")
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))")
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r"}


def locate(text: str) -> dict[Path, int]:
    """The offset of each key and of each array element, by its path: ``("limits", "cpu")``, ``("ro", 2)``."""
    scanner = _Scanner(text)
    scanner.document()
    return scanner.found


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """1-based line and column (in characters) of an offset."""
    return text.count("\n", 0, offset) + 1, offset - (text.rfind("\n", 0, offset) + 1) + 1


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found: dict[Path, int] = {}
        self.tables: dict[Path, int] = {}  # arrays of tables: how many there are so far

    def document(self) -> None:
        table: Path = ()
        while self._skip(_SPACE) < len(self.text):
            before = self.at
            if self.text.startswith("[", self.at):
                table = self._header()
            else:
                self._pair(table)
            if self.at == before:  # not a text that tomllib would have taken
                return

    def _skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.at

    def _take(self, literal: str) -> bool:
        if self.text.startswith(literal, self.at):
            self.at += len(literal)
            return True
        return False

    def _header(self) -> Path:
        start = self.at
        is_array = self._take("[[")
        if not is_array:
            self._take("[")
        keys = self._keys()
        self._take("]]" if is_array else "]")
        path: Path = ()
        for index, (key, _) in enumerate(keys):
            path = (*path, key)
            last = index == len(keys) - 1
            if last and is_array:
                self.found.setdefault(path, start)
                self.tables[path] = self.tables.get(path, 0) + 1
            if path in self.tables:
                path = (*path, self.tables[path] - 1)
            self.found.setdefault(path, start)
        return path

    def _keys(self) -> list[tuple[str, int]]:
        keys: list[tuple[str, int]] = []
        while True:
            start = self._skip(_BLANK)
            if self.text[start : start + 1] in ('"', "'"):
                self._string()
                keys.append((_unquoted(self.text[start : self.at]), start))
            else:
                self._skip(_BARE)
                keys.append((self.text[start : self.at], start))
            self._skip(_BLANK)
            if not self._take("."):
                return keys

    def _pair(self, table: Path) -> None:
        path = table
        for key, start in self._keys():
            path = (*path, key)
            self.found.setdefault(path, start)
        if self._take("="):
            self._skip(_BLANK)
            self._value(path)

    def _value(self, path: Path) -> None:
        if self._take("["):
            index = 0
            while self._skip(_SPACE) < len(self.text) and not self._take("]"):
                self.found[(*path, index)] = before = self.at
                self._value((*path, index))
                index += 1
                self._skip(_SPACE)
                if not self._take(",") and self.at == before:
                    return
        elif self._take("{"):
            while self._skip(_SPACE) < len(self.text) and not self._take("}"):
                before = self.at
                self._pair(path)
                self._skip(_SPACE)
                if not self._take(",") and self.at == before:
                    return
        elif self.text[self.at : self.at + 1] in ('"', "'"):
            self._string()
        else:
            self._skip(_SCALAR)

    def _string(self) -> None:
        for pattern in _STRINGS:
            match = pattern.match(self.text, self.at)
            if match:
                self.at = match.end()
                return
        self.at = len(self.text)


def _unquoted(key: str) -> str:
    if key.startswith("'"):
        return key[1:-1]

    def char(match: re.Match[str]) -> str:
        code = match[1] or match[2]
        return chr(int(code, 16)) if code else _ESCAPES.get(match[3], match[3])

    return _ESCAPE.sub(char, key[1:-1])
