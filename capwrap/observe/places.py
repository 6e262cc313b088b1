"""Paths told without what differs from run to run: the current directory, the home, temporary names."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What mkstemp(3), Python's tempfile, git and their kin put at the end of a name's stem.
_TAIL = re.compile(r"[A-Za-z0-9_]{6,}\Z")
_PATH_MAX = 4096  # linux/limits.h


@dataclass(frozen=True, slots=True)
class Places:
    """Where a run was: absolute paths, without a trailing slash."""

    pwd: str
    home: str
    tmp: str

    @classmethod
    def of(cls, cwd: str, environ: Mapping[str, str]) -> Places:
        """The caller's."""
        tmp = environ.get("TMPDIR", "")
        return cls(_place(cwd), _place(environ.get("HOME", "")), _place(tmp) or "/tmp")

    def variable(self, path: str) -> str:
        """With `${PWD}`, `${HOME}` or `${TMPDIR}` in the place of what they stand for; other `${` as `$${`."""
        for name, place in sorted(
            (("PWD", self.pwd), ("HOME", self.home), ("TMPDIR", self.tmp)), key=lambda item: -len(item[1])
        ):
            if place and (path == place or path.startswith(place + "/")):
                return f"${{{name}}}" + path[len(place) :].replace("${", "$${")
        return path.replace("${", "$${")

    def inside(self, path: str) -> str | None:
        """Relative to the current directory; None for what does not lie there."""
        if not path.startswith("/"):
            return path
        if self.pwd and path.startswith(self.pwd + "/"):
            return path[len(self.pwd) + 1 :]
        return "" if path == self.pwd else None

    def source(self, path: str) -> str | None:
        """Relative to the current directory, for a file that is there; None for others.

        Debugging information has names that were relative when something else was built: `sysdeps/x.c` of libc.
        """
        inside = self.inside(path)
        if not inside or not self.pwd:
            return None
        name = os.path.normpath(inside)
        return name if not name.startswith("../") and os.path.isfile(os.path.join(self.pwd, name)) else None

    def general(self, path: str) -> str:
        """The path without what differs from run to run, for comparing."""
        told = self.variable(path)
        head, slash, name = told.rpartition("/")
        if not is_temporary(path, self):
            return told
        return f"{head}{slash}{temporary_glob(name)}"


def _place(path: str) -> str:
    path = path.rstrip("/")
    return os.path.realpath(path) if path.startswith("/") else ""


def settled(path: str) -> str:
    """An absolute path without `//`, `.` and a slash at its end. Where it has `..`, which the kernel alone followed,
    what it is on this host; longer than the kernel takes one, what it says.
    """
    if "/../" in path or path.endswith("/.."):
        path = os.path.realpath(path) if len(path) <= _PATH_MAX else os.path.normpath(path)
    elif "//" not in path and "/./" not in path and not path.endswith(("/", "/.")):
        return path
    return "/" + "/".join(part for part in path.split("/") if part not in ("", "."))


def is_temporary(path: str, places: Places) -> bool:
    """Whether a path is one that a program made up: a random name, and in a directory for such names."""
    parent, _, name = path.rpartition("/")
    tops = (places.tmp, "/tmp", "/var/tmp", "/dev/shm")
    if any(parent == top or parent.startswith(top + "/") for top in tops):
        return temporary_glob(name) != name
    return False


def temporary_glob(name: str) -> str:
    """The name with its random part as `*`; the name itself where it has none."""
    stem, dot, ending = name.partition(".") if not name.startswith(".") else (name, "", "")
    match = _TAIL.search(stem)
    if match is None:
        return name
    tail = match[0]
    digits = len(tail) - len(tail.rstrip("0123456789"))
    if digits >= 6:
        return stem[: len(stem) - digits] + "*" + dot + ending
    # Python's tempfile puts eight characters behind the prefix, mkstemp(3) six
    for width in (8, 6) if stem.startswith("tmp") else (6, 8):
        part = tail[-width:]
        if len(part) == width and looks_random(part):
            return stem[: len(stem) - width] + "*" + dot + ending
    return name


def looks_random_name(name: str) -> bool:
    """Whether a name looks made up: of a name anywhere, which may well end in a number, more is asked."""
    glob = temporary_glob(name)
    if glob == name:
        return False
    head, _, tail = glob.partition("*")
    part = name[len(head) : len(name) - len(tail)]
    classes = ["u" if char.isupper() else "d" if char.isdigit() else "l" for char in part]
    return sum(one != other for one, other in pairwise(classes)) >= 3


def looks_random(text: str) -> bool:
    """Whether a word is none: digits among letters, or capitals within it."""
    digits = sum(char.isdigit() for char in text)
    inner = sum(char.isupper() for char in text[1:])
    lower = sum(char.islower() for char in text)
    return bool(digits and (inner or lower)) or bool(inner and lower)
