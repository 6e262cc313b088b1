"""What lies outside of a fuzzed target, and whether anything about it has changed: the detectors of the call fuzzer.

Every name, text, time stamp and object here carries one secret. The fuzzer looks for it in what it gets back; this
module looks, from outside, for what was changed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import shutil
import signal
import socket
import stat
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)

# asm-generic/ipcbuf.h, bits/ipc.h, mqueue.h
_IPC_CREAT, _IPC_EXCL, _IPC_RMID = 0o1000, 0o2000, 0
_QUEUE_MESSAGES = 3


def _call(name: str, *arguments: object) -> int:
    """A call of the C library; OSError where it fails."""
    result = getattr(_libc, name)(*arguments)
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return int(result)


@dataclass(frozen=True)
class Secret:
    """Sixteen bytes that stand in nothing else, and a time that no other file has."""

    text: str = field(default_factory=lambda: secrets.token_hex(8))
    # ext4 has 34 bits of seconds (ext4(5)); with the nanoseconds it is 12 bytes that nobody guesses
    seconds: int = field(default_factory=lambda: 0x1_0000_0000 + secrets.randbelow(1 << 31))
    nanoseconds: int = field(default_factory=lambda: secrets.randbelow(10**9))

    @property
    def stamp_ns(self) -> int:
        return self.seconds * 10**9 + self.nanoseconds

    def complements(self) -> tuple[str, str]:
        """Text and stamp, each byte inverted, in hex: what the fuzzer is told, so that it does not have the secret."""
        stamp = struct.pack("<qi", self.seconds, self.nanoseconds)
        return _inverted(self.text.encode()), _inverted(stamp)


def _inverted(data: bytes) -> str:
    return bytes(byte ^ 0xFF for byte in data).hex()


def _state_of(path: Path) -> tuple[object, ...] | None:
    try:
        st = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    content: object = None
    if stat.S_ISREG(st.st_mode):
        content = _beginning(path)
    elif stat.S_ISLNK(st.st_mode):
        content = os.readlink(path)
    elif stat.S_ISDIR(st.st_mode):
        content = tuple(sorted(os.listdir(path)))
    # the time of the last access too: reading shows, since each stamp of modification lies in the future (relatime)
    numbers = (st.st_mode, st.st_uid, st.st_gid, st.st_ino, st.st_nlink, st.st_size, st.st_mtime_ns, st.st_ctime_ns)
    attributes = {name: os.getxattr(path, name, follow_symlinks=False) for name in _attributes(path)}
    return (*numbers, st.st_atime_ns, content, tuple(sorted(attributes.items())))


def _beginning(path: Path) -> bytes:
    """Of what may have become as long as a file may be."""
    with open(path, "rb", buffering=0) as file:
        return file.read(1 << 16)


def _attributes(path: Path) -> list[str]:
    return os.listxattr(path, follow_symlinks=False)


_WORDS = ("mode", "owner", "group", "inode", "links", "size", "mtime", "ctime", "atime", "content", "attributes")


class Tree:
    """BASE: granted directories, secret ones, and links from here to there. All six-letter names, so that one can be
    written over another.

    inside/  granted read, write, execute     readon/  granted read       execut/  granted read and execute
    carved/  granted read and write, with `secret` and every `*.key` denied
    names/   only `granted` is granted        secret/  not granted
    """

    DIRECTORIES = ("inside", "readon", "execut", "carved", "secret")

    def __init__(self, base: Path, secret: Secret, program: Path, outsider: Path, uid: int | None) -> None:
        self.base = base
        self.secret = secret
        # Nobody who fuzzes is told of it: where this is listed, somebody else goes through the machine's directories.
        self.control = base.parent / "control"
        self.control.mkdir()
        os.utime(self.control, ns=(0, secret.stamp_ns))
        for top in self.DIRECTORIES:
            self._fill(base / top, program)
        (base / "secret/listing").mkdir()
        (base / "names").mkdir()
        (base / "names/granted").write_text("granted\n")
        (base / "names/sibling").write_text(self._text("NAME"))
        shutil.copytree(base / "secret", base / "carved/secret", symlinks=True, ignore=shutil.ignore_patterns("fifo"))
        for name in ("a.key", "dir/b.key"):
            (base / "carved" / name).write_text(self._text("KEY "))
        (base / "secret/listing" / self._text("LIST").strip()).touch()
        for path in self.closed():
            self._make_secret(path, outsider)
        self._link()
        if uid is not None:
            for path in (base, *base.rglob("*")):
                os.chown(path, uid, uid, follow_symlinks=False)
        # the last of all: what was changed before has another stamp
        for path in sorted(self.closed(), reverse=True):
            os.utime(path, ns=(0, secret.stamp_ns), follow_symlinks=False)

    def _text(self, where: str) -> str:
        return f"{self.secret.text}{where}\n"

    def _fill(self, top: Path, program: Path) -> None:
        (top / "dir").mkdir(parents=True)
        for name in ("file", "dir/file"):
            (top / name).write_text("granted\n")
        (top / "link").symlink_to("file")
        os.mkfifo(top / "fifo")
        shutil.copy(program, top / "prog")
        script = top / "script"
        script.write_text(f"#!{top}/prog leaf\n")
        script.chmod(0o755)

    def _make_secret(self, path: Path, outsider: Path) -> None:
        if path.name == "link":
            path.unlink()
            path.symlink_to(self._text("LINK").strip())
        elif path.name == "prog":
            shutil.copy(outsider, path)
        elif path.name == "file":
            path.write_text(self._text("FILE"))
        if path.is_file() and not path.is_symlink():
            with contextlib.suppress(OSError):  # a file system without user attributes has none to show
                os.setxattr(path, "user.token", self._text("ATTR").encode())

    def _link(self) -> None:
        """From inside to outside, in every way that a lookup may go astray on."""
        base, inside = self.base, self.base / "inside"
        links = {
            "to_secret": "../secret/file",
            "to_secret_dir": "../secret",
            "to_none": "../secret/none",
            "to_nought": "../nought",
            "to_prog": f"{base}/execut/prog",
            "abs": f"{base}/secret/file",
            "up": "..",
            "down": "dir",
            "loop": "loop",
            "magic": f"/proc/self/root{base}/secret/file",
            "held": "/proc/self/fd/3",
            **{f"chain{i}": f"chain{i + 1}" for i in range(45)},
            "chain45": "../secret/file",
        }
        for name, text in links.items():
            (inside / name).symlink_to(text)
            for other in ("carved", "readon"):
                (base / other / name).symlink_to(text)
        for name, interpreter in {
            "script_secret": f"{base}/secret/prog",
            "script_none": f"{base}/secret/none",
            "script2": f"{inside}/script",
        }.items():
            for directory in (inside, base / "execut"):
                (directory / name).write_text(f"#!{interpreter}\n")
                (directory / name).chmod(0o755)

    def closed(self) -> list[Path]:
        """Everything that no run may read or change."""
        found = []
        for top in ("secret", "carved/secret"):
            found += [self.base / top, *(self.base / top).rglob("*")]
        return [*found, self.base / "names/sibling", self.base / "carved/a.key", self.base / "carved/dir/b.key"]

    def fixed(self) -> list[Path]:
        """What may be read and not changed."""
        return [p for top in ("readon", "execut") for p in (self.base / top, *(self.base / top).rglob("*"))]

    def grants(self, *, pure: bool) -> list[str]:
        base = self.base
        options = ["--pure", "--rwx", f"{base}/inside"] if pure else []
        return [
            *options,
            *("--ro", f"{base}/readon", "--rox", f"{base}/execut", "--rw", f"{base}/carved"),
            *("--rw", f"{base}/names/granted", "--deny", f"{base}/carved/secret", "--deny", f"{base}/carved/**.key"),
        ]

    def leaks(self) -> list[str]:
        """Granted files in which the secret has come to stand."""
        token, found = self.secret.text.encode(), []
        closed = set(self.closed())
        for path in self.base.rglob("*"):
            if path in closed or path.is_symlink() or not path.is_file():
                continue
            if token in _beginning(path):
                found.append(f"tree: {path} holds the secret")
        return found


class Watched:
    """The state of the tree's closed and fixed parts, compared with what it was."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._before = self._look()
        # looking was reading
        for path in tree.closed():
            os.utime(path, ns=(0, tree.secret.stamp_ns), follow_symlinks=False)
        self._before = {
            path: (*state[:7], path.lstat().st_ctime_ns, path.lstat().st_atime_ns, *state[9:])
            for path, state in self._before.items()
        }

    def _look(self) -> dict[Path, tuple[object, ...]]:
        found = {path: _state_of(path) for path in (*self._tree.closed(), *self._tree.fixed())}
        return {path: state for path, state in found.items() if state is not None}

    def changes(self) -> list[str]:
        found = []
        # the times first of all: to list a directory is an access
        walked = self._tree.control.stat().st_atime_ns != 0
        times = {path: path.lstat().st_atime_ns for path in self._before if os.path.lexists(path)}
        closed = set(self._tree.closed())
        after = self._look()
        for path in self._before.keys() | after.keys():
            was, now = self._before.get(path), after.get(path)
            if was is None or now is None:
                found.append(f"tree: {path} has {'come' if was is None else 'gone'}")
                continue
            for index, word in enumerate(_WORDS):
                if word == "atime":
                    # capwrap looks, once it has answered, whether a refused name exists: a link on the way is followed
                    if path not in closed or path.is_symlink() or (walked and path.is_dir()):
                        continue
                    if times[path] != was[index]:
                        found.append(f"tree: {path} was read")
                elif was[index] != now[index]:
                    found.append(f"tree: {path}: {word} was {was[index]!r}, is {now[index]!r}")
        return found


