"""The seccomp program passes, refuses and stops what its rules say, whatever the registers hold."""

from __future__ import annotations

import errno
import struct
import subprocess
from collections.abc import Callable, Iterable
from functools import cache
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capwrap.policy import _pad, bpf, seccomp
from capwrap.policy._syscalls import ROWS, Row
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


# The program as a whole


def test_the_program_is_well_below_the_limit_of_the_kernel() -> None:
    many = frozenset(range(0x10000, 0x10400, 2))
    assert len(program().insns) < 1200
    assert len(program(2, many, True, False).insns) < bpf.MAX_INSNS


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_the_table_says_without_a_rule_holds_for_any_registers(row: Row) -> None:
    if row.kind != "check":
        expected = {"pass": ALLOW, "trace": TRACE, "notify": ANSWER}.get(row.kind, row.error)
        for value in (0, 1, CAP_RO, 0x1000, BASE, HIGH | BASE, U64):
            assert verdict(row.name, *(value,) * 6) == expected


@given(st.integers(0, U32), st.lists(st.integers(0, U64), min_size=6, max_size=6))
def test_a_number_without_a_row_is_enosys(nr: int, args: list[int]) -> None:
    known = {*NUMBER.values(), _pad.NR_DELIVER, _pad.NR_RETRY, _pad.NR_DONE}
    if nr not in known:
        assert words(bpf.run(program(), nr, args)) == "ENOSYS"


def test_x32_calls_are_enosys() -> None:
    for row in ROWS:
        assert words(bpf.run(program(), row.number | 0x40000000)) == "ENOSYS"


@pytest.mark.parametrize("arch", [0x40000003, 0xC00000B7, 0, U32, 0xC000003F])
def test_calls_of_another_architecture_are_enosys(arch: int) -> None:
    for row in ROWS:
        assert verdict(row.name, arch=arch) == "ENOSYS"
    assert words(bpf.run(program(), _pad.NR_DELIVER, (), arch)) == "ENOSYS"


def test_the_numbers_of_the_stub_have_their_verdicts() -> None:
    assert words(bpf.run(program(), _pad.NR_DELIVER)) == NOTIFY
    assert words(bpf.run(program(), _pad.NR_RETRY)) == TRACE
    assert words(bpf.run(program(), _pad.NR_DONE)) == TRACE
    for nr in (337, 423, 470, 0x3FF0):
        assert words(bpf.run(program(), nr)) == "ENOSYS"


def test_calls_that_pass_read_nothing_but_number_and_architecture() -> None:
    # As the kernel finds out which calls to keep in its bitmap (kernel/seccomp.c, seccomp_is_const_allow).
    insns = program().insns
    for row in ROWS:
        if row.kind != "pass":
            continue
        at = a = 0
        while insns[at].code != bpf.RET:
            insn = insns[at]
            at += 1
            match insn.code:
                case bpf.LD_ABS:
                    assert insn.k in (bpf.NR, bpf.ARCH), row.name
                    a = row.number if insn.k == bpf.NR else bpf.AUDIT_ARCH_X86_64
                case bpf.JA:
                    at += insn.k
                case bpf.JEQ:
                    at += insn.jt if a == insn.k else insn.jf
                case bpf.JGE:
                    at += insn.jt if a >= insn.k else insn.jf
                case _:
                    pytest.fail(f"{row.name}: code {insn.code:#x}")
        assert words(insns[at].k) == ALLOW


def test_every_trace_has_data_zero() -> None:
    assert {insn.k for insn in program().insns if insn.code == bpf.RET and insn.k >> 16 == 0x7FF0} == {0x7FF00000}


def test_relocations_are_added_to_what_stands_there() -> None:
    made = seccomp.build(net=0, allow_ioctls=frozenset(), limit_processes=False)
    assert {reloc.kind for reloc in made.relocs} == {0, 1, 2, 3}
    for reloc in made.relocs:
        assert program().insns[reloc.index].k == made.insns[reloc.index].k + VALUES[reloc.kind]
    with pytest.raises(ValueError, match="not linked"):
        bpf.run(made, 0)


@pytest.mark.parametrize("net", [-1, 3])
def test_build_refuses_an_unknown_net(net: int) -> None:
    with pytest.raises(ValueError, match="net"):
        seccomp.build(net=net, allow_ioctls=frozenset(), limit_processes=False)


@pytest.mark.parametrize("request_", [0x5412, 0x541C, 0x5423, 0x8901, 0x8902, 0x40086602, -1, 1 << 32])
def test_build_refuses_an_ioctl_that_is_never_passed(request_: int) -> None:
    with pytest.raises(ValueError, match="ioctl request"):
        seccomp.build(net=0, allow_ioctls=frozenset({request_}), limit_processes=False)


# Capability form


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


SLOTS = near(0, _pad.PAD_SLOT, _pad.PAD_MSGHDR, _pad.PAD_SLOT + 256, _pad.PAD_MSGHDR_END, _pad.PAD_SLOT_END)


def expect_sendmsg(_fd: int, header: int) -> str:
    return ALLOW if header in range(_pad.PAD_MSGHDR, _pad.PAD_MSGHDR_END, 64) else TRACE


@given(FDS, SLOTS)
def test_sendmsg_passes_with_a_header_of_the_pad_only_and_execve_never(fd: int, pointer: int) -> None:
    assert verdict("execve", pointer, U64, U64) == TRACE
    assert verdict("sendmsg", fd, pointer, 0) == expect_sendmsg(fd, pointer)


def test_every_header_of_the_pad_passes() -> None:
    for slot in range(_pad.PAD_SLOT, _pad.PAD_SLOT_END, 1024):
        assert verdict("execve", slot + 256, ip=_pad.PAD_STUB + 2) == TRACE
        assert verdict("sendmsg", 3, slot + 256) == TRACE
    for header in range(_pad.PAD_MSGHDR, _pad.PAD_MSGHDR_END, 64):
        assert verdict("sendmsg", 3, header) == ALLOW


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


