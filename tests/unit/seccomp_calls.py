"""Calls put to the seccomp program in the simulator, and registers worth trying."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Callable, Iterable
from functools import cache
from itertools import product
from tempfile import TemporaryDirectory

from hypothesis import strategies as st

from capwrap.policy import _pad, bpf, seccomp
from capwrap.policy._syscalls import ROWS
from capwrap.policy.bpf import Program

CAP_RO, CAP_RW, CAP_AUX, CAP_END = 900, 910, 920, 938
VALUES = {0: CAP_RO, 1: CAP_RW, 2: CAP_AUX, 3: CAP_END}
NUMBER = {row.name: row.number for row in ROWS}
ALLOW, TRACE, NOTIFY, ANSWER = "allow", "trace", "notify", "answer"
HIGH = 0xDEADBEEF00000000
BASE, END = _pad.PAD_BASE, _pad.PAD_END
U32, U64 = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF


@cache
def program(net: int = 0, ioctls: frozenset[int] = frozenset(), limit: bool = False, scopes: bool = True) -> Program:
    made = seccomp.build(net=net, allow_ioctls=ioctls, limit_processes=limit, landlock_scopes=scopes)
    return bpf.link(made, VALUES)


def words(action: int) -> str:
    if action & 0xFFFF0000 == 0x00050000:
        number = action & 0xFFFF
        # EOPNOTSUPP and ENOTSUP are one number, and Python knows the second name.
        return {0: "0", errno.EOPNOTSUPP: "EOPNOTSUPP"}.get(number) or errno.errorcode[number]
    verdicts = {0x7FFF0000: ALLOW, 0x7FF00000: TRACE, 0x7FC00000: NOTIFY, 0x7FC00000 | _pad.RET_ANSWER: ANSWER}
    return verdicts[action]


def verdict(name: str, *args: int, using: Program | None = None, arch: int = bpf.AUDIT_ARCH_X86_64, ip: int = 0) -> str:
    """What becomes of a call: ``allow``, ``trace``, ``notify``, ``answer`` or the name of an errno."""
    return words(bpf.run(using or program(), NUMBER[name], [arg & U64 for arg in args], arch, ip))


def near(*points: int) -> st.SearchStrategy[int]:
    """Registers: anything, and much that lies close to the points, with and without an upper half."""
    close = st.builds(lambda point, by: (point + by) & U64, st.sampled_from(points), st.integers(-40, 40))
    high = st.builds(lambda value, top: value & U32 | top << 32, close, st.integers(0, U32))
    return st.one_of(close, st.sampled_from(points), high, st.integers(0, U64))


FDS = near(0, CAP_RO, CAP_RW, CAP_AUX, CAP_END, U64)


def is_capability(fd: int) -> bool:
    return CAP_RO <= fd & U32 < CAP_END


def edges(*points: int) -> list[int]:
    """Each point, its neighbours, and all of them with an upper half."""
    close = {(point + by) & U64 for point in points for by in (-1, 0, 1)}
    return sorted(close | {value & U32 | HIGH for value in close} | {value & U32 | 1 << 32 for value in close})


def flips(*values: int) -> list[int]:
    """Each value, and it with any one bit flipped."""
    return [value ^ bit for value in values for bit in (0, *(1 << n for n in range(64)))]


def fd_edges() -> list[int]:
    return edges(0, CAP_RO, CAP_RW, CAP_AUX, CAP_AUX + 2, CAP_END)


def starts(region: tuple[int, int], stride: int, at: int = 0) -> list[int]:
    """Every slot of a region, the ones before and behind it, and every place in the first and the last."""
    first, end = region
    return [
        *range(first + at - stride, end + at + 1, stride),
        *range(first, first + stride),
        *range(end - stride, end + stride),
    ]


def check(name: str, expected: Callable[..., str], *registers: Iterable[int]) -> None:
    """The program and the reference agree on the product of the registers' values."""
    for args in product(*registers):
        assert verdict(name, *args) == expected(*args), (name, [hex(arg) for arg in args])


def macros(names: Iterable[str], *headers: str) -> dict[str, int]:
    """What the compiler makes of the macros of kernel headers, of those that they define."""
    source = "".join(f"#include <{header}>\n" for header in headers) + "#include <stdio.h>\nint main(void) {\n"
    for name in names:
        source += f'#ifdef {name}\nprintf("{name} %lu\\n", (unsigned long)({name}) & 0xffffffff);\n#endif\n'
    with TemporaryDirectory() as place:
        command = ["gcc", "-x", "c", "-o", f"{place}/macros", "-"]
        subprocess.run(command, input=source + "return 0; }\n", text=True, check=True)
        out = subprocess.run([f"{place}/macros"], capture_output=True, text=True, check=True).stdout
    return {name: int(value) for name, value in (line.split() for line in out.splitlines())}
