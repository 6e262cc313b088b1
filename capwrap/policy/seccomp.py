"""The seccomp program: what the kernel passes, refuses or stops by a call's registers alone.

The table (rewriters/syscalls.tbl) says which calls pass, are refused or stop whatever their registers hold. For
the rest it names a rule; the rules stand here, each a function ``_rule_<name>``.

Two principles. A rule that *denies* looks at what the kernel looks at: descriptors, commands and most flags are
the low 32 bits of their register. A rule that *passes* by an address looks at all 64 bits. The value of RET_TRACE
is always 0 and means nothing: a filter of the target's own can replace it (seccomp(2)), so the engine decides by
the number.

Outside the rules, only the number and the architecture are looked at, and before anything else, so that the kernel
keeps its bitmap of calls that always pass (Linux 5.11, seccomp_cache_prepare) for all that does.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, field

from capwrap.policy import _pad, ioctls
from capwrap.policy._syscalls import ROWS
from capwrap.policy.bpf import (
    ALU_AND,
    ALU_SUB_X,
    ARCH,
    AUDIT_ARCH_X86_64,
    IP_HI,
    IP_LO,
    JGT_X,
    LD_IMM,
    NR,
    TAX,
    Assembler,
    Insn,
    Program,
    Reloc,
    Target,
    Value,
    Verdict,
    arg_hi,
    arg_lo,
)

__all__ = ["NET_HOST", "NET_LOOPBACK", "NET_NONE", "Insn", "Program", "Reloc", "Verdict", "build"]

#: enum cw_net of rewriters/image.h.
NET_NONE, NET_LOOPBACK, NET_HOST = 0, 1, 2

#: enum cw_reloc_kind of rewriters/image.h.
RELOC_CAP_RO, RELOC_CAP_RW, RELOC_CAP_AUX, RELOC_CAP_END = 0, 1, 2, 3

ALLOW = Verdict(0x7FFF0000)
TRACE = Verdict(0x7FF00000)
USER_NOTIF = Verdict(0x7FC00000)
#: For what the listener answers; the launcher makes it TRACE where it could not.
ANSWER = Verdict(0x7FC00000 | _pad.RET_ANSWER)

CAP_RO = Value(0, RELOC_CAP_RO)
CAP_RW = Value(0, RELOC_CAP_RW)
CAP_AUX = Value(0, RELOC_CAP_AUX)
CAP_END = Value(0, RELOC_CAP_END)

#: The inet slots are halved: what may be connected to, and what may be bound. In one region, a permitted --bind
#: would also permit to connect to the same address, and the other way round. The engine publishes accordingly.
IN4_CONNECT = (_pad.PAD_IN4, (_pad.PAD_IN4 + _pad.PAD_IN4_END) // 2)
IN4_BIND = (IN4_CONNECT[1], _pad.PAD_IN4_END)
IN6_CONNECT = (_pad.PAD_IN6, (_pad.PAD_IN6 + _pad.PAD_IN6_END) // 2)
IN6_BIND = (IN6_CONNECT[1], _pad.PAD_IN6_END)

IN4_LEN, IN6_LEN = 16, 28  # sizeof(struct sockaddr_in), sizeof(struct sockaddr_in6)
ABSTRACT_MIN = 3  # family and the NUL that makes a name abstract

OPEN_HOW_SIZE = 24  # sizeof(struct open_how), openat2(2)


def refuse(number: int) -> Verdict:
    """The call returns -``number`` (0: it returns 0)."""
    return Verdict(0x00050000 | number)


# linux/sched.h. CLONE_NEWTIME lies in the byte of the exit signal and cannot be asked of clone(2).
_CLONE_NEW = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
_CLONE_PTRACE = 0x00002000
_CLONE_UNTRACED = 0x00800000
_CLONE_FS, _CLONE_FILES, _CLONE_SYSVSEM = 0x00000200, 0x00000400, 0x00040000

# asm-generic/mman-common.h, linux/mman.h
_MAP_SHARED, _MAP_FIXED, _MAP_FIXED_NOREPLACE = 0x01, 0x10, 0x100000
_PROT_READ, _PROT_WRITE, _PROT_EXEC = 1, 2, 4
_MREMAP_FIXED = 2

_AT_EMPTY_PATH = 0x1000

# asm-generic/fcntl.h, linux/fcntl.h
_F_DUPFD, _F_GETFD, _F_SETFD, _F_GETFL, _F_SETFL, _F_SETOWN, _F_SETSIG, _F_SETOWN_EX = 0, 1, 2, 3, 4, 8, 10, 15
_F_DUPFD_CLOEXEC = 1030
_O_ASYNC = 0x2000
#: GETLK SETLK SETLKW GETOWN GETSIG GETOWN_EX GETOWNER_UIDS, OFD_GETLK OFD_SETLK OFD_SETLKW, SETLEASE GETLEASE,
#: DUPFD_QUERY CREATED_QUERY, SETPIPE_SZ GETPIPE_SZ ADD_SEALS GET_SEALS, GET_ and SET_(FILE_)RW_HINT: of the
#: descriptor, its locks and its pipe. F_NOTIFY is not among them: it watches a directory without `event`, and
#: EINVAL is what a kernel without it says.
_FCNTL_PASS = (
    *(_F_GETFD, _F_SETFD, _F_GETFL, 5, 6, 7, 9, 11, 16, 17, 36, 37, 38),
    *(1024, 1025, 1027, 1028, *range(1031, 1039)),
)

# asm-generic/ioctls.h, asm-generic/sockios.h, linux/fs.h
_FIOASYNC = 0x5452
#: What a terminal, a pipe or a socket answers about itself, and its owner may change.
_IOCTL_PASS = (
    0x2,  # FIGETBSZ: the block size, as stat tells it
    *range(0x5401, 0x5412),  # TCGETS .. TIOCOUTQ
    *range(0x5413, 0x541C),  # TIOCGWINSZ TIOCSWINSZ, modem lines, FIONREAD; 0x5412 is TIOCSTI, 0x541C TIOCLINUX
    *(0x5420, 0x5421, 0x5422, 0x5424, 0x5425),  # TIOCPKT FIONBIO TIOCNOTTY TIOCGETD TCSBRKP
    *(0x5427, 0x5428, 0x5429),  # TIOCSBRK TIOCCBRK TIOCGSID
    *(0x802C542A, 0x402C542B, 0x402C542C, 0x402C542D),  # TCGETS2 TCSETS2 TCSETSW2 TCSETSF2
    *(0x80045430, 0x40045431, 0x80045432, 0x40045436),  # TIOCGPTN TIOCSPTLCK TIOCGDEV TIOCSIG
    *(0x80045438, 0x80045439, 0x80045440, 0x5441),  # TIOCGPKT TIOCGPTLCK TIOCGEXCL TIOCGPTPEER
    *(0x5450, 0x5451, 0x5460),  # FIONCLEX FIOCLEX FIOQSIZE
    *(0x8903, 0x8904, 0x8905, 0x8906, 0x8907, 0x894B),  # FIOGETOWN SIOCGPGRP SIOCATMARK, time stamps, SIOCOUTQNSD
    *(0x80086601, 0x80087601, 0x801C581F),  # FS_IOC_GETFLAGS FS_IOC_GETVERSION FS_IOC_FSGETXATTR
    # FICLONE FICLONERANGE FIDEDUPERANGE: copies between open files, which need reading and writing as any copy
    *(0x40049409, 0x4020940D, 0xC0189436),
    0x80045200,  # RNDGETENTCNT
)

# linux/falloc.h
_FALLOC_FL_COLLAPSE_RANGE = 0x08

# linux/net.h
_SOCK_NONBLOCK, _SOCK_CLOEXEC, _SOCK_MAX = 0o4000, 0o2000000, 11

# linux/in.h
_IPPROTO_MAX = 263

# asm-generic/socket.h
_SOL_SOCKET, _SO_PASSPIDFD, _SO_PEERPIDFD = 1, 76, 77

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


@dataclass(frozen=True)
class _Options:
    net: int
    allow_ioctls: frozenset[int]
    limit_processes: bool
    landlock_scopes: bool
    hold_truncation: bool


@dataclass(frozen=True)
class _Rules:
    """An assembler with what the rules have in common. Every rule ends in a verdict on all of its ways."""

    options: _Options
    asm: Assembler = field(default_factory=Assembler)

    def lo(self, index: int) -> None:
        self.asm.load(arg_lo(index))

    def hi(self, index: int) -> None:
        self.asm.load(arg_hi(index))

    def capability(self, index: int, yes: Target, no: Target | None = None) -> None:
        """Is this descriptor one of the capability range?"""
        self.lo(index)
        self.asm.within(CAP_RO, CAP_END, yes, no)

    def equal(self, index: int, value: int, no: Target) -> None:
        """All 64 bits of the argument are ``value``, or ``no``."""
        self.hi(index)
        self.asm.jeq(value >> 32, None, no)
        self.lo(index)
        self.asm.jeq(value & 0xFFFFFFFF, None, no)

    def untouched(self, addr: int, length: int, touched: Target) -> None:
        """Continues where [addr, addr+length) is clear of the pad; else, or where it is no range, ``touched``.

        An address or a length with a bit above 46 is refused whatever it touches: it could wrap, and with LAM the
        kernel drops high bits of addresses after this program has looked at them. So the sum has no carry out of 64
        bits, and beneath the pad no carry out of 32.
        """
        asm, clear = self.asm, self.asm.fresh("clear")
        self.hi(length)
        asm.jge(0x8000, touched)
        self.hi(addr)
        asm.jge(0x8000, touched)
        asm.jeq(0, None, clear)
        self.lo(addr)
        asm.jge(_pad.PAD_END, clear)
        asm.jge(_pad.PAD_BASE, touched)
        # It begins beneath the pad: the length decides, against PAD_BASE - addr.
        asm.op(TAX)
        asm.op(LD_IMM, _pad.PAD_BASE)
        asm.op(ALU_SUB_X)
        asm.op(TAX)
        self.hi(length)
        asm.jeq(0, None, touched)
        self.lo(length)
        asm.jump(JGT_X, 0, touched, None)
        asm.label(clear)

    def no_huge_page(self, addr: int, touched: Target) -> None:
        """Refuses a fixed address at which a mapping of 1 GiB pages would begin beneath the pad and cover it.

        mmap and mremap round the length up to the huge page size of the file or the flags (Linux 3.10, mm/mmap.c), so
        the length of the call does not tell. Smaller huge pages end at PAD_BASE, which is aligned to them.
        """
        asm, clear = self.asm, self.asm.fresh("clear")
        self.hi(addr)
        asm.jeq(0, None, clear)
        self.lo(addr)
        asm.jset(0x3FFFFFFF, clear)
        asm.jge(_pad.PAD_END, None, touched)
        asm.label(clear)

    def slot(self, region: tuple[int, int], stride: int, yes: Target, no: Target, at: int = 0) -> None:
        """A is exactly ``at`` behind the start of a slot of the region (which is aligned to its stride)."""
        self.asm.within(region[0], region[1], None, no)
        self.asm.op(ALU_AND, stride - 1)
        self.asm.jeq(at, yes, no)


def _rule_close(r: _Rules) -> None:
    # Capabilities cannot be hurt. A hole in their range would be filled by an open (rule 10 of ARCHITECTURE.md).
    r.capability(0, refuse(errno.EBADF), ALLOW)


_rule_dup = _rule_close

_rule_fstat = _rule_close


def _rule_ftruncate(r: _Rules) -> None:
    # The descriptor of the results would be shrunk under the supervisor that reads it.
    r.capability(0, refuse(errno.EBADF), TRACE if r.options.hold_truncation else ALLOW)


def _rule_fallocate(r: _Rules) -> None:
    # A file is made shorter from within. Most file systems have no such thing.
    if not r.options.hold_truncation:
        r.asm.goto(ALLOW)
        return
    r.lo(1)
    r.asm.jset(_FALLOC_FL_COLLAPSE_RANGE, refuse(errno.EOPNOTSUPP), ALLOW)


def _rule_dup2(r: _Rules) -> None:
    r.capability(0, refuse(errno.EBADF))
    r.capability(1, refuse(errno.EBADF), ALLOW)


def _rule_fcntl(r: _Rules) -> None:
    asm = r.asm
    # F_SETFD works on O_PATH descriptors and would open a hole at exec; and what nobody opened answers nothing.
    r.capability(0, "fcntl.capability")
    r.lo(1)
    cases: dict[int, Target] = dict.fromkeys(_FCNTL_PASS, ALLOW)
    cases |= {_F_DUPFD: "fcntl.dupfd", _F_DUPFD_CLOEXEC: "fcntl.dupfd"}
    # SETOWN's process stands in the register and the engine judges it; SETOWN_EX's stands in memory.
    cases |= {_F_SETOWN: TRACE, _F_SETOWN_EX: refuse(errno.EPERM)}
    # A terminal sends the signal of F_SETSIG to its foreground group without any F_SETOWN (rule 14 of ARCHITECTURE.md).
    cases[_F_SETSIG] = ALLOW if r.options.landlock_scopes else refuse(errno.EPERM)
    cases[_F_SETFL] = ALLOW if r.options.landlock_scopes else "fcntl.setfl"
    asm.search(cases, refuse(errno.EINVAL))
    asm.flush()
    if not r.options.landlock_scopes:
        asm.label("fcntl.setfl")
        r.lo(2)
        asm.jset(_O_ASYNC, refuse(errno.EPERM), ALLOW)
    # A number above the range finds none in it, and one in the range is to find the first above it.
    asm.label("fcntl.dupfd")
    r.lo(2)
    asm.within(CAP_RO, CAP_END, TRACE, ALLOW)
    asm.label("fcntl.capability")
    asm.goto(refuse(errno.EBADF))


def _rule_close_range(r: _Rules) -> None:
    r.lo(1)
    r.asm.jge(CAP_RO, None, ALLOW)
    r.lo(0)
    r.asm.jge(CAP_END, ALLOW, TRACE)


def _rule_ioctl(r: _Rules) -> None:
    # FIOCLEX on the descriptors of the pad, which are no O_PATH ones, would open a hole at exec.
    r.capability(0, refuse(errno.EBADF))
    r.lo(1)
    cases: dict[int, Target] = dict.fromkeys(_IOCTL_PASS, ALLOW)
    cases |= dict.fromkeys(r.options.allow_ioctls, ALLOW)
    cases |= dict.fromkeys(ioctls.STOP, TRACE)
    cases |= dict.fromkeys((ioctls.FIOSETOWN, ioctls.SIOCSPGRP), refuse(errno.EPERM))
    cases[_FIOASYNC] = ALLOW if r.options.landlock_scopes else refuse(errno.EPERM)
    r.asm.search(cases, refuse(errno.ENOTTY))


def _rule_mmap(r: _Rules) -> None:
    asm = r.asm
    # Without a fixed address the kernel looks for free space, and the pad is mapped before the first instruction.
    r.lo(3)
    asm.jset(_MAP_FIXED | _MAP_FIXED_NOREPLACE, None, ALLOW)
    # With both flags the kernel takes NOREPLACE.
    asm.jset(_MAP_FIXED_NOREPLACE, "mmap.noreplace")
    r.no_huge_page(0, refuse(errno.EPERM))
    r.untouched(0, 1, refuse(errno.EPERM))
    asm.goto(ALLOW)
    asm.label("mmap.noreplace")
    # The supervisor has every process make these two calls at its exec stop; they are harmless at any other time.
    for aux, base, size, prot in (
        (_pad.AUX_PAD, _pad.PAD_BASE, _pad.PAD_SIZE, _PROT_READ | _PROT_EXEC),
        (_pad.AUX_RESULT, _pad.PAD_RESULT, _pad.PAD_RESULT_SIZE, _PROT_READ | _PROT_WRITE),
    ):
        other = asm.fresh("mmap.other")
        r.lo(4)
        asm.jeq(Value(aux, RELOC_CAP_AUX), None, other)
        r.equal(0, base, other)
        r.equal(1, size, other)
        r.equal(2, prot, other)
        r.equal(3, _MAP_SHARED | _MAP_FIXED_NOREPLACE, other)
        r.equal(5, 0, other)
        asm.goto(ALLOW)
        asm.label(other)
    r.untouched(0, 1, refuse(errno.EEXIST))
    asm.goto(ALLOW)


def _rule_mremap(r: _Rules) -> None:
    # Growing in place stops at the pad; a length of 0 makes a second mapping of the same pages elsewhere.
    r.untouched(0, 1, refuse(errno.EPERM))
    r.lo(3)
    r.asm.jset(_MREMAP_FIXED, None, ALLOW)
    r.no_huge_page(4, refuse(errno.EPERM))
    r.untouched(4, 2, refuse(errno.EPERM))
    r.asm.goto(ALLOW)


def _rule_range(r: _Rules) -> None:
    # munmap, mprotect, pkey_mprotect, remap_file_pages; madvise: DONTFORK works on a sealed mapping.
    r.untouched(0, 1, refuse(errno.EPERM))
    r.asm.goto(ALLOW)


def _rule_brk(r: _Rules) -> None:
    # The kernel refuses to grow the heap into the mapped pad; this does not rest on it. brk(2) knows no errno: 0 is
    # a break below the one that was asked for, which C libraries take for failure, and -EPERM one above it.
    r.hi(0)
    r.asm.jeq(0, None, ALLOW)
    r.lo(0)
    r.asm.within(_pad.PAD_BASE, _pad.PAD_END, refuse(0), ALLOW)


def _rule_shmat(r: _Rules) -> None:
    # How long a segment is no register says, so nothing is attached below the end of the pad.
    r.hi(1)
    r.asm.jeq(0, None, TRACE)
    r.lo(1)
    r.asm.jeq(0, TRACE)
    r.asm.jge(_pad.PAD_END, TRACE, refuse(errno.EINVAL))


def _rule_clone(r: _Rules) -> None:
    # clone(2) takes the low 32 bits of its flags (kernel/fork.c, lower_32_bits).
    r.lo(0)
    r.asm.jset(
        _CLONE_NEW | _CLONE_PTRACE | _CLONE_UNTRACED,
        refuse(errno.EPERM),
        TRACE if r.options.limit_processes else ALLOW,
    )


def _rule_fork(r: _Rules) -> None:
    r.asm.goto(TRACE if r.options.limit_processes else ALLOW)


def _rule_unshare(r: _Rules) -> None:
    r.hi(0)
    r.asm.jeq(0, None, refuse(errno.EPERM))
    r.lo(0)
    r.asm.jset(~(_CLONE_FILES | _CLONE_FS | _CLONE_SYSVSEM) & 0xFFFFFFFF, refuse(errno.EPERM), ALLOW)


def _rule_sendmsg(r: _Rules) -> None:
    # Its name is NULL or a published address, whoever wrote it last: a region of its own, which no other bytes reach.
    r.hi(1)
    r.asm.jeq(0, None, TRACE)
    r.lo(1)
    r.slot((_pad.PAD_MSGHDR, _pad.PAD_MSGHDR_END), _pad.PAD_MSGHDR_STRIDE, ALLOW, TRACE)


def _rule_openat2(r: _Rules) -> None:
    # Capability form (rule 1 of ARCHITECTURE.md): exact slots, exact size; writable hows with writable capabilities.
    asm = r.asm
    r.equal(3, OPEN_HOW_SIZE, TRACE)
    r.hi(2)
    asm.jeq(0, None, TRACE)
    r.lo(2)
    asm.jset(_pad.PAD_HOW_STRIDE - 1, TRACE)
    asm.within(_pad.PAD_HOW_RO, _pad.PAD_HOW_RO_END, "openat2.ro")
    asm.within(_pad.PAD_HOW_RW, _pad.PAD_HOW_RW_END, None, TRACE)
    r.lo(0)
    asm.within(CAP_RW, CAP_AUX, ALLOW, TRACE)
    asm.label("openat2.ro")
    r.lo(0)
    asm.within(CAP_RO, CAP_AUX, ALLOW, TRACE)


def _null_path(r: _Rules, flags: int, other: Verdict) -> None:
    # With a NULL path it is fstat(2) since Linux 6.11, and EFAULT before. AT_FDCWD is not passed: where the kernel's
    # working directory is does not tell where the namespace's is. `other`: with a path that may be the empty string.
    r.lo(flags)
    r.asm.jset(_AT_EMPTY_PATH, None, ANSWER)
    r.equal(1, 0, other)
    r.lo(0)
    r.asm.jset(0x80000000, other, ALLOW)


def _rule_stat(r: _Rules) -> None:
    # With the empty string it becomes fstat(2), made by the target.
    _null_path(r, 3, TRACE)


def _rule_statx(r: _Rules) -> None:
    _null_path(r, 2, ANSWER)


def _rule_fchdir(r: _Rules) -> None:
    r.lo(0)
    r.asm.within(Value(_pad.AUX_DELIVERY, RELOC_CAP_AUX), CAP_END, ALLOW, TRACE)


def _rule_watch(r: _Rules) -> None:
    r.hi(1)
    r.asm.jeq(0, None, TRACE)
    r.lo(1)
    r.slot((_pad.PAD_FDPATH, _pad.PAD_FDPATH_END), _pad.PAD_FDPATH_STRIDE, ALLOW, TRACE)


def _rule_pid0(r: _Rules) -> None:
    r.lo(0)
    r.asm.jeq(0, ALLOW, TRACE)


def _self(r: _Rules, which: int) -> None:
    # Who 0 of a process is the caller; of a group it is the caller's group, in which capwrap itself may be.
    r.lo(0)
    r.asm.jeq(which, None, TRACE)
    r.lo(1)
    r.asm.jeq(0, ALLOW, TRACE)


def _rule_priority(r: _Rules) -> None:
    _self(r, 0)  # PRIO_PROCESS


def _rule_ioprio(r: _Rules) -> None:
    _self(r, 1)  # IOPRIO_WHO_PROCESS


def _rule_clock(r: _Rules) -> None:
    # include/linux/posix-timers_types.h: a negative clock is ~descriptor << 3 | 3, or ~pid << 3 | kind, where pid 0 is
    # the caller.
    r.lo(0)
    r.asm.jset(0x80000000, None, ALLOW)
    r.asm.jge(0xFFFFFFF8, ALLOW)
    r.asm.op(ALU_AND, 7)
    r.asm.jeq(3, ALLOW, TRACE)


def _limits(r: _Rules, index: int) -> None:
    # RLIMIT_NOFILE and RLIMIT_AS have capwrap's own descriptors and the pad in them.
    r.lo(index)
    r.asm.jeq(7, TRACE)
    r.asm.jeq(9, TRACE, ALLOW)


def _rule_rlimit(r: _Rules) -> None:
    _limits(r, 0)


def _rule_prlimit(r: _Rules) -> None:
    r.lo(0)
    r.asm.jeq(0, None, TRACE)
    _limits(r, 1)


def _rule_socket(r: _Rules) -> None:
    asm = r.asm
    # Flags, types and protocols that do not exist: in the order of net/socket.c and net/ipv4/af_inet.c.
    r.lo(1)
    asm.jset(0xFFFFFFFF & ~(0xF | _SOCK_NONBLOCK | _SOCK_CLOEXEC), refuse(errno.EINVAL))
    r.lo(0)
    asm.search({1: "socket.unix", 2: "socket.inet", 10: "socket.inet"}, refuse(errno.EAFNOSUPPORT))
    asm.label("socket.unix")
    # The kernel makes SOCK_RAW a SOCK_DGRAM here.
    r.lo(1)
    asm.op(ALU_AND, 0xF)
    asm.jge(_SOCK_MAX, refuse(errno.EINVAL))
    asm.search(dict.fromkeys((1, 2, 3, 5), ALLOW), "socket.unix.none")
    asm.label("socket.unix.none")
    r.lo(2)
    asm.search(dict.fromkeys((0, 1), refuse(errno.ESOCKTNOSUPPORT)), refuse(errno.EPROTONOSUPPORT))
    asm.label("socket.inet")
    r.lo(1)
    asm.op(ALU_AND, 0xF)
    asm.jge(_SOCK_MAX, refuse(errno.EINVAL))
    r.lo(2)
    asm.jge(_IPPROTO_MAX, refuse(errno.EINVAL))
    r.lo(1)
    asm.op(ALU_AND, 0xF)
    asm.search({1: "socket.stream", 2: "socket.dgram", 3: refuse(errno.EPERM)}, refuse(errno.ESOCKTNOSUPPORT))
    # TCP and UDP only: SCTP connects and binds by setsockopt(2) with addresses in memory, Landlock overlooked MPTCP
    # before Linux 6.15, and ping sockets are EACCES wherever net.ipv4.ping_group_range is at its default.
    asm.label("socket.stream")
    r.lo(2)
    asm.search({0: ALLOW, 6: ALLOW}, refuse(errno.EPROTONOSUPPORT))
    asm.label("socket.dgram")
    r.lo(2)
    asm.search({0: ALLOW, 17: ALLOW, 1: refuse(errno.EACCES), 58: refuse(errno.EACCES)}, refuse(errno.EPROTONOSUPPORT))


def _rule_getsockopt(r: _Rules) -> None:
    # SO_PEERPIDFD (Linux 6.5) is a descriptor of whoever made the other end, and signals go through it. Landlock's
    # scope keeps them inside the target; without it there is no such option.
    asm = r.asm
    if r.options.landlock_scopes:
        asm.goto(ALLOW)
        return
    r.lo(1)
    asm.jeq(_SOL_SOCKET, None, ALLOW)
    r.lo(2)
    asm.jeq(_SO_PEERPIDFD, refuse(errno.ENOPROTOOPT), ALLOW)


def _rule_setsockopt(r: _Rules) -> None:
    asm = r.asm
    levels: dict[int, Target] = {}
    if not r.options.landlock_scopes:
        levels[_SOL_SOCKET] = "setsockopt.socket"
    if r.options.net != NET_HOST:
        levels |= {0: "setsockopt.ip", 41: "setsockopt.ipv6"}
    r.lo(1)
    asm.search(levels, ALLOW)
    asm.flush()
    if not r.options.landlock_scopes:
        # Messages bring such a descriptor as well.
        asm.label("setsockopt.socket")
        r.lo(2)
        asm.jeq(_SO_PASSPIDFD, refuse(errno.ENOPROTOOPT), ALLOW)
    if r.options.net == NET_HOST:
        return
    # A source route sends the packets for a permitted address to another one first: IP_OPTIONS, IPV6_2292PKTOPTIONS,
    # IPV6_RTHDR. To join a multicast group is to send its address to the network, unasked and unbound: refused as on a
    # machine without an interface. (IP_ADD_MEMBERSHIP, IP_ADD_SOURCE_MEMBERSHIP, IPV6_ADD_MEMBERSHIP,
    # IPV6_JOIN_ANYCAST, MCAST_JOIN_GROUP, MCAST_JOIN_SOURCE_GROUP.)
    route, join = refuse(errno.EPERM), refuse(errno.ENODEV)
    asm.label("setsockopt.ip")
    r.lo(2)
    asm.search({4: route} | dict.fromkeys((35, 39, 42, 46), join), ALLOW)
    asm.flush()
    asm.label("setsockopt.ipv6")
    r.lo(2)
    asm.search({6: route, 57: route} | dict.fromkeys((20, 27, 42, 46), join), ALLOW)


#: Slots of socket addresses: their region, its stride, and the least and the greatest length of an address.
_Slots = tuple[tuple[int, int], int, int, int]


def _addresses(r: _Rules, address: int, length: int, regions: tuple[_Slots, ...]) -> None:
    """Passes where the address is a slot and the length one of it, else stops."""
    asm = r.asm
    r.hi(address)
    asm.jeq(0, None, TRACE)
    for region, stride, least, most in regions:
        other = asm.fresh("address.other")
        r.lo(address)
        asm.within(region[0], region[1], None, other)
        asm.jset(stride - 1, TRACE)
        r.lo(length)
        if least == most:
            asm.jeq(least, ALLOW, TRACE)
        else:
            asm.within(least, most + 1, ALLOW, TRACE)
        asm.label(other)
    asm.goto(TRACE)


_INET_CONNECT = (
    (IN4_CONNECT, _pad.PAD_IN_STRIDE, IN4_LEN, IN4_LEN),
    (IN6_CONNECT, _pad.PAD_IN_STRIDE, IN6_LEN, IN6_LEN),
)
_INET_BIND = (
    (IN4_BIND, _pad.PAD_IN_STRIDE, IN4_LEN, IN4_LEN),
    (IN6_BIND, _pad.PAD_IN_STRIDE, IN6_LEN, IN6_LEN),
)


def _abstract(r: _Rules) -> tuple[_Slots, ...]:
    # The length is part of an abstract name, so a slot is all the prefixes of its name too. That is harmless where
    # Landlock keeps abstract names inside the target, and not elsewhere.
    if not r.options.landlock_scopes:
        return ()
    return (((_pad.PAD_ABSTRACT, _pad.PAD_ABSTRACT_END), _pad.PAD_UN_STRIDE, ABSTRACT_MIN, _pad.PAD_UN_LEN),)


def _rule_connect(r: _Rules) -> None:
    _addresses(r, 1, 2, _INET_CONNECT + _abstract(r))


def _rule_bind(r: _Rules) -> None:
    _addresses(r, 1, 2, _INET_BIND + _abstract(r))


def _rule_listen(r: _Rules) -> None:
    # listen(2) on an inet socket without an address binds it to a port of all interfaces, and no Landlock sees it.
    r.asm.goto(ALLOW if r.options.net == NET_HOST else TRACE)


def _rule_sendto(r: _Rules) -> None:
    asm = r.asm
    r.lo(4)
    asm.jeq(0, None, "sendto.address")
    r.hi(4)
    asm.jeq(0, ALLOW, TRACE)
    asm.label("sendto.address")
    _addresses(r, 4, 5, _INET_CONNECT + _abstract(r))


def _rule_prctl(r: _Rules) -> None:
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


def _rule_arch_prctl(r: _Rules) -> None:
    r.lo(0)
    r.asm.search(dict.fromkeys(_ARCH_PRCTL_PASS, ALLOW), refuse(errno.EINVAL))


def _rule_personality(r: _Rules) -> None:
    # A query, PER_LINUX and ADDR_NO_RANDOMIZE (debuggers, sanitizers that start again). The others change where the
    # next program's memory lies, around the pad, and personality(2) knows EINVAL for them.
    r.lo(0)
    r.asm.search(dict.fromkeys((0xFFFFFFFF, 0, 0x0040000), ALLOW), refuse(errno.EINVAL))


def _rule_seccomp(r: _Rules) -> None:
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


def _rule_deliver(r: _Rules) -> None:
    r.asm.goto(USER_NOTIF)


def _rule_stub(r: _Rules) -> None:
    r.asm.goto(TRACE)


RULES: dict[str, Callable[[_Rules], None]] = {
    name.removeprefix("_rule_"): rule for name, rule in list(globals().items()) if name.startswith("_rule_")
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
    r = _Rules(_Options(net, allow_ioctls, limit_processes, landlock_scopes, hold_truncation))
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
