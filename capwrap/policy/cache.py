"""Compiled policies, kept from run to run: a launch that finds its image here reads no policy and no ELF file.

An entry is found by a key over what is known before anything is compiled: the policy, COMMAND, the current directory
and the user. It holds the image and every observation that the compile made of the host (host.py): symlinks and what
stood at each path of a grant, the files of the closure, the variables that were asked. The entry is good as long as
each still holds. What it rests on can change while it is being used, as it can while a policy is compiled.

A cache must never be the reason why a run fails, nor give a policy that its user did not write: what cannot be read
is compiled again, and a directory or file that another user could have written is not used.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from capwrap.engine import landlock_abi
from capwrap.policy._sha256 import sha256
from capwrap.policy.files import user_directory
from capwrap.policy.observations import Identity, identity, look

if TYPE_CHECKING:
    from capwrap.policy.given import Given
    from capwrap.policy.host import Host
    from capwrap.policy.model import Policy

MAGIC = b"CWCACHE1"
ENTRIES_MAX = 256
SUFFIX = ".policy"
_DIGEST = 32
_TOUCH_AFTER = 3600.0  # seconds: how stale the time of last use may be, by which entries are pruned


def compiled(
    policy: Policy,
    *,
    command: Sequence[str] | None,
    cwd: str,
    environ: Mapping[str, str],
    directory: str | None = None,
) -> bytes:
    """The policy image, as ``image.compile_image`` would make it now. Raises PolicyError as that does.

    ``directory``: where entries are kept; None: $XDG_CACHE_HOME/capwrap, else ~/.cache/capwrap.
    """
    entry = Entry(f"policy {policy.items!r}", command=command, cwd=cwd, environ=environ, directory=directory)
    return entry.load() or entry.compile(policy)


def compiled_given(given: Given, *, command: Sequence[str] | None, cwd: str, environ: Mapping[str, str]) -> bytes:
    """The same for what a command line gives, which is understood only where the cache does not know it."""
    entry = Entry(f"options {given.text()}", command=command, cwd=cwd, environ=environ)
    return entry.load() or entry.compile(given.policy())


class Entry:
    """A place in the cache. ``said`` names the policy: the same text must always make the same one."""

    def __init__(
        self,
        said: str,
        *,
        command: Sequence[str] | None,
        cwd: str,
        environ: Mapping[str, str],
        directory: str | None = None,
    ) -> None:
        self._command = None if command is None else tuple(command)
        self._cwd = cwd
        self._environ = environ
        self._directory = cache_directory() if directory is None else directory
        self._path = None
        if self._directory is not None:
            self._path = os.path.join(self._directory, _key(said, command, cwd).hex() + SUFFIX)

    def load(self) -> bytes | None:
        """The image that is kept here, if it is still what a compile would make."""
        return None if self._path is None else _load(self._path, self._command, self._environ)

    def compile(self, policy: Policy) -> bytes:
        """The image, made now and kept if it can be. Raises PolicyError."""
        from capwrap.policy.build import build_namespace
        from capwrap.policy.image import write_image

        space = build_namespace(policy, command=self._command, cwd=self._cwd, environ=self._environ)
        image = write_image(space)
        host = space.host
        if self._directory is not None and self._path is not None and host.settled:
            _store(self._directory, self._path, _observed(host, self._command), image)
        return image


def cache_directory() -> str | None:
    """Where entries are kept; None where there is no home."""
    return user_directory("XDG_CACHE_HOME", ".cache")


def _key(said: str, command: Sequence[str] | None, cwd: str) -> bytes:
    # Only env(1) makes COMMAND's arguments part of what is run; where a script leads to it, they are an observation.
    told = tuple(command or ())
    told = told if told and os.path.basename(told[0]) == "env" else told[:1]
    who = (os.geteuid(), os.getegid(), os.getgroups())  # who may read and execute what
    parts = (said, repr(told), cwd, repr(who), str(landlock_abi()), _code_identity())
    text = "\0".join(parts).encode("utf-8", "surrogateescape")
    return bytes(sha256(text).digest())


def _code_identity() -> str:
    """Names this version of the compiler, the syscall table in it, by its own files: an upgrade finds nothing old."""
    here = os.path.dirname(os.path.abspath(__file__))
    rooms = (here, os.path.join(os.path.dirname(here), "elf"))
    files = sorted(os.path.join(room, name) for room in rooms for name in os.listdir(room) if name.endswith(".py"))
    return repr([(path, identity(path)) for path in files])


# An entry: MAGIC, sha256 of the rest, u32 length of the observations, observations, image. An observation is three
# texts: a tag, what was asked for, and the answer; NULs part them.


def _observed(host: Host, command: Sequence[str] | None) -> bytes:
    texts: list[str] = []
    if host.asked_arguments:
        texts += ("c", "", repr(command))
    for name, value in host.variables.items():
        texts += ("V", name, "") if value is None else ("v", name, value)
    for path, (kind, text) in host.seen.items():
        texts += (kind.value, path, text)
    for path, numbers in host.files.items():
        texts += ("s", path, _numbers(numbers))
    return b"\0".join(os.fsencode(text) for text in texts)


def _holds(observed: bytes, command: Sequence[str] | None, environ: Mapping[str, str]) -> bool:
    texts = os.fsdecode(observed).split("\0")
    if len(texts) % 3:
        return False
    for at in range(0, len(texts), 3):
        tag, name, value = texts[at : at + 3]
        if tag == "s":
            if _numbers(identity(name)) != value:
                return False
        elif tag == "v":
            if environ.get(name) != value:
                return False
        elif tag == "V":
            if name in environ:
                return False
        elif tag == "c":
            if repr(command) != value:
                return False
        else:
            kind, text = look(name)
            if kind.value != tag or text != value:
                return False
    return True


def _numbers(numbers: Identity) -> str:
    return " ".join(map(str, numbers))


def _load(entry: str, command: Sequence[str] | None, environ: Mapping[str, str]) -> bytes | None:
    try:
        fd = os.open(entry, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    with open(fd, "rb") as file:
        try:
            status = os.fstat(fd)
            if not _ours(status) or not stat.S_ISREG(status.st_mode) or not _ours(os.stat(os.path.dirname(entry))):
                return None
            data = file.read()
        except OSError:
            return None
    head = len(MAGIC) + _DIGEST
    body = data[head:]
    if data[: len(MAGIC)] != MAGIC or sha256(body).digest() != data[len(MAGIC) : head] or len(body) < 4:
        return None
    length = int.from_bytes(body[:4], "little")
    if not _holds(body[4 : 4 + length], command, environ):
        return None
    if time.time() - status.st_mtime > _TOUCH_AFTER:
        with suppress(OSError):  # somebody else's pruning; the image is read already
            os.utime(entry)
    return body[4 + length :]


def _ours(status: os.stat_result) -> bool:
    """Whether nobody but this user (and root) can have written it."""
    return status.st_uid in (os.geteuid(), 0) and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _store(directory: str, entry: str, observed: bytes, image: bytes) -> None:
    body = len(observed).to_bytes(4, "little") + observed + image
    temporary = f"{entry}.{os.getpid()}.{time.monotonic_ns()}"
    try:
        # No more than these two: what is said to be the home directory and does not exist is none.
        for each in (os.path.dirname(directory), directory):
            with suppress(FileExistsError):
                os.mkdir(each, mode=0o700)
        if not _ours(os.stat(directory)):
            return
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        return
    try:
        with open(fd, "wb") as file:
            file.write(MAGIC + bytes(sha256(body).digest()) + body)
        os.rename(temporary, entry)
        _prune(directory)
    except OSError:
        with suppress(OSError):  # it may be in place already, or the directory gone
            os.unlink(temporary)


def _prune(directory: str) -> None:
    """Removes the entries that were used longest ago, and what a killed writer left, above the limit."""
    with os.scandir(directory) as scan:
        files = [(file.stat(follow_symlinks=False).st_mtime, file.path) for file in scan if SUFFIX in file.name]
    if len(files) > ENTRIES_MAX:
        files.sort()
        for _, path in files[: len(files) - ENTRIES_MAX]:
            os.unlink(path)
