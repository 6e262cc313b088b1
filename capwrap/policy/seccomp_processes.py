"""Rules of calls that make a process, name one, or change what it is: clone, limits, prctl, filters."""

from __future__ import annotations

import errno

from capwrap.policy import _pad
from capwrap.policy.bpf import ALU_AND, IP_HI, IP_LO, Target
from capwrap.policy.seccomp_rules import ALLOW, TRACE, USER_NOTIF, Rules, refuse

# linux/sched.h. CLONE_NEWTIME lies in the byte of the exit signal and cannot be asked of clone(2).
_CLONE_NEW = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
_CLONE_PTRACE = 0x00002000
_CLONE_UNTRACED = 0x00800000
_CLONE_FS, _CLONE_FILES, _CLONE_SYSVSEM = 0x00000200, 0x00000400, 0x00040000

# linux/prctl.h
_PR_SET_VMA = 0x53564D41
_PRCTL_PASS = (
    *(1, 2, 7, 8, 13, 14, 15, 16),  # PDEATHSIG KEEPCAPS TIMING NAME
    *(21, *range(23, 35)),  # GET_SECCOMP CAPBSET TSC SECUREBITS TIMERSLACK TASK_PERF_EVENTS MCE_KILL
    *range(36, 43),  # CHILD_SUBREAPER NO_NEW_PRIVS GET_TID_ADDRESS THP_DISABLE
    *(47, 52, 53),  # CAP_AMBIENT, SPECULATION_CTRL
    *range(65, 69),  # MDWE MEMORY_MERGE
    *(77, 78, 0x41555856),  # TIMER_CREATE_RESTORE_IDS FUTEX_HASH GET_AUXV
)

# asm/prctl.h: ARCH_SET_GS SET_FS GET_FS GET_GS, GET_CPUID SET_CPUID, GET_XCOMP_SUPP GET_XCOMP_PERM
# REQ_XCOMP_PERM (AMX), SHSTK_STATUS. Not: MAP_VDSO_* (maps at an address), ENABLE_TAGGED_ADDR (the kernel would
# untag addresses after this program has looked at them), SHSTK_ENABLE (the stub returns where it was not called).
_ARCH_PRCTL_PASS = (0x1001, 0x1002, 0x1003, 0x1004, 0x1011, 0x1012, 0x1021, 0x1022, 0x1023, 0x5005)


def _rule_clone(r: Rules) -> None:
    # clone(2) takes the low 32 bits of its flags (kernel/fork.c, lower_32_bits).
    r.lo(0)
    r.asm.jset(
        _CLONE_NEW | _CLONE_PTRACE | _CLONE_UNTRACED,
        refuse(errno.EPERM),
        TRACE if r.options.limit_processes else ALLOW,
    )


def _rule_fork(r: Rules) -> None:
    r.asm.goto(TRACE if r.options.limit_processes else ALLOW)


def _rule_unshare(r: Rules) -> None:
    r.hi(0)
    r.asm.jeq(0, None, refuse(errno.EPERM))
    r.lo(0)
    r.asm.jset(~(_CLONE_FILES | _CLONE_FS | _CLONE_SYSVSEM) & 0xFFFFFFFF, refuse(errno.EPERM), ALLOW)


def _rule_pid0(r: Rules) -> None:
    r.lo(0)
    r.asm.jeq(0, ALLOW, TRACE)


def _self(r: Rules, which: int) -> None:
    # Who 0 of a process is the caller; of a group it is the caller's group, in which capwrap itself may be.
    r.lo(0)
    r.asm.jeq(which, None, TRACE)
    r.lo(1)
    r.asm.jeq(0, ALLOW, TRACE)


def _rule_priority(r: Rules) -> None:
    _self(r, 0)  # PRIO_PROCESS


def _rule_ioprio(r: Rules) -> None:
    _self(r, 1)  # IOPRIO_WHO_PROCESS


def _rule_clock(r: Rules) -> None:
    # include/linux/posix-timers_types.h: a negative clock is ~descriptor << 3 | 3, or ~pid << 3 | kind, where pid 0 is
    # the caller.
    r.lo(0)
    r.asm.jset(0x80000000, None, ALLOW)
    r.asm.jge(0xFFFFFFF8, ALLOW)
    r.asm.op(ALU_AND, 7)
    r.asm.jeq(3, ALLOW, TRACE)


