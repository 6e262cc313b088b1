from __future__ import annotations

import re
from fnmatch import translate

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from capwrap.policy.errors import PolicyError
from capwrap.policy.globs import check_glob, escape_glob, glob_regex, may_match, split_glob, variants


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/a/*.key", "/a/x.key", True),
        ("/a/*.key", "/a/b/x.key", False),
        ("/a/**/*.key", "/a/b/c/x.key", True),
        ("/a/**", "/a/b/c", True),
        ("/a/**", "/a", False),
        ("/a/?", "/a/b", True),
        ("/a/?", "/a/", False),
        ("/a?b", "/a/b", False),
        ("/[ab]x", "/bx", True),
        ("/[!ab]x", "/bx", False),
        ("/[^ab]x", "/cx", True),
        ("/a[!x]b", "/a/b", False),
        ("/[]]x", "/]x", True),
        ("/[!]]x", "/]x", False),
        ("/[]-a]x", "/^x", True),
        ("/[[]x", "/[x", True),
        ("/[a-c]x", "/bx", True),
        ("/[a-]x", "/-x", True),
        ("/[--0]x", "/.x", True),
        ("/[a&&b]x", "/&x", True),
        ("/[\\]x", "/\\x", True),
        ("/a.b", "/axb", False),
        ("/a\nb*", "/a\nbc", True),
    ],
)
def test_patterns(pattern: str, path: str, matches: bool) -> None:
    check_glob(pattern)
    assert (glob_regex(pattern).fullmatch(path) is not None) == matches


@pytest.mark.parametrize(
    "pattern", ["/a[", "/a[]", "/a[!]", "/a[b/c]", "/a/../*", "/***", "/[z-a]", "/**" * 5 + "/x", "/[é]"]
)
def test_what_would_not_match_what_it_seems_to_is_refused(pattern: str) -> None:
    with pytest.raises(PolicyError):
        check_glob(pattern)


NAMES = st.text("ab.*?[]!^-\\", min_size=1, max_size=5)


@given(NAMES, NAMES)
def test_one_component_matches_as_the_shell_would(pattern: str, name: str) -> None:
    assume("**" not in pattern and pattern != ".." and "/[^" not in "/" + pattern)
    assume("[^" not in pattern)  # the shell's spelling is [!
    try:
        check_glob(pattern)
    except PolicyError:
        return
    assert (glob_regex(pattern).fullmatch(name) is None) == (re.fullmatch(translate(pattern), name) is None)


@given(NAMES, NAMES)
def test_an_escaped_name_matches_itself_only(name: str, other: str) -> None:
    regex = glob_regex(escape_glob(name))
    assert regex.fullmatch(name)
    assert (regex.fullmatch(other) is not None) == (name == other)


@given(NAMES)
def test_an_escaped_name_is_a_fixed_component(name: str) -> None:
    assume(name not in (".", ".."))
    assert split_glob(f"/{escape_glob(name)}/b/*.key") == (f"/{name}/b", "*.key")


def test_a_pattern_stands_for_what_lies_beneath_and_for_no_directory() -> None:
    assert variants("/a/**/b") == ["/a/**/b", "/a/**/b/**", "/a/b", "/a/b/**"]
    assert variants("/a/**") == ["/a/**"]


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("/ws/*.key", "/ws", True),
        ("/ws/*.key", "/ws/sub", True),
        ("/ws/*.key", "/", True),
        ("/ws/*.key", "/wsx", False),
        ("/ws*", "/wsx", True),
        ("/ws*", "/w", False),
        ("/**/x", "/anything", True),
        ("/[w]s", "/other", True),
    ],
)
def test_what_a_pattern_may_touch_is_judged_by_its_fixed_text(pattern: str, path: str, expected: bool) -> None:
    assert may_match(pattern, path) == expected
