"""What a compile sees of the host: paths, variables, files. All of it is remembered, because a cached image is good
only as long as every one of these observations still holds (cache.py).
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

from capwrap.policy.errors import PolicyError, Where
from capwrap.policy.observations import Identity, Kind, identity, look
from capwrap.policy.rights import did_you_mean

MAX_LINKS = 40  # as the kernel: path_resolution(7)
TICK_NS = (
    20_000_000  # the clock of time stamps runs up to one jiffy, 10 ms at most, behind: ktime_get_coarse_real_ts64()
)


@dataclass(frozen=True, slots=True)
class Walk:
    """A path walked on the host: where it leads, and the symlinks on the way as (place, text).

    ``missing`` is the first component that is not there, if that is not the last one.
    """

    path: str
    kind: Kind
    links: tuple[tuple[str, str], ...] = ()
    missing: str | None = None
    process: bool = False  # stopped at /proc because a symlink leads into it, or because it names a process


class Host:
    """The host's file system and the caller's variables, each thing looked at once and remembered."""

    def __init__(self, *, cwd: str, environ: Mapping[str, str]) -> None:
        if not cwd.startswith("/"):
            raise PolicyError(f"the current directory `{cwd}` is not an absolute path")
        self.cwd = cwd
        self._environ = environ
        self._began = time.time_ns()
        self._seen: dict[str, tuple[Kind, str]] = {}
        self.variables: dict[str, str | None] = {}
        self.files: dict[str, Identity] = {}
        self.asked_arguments = False
        #: False where the result rests on what is not noted here, or what was noted may not be what was read.
        self.settled = True

    @property
    def seen(self) -> Mapping[str, tuple[Kind, str]]:
        """Every path that was looked at: what stood there, and a symlink's text."""
        return self._seen

    def look(self, path: str) -> tuple[Kind, str]:
        """What stands at a path, and the text if it is a symlink."""
        known = self._seen.get(path)
        if known is None:
            known = self._seen[path] = look(path)
        return known

    def forget(self) -> None:
        """Looks at everything anew from here on: for questions without end about a namespace that is made."""
        self._seen.clear()

    def content(self, path: str) -> None:
        """Notes that the content of a file, or the names in a directory, has a part in the result."""
        if path in self.files:
            return
        *_, changed = self.files[path] = identity(path)
        # A file that changes while it is being read, or twice between two ticks of the clock that stamps it, has an
        # identity that tells nothing.
        if changed > self._began - TICK_NS:
            self.settled = False

    def arguments(self) -> None:
        """Notes that COMMAND's arguments have a part in the result."""
        self.asked_arguments = True

    def variable(self, name: str) -> str | None:
        """The value of a variable of the caller, which had a part in the result."""
        value = self._environ.get(name)
        self.variables[name] = value
        return value

    def absolute(self, path: str) -> str:
        """The path joined to the current directory, with nothing resolved."""
        return path if path.startswith("/") else f"{self.cwd.rstrip('/')}/{path}"

    def expand(self, text: str) -> str | None:
        """``${VARIABLE}`` replaced; None if one has no value. ``$${`` is a literal ``${``."""
        unset = False

        def value(match: re.Match[str]) -> str:
            nonlocal unset
            if match[1] is None:
                return "${"
            found = self._named(match[1])
            unset = unset or found is None
            return found or ""

        result = VARIABLE.sub(value, text)
        return None if unset else result

    def _named(self, name: str) -> str | None:
        if name == "PWD":
            return self.cwd
        value = self.variable(name)
        if value and (name not in _ABSOLUTE or value.startswith("/")):
            return value
        if name == "TMPDIR":
            return "/tmp"
        if name in _XDG_DEFAULTS:  # XDG Base Directory Specification: unset, empty or relative means the default
            home = self._named("HOME")
            return None if home is None else home.rstrip("/") + _XDG_DEFAULTS[name]
        return None

    def walk(self, path: str) -> Walk:
        """Follows a path component by component, as the kernel would, to a place that has no symlink in it.

        A symlink that leads into /proc is not followed there: what it names differs from process to process.
        """
        cwd = ""
        links: list[tuple[str, str]] = []
        rest = [name for name in reversed(self.absolute(path).split("/")) if name not in ("", ".")]
        while rest:
            name = rest.pop()
            if name == "..":
                cwd = cwd.rpartition("/")[0]
                continue
            here = f"{cwd}/{name}"
            if here == "/proc" and links:
                return Walk(here, Kind.DIR, tuple(links), process=True)
            kind, text = self.look(here)
            if kind is Kind.LINK:
                if here.startswith("/proc/"):
                    return Walk(here, Kind.FILE, tuple(links), process=True)
                links.append((here, text))
                if len(links) > MAX_LINKS:
                    raise PolicyError(f"too many symbolic links in `{path}`")
                if text.startswith("/"):
                    cwd = ""
                rest += [part for part in reversed(text.split("/")) if part not in ("", ".")]
            elif kind is Kind.DIR:
                if cwd == "/proc" and name.isdigit():
                    return Walk(here, Kind.DIR, tuple(links), process=True)
                cwd = here
            elif rest:
                return Walk("/".join((here, *reversed(rest))), kind, tuple(links), missing=here)
            else:
                return Walk(here, kind, tuple(links))
        return Walk(cwd or "/", Kind.DIR, tuple(links))


#: ``$${`` or ``${NAME}``.
VARIABLE = re.compile(r"\$\$\{|\$\{([^}]*)\}")
_XDG_DEFAULTS = {
    "XDG_CONFIG_HOME": "/.config",
    "XDG_CACHE_HOME": "/.cache",
    "XDG_DATA_HOME": "/.local/share",
    "XDG_STATE_HOME": "/.local/state",
}
_ABSOLUTE = frozenset(("HOME", "TMPDIR", *_XDG_DEFAULTS, "XDG_RUNTIME_DIR"))


def check_variables(text: str, where: Where | None = None) -> bool:
    """Whether a text of a policy file holds ``${...}``. Raises PolicyError for a variable that policies do not have."""
    for match in VARIABLE.finditer(text):
        name = match[1]
        if name is not None and name not in ("HOME", "PWD", "TMPDIR") and not re.fullmatch(r"XDG_[A-Z0-9_]+", name):
            known = ("HOME", "PWD", "TMPDIR", *_XDG_DEFAULTS)
            remedy = did_you_mean(name, known) or "policies know HOME, PWD, TMPDIR and XDG_*; `$${` is a literal `${`"
            raise PolicyError(f"unknown variable `{name}`", where=where, remedy=remedy)
    if "${" in VARIABLE.sub("", text):
        raise PolicyError("`${` without `}`", where=where, remedy="`$${` is a literal `${`")
    return "${" in text
