"""Executing: `#!` lines of every kind, argv[0], missing interpreters, closures, and capwrap-exec."""

from __future__ import annotations

import os
import sys
import unicodedata
from pathlib import Path

import pytest
from support.compare import Bench, copying
from support.programs import Programs
from support.run import require

from capwrap.observe.summary import printable

SCRIPTS: dict[str, dict[str, str | bytes]] = {
    "plain": {"run": "#!/bin/sh\necho $0 $*\n"},
    "with an argument": {"run": "#!/bin/sh -e\nfalse\necho not reached\n"},
    "with one argument of many words": {"run": "#!/usr/bin/env -S sh -eu\necho $0 $*; echo $undefined\n"},
    "with spaces and tabs": {"run": "#! \t /bin/sh \t -x \t \necho $0\n"},
    "through env": {"run": "#!/usr/bin/env bash\necho $BASH_VERSION | wc -l; echo $0\n"},
    "nested": {"run": "#!./middle one\necho inner $0 $*\n", "middle": "#!/bin/sh -e\necho middle $0 $*\nsh $2\n"},
    "nested five deep": {
        **{f"{'run' if n == 0 else f's{n}'}": f"#!./s{n + 1}\n" for n in range(5)},
        "s5": "#!/bin/echo deep\n",
    },
    "nested too deep": {
        **{f"{'run' if n == 0 else f's{n}'}": f"#!./s{n + 1}\n" for n in range(8)},
        "s8": "#!/bin/echo deep\n",
    },
    "of itself": {"run": "#!./run\n"},
    "with an absent interpreter": {"run": "#!/no/such/interpreter\n"},
    "with an interpreter that is a directory": {"run": "#!/bin\n"},
    "with an interpreter that may not run": {"run": "#!/etc/passwd\n"},
    "with a relative interpreter": {"run": "#!bin/own x\n", "bin/own": "#!/bin/sh\necho own $0 $*\n"},
    "without an interpreter": {"run": "#!\necho by the shell\n"},
    "with only spaces": {"run": "#!   \necho by the shell\n"},
    "without an end of line": {"run": "#!/bin/echo"},
    "with a carriage return": {"run": "#!/bin/sh\r\necho x\n"},
    "with a line that is too long": {"run": "#!/bin/echo " + "x" * 300 + "\n"},
    "with an interpreter that is too long": {"run": "#!/" + "x" * 300 + "\n"},
    "with a NUL": {"run": b"#!/bin/echo a\0b c\n"},
    "empty": {"run": b""},
    "two bytes": {"run": b"#!"},
    "no program": {"run": "#!/bin/sh\n", "text": "text\n"},
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_starts_as_natively(each_bench: Bench, name: str) -> None:
    def executable(work: Path) -> None:
        (work / "run").chmod(0o755)

    # By a shell, which falls back on ENOEXEC; by its absolute path and by a relative one; and by an exec call.
    script = """
        ./run 1 2; echo $?; "$PWD/run" 3; echo $?; mkdir sub; cd sub && "$OLDPWD/run"; echo $?; cd "$OLDPWD"
        /usr/bin/python3 -c 'import os
try: os.execv("./run", ["zero", "one"])
except OSError as error: print(error)'; echo $?
    """
    each_bench.compare(["sh", "-c", script], files=SCRIPTS[name], setup=executable)


def test_a_program_sees_its_own_name_and_place(each_bench: Bench, programs: Programs) -> None:
    program = programs("system/whoami")
    script = """
        ./whoami a; ln -s whoami link; ./link b; mkdir d; cp whoami d/other; PATH=$PWD/d:$PATH; other; cd d; ../link
        ./other
        (exec -a another ./other 2>/dev/null) || true; ln ../whoami hard; ./hard
    """
    each_bench.compare(["bash", "-euc", script], setup=copying(program))


def test_a_program_without_its_interpreter_is_not_found(bench: Bench, programs: Programs) -> None:
    program = programs("system/whoami", flags=["-Wl,--dynamic-linker=/no/such/loader.so"])
    bench.compare(["sh", "-c", "./whoami; echo $?"], setup=copying(program), stderr=False)


def test_a_program_without_a_library_fails_as_natively(bench: Bench) -> None:
    require("cc")
    files = {"m.c": "int f(void);\nint main(void) { return f(); }\n", "f.c": "int f(void) { return 0; }\n"}
    script = "cc -shared -fPIC f.c -o libf.so; cc m.c -L. -lf -o m; LD_LIBRARY_PATH=. ./m; rm libf.so; ./m || echo $?"
    bench.compare(script, files=files)


@pytest.mark.parametrize(
    "text", ["#!/bin/sh\nexit 0\n", "not a program\n", "\x7fELF"], ids=["script", "text", "cut ELF"]
)
def test_what_may_not_run_does_not(each_bench: Bench, text: str) -> None:
    script = "cp run copy; chmod 644 copy; ./copy; echo $?; chmod 755 copy; ./copy; echo $?; mkdir -p d; ./d; echo $?"
    each_bench.compare(["sh", "-c", script], files={"run": text}, stderr=False)


def test_capwrap_exec_runs_a_compiled_policy(each_bench: Bench) -> None:
    each_bench.fresh({"in": "input\n"})
    image = each_bench.root / "policy.cap"
    outside = each_bench.root / "outside"
    outside.write_text("outside\n")
    outside.chmod(0o644)
    script = f"cat in; pwd; cat {outside} 2>/dev/null || echo refused; sh -c 'exit 3'"
    done = each_bench.runner.executed(["sh", "-c", script], cwd=each_bench.work, env=each_bench.env, image=image)
    assert done.status == 3, done.describe()
    assert done.text == f"input\n{each_bench.work}\nrefused\n", done.describe()


@pytest.mark.parametrize(
    ("command", "status"),
    [(["./absent"], 127), (["./text"], 126), (["sh", "-c", "kill -9 $$"], -9), (["sh", "-c", "exit 120"], 120)],
    ids=["absent", "not runnable", "killed", "a status"],
)
def test_capwrap_exec_ends_as_capwrap_run_does(bench: Bench, command: list[str], status: int) -> None:
    bench.fresh({"text": "no program\n"})
    image = bench.root / "policy.cap"
    done = bench.runner.executed(command, cwd=bench.work, env=bench.env, image=image)
    assert done.status == status, done.describe()


def compiled(bench: Bench, *options: str | Path) -> list[str | Path]:
    """capwrap-exec without its image, and the image of a policy."""
    image = bench.root / "policy.cap"
    done = bench.runner.command(["compile", *options, "-o", image], cwd=bench.work, env=bench.env)
    assert done.status == 0, done.describe()
    return [*bench.runner.capwrap_exec, image]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            "sub/run",
            "No such file or directory; grant it, or where the current directory is not granted itself, start wi",
        ),
        ("absent", "No such file or directory; grant it, with its interpreter or loader\n"),
        ("{work}/sub/run", "Permission denied; grant it with the right to execute\n"),
    ],
)
def test_capwrap_exec_says_what_to_do_where_the_command_does_not_start(bench: Bench, command: str, said: str) -> None:
    bench.fresh({"sub/run": "#!/bin/sh\n"})
    program, image = compiled(bench, "--profile", "base", "--ro", "sub")
    name = command.format(work=bench.work)
    done = bench.runner.native([program, image, "--", name], cwd=bench.work, env=bench.env)
    assert done.status == (126 if "Permission" in said else 127), done.describe()
    assert os.fsdecode(done.stderr).startswith(f"capwrap: {name}: {said}"), done.describe()


