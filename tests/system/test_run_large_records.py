"""Long records are read in memory that does not grow with them; `make test-long` takes a million lines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.large import write_large
from support.run import tool

MOST = 160 << 10
"""KiB that a command may take: Python, what it imports, and 100,000 different names"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_large(tmp_path_factory.mktemp("large") / "events.ndjson")


MEASURE = """
import os, resource, subprocess, sys
status = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(status, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["explain", "EVENTS"], 0),
        (["explain", "--format", "sarif", "EVENTS"], 0),
        (["check", "POLICY", "--against", "EVENTS"], 1),
        (["deps", "-o", "x", "EVENTS"], 0),
        (["suggest", "EVENTS"], 0),
        (["report", "EVENTS"], 0),
        (["report", "--policy", "POLICY", "EVENTS"], 0),
    ],
    ids=["explain", "sarif", "check", "deps", "suggest", "report", "report with a policy"],
)
def test_a_long_record_takes_little_memory(large: Path, tmp_path: Path, arguments: list[str], status: int) -> None:
    (tmp_path / "p.toml").write_text('extends = ["base"]\n')
    places = {"EVENTS": str(large), "POLICY": "p.toml"}
    command = [sys.executable, "-c", MEASURE, str(tool("capwrap")), *(places.get(word, word) for word in arguments)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=1200)
    ended, most = done.stdout.split()
    assert (int(ended), done.stderr) == (status, "")
    assert int(most) < MOST


def test_a_long_record_of_a_make_is_split_in_memory_for_the_names_of_each_action(large: Path, tmp_path: Path) -> None:
    """Each of the processes that the record starts is an action: of a million lines, 20,000 with 48 names each."""
    made = tmp_path / "make.ndjson"
    begun = '{"type":"process","id":1,"t":0,"event":%s,"pid":1,"cwd":"/srv"}\n'
    with open(large) as lines, open(made, "w") as file:
        file.write(next(lines))
        file.write(begun % '"start","parent":0')
        file.write(begun % '"exec","argv":["make"]')
        file.writelines(lines)
    (tmp_path / "rules").write_text("/srv/w/52.o: /srv/x\n\tcc -c $<\n")
    arguments = ["deps", "--format", "json", "--all", "--declared", "rules", str(made)]
    command = [sys.executable, "-c", MEASURE, str(tool("capwrap")), *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=1200)
    ended, most = done.stdout.split()
    assert int(ended) == 1, done.stderr
    assert int(most) < 2 * MOST
