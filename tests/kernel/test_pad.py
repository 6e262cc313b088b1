"""What the pad rests on: rules 1 to 4 of ARCHITECTURE.md."""

from __future__ import annotations

import pytest

from kernel.conftest import Fact


def test_between_two_harmless_hows_stand_harmful_ones(fact: Fact) -> None:
    fact("how_between_slots")


def test_a_how_of_zeros_opens_everything_and_one_of_ones_nothing(fact: Fact) -> None:
    fact("how_of_zeros")


def test_a_mapping_that_the_kernel_places_can_cover_the_pads_range(fact: Fact) -> None:
    fact("huge_mapping")


def test_a_mapping_can_grow_into_the_pads_range_without_a_call(fact: Fact) -> None:
    fact("grows_down")


def test_the_stack_limit_of_a_program_moves_its_loader(fact: Fact) -> None:
    fact("stack_limit")


def test_a_program_can_be_linked_to_lie_at_the_pads_address(fact: Fact) -> None:
    fact("fixed_segment", flags=("-static", "-no-pie", "-Wl,-Ttext-segment=0x7f000000"))


def test_mapping_without_replacing_finds_whether_a_range_is_free(fact: Fact) -> None:
    fact("fixed_noreplace")


@pytest.mark.parametrize("advice", ["madvise", "process_madvise"])
def test_a_sealed_mapping_stays_in_place_but_can_be_kept_from_a_child(fact: Fact, advice: str) -> None:
    fact("sealed_mapping", advice)


def test_the_vdso_can_be_mapped_at_the_pads_address(fact: Fact) -> None:
    fact("vdso_anywhere")


def test_a_mapping_of_a_descriptor_opened_for_reading_cannot_be_written(fact: Fact) -> None:
    fact("read_only_mapping")


def test_only_all_seals_together_keep_a_memfd_as_it_is(fact: Fact) -> None:
    fact("memfd_seals")
