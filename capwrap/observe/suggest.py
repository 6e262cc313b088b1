"""The least policy for what records show: which names, with which rights, said how.

Names are granted one by one. A whole directory is granted only on evidence (the program made directories or random
names in it, listed it, or used most of what it holds), never one that holds something of the guard set; and what would
be risky to grant stands as a comment, with the reason.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from capwrap.observe.events_file import EventsError
from capwrap.observe.guard import guarded, holds_guarded
from capwrap.observe.needs import ANCESTOR, ASKS, EXECS, FIRST_NAME, SECOND_NAME, rights_of
from capwrap.observe.places import Places, looks_random_name, settled, temporary_glob
from capwrap.observe.remedy import read_options
from capwrap.policy.check import decide
from capwrap.policy.errors import PolicyError
from capwrap.policy.namespace import Namespace, NodeKind
from capwrap.policy.rights import RO, RW, RWX, SETS, Right

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from capwrap.observe.reading import Record

NAMES_MAX = 1_000_000
"""different names that are kept"""
SIBLINGS_LEAST = 8
"""names that must have been used in a directory before it is granted as a whole"""
SIBLINGS_SHARE = 0.8
"""and which part of all that it holds"""
_TREE_MAX = 4096

NOTHING = Right(0)
_LOOK = Right.LOOKUP | Right.FSTAT
_ATTRIBUTES = Right.EXTATTR_GET | Right.EXTATTR_LIST
START = Right.LOOKUP | Right.FSTAT | Right.FCHDIR
_CHANGES = RW & ~RO
_MAKES_DIRECTORY = Right.MKDIRAT
_ABSENT = (-errno.ENOENT, -errno.ENOTDIR)
#: Errors of calls that were made: who may not make them gets another one. Attributes that a file has not, above all.
_MADE = (-errno.ENODATA, -errno.EOPNOTSUPP, -errno.ERANGE)
_RENAMES = ("rename", "renameat", "renameat2")
_LINKS = ("link", "linkat")


@dataclass(slots=True)
class Suggestion:
    """One entry of the policy. `key`: a key of policy files, `grant` for explicit `rights`."""

    key: str
    value: str
    rights: Right = NOTHING
    why: str = ""
    """what it is generalised from"""
    risky: str = ""
    """why it is to be a comment"""


@dataclass
class Needs:
    """What records show to be needed, by name."""

    names: dict[str, int] = field(default_factory=dict)
    others: dict[tuple[str, str], str] = field(default_factory=dict)
    """(key, value) of what is no path: its risk"""
    command: list[str] = field(default_factory=list)
    home: str = ""
    empty_home: bool = False
    """something that is in the home directory was not found there, so the run had a private one"""
    proc: bool = False
    devices: bool = False

    def take(self, records: Iterable[Record]) -> None:
        """The lines of a record."""
        for record in records:
            kind = record["type"]
            if kind == "access":
                if record["result"] not in _ABSENT:
                    self._call(record, record["rights"] if record["result"] >= 0 or record["result"] in _MADE else [])
                elif self.home and str(record.get("asked") or record["path"]).startswith(self.home + "/"):
                    self.empty_home = self.empty_home or os.path.lexists(record.get("asked") or record["path"])
            elif kind == "refusal":
                self._refusal(record)

    def _refusal(self, record: Record) -> None:
        path = record["path"]
        if path.startswith("/") and record["kind"] in ("not-granted", "right-missing", "escape"):
            self._call(record, record["needs"])
            return
        for option in read_options(record.get("allow") or "") or ():
            if option.flag in ("--connect", "--bind"):
                local = option.value.startswith(("tcp:127.", "tcp:[::1]", "tcp:[0:0:0:0:0:0:0:1]", "unix:"))
                self.others[option.flag[2:], option.value] = "" if local else "it reaches other machines"
            elif option.value == "memfd-exec":
                self.others["allow", option.value] = "any code that the target writes can then be executed"
            elif option.flag == "--allow":
                self.others["allow", option.value] = "this request can then be made on every descriptor"

    def _call(self, record: Record, names: list[str]) -> None:
        syscall, path, path2 = record["syscall"], _name(record, "path"), record.get("path2")
        needs = rights_of(tuple(names), NOTHING)
        if syscall in EXECS:
            if record["type"] == "access" and record["result"] < 0:
                return
            self._add(path, Right.FEXECVE | Right.READ)
            if path2:
                self._add(_name(record, "path2"), Right.FEXECVE | Right.READ)
        elif path2:
            if syscall in _RENAMES:
                needs |= Right.RENAMEAT_SOURCE | Right.RENAMEAT_TARGET
            elif syscall in _LINKS:
                needs |= Right.LINKAT_SOURCE | Right.LINKAT_TARGET
            self._add(path, needs & ~SECOND_NAME)
            self._add(path2, needs & ~FIRST_NAME)
        else:
            if syscall in ASKS and record["type"] != "access" and os.access(path, os.X_OK) and os.path.isfile(path):
                needs |= Right.FEXECVE  # whether it asked for X_OK of what it did not find is not in the record
            if syscall in ASKS and os.path.isdir(path):
                needs &= ~Right.READ  # asking is no listing
            self._add(path, needs or _LOOK)

    def _add(self, path: str, needs: Right) -> None:
        if not path.startswith("/"):
            return
        if path.startswith("/proc/") or path == "/proc":
            self.proc = True
            return
        if path.startswith("/dev/") or path == "/dev":
            self.devices = True
        path = settled(path)
        known = self.names.get(path)
        if known is None and len(self.names) >= NAMES_MAX:
            raise EventsError(f"more than {NAMES_MAX} different names; take fewer records at a time")
        self.names[path] = (known or 0) | int(needs)


def _name(record: Record, key: str) -> str:
    """By the name that was asked for where a link led on: granted so, the link is in the namespace too."""
    asked = record.get("asked" + key.removeprefix("path"))
    if asked and record.get("via") and asked.startswith("/") and "/../" not in asked:
        return str(asked)
    return str(record[key])


class Suggester:
    """Makes entries of what a namespace lacks for the needs."""

    def __init__(self, needs: Needs, space: Namespace, places: Places) -> None:
        self._needs = needs
        self._space = space
        self._places = places
        self._lacking: dict[str, Right] = {}
        self._random: dict[str, set[str]] = {}
        self._temporary = False
        self._private_home = needs.empty_home
        self._above: set[str] = set()

    def entries(self) -> list[Suggestion]:
        """In the order in which they are to stand: by key, then by path."""
        for path, mask in self._needs.names.items():
            self._consider(path, Right(mask))
        self._look_above(self._lacking)
        made = self._generalised()
        made += self._start(made)
        self._look_above((*self._lacking, *(entry.value for entry in made)))
        told = [self._entry(path, rights) for path, rights in sorted(self._lacking.items())]
        found = [entry for entry in [*made, *told] if entry is not None]
        for (key, value), risk in sorted(self._needs.others.items()):
            if not self._has_other(key, value):
                found.append(Suggestion(key, value, risky=risk))
        order = (*SETS, "grant", "private", "connect", "bind", "allow")
        return sorted(found, key=lambda entry: (bool(entry.risky), order.index(entry.key), entry.value))

    def _has_other(self, key: str, value: str) -> bool:
        from capwrap.policy.options import parse_address_option, parse_allow_option

        settings = self._space.settings
        if key == "allow":
            item = parse_allow_option(value)
            return settings.memfd_exec if item.memfd_exec else item.ioctl in settings.ioctls
        if settings.net == "host" and value.startswith("tcp:"):
            return True
        item_ = parse_address_option(value, "bind" if key == "bind" else "connect")
        return item_ in settings.addresses or item_ in settings.unix

    def _consider(self, path: str, needs: Right) -> None:
        try:
            found = decide(self._space, path)
        except PolicyError:
            return
        if len(self._space.host.seen) > 100_000:
            self._space.host.forget()
        if found.grant is None and found.place in self._space.index and not needs & ~ANCESTOR:
            return
        if not needs & ~Right(found.rights) and found.grant is not None:
            return
        if found.grant is not None and found.grant.kind in (NodeKind.PROC, NodeKind.PTS, NodeKind.DENY):
            return
        if _beneath_temporary(path, self._places) and not os.path.lexists(path):
            self._temporary = True
            return
        if path in (self._places.tmp, "/tmp") and not needs & _CHANGES:
            self._temporary = True
            return
        if path == self._places.home:
            self._private_home = True  # an empty one is the least that can be listed
            return
        if _beneath(path, self._places.home) and not os.path.isdir(path.rpartition("/")[0]):
            self._private_home = True  # it was made where the run had an empty home directory
            return
        has = Right(found.rights) if found.grant is not None else Right(0)
        self._lacking[path] = self._lacking.get(path, Right(0)) | needs | has

    # Directories.

    def _generalised(self) -> list[Suggestion]:
        whole: dict[str, tuple[Right, str]] = {}
        for path, rights in list(self._lacking.items()):
            parent, _, name = path.rpartition("/")
            parent = parent or "/"
            if rights & _MAKES_DIRECTORY and not (rights & ~_MAKES_DIRECTORY & _CHANGES and os.path.isdir(path)):
                self._whole(whole, parent, RW, "directories were made in it")
            elif rights & _CHANGES and (
                looks_random_name(name) or (_is_transient(rights) and temporary_glob(name) != name)
            ):
                self._random.setdefault(parent, set()).add(name)
        for parent, names in self._random.items():
            globs = sorted({temporary_glob(name) for name in names})
            self._whole(whole, parent, RW, f"temporary names: {', '.join(globs[:4])}")
        for directory, (used, rights) in self._siblings().items():
            total = _count(directory)
            if total and used >= SIBLINGS_LEAST and used >= SIBLINGS_SHARE * total:
                self._whole(whole, directory, rights, f"{used} of {total} names in it were used")
        for path, rights in list(self._lacking.items()):
            listed = rights & Right.READ and not rights & _CHANGES and os.path.isdir(path)
            if listed and path != self._places.pwd and not self._is_above(path):
                self._whole(whole, path, RO, "it was listed, and nothing beneath it was used")
        kept: dict[str, tuple[Right, str]] = {}
        for directory in sorted(whole):  # those above come first
            rights, why = whole[directory]
            if not any(other in kept and not rights & ~kept[other][0] for other in _ancestors(directory)):
                kept[directory] = (rights, why)
        for path in list(self._lacking):
            for directory in (path, *_ancestors(path)):
                if directory in kept:
                    rights, why = kept[directory]
                    kept[directory] = (rights | self._lacking.pop(path), why)
                    break
        return [Suggestion(_key(rights), directory, rights, why) for directory, (rights, why) in sorted(kept.items())]

    def _whole(self, whole: dict[str, tuple[Right, str]], directory: str, rights: Right, why: str) -> None:
        """The directory is to be granted, unless something in it is to be guarded or it does not exist."""
        while not os.path.isdir(directory):
            directory = directory.rpartition("/")[0] or "/"
        if holds_guarded(directory) is not None or directory in ("/", self._places.home):
            return
        known = whole.get(directory)
        if known is None:
            whole[directory] = (rights, why)
        else:
            whole[directory] = (rights | known[0], known[1] if why in known[1] else f"{known[1]}; {why}")

    def _siblings(self) -> dict[str, tuple[int, Right]]:
        found: dict[str, tuple[int, Right]] = {}
        for path, rights in self._lacking.items():
            parent = path.rpartition("/")[0]
            used, mask = found.get(parent, (0, Right(0)))
            found[parent] = (used + 1, mask | rights)
        return {
            parent: entry for parent, entry in found.items() if parent not in ("", self._places.pwd, self._places.home)
        }

    def _is_above(self, path: str) -> bool:
        """Whether something that is granted lies beneath a path, as of the last `_look_above`."""
        return path in self._above

    def _look_above(self, granted: Iterable[str]) -> None:
        self._above = {above for path in granted for above in _ancestors(path)}

    # Entries.

    def _entry(self, path: str, rights: Right) -> Suggestion | None:
        risk = _risk(path, rights)
        if not rights & ~ANCESTOR and self._is_above(path):
            return None  # what lies above a grant is there
        if not rights & ~_LOOK:
            return Suggestion("grant", path, rights or _LOOK, risky=risk)
        if os.path.isdir(path) and not os.path.islink(path):
            listed = rights & Right.READ
            if not listed and not rights & _CHANGES:
                return Suggestion("grant", path, rights | _LOOK, risky=risk)
            if holds_guarded(path) is not None:
                risk = risk or f"it would reach {holds_guarded(path)}"
        return Suggestion(_key(rights), path, rights, risky=risk)

    def _start(self, made: list[Suggestion]) -> list[Suggestion]:
        """Where it starts has to be granted, or it starts in /; and a private directory for temporary files."""
        found: list[Suggestion] = []
        pwd = self._places.pwd
        inside = any(_beneath(path, pwd) or path == pwd for path in self._needs.names)
        rule = self._space.rule(pwd) if pwd else None
        covered = any(entry.value == pwd or _beneath(pwd, entry.value) for entry in made)
        if pwd and inside and not covered and (rule is None or rule.kind is NodeKind.DENY) and pwd != "/":
            rights = START | (self._lacking.pop(pwd, NOTHING) & (ANCESTOR | _ATTRIBUTES))
            why = "the target starts here: names and attributes of what is in it, no content"
            if rights & Right.READ:
                why = "the target starts here and lists it: what lists a directory reads what is in it, too"
            found.append(Suggestion("grant", pwd, rights, why))
        if self._temporary and self._space.rule(self._places.tmp) is None:
            found.append(Suggestion("private", self._places.tmp, RWX, "temporary files; empty, and removed afterwards"))
        if self._private_home and self._space.rule(self._places.home) is None:
            found.append(
                Suggestion("private", self._places.home, RWX, "a home directory; empty, and removed afterwards")
            )
        return found


def _is_transient(rights: Right) -> bool:
    """Whether a name was made and removed, or renamed, again."""
    return bool(rights & (Right.CREATE | Right.WRITE) and rights & (Right.UNLINKAT | Right.RENAMEAT_SOURCE))


def _key(rights: Right) -> str:
    for name, mask in SETS.items():
        if not rights & ~mask:
            return name
    return "grant"


def _risk(path: str, rights: Right) -> str:
    what = guarded(path)
    if what is not None:
        return what
    if rights & _CHANGES and path.startswith(("/etc/", "/usr/", "/bin/", "/lib", "/boot/", "/opt/")):
        return "it would change the system"
    name = path.rpartition("/")[2]
    if rights & _CHANGES and ("/.git/hooks/" in path or name in (".bashrc", ".profile", ".zshrc", ".bash_profile")):
        return "what it writes there is executed later, outside"
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return ""
    if stat.S_ISBLK(mode):
        return "it is a disk"
    if stat.S_ISSOCK(mode) and rights & (Right.CONNECTAT | Right.WRITE):
        return "whoever listens there acts outside"
    return ""


def _ancestors(path: str) -> Iterator[str]:
    """The directories above a path, the nearest first, down to the root."""
    while path not in ("/", ""):
        path = path.rpartition("/")[0] or "/"
        yield path


def _beneath(path: str, top: str) -> bool:
    return path.startswith(top.rstrip("/") + "/")


def _beneath_temporary(path: str, places: Places) -> bool:
    """Whether a path is of a directory for temporary files, and not of something that lies there for longer."""
    tops = {places.tmp, "/tmp", "/var/tmp", "/dev/shm"}
    parent = path.rpartition("/")[0]
    return parent in tops or (any(_beneath(path, top) for top in tops) and not os.path.isdir(parent))


def _count(directory: str) -> int:
    """Names beneath a directory; 0 for one that cannot be listed or holds more than is looked at."""
    found, stack = 0, [directory]
    while stack:
        try:
            with os.scandir(stack.pop()) as scan:
                for entry in scan:
                    found += 1
                    if found > _TREE_MAX:
                        return 0
                    if entry.is_dir(follow_symlinks=False):
                        stack.append(entry.path)
        except OSError:
            return 0
    return found