def test_dumpable_is_set_from_one_instruction_of_the_stub_only() -> None:
    here = _pad.PAD_STUB_READABLE + 2
    assert verdict("prctl", 4, 1, ip=here) == ALLOW
    for ip in (0, here - 2, here - 1, here + 1, _pad.PAD_STUB + 2, here | HIGH):
        assert verdict("prctl", 4, 1, ip=ip) == TRACE
    for value in (0, 2, U64, HIGH | 1):
        assert verdict("prctl", 4, value, ip=here) == TRACE


@given(near(_pad.PAD_SLOT + 256, _pad.PAD_SLOT_END), st.sampled_from([0, 1, 2, 4]))
def test_a_filter_of_the_targets_own_passes_from_a_slot_only(pointer: int, flags: int) -> None:
    inside = _pad.PAD_SLOT <= pointer < _pad.PAD_SLOT_END and pointer % _pad.PAD_SLOT_STRIDE == _pad.PAD_SLOT_DATA
    assert verdict("seccomp", 1, flags, pointer) == (ALLOW if inside else TRACE)
    assert verdict("seccomp", 1, flags | 8, pointer) == "EBUSY"


# Descriptors


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


# The address space


ADDRESSES = near(0, BASE, END, BASE - 0x1000, 0x40000000, 1 << 32, 1 << 47, U64)
LENGTHS = near(0, 0x1000, END - BASE, BASE, END, 1 << 32, 1 << 47, U64)


def touches(addr: int, length: int) -> bool:
    """By integers without end: outside of user space, or with a byte (or its own start) in the pad."""
    return addr >= 1 << 47 or length >= 1 << 47 or BASE <= addr < END or (addr < END and addr + length > BASE)


def expect_range(addr: int, length: int) -> str:
    return "EPERM" if touches(addr, length) else ALLOW


@given(ADDRESSES, LENGTHS)
def test_a_range_that_touches_the_pad_is_refused(addr: int, length: int) -> None:
    for name in ("munmap", "mprotect", "pkey_mprotect", "madvise", "remap_file_pages"):
        assert verdict(name, addr, length) == expect_range(addr, length)


@given(st.integers(0, BASE - 1), st.integers(-3, 3))
def test_a_range_ends_exactly_at_the_pad(addr: int, by: int) -> None:
    length = BASE - addr + by
    if length >= 0:
        assert verdict("munmap", addr, length) == ("EPERM" if by > 0 else ALLOW)


def expect_mmap(addr: int, length: int, flags: int) -> str:
    if flags & 0x100000:
        return "EEXIST" if touches(addr, length) else ALLOW
    if flags & 0x10:
        huge = addr < END and addr & 0x3FFFFFFF == 0
        return "EPERM" if huge or touches(addr, length) else ALLOW
    return ALLOW


@given(
    ADDRESSES, LENGTHS, st.sampled_from([0x22, 0x32, 0x100022, 0x100032, HIGH | 0x32, HIGH | 0x22]), st.integers(0, U64)
)
def test_mmap_at_a_fixed_address_does_not_touch_the_pad(addr: int, length: int, flags: int, prot: int) -> None:
    assert verdict("mmap", addr, length, prot, flags, U64, 0) == expect_mmap(addr, length, flags)


def test_a_mapping_of_huge_pages_does_not_begin_beneath_the_pad() -> None:
    # 1 GiB pages: the kernel rounds the length up after the program has looked at it.
    for addr in (0, 0x40000000):
        assert verdict("mmap", addr, 0x1000, 3, 0x40032, U64, 0) == "EPERM"
        assert verdict("mremap", 1 << 33, 0x1000, 0x1000, 3, addr) == "EPERM"
    assert verdict("mmap", 0x80000000, 0x1000, 3, 0x40032, U64, 0) == ALLOW
    assert verdict("mmap", 0x100000000, 0x1000, 3, 0x32, U64, 0) == ALLOW


PAD_CALL = (BASE, _pad.PAD_SIZE, 5, 0x100001, CAP_AUX, 0)
RESULT_CALL = (_pad.PAD_RESULT, _pad.PAD_RESULT_SIZE, 3, 0x100001, CAP_AUX + 1, 0)


@pytest.mark.parametrize("call", [PAD_CALL, RESULT_CALL])
def test_the_pad_itself_is_mapped(call: tuple[int, ...]) -> None:
    assert verdict("mmap", *call) == ALLOW


@pytest.mark.parametrize("call", [PAD_CALL, RESULT_CALL])
@given(index=st.integers(0, 5), by=st.one_of(st.integers(-64, 64), st.integers(0, 63).map(lambda n: 1 << n)))
def test_the_pad_is_not_mapped_in_any_other_way(call: tuple[int, ...], index: int, by: int) -> None:
    changed = list(call)
    changed[index] = (changed[index] + by) & U64
    low_fd = index == 4 and changed[4] & U32 == call[4]  # a descriptor is 32 bits
    if changed == list(call) or low_fd:
        assert verdict("mmap", *changed) == ALLOW
    else:
        assert verdict("mmap", *changed) == expect_mmap(changed[0], changed[1], changed[3])


def test_the_two_mappings_do_not_stand_in_for_each_other() -> None:
    assert verdict("mmap", *PAD_CALL[:4], CAP_AUX + 1, 0) == "EEXIST"
    assert verdict("mmap", *RESULT_CALL[:4], CAP_AUX, 0) == "EEXIST"
    assert verdict("mmap", BASE, _pad.PAD_SIZE, 7, 0x100001, CAP_AUX, 0) == "EEXIST"
    assert verdict("mmap", BASE, _pad.PAD_SIZE, 5, 0x11, CAP_AUX, 0) == "EPERM"
    assert verdict("mmap", BASE, _pad.PAD_SIZE, 5, 0x100001, 3, 0) == "EEXIST"


