"""capwrap runs an unmodified Linux program in capability mode: what was not granted does not exist.

    from capwrap import Policy, Sandbox

    policy = Policy.profile("base").ro(".").rw("build")
    result = Sandbox(policy).run(["make", "-C", "src"], capture_output=True, text=True)
    for refusal in result.refusals:
        print(refusal.object, refusal.needs, refusal.allow)

The names below are loaded when they are first used: the command line starts without them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from capwrap._version import VERSION as __version__

if TYPE_CHECKING:
    from capwrap.policy.items import Grant
    from capwrap.policy.model import Policy
    from capwrap.policy.rights import Right
    from capwrap.sandbox import Result, Sandbox

__all__ = ["Grant", "Policy", "Result", "Right", "Sandbox", "__version__"]

_HOMES = {
    "Grant": "capwrap.policy.items",
    "Policy": "capwrap.policy.model",
    "Result": "capwrap.sandbox",
    "Right": "capwrap.policy.rights",
    "Sandbox": "capwrap.sandbox",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
