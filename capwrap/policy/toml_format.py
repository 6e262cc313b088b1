"""Policy files: TOML in, items of items.py out. capwrap-policy(5) describes the format.

The keys are strict: what is not known is an error that points at it, because a rule that is silently ignored is the
worst that a policy can have.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable
from typing import Any, Literal, TypeVar

from capwrap.policy import options
from capwrap.policy.errors import PolicyError, Where
from capwrap.policy.host import check_variables
from capwrap.policy.items import (
    LIMITS,
    ClearEnv,
    Deny,
    Empty,
    EnvRule,
    Feature,
    FeatureName,
    Grant,
    Item,
    Private,
    UnixAddress,
    WorkDir,
    checked_path,
    checked_virtual,
    profile_item,
    read_policy_file,
)
from capwrap.policy.locate import Path, line_and_column, locate
from capwrap.policy.rights import RWX, SETS, Right, did_you_mean, parse_rights

SETS_KEYS = tuple(SETS)
FEATURES: tuple[FeatureName, ...] = ("closure", "proc", "devices")
#: Every key of a policy file, in the order in which capwrap-policy(5) describes them.
KEYS = (
    "extends",
    "optional",
    "additive",
    *SETS_KEYS,
    "grant",
    "deny",
    "private",
    "empty",
    "workdir",
    *FEATURES,
    "clear_env",
    "env",
    "net",
    "connect",
    "bind",
    "limits",
    "allow",
    "on_violation",
)
GRANT_KEYS = ("path", "rights", "virtual", "optional")
PRIVATE_KEYS = ("path", "rights", "mode", "optional")
_T = TypeVar("_T")


def parse_policy(text: str, file: str) -> tuple[Item, ...]:
    """The items of a policy file's text; ``file`` names it in errors and is where relative ``extends`` start.

    Raises PolicyError with the position of what is wrong.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax_error(error, text, file) from None
    return _Reader(data, text, file).items()


def _syntax_error(error: tomllib.TOMLDecodeError, text: str, file: str) -> PolicyError:
    message = str(error)
    position = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", message)
    if position is None:
        return PolicyError(message, where=Where(file, 1, 1))
    if position[1] is None:
        line, column = line_and_column(text, len(text))
    else:
        line, column = int(position[1]), int(position[2])
    what = message[: position.start()]
    return PolicyError(what[:1].lower() + what[1:], where=Where(file, line, column, _line(text, line)))


def _line(text: str, line: int) -> str:
    lines = text.split("\n")
    return lines[line - 1].rstrip("\r") if line <= len(lines) else ""


