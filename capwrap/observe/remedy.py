"""The options that would allow a refused call, taken apart again: as lines of a policy file, and what else they allow.

A record is somebody's text, and what explain shows is meant to be pasted: only what reads as options of capwrap-run(1)
is taken, and it is quoted anew.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass

from capwrap.observe.guard import guarded
from capwrap.observe.refusals import quote
from capwrap.policy.errors import PolicyError
from capwrap.policy.options import (
    parse_address_option,
    parse_allow_option,
    parse_grant_option,
    parse_path_option,
    split_path,
)
from capwrap.policy.rights import SETS, Right, parse_rights, right_names

ENTRIES_MAX = 10_000
"""files beneath a directory that are counted"""

_PLAIN = re.compile(r"[A-Za-z0-9@%+=:,./_-]+")


@dataclass(frozen=True, slots=True)
class Option:
    """One option with its value, as it stands on a command line."""

    flag: str
    value: str

    def __str__(self) -> str:
        return f"{self.flag} {quote(self.value)}"

    @property
    def path(self) -> str | None:
        """The host path that it grants, if it grants one."""
        if self.flag in ("--connect", "--bind"):
            return self.value.removeprefix("unix:") if self.value.startswith("unix:") else None
        if self.flag == "--allow":
            return None
        return split_path(self.value.partition(":")[2] if self.flag == "--grant" else self.value)[0]


def read_options(text: str) -> tuple[Option, ...] | None:
    """The options in the `allow` of a record; None for what is not a list of options that grant something."""
    words = _words(text)
    if not words or len(words) % 2:
        return None
    options = tuple(Option(flag, value) for flag, value in zip(words[::2], words[1::2], strict=True))
    try:
        for option in options:
            match option.flag:
                case "--ro" | "--rox" | "--rw" | "--rwx":
                    parse_path_option(option.value, option.flag[2:])
                case "--grant":
                    parse_grant_option(option.value)
                case "--connect":
                    parse_address_option(option.value, "connect")
                case "--bind":
                    parse_address_option(option.value, "bind")
                case "--allow":
                    parse_allow_option(option.value)
                case _:
                    return None
    except PolicyError:
        return None
    return options


def _words(text: str) -> list[str] | None:
    """The words of a shell line that refusals.quote made; None where it made no such line."""
    words: list[str] = []
    at = 0
    while at < len(text):
        word = ""
        while at < len(text) and text[at] != " ":
            if text.startswith("$'", at):
                end = text.find("'", at + 2)
                if end < 0:
                    return None
                raw = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text[at + 2 : end])
                if not all(ord(char) < 256 for char in raw):
                    return None
                word += os.fsdecode(raw.encode("latin-1"))
                at = end + 1
            elif text[at] == "'":
                end = text.find("'", at + 1)
                if end < 0:
                    return None
                word += text[at + 1 : end]
                at = end + 1
            elif text.startswith("\\'", at):
                word += "'"
                at += 2
            elif (plain := _PLAIN.match(text, at)) is not None:
                word += plain[0]
                at = plain.end()
            else:
                return None
        if not word or "\0" in word:
            return None
        words.append(word)
        at += 1
    return words


def toml_string(text: str) -> str:
    """A basic string of TOML. Raises ValueError for what is not UTF-8, which TOML cannot hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("it is not UTF-8, so a policy file cannot name it") from None
    escaped = "".join(
        {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(char)
        or (char if char.isprintable() else f"\\u{ord(char):04X}" if ord(char) < 0x10000 else f"\\U{ord(char):08X}")
        for char in text
    )
    return f'"{escaped}"'


def toml_lines(options: tuple[Option, ...]) -> list[str]:
    """What to write into a policy file. Raises ValueError where it cannot be said there."""
    lines: list[str] = []
    tables: list[str] = []
    arrays: dict[str, list[str]] = {}
    for option in options:
        # `${` begins a variable in a policy file
        literal = option.value.replace("${", "$${")
        if option.flag == "--grant":
            rights, _, rest = literal.partition(":")
            path, virtual = split_path(rest)
            tables += ["[[grant]]", f"path = {toml_string(path)}", f"rights = {toml_string(rights)}"]
            if virtual is not None:
                tables.append(f"virtual = {toml_string(virtual)}")
        else:
            arrays.setdefault(option.flag[2:], []).append(toml_string(literal))
    lines += [f"{key} = [{', '.join(values)}]" for key, values in arrays.items()]
    return lines + tables


def what_else(options: tuple[Option, ...], needs: tuple[str, ...], has: tuple[str, ...] = ()) -> list[str]:
    """What the options allow beyond the call, a sentence each; of directories as they are now."""
    told: list[str] = []
    for option in options:
        told += [sentence for sentence in _beyond(option, needs, has) if sentence not in told]
    return told or ["nothing else"]


def _beyond(option: Option, needs: tuple[str, ...], has: tuple[str, ...]) -> list[str]:
    if option.flag == "--allow":
        if option.value == "memfd-exec":
            return ["executing any memory file or deleted file, so any code that the target writes itself"]
        return ["this ioctl request on every descriptor that the target has"]
    if option.flag in ("--connect", "--bind"):
        if option.value.startswith("unix:"):
            doing = "connecting to" if option.flag == "--connect" else "binding and replacing"
            return [f"{doing} this socket at any time, and looking at its name"]
        udp = "UDP to it too" if option.flag == "--connect" else "UDP at it too"
        return [udp + ("; any port of it" if option.value.endswith(":*") else "")]
    given = SETS[option.flag[2:]] if option.flag != "--grant" else parse_rights(option.value.partition(":")[0])
    wanted = Right(0)
    for name in (*needs, *has):
        try:
            wanted |= parse_rights(name)
        except PolicyError:
            continue  # of a later version
    more = given & ~wanted
    told: list[str] = []
    path = option.path or ""
    try:
        directory = stat.S_ISDIR(os.stat(path).st_mode)
    except (OSError, ValueError):
        directory = False
    if directory:
        many = _entries(path)
        count = f"more than {ENTRIES_MAX}" if many > ENTRIES_MAX else str(many)
        told.append(f"the same on everything beneath this directory, now {count} names, and on what comes there later")
    if more & SETS["ro"]:
        told.append("reading and looking at it in every way" if not directory else "reading, listing, looking at them")
    if more & ~SETS["ro"]:
        told.append(f"on {'them' if directory else 'it'} also: {', '.join(right_names(int(more & ~SETS['ro'])))}")
    reason = guarded(path)
    if reason is not None:
        told.append(f"reading {reason}")
    return told


def _entries(path: str) -> int:
    found = 0
    stack = [path]
    while stack and found <= ENTRIES_MAX:
        try:
            with os.scandir(stack.pop()) as scan:
                for entry in scan:
                    found += 1
                    if found > ENTRIES_MAX:
                        break
                    if entry.is_dir(follow_symlinks=False):
                        stack.append(entry.path)
        except OSError:
            continue
    return found
