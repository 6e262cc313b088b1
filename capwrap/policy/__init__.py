"""Policies: what a target may do, as a value, as a TOML file, and as the image that the engine maps.

Importing this package is cheap: neither tomllib nor pyelftools nor the seccomp compiler is loaded before something
needs it.

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

Compiling
    ``compiled(policy, command=argv_or_None, cwd=os.getcwd(), environ=os.environ) -> bytes`` (cache.py): the image, from
    the cache where nothing that it rests on has changed. ``compile_image`` (image.py) is the same without the cache.
    ``read_image(data) -> Image`` turns one back: ``Image.nodes[n].path`` is the grant that a record's number n means.
    A PolicyError whose ``__cause__`` is a ``capwrap.elf.ElfError`` means that COMMAND was found but cannot be run.

Questions (check.py)
    ``build_namespace(policy, command=, cwd=, environ=) -> Namespace`` (build.py), then ``tree(namespace) -> str``,
    ``decide(namespace, path) -> Decision(place, grant, rights, reason, pattern)``, ``namespace.notes`` (rules without
    effect, a line each), ``namespace.env``, ``namespace.globs``, ``warnings(namespace)`` (notes and device nodes).

Rights (rights.py): ``Right``, ``parse_rights("read,lookup")``, ``format_rights(mask)``, ``right_names(mask)``.

Errors (errors.py): ``PolicyError(message, where=, remedy=)``; ``str()`` is the whole text, several lines, no prefix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from capwrap.policy.errors import PolicyError, Where
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


def compiled(policy: Policy, *, command: Sequence[str] | None, cwd: str, environ: Mapping[str, str]) -> bytes:
    """The policy image, from the cache where it can be (capwrap.policy.cache.compiled)."""
    from capwrap.policy import cache

    return cache.compiled(policy, command=command, cwd=cwd, environ=environ)


def compile_image(policy: Policy, *, command: Sequence[str] | None, cwd: str, environ: Mapping[str, str]) -> bytes:
    """The policy image, always made anew (capwrap.policy.image.compile_image)."""
    from capwrap.policy import image

    return image.compile_image(policy, command=command, cwd=cwd, environ=environ)