def expect_mremap(old: int, length: int, new_length: int, flags: int, new: int) -> str:
    huge = new < END and new & 0x3FFFFFFF == 0
    moved = bool(flags & 2) and (huge or touches(new, new_length))
    return "EPERM" if touches(old, length) or moved else ALLOW


@given(ADDRESSES, LENGTHS, LENGTHS, near(0, 1, 2, 3, 4), ADDRESSES)
def test_mremap_touches_the_pad_with_neither_range(
    old: int, length: int, new_length: int, flags: int, new: int
) -> None:
    expected = expect_mremap(old, length, new_length, flags, new)
    assert verdict("mremap", old, length, new_length, flags, new) == expected


def expect_brk(addr: int) -> str:
    return "0" if BASE <= addr < END else ALLOW


@given(ADDRESSES)
def test_the_break_is_not_set_inside_the_pad(addr: int) -> None:
    assert verdict("brk", addr) == expect_brk(addr)


def expect_shmat(_id: int, addr: int) -> str:
    return "EINVAL" if 0 < addr < END else TRACE


@given(near(0, BASE, END, 1 << 32))
def test_shmat_attaches_nothing_below_the_end_of_the_pad(addr: int) -> None:
    assert verdict("shmat", 1, addr, 0) == expect_shmat(1, addr)


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        *((o, ALLOW) for o in (0x1001, 0x1002, 0x1003, 0x1004, 0x1011, 0x1012, 0x1021, 0x1023, 0x5005, HIGH | 0x1002)),
        *((o, "EINVAL") for o in (0, 0x2001, 0x2002, 0x2003, 0x4001, 0x4002, 0x4004, 0x5001, 0x5002, 0x1000, 0x1005)),
    ],
)
def test_arch_prctl(option: int, expected: str) -> None:
    assert verdict("arch_prctl", option, BASE) == expected


# Processes


def expect_clone(flags: int) -> str:
    return "EPERM" if flags & (0x00020000 | 0x7E000000 | 0x00800000 | 0x2000) else ALLOW


@given(near(0, 17, 0x01000000 | 17))
def test_clone_makes_no_namespace_and_nothing_untraced(flags: int) -> None:
    expected = expect_clone(flags)
    assert verdict("clone", flags) == expected
    assert verdict("clone", flags, using=program(limit=True)) == (TRACE if expected == ALLOW else expected)


@pytest.mark.parametrize("bit", [13, 17, 23, *range(25, 31)])
def test_clone_refuses_every_such_flag(bit: int) -> None:
    assert verdict("clone", 17 | 1 << bit) == "EPERM"
    assert verdict("clone", HIGH | 17 | 1 << bit) == "EPERM"


def test_glibc_threads_and_children_pass() -> None:
    assert verdict("clone", 0x3D0F00) == ALLOW  # pthread_create
    assert verdict("clone", 0x4111) == ALLOW  # posix_spawn
    assert verdict("clone", 0x1200011) == ALLOW  # fork


@pytest.mark.parametrize("name", ["fork", "vfork"])
def test_a_fork_stops_where_processes_are_limited(name: str) -> None:
    for flags in (0, U64, 0x10000000):  # neither has any
        assert verdict(name, flags) == ALLOW
        assert verdict(name, flags, using=program(limit=True)) == TRACE


def expect_unshare(flags: int) -> str:
    return "EPERM" if flags & ~0x40600 else ALLOW


@given(near(0, 0x400, 0x200, 0x40000, 0x10000000))
def test_unshare_makes_no_namespace(flags: int) -> None:
    assert verdict("unshare", flags) == expect_unshare(flags)


def expect_clock(clock: int) -> str:
    signed = (clock & U32) - (1 << 32 if clock & 0x80000000 else 0)
    return ALLOW if signed >= 0 or signed & 7 == 3 or ~(signed >> 3) == 0 else TRACE


PID0 = [row.name for row in ROWS if row.rule == "pid0"]


@pytest.mark.parametrize("name", PID0)
def test_a_call_on_oneself_passes_and_on_others_stops(name: str) -> None:
    assert verdict(name, 0) == ALLOW
    assert verdict(name, HIGH) == ALLOW
    assert verdict(name, 1) == TRACE
    assert verdict(name, U64) == TRACE


@pytest.mark.parametrize(
    ("name", "args", "expected"),
    [
        ("setpgid", (0, 0), TRACE),
        ("getpriority", (0, 0), ALLOW),
        ("setpriority", (HIGH, HIGH, 5), ALLOW),
        ("setpriority", (1, 0, 5), TRACE),
        ("setpriority", (2, 0, 5), TRACE),
        ("setpriority", (0, 1, 5), TRACE),
        ("ioprio_set", (1, 0, 5), ALLOW),
        ("ioprio_get", (2, 0), TRACE),
        ("ioprio_get", (1, 9), TRACE),
        ("getrlimit", (3, 0), ALLOW),
        ("getrlimit", (7, 0), TRACE),
        ("setrlimit", (HIGH | 9, 0), TRACE),
        ("prlimit64", (0, 3), ALLOW),
        ("prlimit64", (0, 7), TRACE),
        ("prlimit64", (0, 9), TRACE),
        ("prlimit64", (5, 3), TRACE),
        ("prlimit64", (HIGH, HIGH | 3), ALLOW),
        ("clock_gettime", (0,), ALLOW),
        ("clock_gettime", (11,), ALLOW),
        ("clock_gettime", (-6,), ALLOW),
        ("clock_gettime", (-2,), ALLOW),
        ("clock_gettime", (~5 << 3 | 3,), ALLOW),  # a descriptor
        ("clock_gettime", (~1 << 3 | 2,), TRACE),  # the CPU time of process 1
        ("clock_nanosleep", (~1 << 3 | 6,), TRACE),  # of thread 1
        ("clock_getres", (~1 << 3 | 7,), TRACE),
        ("timer_create", (HIGH | (~4711 << 3 | 2) & U32,), TRACE),
        ("timer_create", (1,), ALLOW),
    ],
)
def test_calls_that_name_a_process(name: str, args: tuple[int, ...], expected: str) -> None:
    assert verdict(name, *args) == expected


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        *((o, ALLOW) for o in (1, 2, 7, 8, 15, 16, 21, 23, 24, 27, 28, 29, 36, 38, 39, 41, 47, 65, 67, HIGH | 15)),
        *((o, TRACE) for o in (3, 4, HIGH | 4)),
        *((o, "EPERM") for o in (35, 57, 58)),
        *((o, "EINVAL") for o in (0, 5, 59, 62, 0x59616D61, 999, U32)),
    ],
)
def test_prctl(option: int, expected: str) -> None:
    assert verdict("prctl", option, 1) == expected


