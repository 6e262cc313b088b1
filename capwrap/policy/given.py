"""The policy that a command line gives: its options as they were written, and what they come to.

What was written is enough to find the policy's image in the cache (cache.py). So this module imports what understands
it, which takes longer than the rest of a start, only where there is no such image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from capwrap.policy.files import read_policy_text

if TYPE_CHECKING:
    from collections.abc import Mapping

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
            policy = policy.add(*(parse.parse_path_option(text, name) for text in options[name]))
        policy = policy.add(*(parse.parse_grant_option(text) for text in options["grant"]))
        policy = policy.add(*(parse.parse_deny_option(text) for text in options["deny"]))
        policy = policy.add(*(parse.parse_address_option(text, "connect") for text in options["connect"]))
        policy = policy.add(*(parse.parse_address_option(text, "bind") for text in options["bind"]))
        if options["net"] is not None:
            policy = policy.add(parse.parse_net_option(options["net"]))
        if options["clear_env"]:
            policy = policy.add(ClearEnv())
        policy = policy.add(*(parse.parse_env_option(text) for text in options["env"]))
        policy = policy.add(*(parse.parse_limit_option(text) for text in options["limit"]))
        if options["on_violation"] is not None:
            policy = policy.add(parse.parse_violation_option(options["on_violation"]))
        return policy.add(*(parse.parse_allow_option(text) for text in options["allow"]))
