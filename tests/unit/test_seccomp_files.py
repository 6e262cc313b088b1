"""Calls on descriptors, and those that open, enter and watch, pass in capability form only and hurt no capability."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seccomp_calls import (
    ALLOW,
    ANSWER,
    CAP_AUX,
    CAP_END,
    CAP_RO,
    CAP_RW,
    FDS,
    HIGH,
    TRACE,
    U32,
    U64,
    VALUES,
    check,
    edges,
    fd_edges,
    flips,
    is_capability,
    macros,
    near,
    program,
    starts,
    verdict,
)

from capwrap.policy import _pad, bpf, seccomp

HOWS = near(0, _pad.PAD_HOW_RO, _pad.PAD_HOW_RO_END, _pad.PAD_HOW_RW_END)


def expect_openat2(fd: int, _path: int, how: int, size: int) -> str:
    ro = how in range(_pad.PAD_HOW_RO, _pad.PAD_HOW_RO_END, 32)
    rw = how in range(_pad.PAD_HOW_RW, _pad.PAD_HOW_RW_END, 32)
    low = fd & U32
    passes = size == 24 and ((ro and CAP_RO <= low < CAP_AUX) or (rw and CAP_RW <= low < CAP_AUX))
    return ALLOW if passes else TRACE


@given(FDS, st.integers(0, U64), HOWS, near(24, 0, 24 | 1 << 32))
def test_openat2_passes_in_exact_capability_form_only(fd: int, path: int, how: int, size: int) -> None:
    assert verdict("openat2", fd, path, how, size) == expect_openat2(fd, path, how, size)


@pytest.mark.parametrize(
    ("fd", "how", "size", "expected"),
    [
        (CAP_RO, _pad.PAD_HOW_RO, 24, ALLOW),
        (HIGH | CAP_RO, _pad.PAD_HOW_RO, 24, ALLOW),
        (CAP_RW - 1, _pad.PAD_HOW_RO_END - 32, 24, ALLOW),
        (CAP_RW, _pad.PAD_HOW_RO, 24, ALLOW),
        (CAP_RW, _pad.PAD_HOW_RW, 24, ALLOW),
        (CAP_AUX - 1, _pad.PAD_HOW_RW_END - 32, 24, ALLOW),
        (CAP_RO, _pad.PAD_HOW_RW, 24, TRACE),
        (CAP_RW - 1, _pad.PAD_HOW_RW, 24, TRACE),
        (CAP_RO - 1, _pad.PAD_HOW_RO, 24, TRACE),
        (CAP_AUX, _pad.PAD_HOW_RO, 24, TRACE),
        (CAP_AUX, _pad.PAD_HOW_RW, 24, TRACE),
        (-100, _pad.PAD_HOW_RO, 24, TRACE),
        *((CAP_RO, _pad.PAD_HOW_RO + by, 24, TRACE) for by in (1, 8, 14, 15, 16, 24, 31)),
        (CAP_RO, _pad.PAD_HOW_RO - 32, 24, TRACE),
        (CAP_RW, _pad.PAD_HOW_RW_END, 24, TRACE),
        (CAP_RO, 1 << 32 | _pad.PAD_HOW_RO, 24, TRACE),
        (CAP_RO, _pad.PAD_HOW_RO, 23, TRACE),
        (CAP_RO, _pad.PAD_HOW_RO, 25, TRACE),
        (CAP_RO, _pad.PAD_HOW_RO, 1 << 32 | 24, TRACE),
    ],
)
def test_openat2_rows(fd: int, how: int, size: int, expected: str) -> None:
    assert verdict("openat2", fd, 0x1234, how, size) == expected


def expect_watch(_fd: int, path: int) -> str:
    return ALLOW if path in range(_pad.PAD_FDPATH, _pad.PAD_FDPATH_END, 32) else TRACE


@given(near(_pad.PAD_FDPATH, _pad.PAD_FDPATH_END))
def test_a_watch_passes_on_a_delivered_descriptor_only(path: int) -> None:
    assert verdict("inotify_add_watch", 5, path, 1) == expect_watch(5, path)


def expect_fchdir(fd: int) -> str:
    return ALLOW if CAP_AUX + 2 <= fd & U32 < CAP_END else TRACE


@given(near(CAP_AUX, CAP_AUX + 2, CAP_END))
def test_fchdir_passes_on_a_delivered_descriptor_only(fd: int) -> None:
    assert verdict("fchdir", fd) == expect_fchdir(fd)


def expect_stat(fd: int, path: int, _buf: int, flags: int) -> str:
    if not flags & 0x1000:
        return ANSWER
    return ALLOW if path == 0 and not fd & 0x80000000 else TRACE


def expect_statx(fd: int, path: int, flags: int) -> str:
    return ALLOW if path == 0 and flags & 0x1000 and not fd & 0x80000000 else ANSWER


@given(near(0, U64, 0x80000000), near(0), near(0x1000, 0x1100), st.integers(0, U64))
def test_stat_passes_without_a_path_only(fd: int, path: int, flags: int, buf: int) -> None:
    assert verdict("newfstatat", fd, path, buf, flags) == expect_stat(fd, path, buf, flags)
    assert verdict("statx", fd, path, flags, 0x7FF, buf) == expect_statx(fd, path, flags)


def expect_close(fd: int) -> str:
    return "EBADF" if is_capability(fd) else ALLOW


@pytest.mark.parametrize("name", ["close", "dup", "ftruncate"])
@given(fd=FDS)
def test_a_capability_cannot_be_hurt(name: str, fd: int) -> None:
    assert verdict(name, fd) == expect_close(fd)


def test_the_upper_half_of_a_descriptor_does_not_hide_it() -> None:
    assert verdict("close", 0x100000000 | CAP_RO) == "EBADF"
    assert verdict("dup2", 1, HIGH | CAP_END - 1) == "EBADF"


def expect_dup2(old: int, new: int) -> str:
    return "EBADF" if is_capability(old) or is_capability(new) else ALLOW


@pytest.mark.parametrize("name", ["dup2", "dup3"])
@given(old=FDS, new=FDS)
def test_nothing_is_put_onto_a_capability(name: str, old: int, new: int) -> None:
    assert verdict(name, old, new, 0) == expect_dup2(old, new)


FCNTL_PASS = {*range(1, 8), 9, 10, 11, 16, 17, 36, 37, 38, 1024, 1025, 1027, 1028, *range(1031, 1039)}


def expect_fcntl(fd: int, command: int, arg: int) -> str:
    low = command & U32
    if is_capability(fd):
        return "EBADF"
    if low in (0, 1030):
        return TRACE if is_capability(arg) else ALLOW
    return ALLOW if low in FCNTL_PASS else {8: TRACE, 15: "EPERM"}.get(low, "EINVAL")


@given(FDS, near(0, 1, 3, 8, 15, 1024, 1030), FDS)
def test_fcntl(fd: int, command: int, arg: int) -> None:
    assert verdict("fcntl", fd, command, arg) == expect_fcntl(fd, command, arg)


def test_signals_without_a_call_need_the_scopes_of_landlock() -> None:
    for using, expected in ((program(), ALLOW), (program(scopes=False), "EPERM")):
        assert verdict("fcntl", 0, 10, 9, using=using) == expected  # F_SETSIG
        assert verdict("fcntl", 0, 4, 0x2000, using=using) == expected  # F_SETFL, O_ASYNC
        assert verdict("fcntl", 0, 4, HIGH | 0x2800, using=using) == expected
        assert verdict("fcntl", 0, 4, 0x800, using=using) == ALLOW
        assert verdict("ioctl", 0, 0x5452, using=using) == expected  # FIOASYNC


def expect_close_range(first: int, last: int) -> str:
    return ALLOW if last & U32 < CAP_RO or first & U32 >= CAP_END else TRACE


@given(FDS, FDS)
def test_close_range_stops_at_the_capability_range(first: int, last: int) -> None:
    assert verdict("close_range", first, last, 0) == expect_close_range(first, last)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        *((r, ALLOW) for r in (0x5401, 0x5402, 0x5410, 0x5413, 0x5414, 0x541B, 0x5421, 0x5450, 0x5451, 0x80045430)),
        *((r, ALLOW) for r in (0x80086601, 0x801C581F, 0x40049409, 0xC0189436, HIGH | 0x5401)),
        *((r, "ENOTTY") for r in (0, 0x5412, 0x541C, 0x541D, 0x5423, 0x5457, 0x8912, 0x12345678, U32, 0x5437)),
        *((r, "ENOTTY") for r in (0xC0045877, 0x1260, 0xC0045878)),  # FIFREEZE, BLKGETSIZE, FITHAW
        *((r, "EPERM") for r in (0x8901, 0x8902, HIGH | 0x8901)),
        *((r, TRACE) for r in (0x40086602, 0x401C5820, HIGH | 0x40086602)),
    ],
)
def test_ioctl_passes_a_list(request_: int, expected: str) -> None:
    assert verdict("ioctl", 1, request_, 0) == expected
    assert verdict("ioctl", CAP_RO, request_, 0) == "EBADF"
    assert verdict("ioctl", HIGH | CAP_AUX, request_, 0) == "EBADF"


def test_an_allowed_ioctl_passes_and_nothing_else() -> None:
    using = program(ioctls=frozenset({0xABCD, 0xFFFFFFFF}))
    assert verdict("ioctl", 1, 0xABCD, using=using) == ALLOW
    assert verdict("ioctl", 1, 0xFFFFFFFF, using=using) == ALLOW
    assert verdict("ioctl", 1, 0xABCE, using=using) == "ENOTTY"
    assert verdict("ioctl", 1, 0xABCD) == "ENOTTY"


def test_ftruncate_stops_where_some_grant_lacks_the_right() -> None:
    made = seccomp.build(net=0, allow_ioctls=frozenset(), limit_processes=False, hold_truncation=True)
    held = bpf.link(made, VALUES)
    assert verdict("ftruncate", 3, 0) == ALLOW
    assert verdict("ftruncate", 3, 0, using=held) == TRACE
    for using in (program(), held):
        assert verdict("ftruncate", CAP_RO, 0, using=using) == "EBADF"


def test_fallocate_takes_nothing_out_of_a_file_where_some_grant_lacks_the_right_to_truncate() -> None:
    made = seccomp.build(net=0, allow_ioctls=frozenset(), limit_processes=False, hold_truncation=True)
    held = bpf.link(made, VALUES)
    for mode in (0, 1, 3, 0x10, 0x20, 0x40):
        assert verdict("fallocate", 3, mode, using=held) == ALLOW
    for mode in (8, 9, 0x18, HIGH | 8):
        assert verdict("fallocate", 3, mode) == ALLOW
        assert verdict("fallocate", 3, mode, using=held) == "EOPNOTSUPP"


def test_edges_of_capability_form() -> None:
    ro = (_pad.PAD_HOW_RO, _pad.PAD_HOW_RO_END)
    rw = (_pad.PAD_HOW_RW, _pad.PAD_HOW_RW_END)
    hows = [*starts(ro, 32), *starts(rw, 32), *flips(ro[0], rw[1] - 32)]
    check("openat2", expect_openat2, [CAP_RO, CAP_RW], [0], hows, [24])
    check("openat2", expect_openat2, fd_edges(), [0], [ro[0], rw[0], rw[1] - 32, ro[1] - 32], [24])
    check("openat2", expect_openat2, [CAP_RW], [0], [ro[0], rw[0]], flips(24))


def test_edges_of_descriptors() -> None:
    for name in ("close", "dup", "ftruncate"):
        check(name, expect_close, fd_edges())
    for name in ("dup2", "dup3"):
        check(name, expect_dup2, fd_edges(), fd_edges())
    commands = [*range(-2, 48), *range(1020, 1045), *edges(1, 1030)]
    check("fcntl", expect_fcntl, fd_edges(), [c & U64 for c in commands], edges(0, CAP_RO, CAP_END))
    check("fchdir", expect_fchdir, fd_edges())
    check("close_range", expect_close_range, fd_edges(), fd_edges())


IOCTLS = """
TCGETS TCSETS TCSETSW TCSETSF TCGETA TCSETA TCSETAW TCSETAF TCSBRK TCXONC TCFLSH TIOCEXCL TIOCNXCL TIOCSCTTY TIOCGPGRP
TIOCSPGRP TIOCOUTQ TIOCGWINSZ TIOCSWINSZ TIOCMGET TIOCMBIS TIOCMBIC TIOCMSET TIOCGSOFTCAR TIOCSSOFTCAR FIONREAD TIOCPKT
FIONBIO TIOCNOTTY TIOCGETD TCSBRKP TIOCSBRK TIOCCBRK TIOCGSID TCGETS2 TCSETS2 TCSETSW2 TCSETSF2 TIOCGPTN TIOCSPTLCK
TIOCGDEV TIOCSIG TIOCGPKT TIOCGPTLCK TIOCGEXCL TIOCGPTPEER FIONCLEX FIOCLEX FIOASYNC FIOQSIZE FIOGETOWN SIOCGPGRP
SIOCATMARK SIOCGSTAMP_OLD SIOCGSTAMPNS_OLD SIOCOUTQNSD FS_IOC_GETFLAGS FS_IOC_GETVERSION FS_IOC_FSGETXATTR FICLONE
FICLONERANGE FIDEDUPERANGE RNDGETENTCNT
"""
IOCTLS_OTHER = {
    "TIOCSTI": "ENOTTY",
    "TIOCLINUX": "ENOTTY",
    "TIOCSETD": "ENOTTY",
    "TIOCCONS": "ENOTTY",
    "TIOCSLCKTRMIOS": "ENOTTY",
    "FIOSETOWN": "EPERM",
    "SIOCSPGRP": "EPERM",
    "FS_IOC_SETFLAGS": TRACE,
    "FS_IOC_FSSETXATTR": TRACE,
}


def test_exactly_these_ioctls_pass() -> None:
    headers = ("asm/termbits.h", "asm/ioctls.h", "linux/fs.h", "linux/sockios.h", "linux/random.h")
    expected = dict.fromkeys(macros(IOCTLS.split(), *headers).values(), ALLOW)
    assert len(expected) == len(IOCTLS.split())
    other = macros(IOCTLS_OTHER, *headers)
    expected |= {other[name]: said for name, said in IOCTLS_OTHER.items()}
    tried = {n for number in expected for n in (number - 1, number, number + 1)} | {*range(0x5400, 0x5480)}
    for number in tried:
        assert verdict("ioctl", 1, number) == expected.get(number, "ENOTTY"), hex(number)
    check("ioctl", lambda fd, _r: "EBADF" if is_capability(fd) else ALLOW, fd_edges(), [0x5401])


def test_edges_of_watches() -> None:
    paths = (_pad.PAD_FDPATH, _pad.PAD_FDPATH_END)
    check("inotify_add_watch", expect_watch, [3], [*starts(paths, 32), *flips(paths[0])])


def test_edges_of_empty_paths() -> None:
    check("newfstatat", expect_stat, flips(0, 3), flips(0), [0], [0x1000])
    check("newfstatat", expect_stat, [3], [0], [0], flips(0, 0x1000))
    check("statx", expect_statx, flips(0, 3), flips(0), [0x1000])
    check("statx", expect_statx, [3], [0], flips(0, 0x1000))
