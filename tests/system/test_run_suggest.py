"""suggest on real programs: with the policy that their record gives, nothing is refused, and nothing new is let in."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest
from support.compare import Bench, Files, Setup
from support.run import require, tool
from support.sources import unpacker

PYTHON = "/usr/bin/python3"
MODULE = "module.exports = 'x'\n"
MAIN = '#include "a.h"\nint main(void) { return 0; }\n'
COMMIT = "git -c user.name=x -c user.email=y commit -qm m"
CASES: dict[str, tuple[str, Files]] = {
    "gcc": ("gcc -O -c a.c && gcc a.o -o prog && ./prog", {"a.c": MAIN, "a.h": "\n"}),
    "git": (f"git init -q . && git add a && {COMMIT} && git status -s", {"a": "x\n"}),
    "python": (f"{PYTHON} p.py", {"p.py": "import json, ssl\nprint(json.dumps(1))\n"}),
    "node": ("node n.js", {"n.js": "fs = require('fs'); fs.writeFileSync('out', require('./m'))\n", "m.js": MODULE}),
    "asking": (
        "/bin/sh -c true && chmod +x b && test -r a && test -x b && ! test -x a && echo found && ls -l >list",
        {"a": "x\n", "b": "#!/bin/sh\n"},
    ),
    "files": ("mkdir -p d/e && echo x >d/f && sed -i s/x/y/ d/f && mv d/f g && rm -r d && ln -s g h && cat h", {}),
}


def suggest(bench: Bench, *arguments: str | Path) -> str:
    told = bench.runner.native([tool("capwrap"), "suggest", *arguments], cwd=bench.work, env=bench.env)
    assert told.status == 0, told.describe()
    return told.text


def round_trip(
    bench: Bench, script: str, *, pure: bool, files: Files | None = None, setup: Setup | None = None, rounds: int = 1
) -> None:
    """Record a run, suggest a policy, run under it in a fresh tree: the same status, and nothing refused. `rounds`: so
    many runs may be refused something, which shows only in them; the next policy is of all records.
    """
    flags = ("--pure",) if pure else ()
    bench.fresh(files, setup)
    first = bench.confined(script, options=("-q", "--events", bench.events))
    assert first.status == 0, first.describe()
    records = [bench.events.rename(bench.root / "first.ndjson")]
    policy = bench.root / "suggested.toml"
    for number in range(rounds):
        bench.fresh(files, setup)
        policy.write_text(suggest(bench, *flags, *records))
        again = bench.confined(script, options=("-q", *flags, "--policy", policy, "--events", bench.events))
        assert (again.status, again.stdout) == (0, first.stdout), again.describe() + policy.read_text()
        refused = bench.refusals_text()
        if not bench.records("refusal"):
            return
        records.append(bench.events.rename(bench.root / f"{number}.ndjson"))
    pytest.fail(f"{refused}\n{policy.read_text()}")


@pytest.mark.parametrize("pure", [False, True], ids=["base", "pure"])
@pytest.mark.parametrize("case", CASES)
def test_with_the_suggested_policy_nothing_is_refused(bench: Bench, case: str, pure: bool) -> None:
    script, files = CASES[case]
    require(script.split()[0].rpartition("/")[2])
    round_trip(bench, script, pure=pure, files=files)


def test_with_the_suggested_policy_a_configure_script_runs(bench: Bench) -> None:
    require("cc", "make")
    round_trip(bench, "./configure >/dev/null && test -s zlib.pc", pure=False, setup=unpacker("zlib"))


def test_with_the_suggested_policy_pip_installs_a_wheel(bench: Bench) -> None:
    wheel = "thing-1-py3-none-any.whl"

    def setup(work: Path) -> None:
        info = "thing-1.dist-info"
        with zipfile.ZipFile(work / wheel, "w") as made:
            made.writestr("thing.py", "x = 1\n")
            made.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: thing\nVersion: 1\n")
            made.writestr(
                f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            made.writestr(f"{info}/RECORD", f"thing.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")

    script = f"{PYTHON} -m pip install -q --no-index --target t {wheel} && test -s t/thing.py"
    has_pip = bench.runner.native([PYTHON, "-m", "pip", "--version"], cwd=bench.root, env=bench.env)
    assert has_pip.status == 0, "install the package python3-pip (.ci/run does)"
    round_trip(bench, script, pure=False, setup=setup, rounds=2)


def test_what_the_program_did_not_use_before_is_refused(bench: Bench) -> None:
    require("gcc")
    script, files = CASES["gcc"]
    policy = bench.root / "suggested.toml"
    round_trip(bench, script, pure=False, files=files)
    (bench.work / "new.h").write_text("\n")
    (bench.work / "a.h").write_text('#include "new.h"\n')
    done = bench.confined(script, options=("--policy", policy))
    assert done.status != 0
    assert b"new.h" in done.stderr, done.describe()
    assert f"allow with: --ro {bench.work}/new.h" in os.fsdecode(done.stderr) or b"a right is missing" in done.stderr
