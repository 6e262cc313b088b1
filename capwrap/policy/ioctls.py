"""ioctl requests that no policy lets pass (linux/fs.h, asm-generic/ioctls.h, asm-generic/sockios.h)."""

from __future__ import annotations

FIOSETOWN, SIOCSPGRP = 0x8901, 0x8902
FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR = 0x40086602, 0x401C5820

#: They type into, or take over, a terminal that is not the target's, or name a process in memory.
NEVER = frozenset({0x5412, 0x541C, 0x541D, 0x5423, 0x5457, FIOSETOWN, SIOCSPGRP})
#: The engine has to see these, which change a file's attributes.
STOP = frozenset({FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR})
