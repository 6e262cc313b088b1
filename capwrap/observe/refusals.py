"""Refusals as people read them: what was needed, the nearest grant, and the option that would allow the call.

The option is meant to be pasted: it gives what the call needed and keeps what its place had, and no more. Where no
option helps there is a sentence instead.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

from capwrap.observe.namespace import Namespace
from capwrap.observe.needs import FIRST_NAME, SECOND_NAME
from capwrap.observe.records import Event, EventType, Processes, arguments, registers, text
from capwrap.policy.ioctls import NEVER, STOP
from capwrap.policy.namespace import NodeFlag, NodeKind, glob_regex
from capwrap.policy.rights import SETS, Right, right_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from capwrap.elf.backtrace import StackFrame
    from capwrap.policy.image import ImageNode

_CHANGES_A_NAME = SECOND_NAME | FIRST_NAME
_TWO_NAMES = {
    **dict.fromkeys(("rename", "renameat", "renameat2"), Right.RENAMEAT_SOURCE | Right.RENAMEAT_TARGET),
    **dict.fromkeys(("link", "linkat"), Right.LINKAT_SOURCE | Right.LINKAT_TARGET),
}
_TAKES_A_NAME_AWAY = Right.UNLINKAT | Right.RENAMEAT_SOURCE
_OF_LINKS = frozenset({"lchown", "lgetxattr", "llistxattr", "lsetxattr", "lremovexattr"})
_EXEC_CALLS = frozenset({"execve", "execveat"})
_CONNECT_CALLS = frozenset({"connect", "sendto", "sendmsg", "sendmmsg"})
_BIND_CALLS = frozenset({"bind", "listen"})
_MOVES = frozenset((80, 81))  # chdir, fchdir
_SAFE = re.compile(r"[A-Za-z0-9@%+=:,./_-]+\Z")

_NEVER = {
    "syscall": "no option allows this call; the sandbox refuses it always",
    "signal": "no option allows it; signals reach only processes of the target",
    "process": "no option allows it; only processes of the target can be named",
    "network": "no option allows this kind of socket; --net host allows unix and inet ones",
    "descriptor": "no option allows it; the descriptor leads to nothing that was granted",
    "exec": "no option allows it; a program must be a file that is granted with --rox",
}
_PROC = "no option allows it; /proc shows the target's own processes and a fixed list of files"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A call that was not permitted, or one on an absent name (`absent`)."""

    t: float
    """seconds since the start of the run"""
    pid: int
    tid: int
    syscall: str
    path: str
    """virtual path; "" where the call named none. Bytes that are not UTF-8 are lone surrogates (os.fsdecode)"""
    path2: str | None
    host: str | None
    kind: str
    needs: tuple[str, ...]
    nearest: str | None
    errno: str
    """its name, e.g. ENOENT"""
    allow: str | None
    """options of `capwrap run`, quoted for the shell; None where nothing can allow it"""
    hint: str | None
    """the sentence that stands in for `allow`"""
    argv: tuple[str, ...]
    address: str | None = None
    absent: bool = False
    asked: str | None = None
    """the path as it was asked for, joined to its directory, where that is not `path`"""
    asked2: str | None = None
    via: str | None = None
    """the last symbolic link on the way"""
    has: tuple[str, ...] = ()
    """the rights that `path` has in the namespace"""
    denied: str | None = None
    """the path or pattern that carves `path` out of the grants"""
    registers: tuple[int, ...] = ()
    """the call's arguments as they stood in its registers"""
    stack: tuple[StackFrame, ...] = ()
    """where in the program the call was made, innermost frame first; empty where it is not known"""
    cwd: str | None = None
    """the directory that the process was in"""

    @property
    def object(self) -> str:
        """What the call was about: a path, two paths, an address, or the call itself."""
        if self.path and self.path2:
            return f"{self.path} -> {self.path2}"
        return self.path or self.address or f"{self.syscall}()"


@dataclass(frozen=True, slots=True)
class Access:
    """A call on a granted name."""

    t: float
    """seconds since the start of the run"""
    pid: int
    tid: int
    syscall: str
    path: str
    grant: str | None
    rights: tuple[str, ...]
    result: int
    """the call's result, or -errno"""
    path2: str | None = None
    grant2: str | None = None


def quote(argument: str) -> str:
    """An argument for a POSIX shell; with control characters or bytes that are not UTF-8, for bash, zsh and ksh."""
    if _SAFE.match(argument):
        return argument
    raw = argument.encode("utf-8", "surrogateescape")
    if argument.isprintable():
        return "'" + argument.replace("'", "'\\''") + "'"
    parts = (chr(byte) if 32 <= byte < 127 and byte not in b"'\\" else f"\\{byte:03o}" for byte in raw)
    return "$'" + "".join(parts) + "'"


