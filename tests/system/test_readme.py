"""What README.md shows of a session is what one gets, and its example in Python runs."""

from __future__ import annotations

import os
import re
import sys

from support.compare import Bench
from support.run import REPO, require, tool

README = (REPO / "README.md").read_text()
SOURCE = '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n'


def block(beginning: str) -> str:
    """The indented lines of README.md that begin so, without their indentation."""
    start = README.index(f"\n    {beginning}") + 1
    found = re.match(r"(?:(?:    .*)?\n)+", README[start:])
    assert found is not None
    return "".join(f"{line[4:]}\n" for line in found[0].strip("\n").split("\n"))


def shown(output: str) -> str:
    """Without what differs from run to run: numbers of records and processes, the time, and where it was."""
    output = re.sub(r"^( +in +)/.*", r"\1DIRECTORY", output, flags=re.MULTILINE)
    output = re.sub(r"ended at \d\d:\d\d:\d\d", "ended", output)
    return re.sub(r"\(process \d+\)", "(process)", re.sub(r"^\d+ refused", "refused", output, flags=re.MULTILINE))


def test_the_session_at_the_top_is_what_one_gets(bench: Bench) -> None:
    require("cc", "sh")
    bench.fresh({"hello.c": SOURCE})
    env = bench.env | {
        "PATH": f"{tool('capwrap').parent}{os.pathsep}{bench.env['PATH']}",
        "XDG_STATE_HOME": str(bench.home / "state"),
    }
    session = block("$ capwrap run -- sh -c 'cc hello.c")
    commands = [line[2:] for line in session.splitlines() if line.startswith("$ ")]
    assert len(commands) == 2
    got = ""
    for command in commands:
        both = bench.runner.native(["sh", "-c", f"{command} 2>&1"], cwd=bench.work, env=env)
        got += f"$ {command}\n{both.text}\n"
    assert shown(got).rstrip() == shown(session).rstrip()


def test_the_example_in_python_prints_what_it_says(bench: Bench) -> None:
    bench.fresh({"hello.c": SOURCE, ".git/config": "", "example.py": block("from capwrap import Policy, Sandbox")})
    done = bench.runner.native([sys.executable, "example.py"], cwd=bench.work, env=bench.env)
    assert (done.status, done.text) == (0, "/etc/shadow ('read',) --ro /etc/shadow\n"), done.describe()
