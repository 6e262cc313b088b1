"""Long records are read in memory that does not grow with them; `make test-long` takes a million lines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.run import tool

LINES = 1_000_000 if os.environ.get("CAPWRAP_SOAK_SECONDS") else 20_000
MOST = 160 << 10
"""KiB that a command may take: Python, what it imports, and 100,000 different names"""
CALL = '"syscall":"openat","path":"%s"'
DENIED = '"host":null,"kind":"not-granted","needs":["read"],"errno":"ENOENT","allow":"--ro /srv/x","argv":["cc"]'


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "events.ndjson"
    jail = {"landlock": {"abi": 7, "coarse": None}, "seccomp": True, "no_new_privs": True}
    head = {"type": "run", "v": 1, "argv": ["make"], "policy": "sha256:" + "0" * 64, "method": "ptrace", "jail": jail}
    with open(path, "w") as file:
        file.write(json.dumps(head | {"kernel": "6", "capwrap": "0.1.0"}) + "\n")
        for number in range(1, LINES + 1):
            call = f'"id":{number},"t":{number / 1e5},"pid":{number // 50},"tid":1'
            if number % 50 == 0:
                rest = f'"type":"process","id":{number},"t":1,"event":"start","pid":{number // 50},"parent":1'
            elif number % 50 == 1:
                name = CALL % f"/srv/secret/{number % 20000}"
                rest = f'"type":"refusal",{call},{name},{DENIED}'
            elif number % 50 == 2:
                name = CALL % f"/srv/w/{number % 20000}.o"
                rest = f'"type":"access",{call},{name},"grant":"/srv","rights":["write","create"],"result":3'
            else:
                name = CALL % f"/srv/include/{number % 100}/{number * 7919 % 100_000}.h"
                rest = f'"type":"access",{call},{name},"grant":"/srv","rights":["read"],"result":3'
            file.write("{" + rest + "}\n")
        file.write('{"type":"end","status":0,"signal":null,"complete":true}\n')
    return path


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
    ],
    ids=["explain", "sarif", "check", "deps", "suggest"],
)
def test_a_long_record_takes_little_memory(large: Path, tmp_path: Path, arguments: list[str], status: int) -> None:
    (tmp_path / "p.toml").write_text('extends = ["base"]\n')
    places = {"EVENTS": str(large), "POLICY": "p.toml"}
    command = [sys.executable, "-c", MEASURE, str(tool("capwrap")), *(places.get(word, word) for word in arguments)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=1200)
    ended, most = done.stdout.split()
    assert (int(ended), done.stderr) == (status, "")
    assert int(most) < MOST
