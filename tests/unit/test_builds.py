"""One record of a whole build: which process is of which action, for which target it ran, and what orders two."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from recorded import PID, Written

from capwrap.observe.declared import Rules, by_recipe, compare, find_targets, races, read_rules
from capwrap.observe.deps import Action, Collector
from capwrap.observe.reading import Events
from capwrap.observe.recipes import Recipe, commands_of


def split(record: Written) -> list[Action]:
    record.end()
    data = "".join(json.dumps(line) + "\n" for line in record.lines).encode()
    collector = Collector(split=True)
    collector.read(Events("e", io.BytesIO(data)))
    return collector.actions


def runs(record: Written, pid: int, parent: int, *argv: str, cwd: str = "/s") -> None:
    record.start(pid, parent)
    record.exec(pid, *argv)
    record.lines[-1]["cwd"] = cwd


def writes(record: Written, pid: int, path: str) -> None:
    record.access(path, "write", "create", pid=pid)


def reads(record: Written, pid: int, path: str) -> None:
    record.access(path, "read", pid=pid)


def rules(tmp_path: Path, text: str) -> Rules:
    (tmp_path / "rules").write_text(text)
    return read_rules(str(tmp_path / "rules"), "/s")


def raced(actions: list[Action], declared: Rules) -> list[tuple[str, str]]:
    find_targets(actions, declared)
    return [(race.kind, race.path) for race in races(actions, declared)]


# Which action it is.


def test_each_child_of_a_make_is_an_action_with_what_comes_from_it() -> None:
    record = Written("make")
    reads(record, PID, "/s/Makefile")
    runs(record, 2, PID, "/bin/sh", "-c", "cc a.c; true")
    runs(record, 3, 2, "cc", "a.c")
    reads(record, 3, "/s/a.c")
    runs(record, 4, PID, "cc", "b.c", cwd="/s/b")
    writes(record, 4, "/s/b.o")
    one, other = split(record)
    assert (one.argv, one.cwd, list(one.names)) == (["/bin/sh", "-c", "cc a.c; true"], "/s", ["/s/a.c"])
    assert (other.argv, other.cwd, list(other.names)) == (["cc", "b.c"], "/s/b", ["/s/b.o"])


def test_a_make_that_executes_itself_again_goes_on_as_the_same() -> None:
    record = Written("make")
    runs(record, 2, PID, "sh", "-c", "one")
    record.exec(PID, "/usr/bin/make")
    runs(record, 3, PID, "sh", "-c", "two")
    one, other = split(record)
    assert one.chain[0][0] == other.chain[0][0]


def test_what_is_beneath_no_make_is_one_action() -> None:
    record = Written("sh")
    runs(record, 2, PID, "cc")
    writes(record, 2, "/s/a.o")
    runs(record, 3, PID, "ninja")
    runs(record, 4, 3, "sh", "-c", "x")
    writes(record, 4, "/s/x")
    rest, action = split(record)
    assert (rest.chain, rest.outputs()) == ((), ["/s/a.o"])
    assert action.outputs() == ["/s/x"]


def test_what_another_action_wrote_is_not_said_to_be_missing(tmp_path: Path) -> None:
    record = Written("make")
    reads(record, PID + 1, "/s/elsewhere")
    runs(record, 2, PID, "cc", "-c", "a.c")
    writes(record, 2, "/s/a.o")
    declared = rules(tmp_path, "a.o: a.c\n\tcc -c $<\n")
    actions = split(record)
    find_targets(actions, declared)
    assert [compare(action, declared, None).missing for action in by_recipe(actions)] == [[], []]


def test_a_number_that_is_used_again_is_another_process() -> None:
    record = Written("make")
    for name in ("a", "b"):
        runs(record, 2, PID, "touch", name)
        writes(record, 2, f"/s/{name}")
        record.exit(2)
    assert [action.outputs() for action in split(record)] == [["/s/a"], ["/s/b"]]


# For which target.


@pytest.mark.parametrize(
    ("line", "command", "same"),
    [
        ("\tcc -c $< -o $@", ["cc", "-c", "x.c", "-o", "x.o"], True),
        ("\t@-+cc -c $<  -o ${@}", ["/bin/sh", "-c", "cc -c x.c -o x.o"], True),
        ("\tcc -c $< -o $@", ["cc", "-c", "y.c", "-o", "y.o"], False),
        ("\t$(CC) $(call f,$(a)) -o $@", ["gcc", "-O2", "-o", "x.o"], True),
        ("\t$(CC) -o $@ $^ $(LIBS)", ["sh", "-ec", "gcc -o x.o x.c y.h "], True),
        ("\t$(CC) -o $@ $^ $(LIBS)", ["gcc", "-o", "x.o", "z.c"], False),
        ("\techo $$HOME '$@'", ["sh", "-c", "echo $HOME 'x.o'"], True),
        ("\techo $(@D)/$(@F)", ["echo", "./x.o"], True),
        ("\t$(everything)", ["gcc", "x"], False),
        ("\tfirst; \\\n\tsecond", ["sh", "-c", "first; \\\nsecond"], True),
        ("\tcc $* $?", ["cc", "x", "y"], True),
        ("\tcc $(A) $(B) x", ["sh", "-c", "cc   x"], True),
        ("\tcc $(A) $(B) x", ["sh", "-c", "cc   y"], False),
        ("\tcc", ["cc", "x"], False),
    ],
)
def test_a_recipe_has_the_commands_that_its_variables_can_make_of_it(line: str, command: list[str], same: bool) -> None:
    recipe = Recipe("/s/x.o", "x.o", "/s", ["x.c", "y.h"], [line.replace("\\\n", " ")])
    assert recipe.runs(commands_of(command)) is same


def test_a_recipe_that_one_shell_runs_is_known_as_a_whole() -> None:
    recipe = Recipe("/s/x", "x", "/s", [], ["\tcd y", "\ttouch $@"])
    assert recipe.runs(commands_of(["/bin/sh", "-c", "cd y\ntouch x"]))


def test_of_a_command_line_that_may_be_cut_the_beginning_is_compared() -> None:
    recipe = Recipe("/s/x", "x", "/s", [], ["\tar r $@ " + "o " * 3000 + "end"])
    assert recipe.runs(commands_of(["sh", "-c", "ar r x " + "o " * 2000]))
    assert not recipe.runs(commands_of(["sh", "-c", "ar r y " + "o " * 2000]))


DATA_BASE = """\
cc -c x: y
# Make data base, printed on Sun
CURDIR := /s/sub
X = y: z