@pytest.mark.parametrize("chdir", [".", "{work}", "sub/..", "sub"])
def test_capwrap_exec_starts_where_it_is_told(each_bench: Bench, chdir: str) -> None:
    each_bench.fresh({"sub/in": "input\n"})
    program, image = compiled(each_bench, "--profile", "base", "--ro", "sub")
    place = chdir.format(work=each_bench.work)
    command = [image, "--", "sh", "-c", "pwd; cat sub/in in"]
    unmoved = each_bench.runner.native([program, *command], cwd=each_bench.work, env=each_bench.env)
    assert unmoved.text == "/\n", unmoved.describe()
    done = each_bench.runner.native([program, "--chdir", place, *command], cwd=each_bench.work, env=each_bench.env)
    where = each_bench.work / ("sub" if chdir == "sub" else "")
    assert done.text == f"{where}\ninput\n", done.describe()


def test_capwrap_exec_does_not_start_in_what_is_not_granted(bench: Bench) -> None:
    bench.fresh({"sub/in": ""})
    (bench.root / "outside").mkdir()
    program, image = compiled(bench)
    for place in ("../outside", "absent", str(bench.root / "outside")):
        done = bench.runner.native([program, "--chdir", place, image, "--", "pwd"], cwd=bench.work, env=bench.env)
        assert (done.status, done.text) == (125, ""), done.describe()
        assert b"Is it granted?" in done.stderr, done.describe()