@given(ADDRESSES, LENGTHS)
def test_no_name_is_given_to_the_pad(addr: int, length: int) -> None:
    assert verdict("prctl", 0x53564D41, 0, addr, length) == ("EPERM" if touches(addr, length) else ALLOW)
    assert verdict("prctl", 0x53564D41, 1, addr, length) == "EINVAL"
    assert verdict("prctl", 0x53564D41, HIGH, addr, length) == "EINVAL"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, ALLOW),
        (U32, ALLOW),
        (U64, ALLOW),
        (0x40000, ALLOW),
        (8, "EINVAL"),
        (0x400000, "EINVAL"),
        (0x440000, "EINVAL"),
    ],
)
def test_personality(value: int, expected: str) -> None:
    assert verdict("personality", value) == expected


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ((0, 0), ALLOW),
        ((1, 0), TRACE),
        ((1, 1), TRACE),
        ((1, 8), "EBUSY"),
        ((HIGH | 1, HIGH | 0x18), "EBUSY"),
        ((2, 0), ALLOW),
        ((3, 0), ALLOW),
        ((4, 0), "EINVAL"),
    ],
)
def test_the_target_has_filters_and_no_listener(args: tuple[int, ...], expected: str) -> None:
    assert verdict("seccomp", *args) == expected


# The network


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ((1, 1, 0), ALLOW),
        ((1, 0x80002, 0), ALLOW),
        ((1, 3, 0), ALLOW),
        ((1, 5, 0), ALLOW),
        ((1, 4, 0), "ESOCKTNOSUPPORT"),
        ((1, 4, 6), "EPROTONOSUPPORT"),
        ((1, 11, 0), "EINVAL"),
        ((1, 77, 0), "EINVAL"),
        ((16, 77, 0), "EINVAL"),
        ((2, 1, 263), "EINVAL"),
        ((2, 3, U32), "EINVAL"),
        ((2, 1, 0), ALLOW),
        ((2, 0x80801, 6), ALLOW),
        ((10, 2, 17), ALLOW),
        ((2, 1, 132), "EPROTONOSUPPORT"),
        ((2, 1, 262), "EPROTONOSUPPORT"),
        ((2, 2, 1), "EACCES"),
        ((2, 2, 136), "EPROTONOSUPPORT"),
        ((2, 3, 1), "EPERM"),
        ((10, HIGH | 3, 58), "EPERM"),
        ((2, 5, 0), "ESOCKTNOSUPPORT"),
        ((2, 10, 0), "ESOCKTNOSUPPORT"),
        *(((family, 1, 0), "EAFNOSUPPORT") for family in (0, 3, 16, 17, 29, 38, 40, 43, U32)),
        ((HIGH | 16, 3, 0), "EAFNOSUPPORT"),
        ((HIGH | 1, HIGH | 1, HIGH), ALLOW),
    ],
)
def test_sockets_are_unix_or_inet(args: tuple[int, ...], expected: str) -> None:
    assert verdict("socket", *args) == expected
    assert verdict("socketpair", *args) == expected


