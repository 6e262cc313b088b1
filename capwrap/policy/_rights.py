"""Made by rewriters/generate.py from rewriters/rights.tbl: do not edit."""

from __future__ import annotations

#: Name -> bit number.
NAMES: dict[str, int] = {
    "read": 0,
    "write": 1,
    "seek": 2,
    "lookup": 3,
    "fstat": 4,
    "fstatfs": 5,
    "fchdir": 6,
    "mmap": 7,
    "flock": 8,
    "event": 9,
    "extattr_get": 10,
    "extattr_list": 11,
    "fexecve": 12,
    "create": 13,
    "ftruncate": 14,
    "fchmod": 15,
    "fchown": 16,
    "fchflags": 17,
    "futimes": 18,
    "fsync": 19,
    "mkdirat": 20,
    "mkfifoat": 21,
    "mknodat": 22,
    "symlinkat": 23,
    "linkat_source": 24,
    "linkat_target": 25,
    "renameat_source": 26,
    "renameat_target": 27,
    "unlinkat": 28,
    "extattr_set": 29,
    "extattr_delete": 30,
    "bindat": 31,
    "connectat": 32,
    "ioctl": 33,
}

#: Name -> what the right permits, in words.
MEANINGS: dict[str, str] = {
    "read": "read a file, list a directory",
    "write": "write to a file",
    "seek": "seek in a file",
    "lookup": "look names up beneath a directory",
    "fstat": "stat a file",
    "fstatfs": "statfs the file system of a file",
    "fchdir": "make a directory the current one",
    "mmap": "map a file",
    "flock": "lock a file",
    "event": "watch a file (inotify)",
    "extattr_get": "read extended attributes",
    "extattr_list": "list extended attributes",
    "fexecve": "execute a file",
    "create": "create a file by opening it",
    "ftruncate": "truncate a file",
    "fchmod": "change permission bits and access control lists",
    "fchown": "change owner and group",
    "fchflags": "change file flags",
    "futimes": "change time stamps",
    "fsync": "flush a file",
    "mkdirat": "create a directory",
    "mkfifoat": "create a FIFO or a socket node",
    "mknodat": "create a regular file by mknod",
    "symlinkat": "create a symbolic link",
    "linkat_source": "make a further hard link to a file",
    "linkat_target": "create a hard link in a directory",
    "renameat_source": "rename a name away",
    "renameat_target": "rename something to a name",
    "unlinkat": "remove a name",
    "extattr_set": "set extended attributes",
    "extattr_delete": "remove extended attributes",
    "bindat": "bind a unix socket to a name",
    "connectat": "connect to a unix socket by name",
    "ioctl": "file-attribute ioctl requests that read",
}

ALL = 0x3FFFFFFFF
RO = 0x200000FFD
ROX = 0x200001FFD
RW = 0x3FFFFEFFF
RWX = 0x3FFFFFFFF