@pytest.mark.parametrize(
    ("script", "status"), [("cat OUTSIDE || :", 120), ("cat in", 0), ("cat OUTSIDE; exit 3", 3), ("cat absent || :", 0)]
)
def test_capwrap_exec_fails_on_a_violation_where_it_is_told_to(bench: Bench, script: str, status: int) -> None:
    bench.fresh({"in": ""})
    outside = bench.root / "outside"
    outside.touch()
    program, image = compiled(bench)
    command = [image, "--", "sh", "-c", script.replace("OUTSIDE", str(outside))]
    done = bench.runner.native([program, "--fail-on-violation", *command], cwd=bench.work, env=bench.env)
    assert done.status == status, done.describe()
    mild = bench.runner.native([program, *command], cwd=bench.work, env=bench.env)
    assert mild.status == (0 if status == 120 else status), mild.describe()


def test_what_a_program_names_reaches_no_terminal_as_a_command(bench: Bench) -> None:
    """capwrap-exec escapes what capwrap run escapes, and as it does."""
    bench.fresh()
    # Surrogates stand for bytes that are not UTF-8; of private use, two are enough.
    silent = [
        char
        for char in map(chr, range(1, sys.maxunicode + 1))
        if char in "\ue000\U0010fffd"
        or (not char.isprintable() and unicodedata.category(char) not in ("Cn", "Cs", "Co"))
    ]
    names = ["".join(silent[at : at + 40]).encode() for at in range(0, len(silent), 40)]
    names += [
        "a \u00e4\u6f22\U0001f600~\\\"'".encode(),
        b"\xff\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80\xe6\xbc",
        b"\x1b]0;title\x07\x1b[2J",
    ]
    outside = bench.root / "outside"
    outside.mkdir()
    paths = [os.fsencode(outside) + b"/" + name for name in names]
    for path in paths:
        Path(os.fsdecode(path)).touch()
    program, *options = compiled(bench)
    done = bench.runner.native([program, *options, "--", "cat", *paths], cwd=bench.work, env=bench.env)
    told = [line for line in done.stderr.split(b"\n") if line.startswith(b"capwrap: refused: ")]
    assert told == [
        f"capwrap: refused: openat {printable(os.fsdecode(path))}: No such file or directory".encode() for path in paths
    ]


@pytest.mark.parametrize(
    "words",
    [[], ["--"], ["--chdir"], ["--chdir", "", "F", "--", "true"], ["-x", "F", "--", "true"], ["F", "true", "x"]],
)
def test_capwrap_exec_tells_how_it_is_used(bench: Bench, words: list[str]) -> None:
    done = bench.runner.native([*bench.runner.capwrap_exec, *words], cwd=bench.work, env=bench.env)
    assert done.status == 125, done.describe()
    assert done.stderr.startswith(b"usage: capwrap-exec [--chdir DIR] [--fail-on-violation] FILE.cap -- COMMAND")


def test_capwrap_exec_refuses_an_image_that_is_damaged(bench: Bench) -> None:
    image = bench.root / "policy.cap"
    bench.runner.executed(["true"], cwd=bench.work, env=bench.env, image=image)
    whole = image.read_bytes()
    damaged = [whole[:-1], whole[:100], b"", whole[:-1] + bytes([whole[-1] ^ 1]), b"X" + whole[1:]]
    for data in damaged:
        image.write_bytes(data)
        done = bench.runner.native([*bench.runner.capwrap_exec, image, "--", "true"], cwd=bench.work, env=bench.env)
        assert done.status == 125, done.describe()
        assert done.stderr.startswith(b"capwrap"), done.describe()