class Reader:
    """Turns events of one run into refusals and accesses. It follows the processes on the way."""

    def __init__(self, image: bytes, argv: Sequence[str] = ()) -> None:
        self._image = image
        self.processes = Processes(tuple(argv))
        self._advice: dict[tuple[object, ...], _Advice] = {}
        self._names: dict[int, tuple[str, ...]] = {}

    @cached_property
    def namespace(self) -> Namespace:
        """The namespace of the policy, read when a record first refers to it."""
        return Namespace(self._image)

    def grant_path(self, index: int) -> str | None:
        """The virtual path of a record's grant."""
        return self.namespace.grant_path(index)

    def syscall_name(self, number: int) -> str:
        """The name of a system call; of an unknown one syscall_NUMBER."""
        return _syscalls().get(number) or f"syscall_{number}"

    def right_names(self, mask: int) -> tuple[str, ...]:
        """Capsicum names of a mask, in the order of the table."""
        names = self._names.get(mask)
        if names is None:
            names = self._names[mask] = right_names(mask)
        return names

    def read(self, events: Iterable[Event]) -> list[tuple[Event, Refusal | None]]:
        """Events in order, with the diagnosis of those that are refusals or absent names."""
        result: list[tuple[Event, Refusal | None]] = []
        for event in events:
            if event.type == EventType.PROCESS:
                self.processes.see(event)
                result.append((event, None))
            elif event.type in (EventType.REFUSAL, EventType.ABSENT):
                result.append((event, self.refusal(event)))
            else:
                if event.type == EventType.ACCESS and event.nr in _MOVES and event.result >= 0:
                    self.processes.moved(event)
                result.append((event, None))
        return result

    def access(self, event: Event) -> Access:
        """An ACCESS event as a value."""
        return Access(
            t=event.t / 1e9,
            pid=event.pid,
            tid=event.tid,
            syscall=self.syscall_name(event.nr),
            path=event.path,
            grant=self.grant_path(event.grant),
            rights=self.right_names(event.rights),
            result=event.result,
            path2=event.path2 or None,
            grant2=self.grant_path(event.grant2) if event.path2 else None,
        )

    def refusal(self, event: Event) -> Refusal:
        """A REFUSAL or ABSENT event with its diagnosis."""
        from capwrap.observe.events_file import errno_name

        syscall = self.syscall_name(event.nr)
        kind = event.kind_name
        extra = text(event.extra.rstrip(b"\0")) if event.extra and kind != "exec" else None
        needs = Right(event.rights)
        if not needs and syscall in _EXEC_CALLS and kind in ("not-granted", "escape"):
            needs = Right.FEXECVE
        if event.path2 and kind in ("not-granted", "escape"):
            needs |= _TWO_NAMES.get(syscall, Right(0))  # the lookup ended before all that is needed was known
        key = (kind, syscall, event.path, event.path2, event.host, int(needs), extra)
        advice = self._advice.get(key)
        if advice is None:
            advice = self._advice[key] = self._advise(kind, syscall, event, needs, extra)
        return Refusal(
            t=event.t / 1e9,
            pid=event.pid,
            tid=event.tid,
            syscall=syscall,
            path=event.path,
            path2=event.path2 or None,
            host=event.host or None,
            kind=kind,
            needs=self.right_names(int(needs)),
            nearest=advice.nearest,
            errno=errno_name(event.result),
            allow=advice.allow,
            hint=advice.hint,
            argv=arguments(event.extra) if kind == "exec" and event.extra else self.processes.argv(event.pid),
            address=extra,
            absent=event.type == EventType.ABSENT,
            asked=event.asked or None,
            asked2=event.asked2 or None,
            via=event.via or None,
            has=advice.has,
            denied=advice.denied,
            registers=registers(event.registers),
            cwd=self.processes.cwd(event.pid),
        )

    def _advise(self, kind: str, syscall: str, event: Event, needs: Right, extra: str | None) -> _Advice:
        allow, hint = _Adviser(self.namespace, kind, syscall, event, needs, extra).advise()
        if not event.path.startswith("/"):
            return _Advice(None, allow, hint, (), None)
        nearest = self.namespace.nearest(event.path)
        node = self.namespace.deciding(event.path)
        denied = next((pattern for pattern in self.namespace.globs if glob_covers(pattern, event.path)), None)
        if denied is None and node is not None and node.kind is NodeKind.DENY:
            denied = node.path
        has = () if node is None or denied is not None else self.right_names(node.rights)
        return _Advice(None if nearest is None else nearest.path, allow, hint, has, denied)


