"""The fixtures of the races: those of the attacks."""

from __future__ import annotations

from escape.conftest import arena, places, programs
from escape.results import pytest_configure, pytest_runtest_makereport, pytest_sessionfinish

__all__ = ["arena", "places", "programs", "pytest_configure", "pytest_runtest_makereport", "pytest_sessionfinish"]
