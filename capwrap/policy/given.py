"""The policy that a command line gives: its options as they were written, and what they come to.

What was written is enough to find the policy's image in the cache (cache.py). So this module imports what understands
it, which takes longer than the rest of a start, only where there is no such image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from capwrap.policy.files import read_policy_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from capwrap.policy.items import Item
    from capwrap.policy.model import Policy

#: The options that say what the target may do, by the names that click gives them.
NAMES = (
    "ro",
    "rox",
    "rw",
    "rwx",
    "grant",
    "deny",
    "policy",
    "profile",
    "pure",
    "net",
    "connect",
    "bind",
    "env",
    "clear_env",
    "limit",
    "on_violation",
    "allow",
)


class Given:
    """The options, by NAMES: lists of texts, flags, a text or None. Raises PolicyError for a file that it cannot read.

    The text of a policy file is read here, once: what the cache is asked for is what is compiled.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = {name: options[name] for name in NAMES}
        self._files = [read_policy_text(path) for path in options["policy"]]

    def text(self) -> str:
        """All that was given, as one text: the same text makes the same policy, in the same current directory."""
        return repr((self._options, self._files))

    def policy(self) -> Policy:
        """What was given, understood. Raises PolicyError.

        Profiles and files come first, so that the command line decides where only one can hold (--net, --limit).
        """
        from capwrap.policy import options as parse
        from capwrap.policy.items import ClearEnv, PolicyFile
        from capwrap.policy.model import Policy

        options = self._options
        policy = Policy()
        if not (options["pure"] or options["profile"] or options["policy"]):
            policy = Policy.profile(Policy.DEFAULT_PROFILE)
        for name in options["profile"]:
            policy = policy.merge(Policy.profile(name))
        policy = policy.add(*(PolicyFile(path, text) for path, text in self._files))
        for name in ("ro", "rox", "rw", "rwx"):
            policy = policy.add(*self._each(name, parse.parse_path_option, name))
        policy = policy.add(*self._each("grant", parse.parse_grant_option))
        policy = policy.add(*self._each("deny", parse.parse_deny_option))
        policy = policy.add(*self._each("connect", parse.parse_address_option, "connect"))
        policy = policy.add(*self._each("bind", parse.parse_address_option, "bind"))
        policy = policy.add(*self._each("net", parse.parse_net_option))
        if options["clear_env"]:
            policy = policy.add(ClearEnv())
        policy = policy.add(*self._each("env", parse.parse_env_option))
        policy = policy.add(*self._each("limit", parse.parse_limit_option))
        policy = policy.add(*self._each("on_violation", parse.parse_violation_option))
        return policy.add(*self._each("allow", parse.parse_allow_option))

    def _each(self, name: str, parse: Callable[..., Item], *more: str) -> Iterator[Item]:
        """The items of an option. Errors name the option."""
        from capwrap.policy.errors import PolicyError

        given = self._options[name]
        for text in (given,) if isinstance(given, str) else given or ():
            try:
                yield parse(text, *more)
            except PolicyError as error:
                option = "--" + name.replace("_", "-")
                raise PolicyError(f"{option}: {error.message}", remedy=error.remedy) from None
