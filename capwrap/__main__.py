"""`python -m capwrap` is the command line."""

from __future__ import annotations

import sys

from capwrap.cli import main

sys.exit(main())
