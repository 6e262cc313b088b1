"""The tree against a model that knows nothing of trees: a list of rules, of which the longest that is above wins."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capwrap.policy import Policy
from capwrap.policy.build import build_namespace
from capwrap.policy.check import decide
from capwrap.policy.flags import prune
from capwrap.policy.image import number_nodes, read_image, write_image
from capwrap.policy.namespace import Namespace, NodeFlag, NodeKind, is_beneath
from capwrap.policy.rights import SETS

NAMES = ("a", "b", "c")
DIRECTORIES = [*NAMES, *(f"{x}/{y}" for x in NAMES for y in NAMES), *(f"{x}/{y}/a" for x in NAMES for y in NAMES)]
PATHS = st.lists(st.sampled_from(NAMES), max_size=4).map("/".join)


@pytest.fixture(scope="module")
def top() -> Iterator[Path]:
    """Three levels of real directories; what is deeper does not exist."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name).resolve()
        for directory in DIRECTORIES:
            (path / directory).mkdir()
        yield path


RULES = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(list(SETS)), st.sampled_from(["", *DIRECTORIES])),
        st.tuples(st.just("deny"), PATHS),
    ),
    max_size=8,
)
PROBES = st.lists(PATHS, min_size=1, max_size=8)


def policy_of(top: Path, rules: list[tuple[str, str]]) -> Policy:
    policy = Policy()
    for what, path in rules:
        place = str(top / path)
        policy = policy.deny(place) if what == "deny" else policy.grant(what, place)
    return policy


def build(policy: Policy) -> Namespace:
    return build_namespace(policy, command=None, cwd="/", environ={})


def expected(rules: list[tuple[str, str]], probe: str) -> int:
    """Rights of the deepest rules above the probe, together; none where one of them denies."""
    above = [(path.count("/") + 1 if path else 0, what) for what, path in rules if not path or is_beneath(probe, path)]
    deepest = max((depth for depth, _ in above), default=-1)
    deciding = {what for depth, what in above if depth == deepest}
    rights = 0
    for what in deciding:
        rights |= 0 if "deny" in deciding else int(SETS[what])
    return rights


@given(rules=RULES, probes=PROBES)
def test_the_deepest_rule_decides(top: Path, rules: list[tuple[str, str]], probes: list[str]) -> None:
    space = build(policy_of(top, rules))
    for probe in probes:
        assert decide(space, str(top / probe)).rights == expected(rules, probe), probe


@given(rules=RULES)
def test_the_order_of_rules_does_not_matter(top: Path, rules: list[tuple[str, str]]) -> None:
    def image(rules: list[tuple[str, str]]) -> bytes:
        return write_image(build(policy_of(top, rules)))

    assert image(rules) == image(rules[::-1])


@given(rules=RULES)
def test_capability_form_means_that_nothing_beneath_gives_less(top: Path, rules: list[tuple[str, str]]) -> None:
    space = build(policy_of(top, rules))
    for node in space.nodes():
        if node.flags & NodeFlag.CAPFORM:
            assert node.rights in SETS.values()
            for beneath in space.nodes():
                if is_beneath(beneath.path, node.path) and beneath.kind is not NodeKind.ANCESTOR:
                    assert beneath.kind is NodeKind.DIR
                    assert beneath.rights & node.rights == node.rights


@given(rules=RULES)
def test_pruning_twice_is_pruning_once_and_no_ancestor_is_left_without_a_cause(
    top: Path, rules: list[tuple[str, str]]
) -> None:
    space = build(policy_of(top, rules))
    before = [(node.path, node.kind, node.rights) for node in space.nodes()]
    prune(space)
    assert [(node.path, node.kind, node.rights) for node in space.nodes()] == before
    assert all(node.children for node in space.nodes() if node.kind is NodeKind.ANCESTOR and node is not space.root)


@given(rules=RULES)
def test_the_image_says_what_the_tree_says(top: Path, rules: list[tuple[str, str]]) -> None:
    space = build(policy_of(top, rules))
    image = read_image(write_image(space))
    assert [(n.path, n.kind, n.flags, n.host, n.link, n.rights) for n in image.nodes] == [
        (n.path, n.kind, n.flags, n.host, n.link, n.rights) for n in number_nodes(space)
    ]