POINTS = (
    *(0, _pad.PAD_IN4, seccomp.IN4_CONNECT[1], _pad.PAD_IN6, seccomp.IN6_CONNECT[1], _pad.PAD_IN6_END),
    *(_pad.PAD_FDPATH, _pad.PAD_FDPATH_END, _pad.PAD_ABSTRACT, _pad.PAD_ABSTRACT_END),
)
POINTERS = st.one_of(
    near(*POINTS), st.integers(_pad.PAD_FDPATH // 32, _pad.PAD_ABSTRACT_END // 32).map(lambda slot: slot * 32)
)
SOCKLENS = near(16, 28, 110, 3, 0)


def is_slot(address: int, region: tuple[int, int], stride: int) -> bool:
    return address in range(*region, stride)


def connects(address: int, length: int) -> bool:
    in4 = is_slot(address, (_pad.PAD_IN4, _pad.PAD_IN4 + 0x1000), 32) and length == 16
    in6 = is_slot(address, (_pad.PAD_IN6, _pad.PAD_IN6 + 0x1000), 32) and length == 28
    return in4 or in6


def is_abstract(address: int, length: int) -> bool:
    return is_slot(address, (_pad.PAD_ABSTRACT, _pad.PAD_ABSTRACT_END), 128) and 3 <= length <= 110


def expect_connect(_fd: int, address: int, length: int) -> str:
    low = length & U32
    return ALLOW if connects(address, low) or is_abstract(address, low) else TRACE


def expect_bind(_fd: int, address: int, length: int) -> str:
    low = length & U32
    in4 = is_slot(address, (_pad.PAD_IN4 + 0x1000, _pad.PAD_IN4_END), 32) and low == 16
    in6 = is_slot(address, (_pad.PAD_IN6 + 0x1000, _pad.PAD_IN6_END), 32) and low == 28
    return ALLOW if in4 or in6 or is_abstract(address, low) else TRACE


def expect_sendto(_fd: int, _buf: int, _len: int, _flags: int, address: int, length: int) -> str:
    low = length & U32
    return ALLOW if address == 0 or connects(address, low) or is_abstract(address, low) else TRACE


@given(FDS, POINTERS, SOCKLENS)
def test_an_address_passes_if_published_and_with_its_length_only(fd: int, address: int, length: int) -> None:
    assert verdict("connect", fd, address, length) == expect_connect(fd, address, length)
    assert verdict("bind", fd, address, length) == expect_bind(fd, address, length)
    assert verdict("sendto", fd, U64, U64, 0, address, length) == expect_sendto(fd, U64, U64, 0, address, length)


def test_no_address_passes_for_both_connect_and_bind_but_an_abstract_one() -> None:
    for address in range(_pad.PAD_FDPATH, _pad.PAD_ABSTRACT, 32):
        for length in (16, 28, 110):
            assert "trace" in (verdict("connect", 3, address, length), verdict("bind", 3, address, length))


def test_an_abstract_address_passes_with_the_scopes_of_landlock_only() -> None:
    for name in ("connect", "bind"):
        assert verdict(name, 3, _pad.PAD_ABSTRACT, 9) == ALLOW
        assert verdict(name, 3, _pad.PAD_ABSTRACT, 9, using=program(scopes=False)) == TRACE


def test_descriptors_of_peers_need_the_scopes_of_landlock() -> None:
    without = program(scopes=False)
    for name, option in (("getsockopt", 77), ("setsockopt", 76)):
        assert verdict(name, 3, 1, option) == ALLOW
        assert verdict(name, 3, 1, option, using=without) == "ENOPROTOOPT"
        assert verdict(name, 3, HIGH | 1, HIGH | option, using=program(seccomp.NET_HOST, scopes=False)) == "ENOPROTOOPT"
        for level, other in ((0, option), (1, option - 60), (6, option), (41, 1)):
            assert verdict(name, 3, level, other, using=without) == ALLOW


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


def test_listen_stops_unless_the_network_is_the_hosts() -> None:
    assert verdict("listen", 3, 5) == TRACE
    assert verdict("listen", 3, 5, using=program(seccomp.NET_LOOPBACK)) == TRACE
    assert verdict("listen", 3, 5, using=program(seccomp.NET_HOST)) == ALLOW


@pytest.mark.parametrize(
    ("level", "option", "expected"),
    [
        (0, 4, "EPERM"),
        (HIGH, HIGH | 4, "EPERM"),
        (41, 6, "EPERM"),
        (41, 57, "EPERM"),
        (0, 1, ALLOW),
        (41, 26, ALLOW),
        (1, 4, ALLOW),
    ],
)
def test_no_option_routes_around_an_address(level: int, option: int, expected: str) -> None:
    assert verdict("setsockopt", 3, level, option) == expected
    assert verdict("setsockopt", 3, level, option, using=program(seccomp.NET_HOST)) == ALLOW


# Every edge, not only those that chance finds


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


def test_edges_of_capability_form() -> None:
    ro = (_pad.PAD_HOW_RO, _pad.PAD_HOW_RO_END)
    rw = (_pad.PAD_HOW_RW, _pad.PAD_HOW_RW_END)
    hows = [*starts(ro, 32), *starts(rw, 32), *flips(ro[0], rw[1] - 32)]
    check("openat2", expect_openat2, [CAP_RO, CAP_RW], [0], hows, [24])
    check("openat2", expect_openat2, fd_edges(), [0], [ro[0], rw[0], rw[1] - 32, ro[1] - 32], [24])
    check("openat2", expect_openat2, [CAP_RW], [0], [ro[0], rw[0]], flips(24))


def test_edges_of_slots() -> None:
    slots = (_pad.PAD_SLOT, _pad.PAD_SLOT_END)
    headers = (_pad.PAD_MSGHDR, _pad.PAD_MSGHDR_END)
    check("sendmsg", expect_sendmsg, [3], [*starts(headers, 64), *starts(slots, 1024, 256), *flips(headers[0])])
    paths = (_pad.PAD_FDPATH, _pad.PAD_FDPATH_END)
    check("inotify_add_watch", expect_watch, [3], [*starts(paths, 32), *flips(paths[0])])


def test_edges_of_addresses() -> None:
    inet = [*range(_pad.PAD_FDPATH - 32, _pad.PAD_ABSTRACT_END + 129, 32), 0]
    points = [x for edge in POINTS for x in (*range(edge - 128, edge + 129), *flips(edge))]
    lengths = [0, 2, 3, 4, 15, 16, 17, 27, 28, 29, 109, 110, 111, 16 | HIGH, 28 | HIGH, 110 | HIGH]
    for name, expected in (("connect", expect_connect), ("bind", expect_bind)):
        check(name, expected, [3], points, [16, 28, 110])
        check(name, expected, [3], inet, lengths)
    check("sendto", expect_sendto, [3], [0], [0], [0], points, [16, 28, 110])
    check("sendto", expect_sendto, [3], [0], [0], [0], inet, lengths)


def test_edges_of_descriptors() -> None:
    for name in ("close", "dup", "ftruncate"):
        check(name, expect_close, fd_edges())
    for name in ("dup2", "dup3"):
        check(name, expect_dup2, fd_edges(), fd_edges())
    commands = [*range(-2, 48), *range(1020, 1045), *edges(1, 1030)]
    check("fcntl", expect_fcntl, fd_edges(), [c & U64 for c in commands], edges(0, CAP_RO, CAP_END))
    check("fchdir", expect_fchdir, fd_edges())
    check("close_range", expect_close_range, fd_edges(), fd_edges())


RANGE_EDGES = edges(0, 0x40000000, BASE, END, 0x80000000, 1 << 32, 1 << 47, 1 << 48)
RANGE_LENGTHS = edges(0, 0x1000, END - BASE, BASE, END, 1 << 32, 1 << 47, 1 << 48)


def test_edges_of_ranges() -> None:
    for name in ("munmap", "mprotect", "pkey_mprotect", "madvise", "remap_file_pages"):
        check(name, expect_range, RANGE_EDGES, RANGE_LENGTHS)
    check("prctl", lambda _o, _w, a, n: expect_range(a, n), [0x53564D41], [0], RANGE_EDGES, RANGE_LENGTHS)
    check("brk", expect_brk, [*RANGE_EDGES, *flips(BASE)])
    check("shmat", expect_shmat, [1], [*RANGE_EDGES, *flips(BASE, 0)])


def test_every_length_that_reaches_the_pad_from_beneath() -> None:
    for addr in edges(0, 0x1000, 0x40000000, BASE - 0x1000):
        for length in edges(*((BASE - addr) & U64, (END - addr) & U64)):
            assert verdict("munmap", addr, length) == expect_range(addr, length)
            assert verdict("mmap", addr, length, 0, 0x32, U64) == expect_mmap(addr, length, 0x32)
            assert verdict("mmap", addr, length, 0, 0x100022, U64) == expect_mmap(addr, length, 0x100022)
            assert verdict("mremap", 1 << 33, 0, length, 3, addr) == expect_mremap(1 << 33, 0, length, 3, addr)
            assert verdict("mremap", addr, length, 0, 1, 0) == expect_mremap(addr, length, 0, 1, 0)
            assert verdict("prctl", 0x53564D41, 0, addr, length) == expect_range(addr, length)


def test_edges_of_mmap_and_mremap() -> None:
    def mmap(addr: int, length: int, _prot: int, flags: int) -> str:
        return expect_mmap(addr, length, flags)

    check("mmap", mmap, RANGE_EDGES, RANGE_LENGTHS, [3], [0x22, 0x32, 0x100022, 0x100032])
    check("mmap", mmap, [BASE, 0x1000, *flips(0x40000000)], [0x1000], [3], flips(0, 0x10, 0x100000))
    check("mremap", expect_mremap, RANGE_EDGES, RANGE_LENGTHS, [0], [1, 5], [BASE])
    check("mremap", expect_mremap, [1 << 33], [0], RANGE_LENGTHS, [1, 3], RANGE_EDGES)
    check("mremap", expect_mremap, [1 << 33], [0], [0x1000], flips(1), [BASE, *flips(0x40000000)])


def test_edges_of_flags() -> None:
    check("clone", expect_clone, flips(0, 17))
    check("unshare", expect_unshare, flips(0, 0x40600))
    check("newfstatat", expect_stat, flips(0, 3), flips(0), [0], [0x1000])
    check("newfstatat", expect_stat, [3], [0], [0], flips(0, 0x1000))
    check("statx", expect_statx, flips(0, 3), flips(0), [0x1000])
    check("statx", expect_statx, [3], [0], flips(0, 0x1000))
    check("seccomp", lambda _o, flags: "EBUSY" if flags & 8 else TRACE, [1], flips(0, 8))
    check("clock_gettime", expect_clock, [*flips(0), *(value & U64 for value in range(-64, 8)), *flips(U32 - 63)])
    allowed = {0, 0x40000, U32}
    check("personality", lambda v: ALLOW if v & U32 in allowed else "EINVAL", [*flips(*allowed), *edges(*allowed)])


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


#: Those of Linux 6.18 for x86-64; the numbers stand here because the headers that are installed may be older.
PRCTLS = {
    "PR_SET_PDEATHSIG": 1,
    "PR_GET_PDEATHSIG": 2,
    "PR_GET_KEEPCAPS": 7,
    "PR_SET_KEEPCAPS": 8,
    "PR_GET_TIMING": 13,
    "PR_SET_TIMING": 14,
    "PR_SET_NAME": 15,
    "PR_GET_NAME": 16,
    "PR_GET_SECCOMP": 21,
    "PR_SET_SECCOMP": 22,
    "PR_CAPBSET_READ": 23,
    "PR_CAPBSET_DROP": 24,
    "PR_GET_TSC": 25,
    "PR_SET_TSC": 26,
    "PR_GET_SECUREBITS": 27,
    "PR_SET_SECUREBITS": 28,
    "PR_SET_TIMERSLACK": 29,
    "PR_GET_TIMERSLACK": 30,
    "PR_TASK_PERF_EVENTS_DISABLE": 31,
    "PR_TASK_PERF_EVENTS_ENABLE": 32,
    "PR_MCE_KILL": 33,
    "PR_MCE_KILL_GET": 34,
    "PR_SET_CHILD_SUBREAPER": 36,
    "PR_GET_CHILD_SUBREAPER": 37,
    "PR_SET_NO_NEW_PRIVS": 38,
    "PR_GET_NO_NEW_PRIVS": 39,
    "PR_GET_TID_ADDRESS": 40,
    "PR_SET_THP_DISABLE": 41,
    "PR_GET_THP_DISABLE": 42,
    "PR_CAP_AMBIENT": 47,
    "PR_GET_SPECULATION_CTRL": 52,
    "PR_SET_SPECULATION_CTRL": 53,
    "PR_SET_MDWE": 65,
    "PR_GET_MDWE": 66,
    "PR_SET_MEMORY_MERGE": 67,
    "PR_GET_MEMORY_MERGE": 68,
    "PR_TIMER_CREATE_RESTORE_IDS": 77,
    "PR_FUTEX_HASH": 78,
    "PR_GET_AUXV": 0x41555856,
}
PRCTLS_OTHER = {3: TRACE, 4: TRACE, 22: TRACE, 35: "EPERM", 57: "EPERM", 58: "EPERM", 0x53564D41: ALLOW}


def test_exactly_these_prctls_pass() -> None:
    installed = macros(PRCTLS, "linux/prctl.h")
    assert len(installed) > 30
    assert {name: PRCTLS[name] for name in installed} == installed
    expected = dict.fromkeys(PRCTLS.values(), ALLOW) | PRCTLS_OTHER
    for number in {*range(120), *edges(*expected)}:
        assert verdict("prctl", number, 0, 1 << 33, 0) == expected.get(number & U32, "EINVAL"), number


def test_exactly_these_arch_prctls_pass() -> None:
    passes = {0x1001, 0x1002, 0x1003, 0x1004, 0x1011, 0x1012, 0x1021, 0x1022, 0x1023, 0x5005}
    for number in (*range(0x1000, 0x1030), *range(0x2000, 0x2010), *range(0x4000, 0x4010), *range(0x5000, 0x5010)):
        assert verdict("arch_prctl", number) == (ALLOW if number in passes else "EINVAL")


def test_exactly_these_sockets_are_made() -> None:
    protocols = [*range(300)]
    unix = {1: ALLOW, 2: ALLOW, 3: ALLOW, 5: ALLOW}
    inet = {1: {0: ALLOW, 6: ALLOW}, 2: {0: ALLOW, 17: ALLOW, 1: "EACCES", 58: "EACCES"}}
    for type_ in [*range(16), *(1 ^ 1 << n for n in range(4, 64)), *(2 ^ 1 << n for n in range(4, 64))]:
        kind = type_ & 0xF
        # SOCK_NONBLOCK, SOCK_CLOEXEC and SOCK_MAX of linux/net.h
        invalid = bool(type_ & U32 & ~0x8080F) or kind >= 11
        assert verdict("socket", 1, type_, 0) == ("EINVAL" if invalid else unix.get(kind, "ESOCKTNOSUPPORT"))
        for protocol in protocols:
            said = inet[kind].get(protocol, "EPROTONOSUPPORT") if kind in inet else "ESOCKTNOSUPPORT"
            # IPPROTO_MAX of linux/in.h
            expected = "EINVAL" if invalid or protocol >= 263 else "EPERM" if kind == 3 else said
            assert verdict("socket", 2, type_, protocol) == expected
        assert verdict("socket", 10, type_, 0) == verdict("socket", 2, type_, 0)
    for family in range(64):
        known = family in (1, 2, 10)
        assert verdict("socket", family, 1, 0) == (ALLOW if known else "EAFNOSUPPORT")
    for level in range(300):
        for option in range(80):
            routes = (level, option) in {(0, 4), (41, 6), (41, 57)}
            joins = (level, option) in {*((0, n) for n in (35, 39, 42, 46)), *((41, n) for n in (20, 27, 42, 46))}
            assert verdict("setsockopt", 3, level, option) == ("EPERM" if routes else "ENODEV" if joins else ALLOW)


def test_exactly_these_seccomp_operations_pass() -> None:
    for operation in range(16):
        expected = TRACE if operation == 1 else ALLOW if operation < 4 else "EINVAL"
        assert verdict("seccomp", operation, 0) == expected
        if operation != 1:  # the flag of a listener means nothing to the others
            assert verdict("seccomp", operation, 8) == (ALLOW if operation < 4 else "EINVAL")


# The assembler


def test_a_jump_that_eight_bits_do_not_reach_is_lengthened() -> None:
    asm = bpf.Assembler()
    asm.load(bpf.NR)
    asm.jeq(1, "far", "farther")
    for _ in range(300):
        asm.op(bpf.ALU_AND, 0)
    asm.label("far")
    asm.goto(bpf.Verdict(1))
    for _ in range(300):
        asm.op(bpf.ALU_AND, 0)
    asm.label("farther")
    asm.goto(bpf.Verdict(2))
    made = asm.assemble()
    assert bpf.run(made, 1) == 1
    assert bpf.run(made, 0) == 2


@given(st.dictionaries(st.integers(0, U32), st.integers(1, 9)), st.integers(0, U32))
def test_search_finds_every_case_and_nothing_else(cases: dict[int, int], other: int) -> None:
    asm = bpf.Assembler()
    asm.load(bpf.NR)
    asm.search({value: bpf.Verdict(action) for value, action in cases.items()}, bpf.Verdict(0))
    made = asm.assemble()
    for value in (*cases, other, 0, U32):
        assert bpf.run(made, value) == cases.get(value, 0)


def test_the_assembler_refuses_what_cannot_be_laid_out() -> None:
    asm = bpf.Assembler()
    asm.label("twice")
    with pytest.raises(bpf.AssemblyError, match="twice"):
        asm.label("twice")
    asm.load(bpf.NR)
    asm.jeq(1, "nowhere")
    asm.goto(bpf.Verdict(0))
    with pytest.raises(bpf.AssemblyError, match="no label nowhere"):
        asm.assemble()
    back = bpf.Assembler()
    back.label("back")
    back.load(bpf.NR)
    back.jeq(1, "back")
    back.goto(bpf.Verdict(0))
    with pytest.raises(bpf.AssemblyError, match="ahead"):
        back.assemble()
    long = bpf.Assembler()
    for _ in range(bpf.MAX_INSNS):
        long.op(bpf.ALU_AND, 0)
    long.goto(bpf.Verdict(0))
    with pytest.raises(bpf.AssemblyError, match="4097 instructions"):
        long.assemble()


# The kernel itself

CALLER = r"""
/* Installs the program in the file argv[1], then makes each call that stdin lists and prints its result. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static struct sock_filter insns[4096];
	static unsigned long calls[4096][7];
	struct sock_fprog program = { .filter = insns };
	size_t n = 0;
	FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;

	if (!file)
		return 2;
	program.len = (unsigned short)fread(insns, sizeof(insns[0]), 4096, file);
	fclose(file);
	for (unsigned long *c = calls[0]; n < 4096; c = calls[++n])
		if (scanf("%lu %lu %lu %lu %lu %lu %lu", c, c + 1, c + 2, c + 3, c + 4, c + 5, c + 6) != 7)
			break;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program)) {
		perror("seccomp");
		return 3;
	}
	for (size_t i = 0; i < n; i++) {
		const unsigned long *c = calls[i];
		long result = syscall((long)c[0], c[1], c[2], c[3], c[4], c[5], c[6]);
		printf("%ld\n", result == -1 ? -(long)errno : result);
	}
	return 0;
}
"""


#: Calls whose answer by the kernel is known if the program passes them: name, arguments, result.
PASSED = [
    ("close", (5000,), -errno.EBADF),
    ("dup2", (5000, 5001), -errno.EBADF),
    ("fcntl", (1, 1), 0),
    ("fcntl", (5000, 0, CAP_END + 100), -errno.EBADF),
    ("munmap", (0x1, 0x1000), -errno.EINVAL),
    ("munmap", (BASE - 0x1001, 0x1000), -errno.EINVAL),
    ("munmap", (END + 1, 0x1000), -errno.EINVAL),
    ("mprotect", (1 << 33, 0x1000, 0), -errno.ENOMEM),
    ("getpgid", (HIGH,), None),
    ("personality", (U32,), 0),
    ("seccomp", (2, 0, 0), -errno.EFAULT),
    ("socket", (1, 2, 7), -errno.EPROTONOSUPPORT),
    ("ioctl", (5000, 0x5401, 0), -errno.EBADF),
    ("prctl", (23, 0), None),
    ("clock_gettime", (-6, 0), -errno.EFAULT),
    ("openat2", (CAP_RO, 0, _pad.PAD_HOW_RO, 24), -errno.EFAULT),
    ("sendto", (5000, 0, 0, 0, 0, 0), -errno.EBADF),
    ("umask", (0o22,), None),
]

#: Calls that the program decides: their result is its verdict, and a stop without a tracer is ENOSYS.
DECIDED = [
    ("execve", (_pad.PAD_SLOT + 256, 0, 0)),
    ("close", (HIGH | CAP_RO,)),
    ("dup", (CAP_END - 1,)),
    ("dup2", (0, CAP_RW)),
    ("fcntl", (1, 0, CAP_RO)),
    ("fcntl", (1, 0, CAP_END - 1)),
    ("fcntl", (CAP_RO, 2, 1)),
    ("fcntl", (1, 15, 0)),
    ("close_range", (3, U32, 0)),
    ("munmap", (BASE - 0x1000, 0x1001)),
    ("munmap", (0x1000, U64 - 0xFFF)),
    ("munmap", (U64 - 0xFFF, 0x1000)),
    ("munmap", (1 << 47, 0x1000)),
    ("munmap", (END - 0x1000, 0x1000)),
    ("mmap", (BASE, 0x1000, 3, 0x32, U64, 0)),
    ("mmap", (BASE, 0x1000, 3, 0x100022, U64, 0)),
    ("mmap", (0x40000000, 0x1000, 3, 0x32, U64, 0)),
    ("mmap", (0x1000, BASE, 3, 0x32, U64, 0)),
    ("mremap", (1 << 33, 0x1000, 0x1000, 3, BASE)),
    ("brk", (BASE,)),
    ("shmat", (0, BASE, 0)),
    ("unshare", (0x10000000,)),
    ("clone", (0x10000011, 0, 0, 0, 0)),
    ("clone3", (0, 0)),
    ("ptrace", (0, 0, 0, 0)),
    ("prctl", (35, 0)),
    ("prctl", (59, 1)),
    ("personality", (0x400000,)),
    ("arch_prctl", (0x2003, BASE)),
    ("seccomp", (1, 8, 0)),
    ("socket", (1, 0x40000001, 0)),
    ("socket", (16, 3, 0)),
    ("socket", (2, 3, 1)),
    ("socket", (2, 1, 132)),
    ("ioctl", (0, 0x5412, 0)),
    ("ioctl", (0, 0x8901, 0)),
    ("openat2", (-100, 0, _pad.PAD_HOW_RO, 24)),
    ("openat2", (CAP_RO, 0, _pad.PAD_HOW_RO + 8, 24)),
    ("open", (0, 0, 0)),
    ("kill", (1, 0)),
    ("listen", (5000, 1)),
    ("connect", (5000, _pad.PAD_IN4 + 1, 16)),
    ("name_to_handle_at", (0, 0, 0, 0, 0)),
]


def test_the_kernel_takes_the_program_and_decides_as_the_simulator_does(tmp_path: Path) -> None:
    (tmp_path / "caller.c").write_text(CALLER)
    subprocess.run(["gcc", "-std=gnu11", "-Wall", "-Werror", "-o", "caller", "caller.c"], cwd=tmp_path, check=True)
    insns = program().insns
    (tmp_path / "program").write_bytes(b"".join(struct.pack("<HBBI", i.code, i.jt, i.jf, i.k) for i in insns))
    calls = [(NUMBER[name], args) for name, args in DECIDED] + [(NUMBER[name], args) for name, args, _ in PASSED]
    calls += [(nr, ()) for nr in (_pad.NR_DELIVER, _pad.NR_RETRY, 5000, 470, 0x40000000 | 39)]
    text = "".join(f"{nr} {' '.join(str(a & U64) for a in (*args, *(0,) * (6 - len(args))))}\n" for nr, args in calls)
    command = [tmp_path / "caller", tmp_path / "program"]
    ran = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    results = [int(line) for line in ran.stdout.splitlines()]
    assert len(results) == len(calls)
    for (name, args), result in zip(DECIDED, results, strict=False):
        said = verdict(name, *args)
        assert said != ALLOW, name
        assert result == (-errno.ENOSYS if said == TRACE else 0 if said == "0" else -getattr(errno, said)), (name, args)
    for (name, args, expected), result in zip(PASSED, results[len(DECIDED) :], strict=False):
        assert verdict(name, *args) == ALLOW, name
        assert result == expected if expected is not None else result >= 0, (name, args, result)
    assert results[-5:] == [-errno.ENOSYS] * 5
