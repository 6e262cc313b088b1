"""Where policy files and what capwrap keeps of its own lie, and reading a policy file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from capwrap.policy.errors import Where

PROFILE_DIR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "profiles")


def profile_path(name: str) -> str:
    """Where the TOML file of a built-in profile lies."""
    return os.path.join(PROFILE_DIR, f"{name}.toml")


def user_directory(variable: str, beneath_home: str) -> str | None:
    """capwrap's own directory of a kind (XDG Base Directory Specification); None where there is no home.

    `variable` names the kind's base directory, which is `beneath_home` where it is not set.
    """
    base = os.environ.get(variable, "")
    if not base.startswith("/"):
        home = os.environ.get("HOME", "")
        if not home.startswith("/"):
            return None
        base = f"{home}/{beneath_home}"
    return os.path.join(base, "capwrap")


def read_policy_text(path: str, where: Where | None = None) -> tuple[str, str]:
    """The absolute path of a policy file, and its text. Raises PolicyError if it cannot be read or is not UTF-8."""
    try:
        if not path:
            raise ValueError("an empty path")
        full = os.path.abspath(path)
        with open(full, encoding="utf-8", newline="") as file:
            return full, file.read()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path, or bytes that are not UTF-8
        from capwrap.policy.errors import PolicyError

        if isinstance(error, UnicodeDecodeError):
            message = f"the policy {path} is not UTF-8 (byte {error.start})"
        else:
            message = f"cannot read the policy {path}: {getattr(error, 'strerror', None) or error}"
        raise PolicyError(message, where=where) from error
