"""What lookups, descriptors and Landlock rest on: rules 7, 10, 12, 13 and 15 of ARCHITECTURE.md."""

from __future__ import annotations

from kernel.conftest import Fact


def test_landlock_grants_the_removal_of_names_by_directories_only(fact: Fact) -> None:
    fact("landlock_names")


def test_landlock_wants_the_right_to_read_beside_the_one_to_execute(fact: Fact) -> None:
    fact("landlock_execute")


def test_landlock_judges_a_held_directory_by_where_it_lies(fact: Fact) -> None:
    fact("landlock_held_directory")


def test_path_descriptors_can_be_made_to_close_on_exec(fact: Fact) -> None:
    fact("opath_close_on_exec")


def test_a_script_executed_by_its_descriptor_is_called_dev_fd(fact: Fact) -> None:
    fact("execveat_script")


def test_a_denied_creation_still_tells_whether_the_name_exists(fact: Fact) -> None:
    fact("existence_oracle")


def test_reading_a_link_by_the_empty_string_has_an_error_of_its_own(fact: Fact) -> None:
    fact("readlink_of_no_link")


def test_dot_dot_beneath_a_directory_fails_while_anything_is_renamed(fact: Fact) -> None:
    fact("dotdot_again")


def test_a_core_file_is_judged_by_landlock_and_by_no_seccomp_program(fact: Fact) -> None:
    fact("core_file")
