"""A refused call as strace would print it, from the argument registers that its record has.

python-ptrace knows the prototypes and how to print numbers. It is given numbers alone: its classes never see a
process, and no memory is read. What the record knows better, the paths and the descriptors that stand for the current
directory, is put in its place.
"""

from __future__ import annotations

from functools import cache

from capwrap.policy._syscalls import ROWS

_AT_FDCWD = -100
#: Calls that python-ptrace does not know: (type, name) of each argument.
_OWN: dict[str, tuple[tuple[str, str], ...]] = {
    "openat2": (("int", "dirfd"), ("const char *", "filename"), ("void *", "how"), ("size_t", "size")),
    "faccessat2": (("int", "dirfd"), ("const char *", "filename"), ("int", "mode"), ("int", "flags")),
    "fchmodat2": (("int", "dirfd"), ("const char *", "filename"), ("umode_t", "mode"), ("int", "flags")),
    "close_range": (("unsigned int", "first"), ("unsigned int", "last"), ("int", "flags")),
    "pidfd_open": (("int", "pid"), ("int", "flags")),
    "pkey_mprotect": (("void *", "start"), ("size_t", "len"), ("int", "prot"), ("int", "pkey")),
    "arch_prctl": (("int", "code"), ("unsigned long", "addr")),
    "setxattrat": (("int", "dirfd"), ("const char *", "pathname"), ("int", "flags"), ("void *", "name")),
    "getxattrat": (("int", "dirfd"), ("const char *", "pathname"), ("int", "flags"), ("void *", "name")),
    "listxattrat": (("int", "dirfd"), ("const char *", "pathname"), ("int", "flags"), ("void *", "list")),
    "removexattrat": (("int", "dirfd"), ("const char *", "pathname"), ("int", "flags"), ("void *", "name")),
}
_OPENS = {"open": 1, "openat": 2}
_MODES = {"open": 2, "openat": 3, "mkdir": 1, "mkdirat": 2, "chmod": 1, "fchmod": 1, "fchmodat": 2, "fchmodat2": 2}
_CREATES = 0o100 | 0o20000000  # O_CREAT, and the bit of O_TMPFILE


def format_call(syscall: str, registers: tuple[int, ...], paths: tuple[str | None, ...]) -> str:
    """`openat(AT_FDCWD, "/etc/shadow", O_RDONLY|O_CLOEXEC)`. `paths`: the names in their order, as far as they are
    known. Without registers, or of a call that nobody knows, the name with its paths.
    """
    known = [_quoted(path) for path in paths if path]
    if len(registers) != 6:
        return f"{syscall}({', '.join(known)})"
    from ptrace.func_call import FunctionCall, FunctionCallOptions
    from ptrace.syscall import SYSCALL_PROTOTYPES, SyscallArgument

    prototype = _OWN.get(syscall)
    if prototype is None and syscall in SYSCALL_PROTOTYPES:
        prototype = SYSCALL_PROTOTYPES[syscall][1]
    if prototype is None:
        return f"{syscall}({', '.join(known) or '...'})"
    call = FunctionCall(syscall, FunctionCallOptions(), SyscallArgument)
    names = list(known)
    roles = _roles().get(syscall, ())
    for index, ((kind, name), register) in enumerate(zip(prototype, registers, strict=False)):
        pointer = kind.endswith(("*", "]"))
        role = roles[index] if index < len(roles) else ""
        wide = pointer or kind in ("size_t", "unsigned long", "long", "off_t")
        value = register if wide else register & 0xFFFFFFFF  # the kernel looks at no more
        # no pointer is given to what would read there
        call.addArgument(value=value, name=name, type="void *" if pointer else kind)
        argument = call.arguments[-1]
        if pointer and role.startswith("path") and names:
            argument.text = names.pop(0)
        elif role == "dirfd" or (not pointer and name in ("dfd", "dirfd", "olddfd", "newdfd")):
            argument.text = "AT_FDCWD" if value == _AT_FDCWD & 0xFFFFFFFF else str(_signed(value))
        elif pointer:
            argument.text = f"{value:#x}" if value else "NULL"
        elif _OPENS.get(syscall) == index:
            argument.text = argument.getText().partition(" ")[0]
        elif _MODES.get(syscall) == index:
            argument.text = f"{value:#o}".replace("0o", "0")
        elif role == "fd":
            argument.text = str(_signed(value))
        elif role == "sig":
            argument.text = _signal(value)
        elif syscall == "access" and role == "mode":
            argument.text = argument.getText().partition(" ")[0].strip("<>")
        elif role in ("flags", "cmd") and (value > 9 or role == "cmd"):
            argument.text = f"{value:#x}"
    flags = _OPENS.get(syscall)
    if flags is not None and not call.arguments[flags].value & _CREATES:
        del call.arguments[flags + 1 :]  # open(2) looks at the mode only where it makes a file
    return str(call.format())


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


def _quoted(path: str) -> str:
    from capwrap.observe.summary import printable

    escaped = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{printable(escaped)}"'
