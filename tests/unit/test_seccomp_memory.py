"""No call that takes an address range touches the pad."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seccomp_calls import ALLOW, BASE, CAP_AUX, END, HIGH, TRACE, U32, U64, check, edges, flips, near, verdict

from capwrap.policy import _pad

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


@given(ADDRESSES, LENGTHS)
def test_no_name_is_given_to_the_pad(addr: int, length: int) -> None:
    assert verdict("prctl", 0x53564D41, 0, addr, length) == ("EPERM" if touches(addr, length) else ALLOW)
    assert verdict("prctl", 0x53564D41, 1, addr, length) == "EINVAL"
    assert verdict("prctl", 0x53564D41, HIGH, addr, length) == "EINVAL"


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
