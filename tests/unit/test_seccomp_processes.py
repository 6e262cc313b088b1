"""Processes make no namespace, name themselves only, and change nothing that the engine rests on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seccomp_calls import ALLOW, BASE, HIGH, TRACE, U32, U64, check, edges, flips, macros, near, program, verdict

from capwrap.policy import _pad
from capwrap.policy._syscalls import ROWS


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


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        *((o, ALLOW) for o in (0x1001, 0x1002, 0x1003, 0x1004, 0x1011, 0x1012, 0x1021, 0x1023, 0x5005, HIGH | 0x1002)),
        *((o, "EINVAL") for o in (0, 0x2001, 0x2002, 0x2003, 0x4001, 0x4002, 0x4004, 0x5001, 0x5002, 0x1000, 0x1005)),
    ],
)
def test_arch_prctl(option: int, expected: str) -> None:
    assert verdict("arch_prctl", option, BASE) == expected


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


def test_exactly_these_seccomp_operations_pass() -> None:
    for operation in range(16):
        expected = TRACE if operation == 1 else ALLOW if operation < 4 else "EINVAL"
        assert verdict("seccomp", operation, 0) == expected
        if operation != 1:  # the flag of a listener means nothing to the others
            assert verdict("seccomp", operation, 8) == (ALLOW if operation < 4 else "EINVAL")


def test_edges_of_flags() -> None:
    check("clone", expect_clone, flips(0, 17))
    check("unshare", expect_unshare, flips(0, 0x40600))
    check("seccomp", lambda _o, flags: "EBUSY" if flags & 8 else TRACE, [1], flips(0, 8))
    check("clock_gettime", expect_clock, [*flips(0), *(value & U64 for value in range(-64, 8)), *flips(U32 - 63)])
    allowed = {0, 0x40000, U32}
    check("personality", lambda v: ALLOW if v & U32 in allowed else "EINVAL", [*flips(*allowed), *edges(*allowed)])
