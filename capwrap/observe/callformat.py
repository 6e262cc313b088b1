"""A call as strace would print it, from the argument registers that its record has.

python-ptrace knows the prototypes of the calls of its day and how to print numbers; of later calls, and of what a
number means to a call, the roles in the table of calls tell. Nothing here sees a process, and no memory is read: what
the record knows better, the paths, is put in the place of their addresses.
"""

from __future__ import annotations

import os
from functools import cache

from capwrap.policy._syscalls import ROWS

_AT_FDCWD = -100
_LOW = 0xFFFFFFFF
#: Roles of which the register holds an address.
_ADDRESSES = frozenset(
    ("path", "path2", "name", "text", "buf", "in", "out", "inout", "iov", "how", "stat", "argv", "envp", "time", "addr")
)
_LONGS = frozenset(("size", "len", "offset", "arg"))
_OPENS = {"open": 1, "openat": 2}
_OCTAL = {"open": 2, "openat": 3, "creat": 1, "mkdir": 1, "mkdirat": 2}
_OCTAL |= {"chmod": 1, "fchmod": 1, "fchmodat": 2, "fchmodat2": 2, "umask": 0}
_MAKES = {"mknod": 1, "mknodat": 2}
_OCTAL |= _MAKES
_TYPES = {0o010000: "S_IFIFO", 0o020000: "S_IFCHR", 0o060000: "S_IFBLK", 0o100000: "S_IFREG", 0o140000: "S_IFSOCK"}
_CREATES = 0o100 | 0o20000000  # O_CREAT, and the bit of O_TMPFILE

# include/uapi/linux/fcntl.h, linux/stat.h, linux/fs.h, unistd.h, of Linux 6.18
_AT = {0x100: "AT_SYMLINK_NOFOLLOW", 0x400: "AT_SYMLINK_FOLLOW", 0x800: "AT_NO_AUTOMOUNT", 0x1000: "AT_EMPTY_PATH"}
_SYNC = {0x2000: "AT_STATX_FORCE_SYNC", 0x4000: "AT_STATX_DONT_SYNC"}
_FLAGS: dict[str, dict[int, str]] = {
    **dict.fromkeys(("newfstatat", "fchownat", "linkat", "fchmodat2", "utimensat", "execveat"), _AT),
    "statx": _AT | _SYNC,
    "faccessat2": _AT | {0x200: "AT_EACCESS"},
    "unlinkat": {0x200: "AT_REMOVEDIR"},
    "renameat2": {1: "RENAME_NOREPLACE", 2: "RENAME_EXCHANGE", 4: "RENAME_WHITEOUT"},
}
_ASKS = frozenset(("access", "faccessat", "faccessat2"))
_ACCESS = {4: "R_OK", 2: "W_OK", 1: "X_OK"}


def format_call(syscall: str, registers: tuple[int, ...], paths: tuple[str | None, ...]) -> str:
    """`openat(AT_FDCWD, "/etc/shadow", O_RDONLY|O_CLOEXEC)`. `paths`: the names in their order, as far as they are
    known. Without registers, or of a call that nobody knows, the name with its paths.
    """
    known = [_quoted(path) for path in paths if path]
    prototype = _prototype(syscall)
    if len(registers) != 6 or not prototype:
        return f"{syscall}({', '.join(known) or ('...' if registers else '')})"
    from ptrace.func_call import FunctionCall, FunctionCallOptions
    from ptrace.syscall import SyscallArgument

    call = FunctionCall(syscall, FunctionCallOptions(), SyscallArgument)
    roles = _roles().get(syscall, ())
    named = iter(known)
    for index, ((kind, name), register) in enumerate(zip(prototype, registers, strict=False)):
        pointer = kind.endswith(("*", "]"))
        role = roles[index] if index < len(roles) else ""
        wide = pointer or kind in ("size_t", "unsigned long", "long", "off_t")
        value = register if wide else register & _LOW  # the kernel looks at no more
        # no pointer is given to what would read there
        call.addArgument(value=value, name=name, type="void *" if pointer else kind)
        argument = call.arguments[-1]
        if pointer:
            text = next(named, None) if value and role in ("path", "path2") else None
            argument.text = text or (f"{value:#x}" if value else "NULL")
        elif role in ("dirfd", "dirfd2") or name in ("dfd", "dirfd", "olddfd", "newdfd"):
            argument.text = "AT_FDCWD" if value == _AT_FDCWD & _LOW else str(_signed(value))
        elif _OPENS.get(syscall) == index:
            argument.text = argument.getText().partition(" ")[0]
        elif _OCTAL.get(syscall) == index:
            argument.text = _octal(value & 0xFFFF)
        else:
            argument.text = _by_role(syscall, role, value) or argument.getText()
    flags = _OPENS.get(syscall)
    if flags is not None and not call.arguments[flags].value & _CREATES:
        del call.arguments[flags + 1 :]  # open(2) looks at the mode only where it makes a file
    mode = _MAKES.get(syscall)
    if mode is not None and call.arguments[mode].value & 0o170000 not in (0o020000, 0o060000):
        del call.arguments[mode + 1 :]  # mknod(2) looks at the number only where it makes a device
    return str(call.format())


def _by_role(syscall: str, role: str, value: int) -> str | None:
    """An argument that is a number, by what it means in this call; None: as python-ptrace has it."""
    if role == "fd":
        return str(_signed(value & _LOW))
    if role == "sig":
        return _signal(value)
    if role == "dev":
        return f"makedev({os.major(value & _LOW):#x}, {os.minor(value & _LOW):#x})"
    if role == "mode" and syscall in _ASKS:
        return _names(value, _ACCESS) if value else "F_OK"
    if role == "flags" and syscall in _FLAGS:
        return _names(value, _FLAGS[syscall])
    if role == "cmd" or (role == "flags" and value > 9):
        return f"{value:#x}"
    return None


def _names(value: int, table: dict[int, str]) -> str:
    """Bits by name, in the order of the table; what has none is added as a number."""
    found = [name for bit, name in table.items() if value & bit]
    rest = value & ~sum(table)
    return "|".join(found + ([f"{rest:#x}"] if rest else [])) or "0"


def _octal(value: int) -> str:
    """Permission bits, with the type of the file in front where there is one."""
    kind = _TYPES.get(value & 0o170000)
    bits = value & 0o7777 if kind else value
    return (f"{kind}|" if kind else "") + (f"{bits:#o}".replace("0o", "0") if bits else "000")


def _signed(value: int) -> int:
    return value - (1 << 32) if value & (1 << 31) else value


def _signal(number: int) -> str:
    import signal

    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


@cache
def _roles() -> dict[str, tuple[str, ...]]:
    return {row.name: row.roles for row in ROWS}


@cache
def _prototype(syscall: str) -> tuple[tuple[str, str], ...]:
    """(C type, name) of each argument: python-ptrace's, or by the roles; () where the call takes none."""
    from ptrace.syscall import SYSCALL_PROTOTYPES

    if syscall in SYSCALL_PROTOTYPES:
        return tuple(SYSCALL_PROTOTYPES[syscall][1])
    types = {**dict.fromkeys(_ADDRESSES, "void *"), **dict.fromkeys(_LONGS, "unsigned long"), "mode": "umode_t"}
    return tuple((types.get(role, "int"), role) for role in _roles().get(syscall, ()))


def _quoted(path: str) -> str:
    from capwrap.observe.summary import printable

    escaped = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{printable(escaped)}"'