def _limits(r: Rules, index: int) -> None:
    # RLIMIT_NOFILE and RLIMIT_AS have capwrap's own descriptors and the pad in them.
    r.lo(index)
    r.asm.jeq(7, TRACE)
    r.asm.jeq(9, TRACE, ALLOW)


def _rule_rlimit(r: Rules) -> None:
    _limits(r, 0)


def _rule_prlimit(r: Rules) -> None:
    r.lo(0)
    r.asm.jeq(0, None, TRACE)
    _limits(r, 1)


def _rule_prctl(r: Rules) -> None:
    asm = r.asm
    r.lo(0)
    cases: dict[int, Target] = dict.fromkeys(_PRCTL_PASS, ALLOW)
    cases |= {3: TRACE, 4: "prctl.dumpable"}  # GET_DUMPABLE, SET_DUMPABLE
    cases[22] = TRACE  # SET_SECCOMP
    cases |= {35: refuse(errno.EPERM)}  # SET_MM moves the heap and the stack about
    # SET_IO_FLUSHER, GET_IO_FLUSHER: as without CAP_SYS_RESOURCE, which the target never has
    cases |= {57: refuse(errno.EPERM), 58: refuse(errno.EPERM)}
    cases[_PR_SET_VMA] = "prctl.vma"
    # Of the rest, SET_PTRACER (no Yama), SCHED_CORE (a pid), SET_SYSCALL_USER_DISPATCH (the stub's calls would be
    # taken from it, rule 16 of ARCHITECTURE.md) and other machines' options are as in a kernel without them.
    asm.search(cases, refuse(errno.EINVAL))
    asm.flush()
    asm.label("prctl.dumpable")
    # The target's own calls are answered from a book; the stub's makes it readable to the engine.
    asm.load(IP_HI)
    asm.jeq(0, None, TRACE)
    asm.load(IP_LO)
    asm.jeq(_pad.PAD_STUB_READABLE + 2, None, TRACE)
    r.equal(1, 1, TRACE)
    asm.goto(ALLOW)
    asm.label("prctl.vma")
    r.equal(1, 0, refuse(errno.EINVAL))  # PR_SET_VMA_ANON_NAME
    r.untouched(2, 3, refuse(errno.EPERM))
    asm.goto(ALLOW)


def _rule_arch_prctl(r: Rules) -> None:
    r.lo(0)
    r.asm.search(dict.fromkeys(_ARCH_PRCTL_PASS, ALLOW), refuse(errno.EINVAL))


def _rule_personality(r: Rules) -> None:
    # A query, PER_LINUX and ADDR_NO_RANDOMIZE (debuggers, sanitizers that start again). The others change where the
    # next program's memory lies, around the pad, and personality(2) knows EINVAL for them.
    r.lo(0)
    r.asm.search(dict.fromkeys((0xFFFFFFFF, 0, 0x0040000), ALLOW), refuse(errno.EINVAL))


def _rule_seccomp(r: Rules) -> None:
    asm = r.asm
    r.lo(0)
    asm.search({0: ALLOW, 1: "seccomp.filter", 2: ALLOW, 3: ALLOW}, refuse(errno.EINVAL))
    asm.flush()
    asm.label("seccomp.filter")
    # SECCOMP_FILTER_FLAG_NEW_LISTENER: USER_NOTIF outranks TRACE and would hide calls from the engine (rule 9 of
    # ARCHITECTURE.md).
    r.lo(1)
    asm.jset(8, refuse(errno.EBUSY))
    # From a slot it is a copy that the supervisor made; what else stands there only restricts who installs it.
    r.hi(2)
    asm.jeq(0, None, TRACE)
    r.lo(2)
    r.slot((_pad.PAD_SLOT, _pad.PAD_SLOT_END), _pad.PAD_SLOT_STRIDE, ALLOW, TRACE, _pad.PAD_SLOT_DATA)


def _rule_deliver(r: Rules) -> None:
    r.asm.goto(USER_NOTIF)


def _rule_stub(r: Rules) -> None:
    r.asm.goto(TRACE)
