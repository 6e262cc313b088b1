from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capwrap.policy import _rights
from capwrap.policy.errors import PolicyError
from capwrap.policy.rights import DEVICE, RO, ROX, RW, RWX, SETS, Right, format_rights, parse_rights, right_names


def test_every_right_of_the_table_is_a_member_with_its_bit() -> None:
    members = {right.name: right.value for right in Right}
    assert members == {name.upper(): 1 << bit for name, bit in _rights.NAMES.items()}


def test_names_are_read_as_capsicum_spells_them() -> None:
    assert parse_rights("read, CAP_LOOKUP,fstat") == Right.READ | Right.LOOKUP | Right.FSTAT
    assert parse_rights("ro,write") == RO | Right.WRITE


@pytest.mark.parametrize("text", ["", "read,", "reed", "CAP_", "read lookup"])
def test_what_is_no_right_is_refused(text: str) -> None:
    with pytest.raises(PolicyError):
        parse_rights(text)


def test_a_misspelt_right_is_answered_with_the_right_one() -> None:
    with pytest.raises(PolicyError, match="did you mean `lookup`") as caught:
        parse_rights("read,lokup")
    assert "`lokup`" in caught.value.message


@given(st.integers(min_value=1, max_value=_rights.ALL))
def test_a_formatted_mask_is_read_back(mask: int) -> None:
    assert parse_rights(format_rights(mask)) == mask


def test_sets_are_shown_by_name() -> None:
    assert [format_rights(mask) for mask in SETS.values()] == list(SETS)
    assert format_rights(0) == "none"
    assert right_names(Right.LOOKUP | Right.READ) == ("read", "lookup")


def test_the_sets_grow_from_one_to_the_next() -> None:
    assert RO & ROX == RO
    assert RO & RW == RO
    assert RWX == RW | ROX
    assert ROX & ~RO == RWX & ~RW == Right.FEXECVE


def test_a_device_cannot_be_removed_or_changed() -> None:
    assert not DEVICE & (Right.UNLINKAT | Right.RENAMEAT_SOURCE | Right.FCHMOD | Right.FCHOWN | Right.LINKAT_SOURCE)
