"""Policies: what a target may do, as a value, as a TOML file, and as the image that the engine maps.

Importing this package is cheap: the names below are loaded when they are first used, and a launch that finds its image
in the cache uses none of them.

The value (model.py, and its items, items.py)
    ``Policy()`` permits nothing; ``Policy.profile("workspace")``, ``Policy.load(path, lazy=False)``; each of
    ``.ro(path, virtual=None) .rox() .rw() .rwx() .grant(rights, path, virtual=None) .private(path, rights, sticky=)
    .deny(path_or_glob) .env(name, value=None) .clear_env() .net(mode) .connect(spec) .bind(spec) .limit(name, value)
    .allow(what) .on_violation(spec) .merge(other)`` gives a new one. ``.add(*items)`` takes what options.py parses.
    ``.settings()`` is the policy with its profiles read in.

Options (options.py): text of the command line to items, all raising PolicyError
    ``parse_path_option(text, "ro")``, ``parse_grant_option``, ``parse_deny_option``, ``parse_env_option``,
    ``parse_net_option``, ``parse_address_option(text, "connect")``, ``parse_limit_option``, ``parse_allow_option``,
    ``parse_violation_option``, ``split_path``

What a command line gives (given.py): ``Given(options)``, with ``.text()`` and ``.policy()``

Compiling
    ``compiled(policy, command=argv_or_None, cwd=os.getcwd(), environ=os.environ) -> bytes`` (cache.py): the image, from
    the cache where nothing that it rests on has changed; ``compiled_given(given, ...)`` for a command line that is not
    understood before it has to be. ``compile_image`` (image.py) is the same without the cache.
    ``read_image(data) -> Image`` turns one back: ``Image.nodes[n].path`` is the grant that a record's number n means.
    A PolicyError whose ``__cause__`` is a ``capwrap.elf.ElfError`` means that COMMAND was found but cannot be run.

Questions (check.py)
    ``build_namespace(policy, command=, cwd=, environ=) -> Namespace`` (build.py), then ``tree(namespace)`` (lines),
    ``decide(namespace, path) -> Decision(place, grant, rights, reason, pattern)``, ``namespace.notes`` (rules without
    effect, a line each), ``namespace.env``, ``namespace.globs``, ``warnings(namespace)`` (notes and device nodes).

Rights (rights.py): ``Right``, ``parse_rights("read,lookup")``, ``format_rights(mask)``, ``right_names(mask)``.

Errors (errors.py): ``PolicyError(message, where=, remedy=)``; ``str()`` is the whole text, several lines, no prefix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from capwrap.policy.cache import compiled
    from capwrap.policy.errors import PolicyError, Where
    from capwrap.policy.image import compile_image
    from capwrap.policy.items import PROFILES
    from capwrap.policy.model import Policy
    from capwrap.policy.rights import Right, format_rights, parse_rights, right_names

__all__ = [
    "PROFILES",
    "Policy",
    "PolicyError",
    "Right",
    "Where",
    "compile_image",
    "compiled",
    "format_rights",
    "parse_rights",
    "right_names",
]

_HOMES = {
    "PROFILES": "items",
    "Policy": "model",
    "PolicyError": "errors",
    "Right": "rights",
    "Where": "errors",
    "compile_image": "image",
    "compiled": "cache",
    "format_rights": "rights",
    "parse_rights": "rights",
    "right_names": "rights",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
