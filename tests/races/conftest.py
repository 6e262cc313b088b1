"""The fixtures of the races: those of the attacks."""

from __future__ import annotations

from escape.conftest import arena, programs

__all__ = ["arena", "programs"]