@dataclass(frozen=True, slots=True)
class _Advice:
    nearest: str | None
    allow: str | None
    hint: str | None
    has: tuple[str, ...]
    denied: str | None


@cache
def _syscalls() -> dict[int, str]:
    from capwrap.policy._syscalls import ROWS

    return {row.number: row.name for row in ROWS}


class _Adviser:
    """The option, or the sentence, for one refusal."""

    def __init__(
        self, namespace: Namespace, kind: str, syscall: str, event: Event, needs: Right, extra: str | None
    ) -> None:
        self.namespace = namespace
        self.kind = kind
        self.syscall = syscall
        self.event = event
        self.needs = needs
        self.extra = extra

    def advise(self) -> tuple[str | None, str | None]:
        """(allow, hint), one of them None."""
        event = self.event
        if self.syscall in _EXEC_CALLS and _is_unnamed(event.host or event.path):
            return "--allow memfd-exec", None
        if self.syscall == "ioctl" and self.kind == "syscall" and (request := _ioctl_request(self.extra)) is not None:
            if int(request, 0) in NEVER | STOP:
                return None, "no option allows it; this ioctl request would reach past what was granted"
            return f"--allow ioctl:{request}", None
        if self.kind == "network" and not event.path:
            return self._network()
        if not event.path.startswith("/"):
            if event.host.startswith("/") and self.kind in ("not-granted", "descriptor", "escape", "right-missing"):
                return self._option(event.host, event.host, self.needs), None
            return None, _NEVER.get(self.kind) or _NEVER["descriptor"]
        if self.kind in ("signal", "process", "syscall"):
            return None, _NEVER[self.kind]
        objects = self._objects()
        if not objects:
            return None, self._why_not()
        options: list[str] = []
        for path, host, needs in objects:
            hint = self._beyond_help(path)
            if hint is not None:
                return None, hint
            option = self._option(path, host, needs)
            if option not in options:
                options.append(option)
        return " ".join(options), None

    def _objects(self) -> list[tuple[str, str, Right]]:
        """The names that lack something: (virtual path, host path or "", what the call needs there)."""
        event = self.event
        objects = [(event.path, event.host, self.needs)]
        if event.path2.startswith("/"):
            objects = [
                (event.path, event.host, self.needs & ~SECOND_NAME),
                (event.path2, "", self.needs & ~FIRST_NAME),
            ]
        if self.kind in ("right-missing", "exec", "network"):
            return [entry for entry in objects if entry[2] & ~self._has(entry[0])]
        lacking = [entry for entry in objects if self._beyond_help(entry[0]) or not self._has(entry[0])]
        if lacking and len(objects) > 1:  # what the other one lacks would be refused next
            lacking = [entry for entry in objects if entry in lacking or entry[2] & ~self._has(entry[0])]
        if not lacking:
            lacking = [entry for entry in objects if self._is_mounted(entry[0]) or self._is_private(entry[0])]
        led_away = event.host.startswith("/") and event.host != self.namespace.host_of(event.path)
        if not lacking and led_away and not self._has(event.host):
            return [(event.host, event.host, self.needs)]  # by a symbolic link
        return lacking

    def _why_not(self) -> str:
        """Why a call was refused whose names have all that it needs."""
        if self.kind == "exec":
            return _NEVER["exec"]
        if self.needs & _CHANGES_A_NAME:
            return "no option allows it; what holds a grant or a denial keeps its name: grant the directory above it"
        if self.kind in ("not-granted", "escape", "descriptor"):
            return "a symbolic link in it leads to what is not granted; grant the place that it leads to"
        return "no option allows this call on this name"

    def _has(self, path: str) -> Right:
        node = self.namespace.deciding(path)
        return Right(0) if node is None else Right(node.rights)

    def _is_private(self, path: str) -> bool:
        """Whether a path lies in a directory of the run's own, in which a trace met what a run would not."""
        node = self.namespace.deciding(path)
        return node is not None and node.kind is NodeKind.PRIVATE and node.path != path

    def _is_mounted(self, path: str) -> bool:
        """Whether a path that a grant covers lies on another file system than the grant: one of the kernel's (devtmpfs,
        sysfs, ...) belongs to no grant that merely holds its mount point.
        """
        node = self.namespace.deciding(path)
        host = self.namespace.host_of(path)
        if node is None or host is None or host == node.host:
            return False
        try:
            return os.lstat(host).st_dev != os.stat(node.host).st_dev
        except OSError:
            return False

    def _beyond_help(self, path: str) -> str | None:
        """Why no grant helps at this path, or None."""
        node = self.namespace.deciding(path)
        if self._is_of_a_link(path):
            return (
                "no option allows it; a link that is granted stands for what it leads to: grant the directory above it"
            )
        if node is not None and node.kind == NodeKind.DENY and node.path == path.rstrip("/"):
            return f"it is denied by name; take --deny {quote(path)} away"
        if node is not None and node.kind in (NodeKind.PROC, NodeKind.PTS):
            return _PROC if node.kind == NodeKind.PROC else "no option allows it; /dev/pts shows the target's own ptys"
        for pattern in self.namespace.globs:
            if glob_covers(pattern, path):
                return f"it is denied by a pattern; take --deny {quote(pattern)} away"
        return None

    def _is_of_a_link(self, path: str) -> bool:
        """Whether the call is about a symbolic link itself. One that was to be followed is refused by its own name only
        where nothing of it is granted.
        """
        itself = self.kind == "right-missing" or self.syscall in _OF_LINKS or bool(self.needs & _TAKES_A_NAME_AWAY)
        host = self.namespace.host_of(path) or (self.event.host if path == self.event.path else "")
        return itself and bool(host) and os.path.islink(host)

    def _option(self, path: str, host: str, needs: Right) -> str:
        """The grant that gives `needs` on a path and takes nothing from it."""
        node = self.namespace.deciding(path)
        if node is not None and node.kind == NodeKind.DENY:
            node = None
        has = Right(0) if node is None or self._is_mounted(path) or self._is_private(path) else Right(node.rights)
        where = self._where(path, host, node)
        # a link needs every right that its new name gives, and these among them
        socket = needs & (Right.CONNECTAT | Right.BINDAT) and not needs & _CHANGES_A_NAME
        if socket or (self.kind == "network" and not needs):
            option = "--bind" if needs & Right.BINDAT or self.syscall in _BIND_CALLS else "--connect"
            return f"{option} {quote('unix:' + (host or path))}"
        want = has | (needs or SETS["ro"])
        if not has or has in SETS.values():
            for name, rights in SETS.items():
                if want & ~rights == 0:
                    return f"--{name} {where}"
        return f"--grant {quote(','.join(right_names(int(want))) + ':')}{where}"

    def _where(self, path: str, host: str, node: ImageNode | None) -> str:
        """PATH, or PATH=VIRTUAL where the two differ, quoted."""
        if node is not None and node.kind in (NodeKind.DIR, NodeKind.NAME) and not node.flags & NodeFlag.IDENTITY:
            host = host or self.namespace.host_of(path) or path
            return quote(f"{host}={path}")
        return quote(f"{path}={path}" if "=/" in path else path)

    def _network(self) -> tuple[str | None, str | None]:
        option = "--bind" if self.syscall in _BIND_CALLS else "--connect"
        found = _ADDRESS.match(self.extra or "")
        if found is not None:
            # A port of 0 asks for any free one.
            port = "*" if found[2] == "0" else found[2]
            return f"{option} {quote(f'tcp:{found[1]}:{port}')}", None
        if self.extra == "control":
            return None, "its control data could send it another way; --net host allows that"
        if not self.extra and self.syscall in _CONNECT_CALLS | _BIND_CALLS:
            return None, "no option allows it; abstract sockets need Landlock's scope for them (Linux 6.12)"
        return None, _NEVER["network"]


_ADDRESS = re.compile(r"tcp:([0-9.]+|\[[0-9A-Fa-f:.]+\]):([0-9]+)\Z")


def _is_unnamed(path: str) -> bool:
    """Whether a path is what the kernel shows for a memfd or a deleted file."""
    return path.startswith(("/memfd:", "memfd:")) or path.endswith(" (deleted)")


def _ioctl_request(extra: str | None) -> str | None:
    """The request number as the engine writes it (0x...), or None."""
    if extra is None:
        return None
    found = re.fullmatch(r"(?:ioctl:)?(0x[0-9a-fA-F]{1,8}|[0-9]{1,10})", extra)
    return None if found is None else found[1]


def glob_covers(pattern: str, path: str) -> bool:
    """Whether a deny pattern matches a path or a directory above it."""
    names = [name for name in path.split("/") if name]
    expression = glob_regex(pattern)
    return any(expression.fullmatch("/" + "/".join(names[:depth])) for depth in range(1, len(names) + 1))
