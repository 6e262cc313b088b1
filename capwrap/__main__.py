"""`python -m capwrap` is the command line, and `program` what the installed `capwrap` calls."""

from __future__ import annotations

import gc
import os
import sys
from typing import NoReturn


def program() -> NoReturn:
    """The command line as a process: `capwrap.cli.main`, started and ended without what a short run does not need.

    What an import makes lives to the end, so collecting garbage meanwhile finds nothing; and taking the interpreter
    apart at the end frees what the kernel frees anyway. The two take a tenth of a start.
    """
    if sys.getfilesystemencoding() != "utf-8" and not sys.flags.utf8_mode and sys.executable:
        # Names are bytes. Policies and records spell them in UTF-8, where Python takes the locale's word for them.
        os.execv(sys.executable, [sys.orig_argv[0], "-X", "utf8", *sys.orig_argv[1:]])
    gc.disable()
    from capwrap.cli import main

    gc.enable()
    os._exit(main())


if __name__ == "__main__":
    program()
