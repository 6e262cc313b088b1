"""The version, alone in a file: the build reads it without importing the package."""

from __future__ import annotations

VERSION = "0.1.0"