# Not a target:
in:

s: in | dir
#  recipe to execute (from 'Makefile', line 2):
\tcp $< $@

s: FLAGS = -O2 w
# Finished Make data base on Sun
echo done: now
# Make data base, printed on Sun
CURDIR := /s

all: sub/s
#  recipe to execute (from 'Makefile', line 2):
\techo all

# Finished Make data base on Sun
"""


def test_each_data_base_that_make_prints_has_its_own_directory(tmp_path: Path) -> None:
    declared = rules(tmp_path, DATA_BASE)
    assert declared.needs == {"/s/sub/s": {"/s/sub/in", "/s/sub/dir"}, "/s/all": {"/s/sub/s"}}
    assert declared.recipes.targets(["cp", "in", "s"], "/s/sub") == ("/s/sub/s",)
    assert declared.recipes.targets(["cp", "in", "s"], "/s") == ()
    assert declared.recipes.targets(["echo", "all"], None) == ("/s/all",)


GRAPH = """\
digraph ninja {
"0x1" [label="b x"]
"0x2" [label="cp", shape=ellipse]
"0x2" -> "0x1"
"0x3" -> "0x2" [arrowhead=none]
"0x4" -> "0x2" [arrowhead=none style=dotted]
"0x3" [label="a"]
"0x5" -> "0x3" [label=" cp"]
"0x5" [label="/in"]
"0x4" [label="c"]
}
"""


def test_the_graph_that_ninja_prints_is_read_as_rules(tmp_path: Path) -> None:
    assert rules(tmp_path, GRAPH).needs == {"/s/b x": {"/s/a", "/s/c"}, "/s/a": {"/in"}}


def test_the_lines_of_a_recipe_are_one_where_it_is_known(tmp_path: Path) -> None:
    record = Written("make")
    runs(record, 2, PID, "sh", "-c", "cc a.c >t.tmp")
    reads(record, 2, "/s/a.c")
    writes(record, 2, "/s/t.tmp")
    runs(record, 3, PID, "sh", "-c", "mv t.tmp a.o")
    record.access("/s/t.tmp", "renameat_source", syscall="rename", path2="/s/a.o", result=0, pid=3)
    runs(record, 4, PID, "unknown")
    actions = split(record)
    find_targets(actions, rules(tmp_path, "a.o: a.c\n\tcc $< >t.tmp\n\tmv t.tmp $@\n"))
    recipe, other = by_recipe(actions)
    assert (recipe.targets, recipe.inputs(), recipe.outputs()) == (("/s/a.o",), ["/s/a.c"], ["/s/a.o"])
    assert other.argv == ["unknown"]


# What orders two.


def two(one: str, other: str, *, nested: bool = False) -> list[Action]:
    """Two commands that write one file; `nested`: in two makes that one action runs one after the other."""
    record = Written("make")
    makes = (PID, PID)
    if nested:
        runs(record, 5, PID, "sh", "-c", "make a; make b")
        runs(record, 6, 5, "make", "a")
        runs(record, 7, 5, "make", "b")
        makes = (6, 7)
    for pid, parent, command in ((20, makes[0], one), (21, makes[1], other)):
        runs(record, pid, parent, "sh", "-c", command)
        writes(record, pid, "/s/shared")
    return split(record)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a:\n\tone\nb:\n\ttwo\n", [("write-write", "/s/shared")]),
        ("a:\n\tone\nb: a\n\ttwo\n", []),
        ("a:\n\tone\nb: c\n\ttwo\nc: a\n", []),
        ("a:\n\tone\nb: | a\n\ttwo\n", []),
        ("a:\n\tone\n\ttwo\nb:\n", []),
        ("a: b\n", [("write-write", "/s/shared")]),
        # it is not known for which of the two `two` ran, so nothing is said against it
        ("a:\n\tone\nb: a\n\ttwo\nc:\n\ttwo\n", []),
    ],
    ids=["none", "edge", "chain", "order-only", "one-recipe", "unknown", "ambiguous"],
)
def test_actions_race_where_no_edge_orders_their_targets(
    tmp_path: Path, text: str, found: list[tuple[str, str]]
) -> None:
    assert raced(two("one", "two"), rules(tmp_path, text)) == found


def test_makes_that_one_action_runs_are_ordered_by_it(tmp_path: Path) -> None:
    assert raced(two("one", "two", nested=True), rules(tmp_path, "a:\n\tone\nb:\n\ttwo\n")) == []


@pytest.mark.parametrize(("edge", "found"), [("", [("write-write", "/s/shared")]), ("sub", [])])
def test_an_action_of_a_nested_make_is_ordered_as_the_one_that_runs_the_make(
    tmp_path: Path, edge: str, found: list[tuple[str, str]]
) -> None:
    record = Written("make")
    runs(record, 2, PID, "make", "-C", "sub")
    runs(record, 3, 2, "sh", "-c", "inner", cwd="/s/sub")
    writes(record, 3, "/s/shared")
    runs(record, 4, PID, "sh", "-c", "outer")
    writes(record, 4, "/s/shared")
    text = f"sub:\n\t$(MAKE) -C sub\ntop: {edge}\n\touter\n"
    assert raced(split(record), rules(tmp_path, text)) == found


def test_what_ran_a_make_is_ordered_with_what_the_make_ran(tmp_path: Path) -> None:
    record = Written("make")
    runs(record, 2, PID, "sh", "-c", "touch shared; make -C sub")
    writes(record, 2, "/s/shared")
    runs(record, 3, 2, "make", "-C", "sub")
    runs(record, 4, 3, "sh", "-c", "inner", cwd="/s/sub")
    reads(record, 4, "/s/shared")
    assert raced(split(record), rules(tmp_path, "x:\n\ty\n")) == []
