"""The seccomp program: what the kernel passes, refuses or stops by a call's registers alone.

The table (rewriters/syscalls.tbl) says which calls pass, are refused or stop whatever their registers hold. For
the rest it names a rule: a function ``_rule_<name>`` of seccomp_files, seccomp_memory, seccomp_processes or
seccomp_sockets.

Outside the rules, only the number and the architecture are looked at, and before anything else, so that the kernel
keeps its bitmap of calls that always pass (Linux 5.11, seccomp_cache_prepare) for all that does.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from capwrap.policy import ioctls, seccomp_files, seccomp_memory, seccomp_processes, seccomp_sockets
from capwrap.policy._syscalls import ROWS
from capwrap.policy.bpf import ARCH, AUDIT_ARCH_X86_64, NR, Insn, Program, Reloc, Target, Verdict
from capwrap.policy.seccomp_rules import (
    ALLOW,
    ANSWER,
    NET_HOST,
    NET_LOOPBACK,
    NET_NONE,
    TRACE,
    Options,
    Rules,
    refuse,
)

__all__ = ["NET_HOST", "NET_LOOPBACK", "NET_NONE", "Insn", "Program", "Reloc", "Verdict", "build"]

MODULES = (seccomp_files, seccomp_memory, seccomp_processes, seccomp_sockets)
RULES: dict[str, Callable[[Rules], None]] = {
    name.removeprefix("_rule_"): rule
    for module in MODULES
    for name, rule in vars(module).items()
    if name.startswith("_rule_")
}


def build(
    *,
    net: int,
    allow_ioctls: frozenset[int],
    limit_processes: bool,
    landlock_scopes: bool = True,
    hold_truncation: bool = False,
) -> Program:
    """The program for a policy, to be linked at launch with the numbers of the capability range.

    ``net`` is NET_NONE, NET_LOOPBACK or NET_HOST. ``allow_ioctls`` are further requests that pass (``--allow
    ioctl:NUMBER``). ``limit_processes`` has every fork stop to be counted. ``landlock_scopes`` says that the jail has
    Landlock's scopes for signals and abstract sockets (Linux 6.12); without them, what rests on them does not pass.
    ``hold_truncation`` says that some grant permits to write and not to truncate, so that ftruncate(2) has to stop,
    and fallocate(2) makes nothing shorter.
    ValueError for a request that is never passed or is no number of 32 bits, and for another ``net``.
    """
    if net not in (NET_NONE, NET_LOOPBACK, NET_HOST):
        raise ValueError(f"net {net} is none of 0, 1, 2")
    for request in sorted(allow_ioctls):
        if not 0 <= request <= 0xFFFFFFFF:
            raise ValueError(f"ioctl request {request:#x} does not fit 32 bits")
        if request in ioctls.NEVER | ioctls.STOP:
            raise ValueError(f"ioctl request {request:#x} is never passed")
    r = Rules(Options(net, allow_ioctls, limit_processes, landlock_scopes, hold_truncation))
    asm = r.asm
    nosys = refuse(errno.ENOSYS)
    cases: dict[int, Target] = {}
    for row in ROWS:
        match row.kind:
            case "pass":
                cases[row.number] = ALLOW
            case "refuse":
                cases[row.number] = refuse(getattr(errno, row.error))
            case "trace":
                cases[row.number] = TRACE
            case "notify":
                cases[row.number] = ANSWER
            case _:
                cases[row.number] = f"rule.{row.rule}"
    asm.load(ARCH)
    asm.jeq(AUDIT_ARCH_X86_64, None, nosys)
    # x32 calls have bit 30 set and are numbers that the table does not know.
    asm.load(NR)
    asm.search(cases, nosys)
    asm.flush()
    for name in dict.fromkeys(row.rule for row in ROWS if row.rule):
        asm.label(f"rule.{name}")
        RULES[name](r)
        asm.flush()
    return asm.assemble()
