"""Rules of calls on descriptors, and of those that open, enter and watch: the capability range and capability form."""

from __future__ import annotations

import errno

from capwrap.policy import _pad, ioctls
from capwrap.policy.bpf import Target, Value, Verdict
from capwrap.policy.seccomp_rules import (
    ALLOW,
    ANSWER,
    CAP_AUX,
    CAP_END,
    CAP_RO,
    CAP_RW,
    RELOC_CAP_AUX,
    TRACE,
    Rules,
    refuse,
)

OPEN_HOW_SIZE = 24  # sizeof(struct open_how), openat2(2)

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


def _rule_close(r: Rules) -> None:
    # Capabilities cannot be hurt. A hole in their range would be filled by an open (rule 10 of ARCHITECTURE.md).
    r.capability(0, refuse(errno.EBADF), ALLOW)


_rule_dup = _rule_close


_rule_fstat = _rule_close


def _rule_ftruncate(r: Rules) -> None:
    # The descriptor of the results would be shrunk under the supervisor that reads it.
    r.capability(0, refuse(errno.EBADF), TRACE if r.options.hold_truncation else ALLOW)


def _rule_fallocate(r: Rules) -> None:
    # A file is made shorter from within. Most file systems have no such thing.
    if not r.options.hold_truncation:
        r.asm.goto(ALLOW)
        return
    r.lo(1)
    r.asm.jset(_FALLOC_FL_COLLAPSE_RANGE, refuse(errno.EOPNOTSUPP), ALLOW)


def _rule_dup2(r: Rules) -> None:
    r.capability(0, refuse(errno.EBADF))
    r.capability(1, refuse(errno.EBADF), ALLOW)


def _rule_fcntl(r: Rules) -> None:
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


def _rule_close_range(r: Rules) -> None:
    r.lo(1)
    r.asm.jge(CAP_RO, None, ALLOW)
    r.lo(0)
    r.asm.jge(CAP_END, ALLOW, TRACE)


def _rule_ioctl(r: Rules) -> None:
    # FIOCLEX on the descriptors of the pad, which are no O_PATH ones, would open a hole at exec.
    r.capability(0, refuse(errno.EBADF))
    r.lo(1)
    cases: dict[int, Target] = dict.fromkeys(_IOCTL_PASS, ALLOW)
    cases |= dict.fromkeys(r.options.allow_ioctls, ALLOW)
    cases |= dict.fromkeys(ioctls.STOP, TRACE)
    cases |= dict.fromkeys((ioctls.FIOSETOWN, ioctls.SIOCSPGRP), refuse(errno.EPERM))
    cases[_FIOASYNC] = ALLOW if r.options.landlock_scopes else refuse(errno.EPERM)
    r.asm.search(cases, refuse(errno.ENOTTY))


def _rule_openat2(r: Rules) -> None:
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


def _null_path(r: Rules, flags: int, other: Verdict) -> None:
    # With a NULL path it is fstat(2) since Linux 6.11, and EFAULT before. AT_FDCWD is not passed: where the kernel's
    # working directory is does not tell where the namespace's is. `other`: with a path that may be the empty string.
    r.lo(flags)
    r.asm.jset(_AT_EMPTY_PATH, None, ANSWER)
    r.equal(1, 0, other)
    r.lo(0)
    r.asm.jset(0x80000000, other, ALLOW)


def _rule_stat(r: Rules) -> None:
    # With the empty string it becomes fstat(2), made by the target.
    _null_path(r, 3, TRACE)


def _rule_statx(r: Rules) -> None:
    _null_path(r, 2, ANSWER)


def _rule_fchdir(r: Rules) -> None:
    r.lo(0)
    r.asm.within(Value(_pad.AUX_DELIVERY, RELOC_CAP_AUX), CAP_END, ALLOW, TRACE)


def _rule_watch(r: Rules) -> None:
    r.hi(1)
    r.asm.jeq(0, None, TRACE)
    r.lo(1)
    r.slot((_pad.PAD_FDPATH, _pad.PAD_FDPATH_END), _pad.PAD_FDPATH_STRIDE, ALLOW, TRACE)
