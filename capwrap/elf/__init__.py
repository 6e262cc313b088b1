"""What an executable needs, read from its bytes: interpreters, loaders, shared libraries, call sites.

* `capwrap.elf.closure.command_files`: the files that a command needs before its own code runs
* `capwrap.elf.inspect.inspect`: all that `capwrap inspect` tells about one file

Nothing here runs the file or its loader. Importing the package costs nothing; pyelftools is imported by the function
that needs it, and not at all on the way to a launch (its import alone takes longer than reading a whole closure).
"""

from __future__ import annotations

from capwrap.elf.errors import ElfError

__all__ = ["ElfError"]