class _Reader:
    def __init__(self, data: dict[str, Any], text: str, file: str) -> None:
        self.data = data
        self.text = text
        self.file = file
        self._offsets: dict[Path, int] | None = None
        self._wheres: dict[int, Where] = {}
        self._lines: list[str] = []

    def where(self, *path: str | int) -> Where:
        """The position of a key or element, or of the nearest thing around it that has one."""
        if self._offsets is None:
            self._offsets = locate(self.text)
            self._lines = self.text.split("\n")
        while path and path not in self._offsets:
            path = path[:-1]
        offset = self._offsets.get(path, 0)
        if offset not in self._wheres:
            line, column = line_and_column(self.text, offset)
            self._wheres[offset] = Where(self.file, line, column, self._lines[line - 1].rstrip("\r"))
        return self._wheres[offset]

    def error(self, message: str, *path: str | int, remedy: str | None = None) -> PolicyError:
        return PolicyError(message, where=self.where(*path), remedy=remedy)

    def at(self, path: Path, function: Callable[..., _T], *arguments: Any) -> _T:
        """The function's result; its PolicyError gets the position of ``path``."""
        try:
            return function(*arguments)
        except PolicyError as error:
            raise error.at(self.where(*path)) from None

    def items(self) -> tuple[Item, ...]:
        self.known(self.data, KEYS, ())
        out: list[Item] = []
        for index, name in self.strings("extends"):
            out.append(self.extended(name, ("extends", index)))
        self.optional = self.boolean(self.data, "optional", ())
        self.additive = self.boolean(self.data, "additive", ())
        for key, rights in SETS.items():
            for index, entry in self.strings(key):
                path, virtual = self.at((key, index), options.split_path, entry)
                out.append(self.grant(path, rights, virtual, self.optional, (key, index)))
        out += self.grants()
        for index, pattern in self.strings("deny"):
            expand = self.variables(pattern, ("deny", index))
            # `${HOME}` is no glob by itself.
            deny = self.at(("deny", index), options.parse_deny_option, pattern)
            out.append(Deny(deny.pattern, deny.is_glob, expand, self.where("deny", index)))
        out += self.privates()
        for index, path in self.strings("empty"):
            if not path.startswith("/"):
                raise self.error(f"`{path}` is no absolute path", "empty", index, remedy="name it from / on")
            out.append(Empty(path, self.where("empty", index)))
        if "workdir" in self.data:
            text = self.string(self.data, "workdir", ())
            out.append(WorkDir(self.at(("workdir",), parse_rights, text), self.where("workdir")))
        out += [Feature(name) for name in FEATURES if self.boolean(self.data, name, ())]
        out += self.environment()
        if "net" in self.data:
            out.append(self.at(("net",), options.parse_net_option, self.string(self.data, "net", ())))
        out += self.addresses("connect")
        out += self.addresses("bind")
        out += self.limits()
        for index, what in self.strings("allow"):
            out.append(self.at(("allow", index), options.parse_allow_option, what))
        if "on_violation" in self.data:
            text = self.string(self.data, "on_violation", ())
            out.append(self.at(("on_violation",), options.parse_violation_option, text))
        return tuple(out)

    # Keys.

    def extended(self, name: str, path: Path) -> Item:
        where = self.where(*path)
        if "/" in name or name.endswith(".toml"):
            return read_policy_file(os.path.join(os.path.dirname(self.file), name), where)
        return profile_item(name, where)

    def grant(self, path: str, rights: Right, virtual: str | None, optional: bool, place: Path) -> Grant:
        expand = self.variables(path, place) | (virtual is not None and self.variables(virtual, place))
        return Grant(path, rights, virtual, optional, self.additive, expand, self.where(*place))

    def grants(self) -> list[Item]:
        out: list[Item] = []
        for index, table in self.tables("grant", GRANT_KEYS):
            place: Path = ("grant", index)
            path = self.at((*place, "path"), checked_path, self.string(table, "path", place))
            rights = self.at((*place, "rights"), parse_rights, self.string(table, "rights", place))
            virtual = self.string(table, "virtual", place) if "virtual" in table else None
            virtual = self.at((*place, "virtual"), checked_virtual, virtual)
            optional = self.boolean(table, "optional", place, self.optional)
            out.append(self.grant(path, rights, virtual, optional, (*place, "path")))
        return out

    def privates(self) -> list[Item]:
        out: list[Item] = []
        for index, table in self.tables("private", PRIVATE_KEYS):
            place: Path = ("private", index)
            path = self.at((*place, "path"), checked_path, self.string(table, "path", place))
            rights = RWX
            if "rights" in table:
                rights = self.at((*place, "rights"), parse_rights, self.string(table, "rights", place))
            mode = self.string(table, "mode", place) if "mode" in table else "0700"
            if mode not in ("0700", "1777"):
                remedy = 'write "0700" or "1777"'
                raise self.error(f"`{mode}` is no mode of a private directory", *place, "mode", remedy=remedy)
            optional = self.boolean(table, "optional", place, self.optional)
            expand = self.variables(path, (*place, "path"))
            out.append(Private(path, rights, mode == "1777", optional, expand, self.where(*place, "path")))
        return out

    def environment(self) -> list[Item]:
        out: list[Item] = []
        if self.boolean(self.data, "clear_env", ()):
            out.append(ClearEnv())
        for index, text in self.strings("env"):
            rule = self.at(("env", index), options.parse_env_option, text)
            expand = rule.value is not None and self.variables(rule.value, ("env", index))
            out.append(EnvRule(rule.name, rule.value, expand, self.where("env", index)))
        return out

    def addresses(self, op: Literal["connect", "bind"]) -> list[Item]:
        out: list[Item] = []
        for index, text in self.strings(op):
            item = self.at((op, index), options.parse_address_option, text, op)
            if isinstance(item, UnixAddress):
                item = UnixAddress(op, item.path, self.variables(item.path, (op, index)), self.where(op, index))
            out.append(item)
        return out

    def limits(self) -> list[Item]:
        table = self.data.get("limits", {})
        if not isinstance(table, dict):
            raise self.error("`limits` is not a table", "limits", remedy='write a table: limits = {memory = "2G"}')
        self.known(table, LIMITS, ("limits",))
        out: list[Item] = []
        for name, value in table.items():
            if isinstance(value, bool) or not isinstance(value, (int, str)):
                remedy = 'write 10, or "2G" for a size'
                raise self.error(f"the limit `{name}` is no number", "limits", name, remedy=remedy)
            out.append(self.at(("limits", name), options.limit_item, name, value))
        return out

    # Types.

    def known(self, table: dict[str, Any], keys: tuple[str, ...], place: Path) -> None:
        for key in table:
            if key not in keys:
                remedy = did_you_mean(key, keys) or "the keys here are " + ", ".join(keys)
                raise self.error(f"unknown key `{key}`", *place, key, remedy=remedy)

    def strings(self, key: str) -> list[tuple[int, str]]:
        value = self.data.get(key, [])
        if not isinstance(value, list):
            raise self.error(f"`{key}` is not an array", key, remedy=f'write {key} = ["..."]')
        for index, entry in enumerate(value):
            if not isinstance(entry, str):
                raise self.error(f"an entry of `{key}` is not a string", key, index, remedy="put it in quotes")
            if "\0" in entry:
                raise self.error(f"a NUL in an entry of `{key}`", key, index)
        return list(enumerate(value))

    def tables(self, key: str, keys: tuple[str, ...]) -> list[tuple[int, dict[str, Any]]]:
        value = self.data.get(key, [])
        example = f'write [[{key}]] and below it path = "..."'
        if not isinstance(value, list):
            raise self.error(f"`{key}` is not an array of tables", key, remedy=example)
        for index, table in enumerate(value):
            if not isinstance(table, dict):
                raise self.error(f"an entry of `{key}` is not a table", key, index, remedy=example)
            self.known(table, keys, (key, index))
        return list(enumerate(value))

    def string(self, table: dict[str, Any], key: str, place: Path) -> str:
        if key not in table:
            raise self.error(f"`{key}` is missing", *place, remedy=f'add {key} = "..."')
        value = table[key]
        if not isinstance(value, str):
            listed = key == "rights" and isinstance(value, list) and all(isinstance(name, str) for name in value)
            remedy = f'write rights = "{",".join(value)}"' if listed else "put it in quotes"
            raise self.error(f"`{key}` is not a string", *place, key, remedy=remedy)
        return value

    def boolean(self, table: dict[str, Any], key: str, place: Path, default: bool = False) -> bool:
        value = table.get(key, default)
        if not isinstance(value, bool):
            raise self.error(f"`{key}` is not a boolean", *place, key, remedy="write true or false")
        return value

    def variables(self, text: str, place: Path) -> bool:
        return check_variables(text, self.where(*place))