class Victim:
    """A process of the target's user that blocks every signal: whatever is sent to it stays pending, and shows."""

    def __init__(self, uid: int | None, cwd: Path) -> None:
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self._process = subprocess.Popen(
                ["sleep", "100000"],
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                user=uid,
                group=uid,
                extra_groups=None if uid is None else [],
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        self.pid = self._process.pid
        self._before = self._state()

    def _state(self) -> dict[str, object]:
        pid, proc = self.pid, Path(f"/proc/{self.pid}")
        status = dict(line.split(":\t", 1) for line in (proc / "status").read_text().splitlines() if ":\t" in line)
        return {
            "alive": (proc / "stat").read_text().rsplit(")", 1)[1].split()[0] not in "TtZX",
            "signals": (status["SigPnd"], status["ShdPnd"]),
            "priority": os.getpriority(os.PRIO_PROCESS, pid),
            "affinity": os.sched_getaffinity(pid),
            "scheduler": os.sched_getscheduler(pid),
            "group": os.getpgid(pid),
            "session": os.getsid(pid),
            "tracer": status["TracerPid"],
            "credentials": (status["Uid"], status["Gid"], status["CapEff"]),
            "cwd": os.readlink(proc / "cwd"),
            "umask": status["Umask"],
            "limits": (proc / "limits").read_text(),
            "oom_score_adj": (proc / "oom_score_adj").read_text(),
            "timer slack": (proc / "timerslack_ns").read_text(),
        }

    def changes(self) -> list[str]:
        try:
            now = self._state()
        except OSError:
            return ["victim: it is gone"]
        return [f"victim: {k} was {v!r}, is {now[k]!r}" for k, v in self._before.items() if now[k] != v]

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


class Servers:
    """Sockets that somebody may connect to or send to, and nobody should."""

    def __init__(self, tree: Tree) -> None:
        self.abstract = f"fuzz-{secrets.token_hex(4)}"
        self._sockets: dict[str, socket.socket] = {}
        for where in ("secret", "carved/secret"):
            stream = self._add(f"unix {where}", socket.AF_UNIX, socket.SOCK_STREAM, str(tree.base / where / "sock"))
            stream.listen(64)
        self._add("unix abstract", socket.AF_UNIX, socket.SOCK_STREAM, f"\0{self.abstract}").listen(64)
        tcp = self._add("tcp", socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
        tcp.listen(64)
        udp = self._add("udp", socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
        self.tcp, self.udp = tcp.getsockname()[1], udp.getsockname()[1]
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            self.closed = closed.getsockname()[1]

    def _add(self, name: str, family: int, kind: int, address: str | tuple[str, int]) -> socket.socket:
        made = socket.socket(family, kind)
        made.setblocking(False)
        made.bind(address)
        self._sockets[name] = made
        return made

    def changes(self) -> list[str]:
        found = []
        for name, each in self._sockets.items():
            with contextlib.suppress(BlockingIOError):
                if each.type == socket.SOCK_DGRAM:
                    found.append(f"sockets: {name} received {each.recv(100)!r}")
                else:
                    peer, _ = each.accept()
                    peer.close()
                    found.append(f"sockets: somebody connected to {name}")
        return found

    def close(self) -> None:
        for each in self._sockets.values():
            each.close()


class Objects:
    """A System V object of each kind and a POSIX queue, all with the secret in them, that anybody may use."""

    KINDS = ("shm", "msg", "sem")

    def __init__(self, secret: Secret) -> None:
        self.key = 0x4000_0000 + secrets.randbelow(1 << 24) * 8
        self.queue = f"fuzz-{secrets.token_hex(4)}"
        flags = _IPC_CREAT | _IPC_EXCL | 0o666
        text = f"{secret.text}IPC ".encode()
        shm = _call("shmget", self.key, 4096, flags)
        self.ids = [shm]
        attach = _libc.shmat
        attach.restype = ctypes.c_void_p
        at = attach(shm, None, 0)
        ctypes.memmove(at, text, len(text))
        _call("shmdt", ctypes.c_void_p(at))
        message = struct.pack("<q", 1) + text
        self.ids.append(_call("msgget", self.key, flags))
        _call("msgsnd", self.ids[1], message, len(text), 0)
        self.ids.append(_call("semget", self.key, 1, flags))
        name = f"/{self.queue}".encode()
        attributes = struct.pack("<8q", 0, 8, 64, 0, 0, 0, 0, 0)
        old = os.umask(0)
        try:
            self._queue = _call("mq_open", name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666, attributes)
        finally:
            os.umask(old)
        for _ in range(_QUEUE_MESSAGES):
            _call("mq_send", self._queue, text, len(text), 0)
        self._before = self._rows()

    def _rows(self) -> dict[str, str | None]:
        rows: dict[str, str | None] = {}
        for kind, number in zip(self.KINDS, self.ids, strict=True):
            lines = Path(f"/proc/sysvipc/{kind}").read_text().splitlines()[1:]
            rows[kind] = next((" ".join(line.split()) for line in lines if int(line.split()[1]) == number), None)
        attributes = ctypes.create_string_buffer(64)
        _call("mq_getattr", self._queue, attributes)
        rows["queue"] = str(struct.unpack("<8q", attributes.raw)[:4])
        return rows

    def changes(self) -> list[str]:
        now = self._rows()
        found = [f"ipc: {k} was {v}, is {now[k]}" for k, v in self._before.items() if now[k] != v]
        # keys that nobody but the target uses: what it made is gone with it
        for kind in self.KINDS:
            for line in Path(f"/proc/sysvipc/{kind}").read_text().splitlines()[1:]:
                if self.key < int(line.split()[0]) < self.key + 8:
                    found.append(f"ipc: the target left behind: {kind} {' '.join(line.split())}")
        return found

    def close(self) -> None:
        for name, number in zip(("shmctl", "msgctl", "semctl"), self.ids, strict=True):
            with contextlib.suppress(OSError):  # gone, where the target was let at it
                _call(name, number, *((_IPC_RMID, None) if name != "semctl" else (0, _IPC_RMID)))
        _libc.mq_unlink(f"/{self.queue}".encode())
        os.close(self._queue)


class Outside:
    """All of it."""

    def __init__(self, base: Path, program: Path, outsider: Path, uid: int | None) -> None:
        with contextlib.ExitStack() as stack:
            self.secret = Secret()
            self.tree = Tree(base, self.secret, program, outsider, uid)
            self.servers = Servers(self.tree)
            stack.callback(self.servers.close)
            self.victim = Victim(uid, base)
            stack.callback(self.victim.close)
            self.objects = Objects(self.secret)
            stack.callback(self.objects.close)
            # the sockets in the tree changed it
            for path in self.tree.closed():
                if uid is not None:
                    os.chown(path, uid, uid, follow_symlinks=False)
                os.utime(path, ns=(0, self.secret.stamp_ns), follow_symlinks=False)
            self.watched = Watched(self.tree)
            self._stack = stack.pop_all()

    def options(self) -> list[str]:
        """What the fuzzer is told of it."""
        text, stamp = self.secret.complements()
        pid_max = int(Path("/proc/sys/kernel/pid_max").read_text())
        return [
            f"canary={text}",
            f"stamp={stamp}",
            f"victim={self.victim.pid}",
            f"absent={pid_max + 1}",
            f"tcp={self.servers.tcp}",
            f"udp={self.servers.udp}",
            f"closed={self.servers.closed}",
            f"abstract={self.servers.abstract}",
            f"key={self.objects.key}",
            *(f"id{index}={number}" for index, number in enumerate(self.objects.ids)),
            f"queue={self.objects.queue}",
        ]

    def changes(self) -> list[str]:
        """What has changed, each as `detector: what`."""
        watchers = (self.watched, self.victim, self.servers, self.objects)
        return [change for watcher in watchers for change in watcher.changes()] + self.tree.leaks()

    def close(self) -> None:
        self._stack.close()


@contextlib.contextmanager
def outside(program: Path, outsider: Path, uid: int | None) -> Iterator[Outside]:
    """Everything outside, made anew, in a directory that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="capwrap-fuzz-", dir="/var/tmp", ignore_cleanup_errors=True) as directory:
        os.chmod(directory, 0o755)
        base = Path(directory, "tree")
        base.mkdir()
        made = Outside(base, program, outsider, uid)
        try:
            yield made
        finally:
            made.close()
            _open_up(base)


def _open_up(base: Path) -> None:
    """Gives back what the fuzzer took from its owner, so that the tree can be removed."""
    for directory, names, _ in os.walk(base):
        os.chmod(directory, 0o700)
        for name in names:
            path = Path(directory, name)
            if not path.is_symlink():
                path.chmod(0o700)
