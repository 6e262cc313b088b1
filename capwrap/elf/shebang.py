"""`#!` lines as the kernel splits them, and the program that env(1) runs.

Sources: fs/binfmt_script.c (since Linux 5.1), fs/exec.c (depth); env(1) of coreutils, "-S/--split-string usage in
scripts".
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from capwrap.elf.witness import NOBODY, Witness

BINPRM_BUF_SIZE = 256
DEPTH_MAX = 5
"""Scripts that may name each other as interpreter before an ELF file must come. The comment in exec_binprm() says four;
its loop, `depth > 5`, lets five pass (tests/unit/test_elf_closure.py asks the running kernel)."""


@dataclass(frozen=True)
class Shebang:
    """One `#!` line: the interpreter, and the single argument that everything behind it makes."""

    interpreter: str
    argument: str | None


def parse_shebang(head: bytes) -> Shebang | None:
    """The `#!` line at the start of a file, of which `head` is at least the first 256 bytes; None: execve says
    ENOEXEC."""
    buf = head[:BINPRM_BUF_SIZE].ljust(BINPRM_BUF_SIZE, b"\0")
    if not buf.startswith(b"#!"):
        return None
    newline = buf.split(b"\0", 1)[0].find(b"\n")  # strnchr() ends at a NUL
    if newline < 0:
        # The last byte belongs to the kernel's terminator. Without a blank or NUL behind it the name may be cut off.
        line = buf[2 : BINPRM_BUF_SIZE - 1]
        name = buf[2:].lstrip(b" \t")
        if not name or not any(c in b" \t\0" for c in name):
            return None
    else:
        line = buf[2:newline]
    line = line.rstrip(b" \t").lstrip(b" \t")
    ends = [at for at in (line.find(c) for c in (b" ", b"\t", b"\0")) if at >= 0]
    end = min(ends, default=len(line))
    interpreter = line[:end]
    if not line or (newline < 0 and not interpreter):
        return None
    argument = None
    if end < len(line) and line[end] != 0:
        # Of `#!/bin/sh ` at the end of a file the argument is the empty string: a NUL behind the blank begins one.
        argument = os.fsdecode(line[end:].lstrip(b" \t").split(b"\0", 1)[0])
    return Shebang(os.fsdecode(interpreter), argument)


_SHORT = {
    "i": "ignore-environment",
    "0": "null",
    "v": "debug",
    "u": "unset",
    "C": "chdir",
    "S": "split-string",
    "a": "argv0",
}
_SHORT_WITH_VALUE = "uCSa"
_LONG_WITH_VALUE = ("unset", "chdir", "split-string", "argv0")
_LONG_FLAGS = (
    "ignore-environment", "null", "block-signal", "default-signal", "ignore-signal", "list-signal-handling", "debug",
)  # fmt: skip


@dataclass(frozen=True)
class EnvCommand:
    """What an env(1) call runs: `command`, in `environ`, from `chdir` (None: where env was started)."""

    command: tuple[str, ...]
    environ: dict[str, str]
    chdir: str | None


def env_command(args: Sequence[str], environ: Mapping[str, str], witness: Witness = NOBODY) -> EnvCommand | None:
    """What `env ARGS...` executes; None where it only prints, or would complain."""
    words = list(args)
    changed = dict(environ)
    chdir = None
    splits = 0
    while words and words[0].startswith("-"):
        word = words.pop(0)
        if word in ("-", "--"):
            if word == "-":
                changed.clear()
            break
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            matches = [option for option in _LONG_WITH_VALUE + _LONG_FLAGS if option.startswith(name)]
            option = name if name in matches else matches[0] if len(matches) == 1 else ""
            if not option:
                return None
            if option in _LONG_WITH_VALUE and not equals:
                if not words:
                    return None
                value = words.pop(0)
            pairs = [(option, value)]
        else:
            parsed = _short_options(word, words)
            if parsed is None:
                return None
            pairs = parsed
        for option, value in pairs:
            if option == "ignore-environment":
                changed.clear()
            elif option == "unset":
                changed.pop(value, None)
            elif option == "chdir":
                chdir = value
            elif option == "split-string":
                splits += 1
                split = split_string(value, environ, witness)
                if split is None or splits > 16:
                    return None
                words[:0] = split
    while words and "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        changed[name] = value
    return EnvCommand(tuple(words), changed, chdir) if words else None


def _short_options(word: str, words: list[str]) -> list[tuple[str, str]] | None:
    """`-iS...` as (long name, value) pairs; a value that stands alone is taken from `words`."""
    pairs = []
    for index, letter in enumerate(word[1:], start=1):
        if letter not in _SHORT:
            return None
        if letter not in _SHORT_WITH_VALUE:
            pairs.append((_SHORT[letter], ""))
            continue
        value = word[index + 1 :]
        if not value:
            if not words:
                return None
            value = words.pop(0)
        pairs.append((_SHORT[letter], value))
        break
    return pairs


_BLANKS = " \t\n\v\f\r"
_ESCAPES = {"f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "#": "#", "$": "$", '"': '"', "'": "'", "\\": "\\"}


def split_string(text: str, environ: Mapping[str, str], witness: Witness = NOBODY) -> list[str] | None:
    """The words that `env -S TEXT` makes; None where env would refuse the text."""
    words: list[str] = []
    word: str | None = None
    quote = ""
    at = 0
    while at < len(text):
        char = text[at]
        at += 1
        if char == quote:
            quote = ""
        elif not quote and char in "\"'":
            quote = char
            word = word or ""
        elif not quote and char in _BLANKS:
            if word is not None:
                words.append(word)
                word = None
        elif not quote and char == "#" and word is None:
            break
        elif char == "\\" and not (quote == "'" and text[at : at + 1] not in ("\\", "'")):
            escape = text[at : at + 1]
            at += 1
            if escape == "c" and not quote:
                break
            if escape == "_" and not quote:
                if word is not None:
                    words.append(word)
                    word = None
            elif escape == "_":
                word = (word or "") + " "
            elif escape in _ESCAPES:
                word = (word or "") + _ESCAPES[escape]
            else:
                return None
        elif char == "$" and quote != "'":
            end = text.find("}", at)
            name = text[at + 1 : end]
            if text[at : at + 1] != "{" or end < 0 or not name.isidentifier():
                return None
            # An unset variable leaves nothing, not even an empty word.
            witness.variable(name)
            if name in environ:
                word = (word or "") + environ[name]
            at = end + 1
        else:
            word = (word or "") + char
    if quote:
        return None
    if word is not None:
        words.append(word)
    return words
