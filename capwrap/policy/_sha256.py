"""SHA-256 without hashlib, whose import loads OpenSSL and costs more than finding a policy in the cache.

The standard library's own random.py goes the same way; where the module is not there, hashlib is.
"""

from __future__ import annotations

try:
    from _sha2 import sha256  # type: ignore[import-not-found,unused-ignore]  # CPython 3.12 and later
except ImportError:
    try:
        from _sha256 import sha256  # type: ignore[import-not-found,unused-ignore]  # CPython 3.11
    except ImportError:
        from hashlib import sha256

__all__ = ["sha256"]
