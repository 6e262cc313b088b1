"""Where policy files lie, and reading one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from capwrap.policy.errors import Where

PROFILE_DIR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "profiles")


def profile_path(name: str) -> str:
    """Where the TOML file of a built-in profile lies."""
    return os.path.join(PROFILE_DIR, f"{name}.toml")


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
