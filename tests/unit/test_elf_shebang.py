from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.run import path_of, require

from capwrap.elf.shebang import Shebang, env_command, parse_shebang, split_string


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"#!/bin/sh\n", Shebang("/bin/sh", None)),
        (b"#!/bin/sh", Shebang("/bin/sh", None)),
        (b"#!/bin/sh ", Shebang("/bin/sh", "")),
        (b"#!/bin/sh \n", Shebang("/bin/sh", None)),
        (b"#! \t/bin/sh -e  x \t\nrest", Shebang("/bin/sh", "-e  x")),
        (b"#!/bin/sh\0ignored\n", Shebang("/bin/sh", None)),
        (b"#!/bin/sh\r\n", Shebang("/bin/sh\r", None)),
        (b"#!rel/ative\n", Shebang("rel/ative", None)),
        (b"#!/" + b"x" * 250 + b" a\n", Shebang("/" + "x" * 250, "a")),
        (b"#!/" + b"x" * 200 + b" " + b"a" * 300 + b"\n", Shebang("/" + "x" * 200, "a" * 51)),
        (b"#!/" + b"x" * 300 + b"\n", None),
        (b"#!\n", None),
        (b"#!   \n/bin/sh\n", None),
        (b"#!" + b" " * 300, None),
        (b"#", None),
        (b"", None),
        (b"\x7fELF", None),
        (b" #!/bin/sh\n", None),
    ],
)
def test_a_line_is_split_as_the_kernel_splits_it(head: bytes, expected: Shebang | None) -> None:
    assert parse_shebang(head) == expected


@given(st.binary(max_size=400))
def test_no_line_makes_the_parser_raise(tail: bytes) -> None:
    for head in (tail, b"#!" + tail):
        shebang = parse_shebang(head)
        assert shebang is None or len(shebang.interpreter) < 256


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A program with a short name that writes its argv, each element with a NUL behind it."""
    require("gcc")
    directory = tmp_path_factory.mktemp("i")
    source = directory / "i.c"
    source.write_text(
        "#include <stdio.h>\n#include <string.h>\n"
        "int main(int c, char **v) { for (int i = 0; i < c; i++) fwrite(v[i], 1, strlen(v[i]) + 1, stdout); }\n"
    )
    subprocess.run(["gcc", "-o", str(directory / "i"), str(source)], check=True)
    return str(directory / "i")


PIECES = st.lists(st.sampled_from([b"I", b" ", b"\t", b"\0", b"\n", b"a", b"-x", b"b" * 100, b"\xff"]), max_size=8)


@given(PIECES)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_agrees_with_this_kernel(interpreter: str, tmp_path: Path, pieces: list[bytes]) -> None:
    line = b"".join(pieces).replace(b"I", os.fsencode(interpreter))
    script = tmp_path / "s"
    script.unlink(missing_ok=True)
    script.write_bytes(b"#!" + line)
    script.chmod(0o755)
    ours = parse_shebang(b"#!" + line)
    try:
        out = subprocess.run([str(script)], stdout=subprocess.PIPE, check=True).stdout
    except OSError:
        assert ours is None or ours.interpreter != interpreter
        return
    assert ours is not None
    expected = [interpreter, *([] if ours.argument is None else [ours.argument]), str(script)]
    assert out == b"".join(os.fsencode(word) + b"\0" for word in expected)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b\tc", ["a", "b", "c"]),
        (" 'a b' \"c d\"e ", ["a b", "c de"]),
        ('a\\_b "a\\_b"', ["a", "b", "a b"]),
        ("a # rest", ["a"]),
        ("a#b", ["a#b"]),
        ("a\\cb", ["a"]),
        ("${X}y '${X}'", ["1y", "${X}"]),
        ("${UNSET} z", ["z"]),
        ("''", [""]),
        ("\\n\\t", ["\n\t"]),
        ("a\\q", None),
        ("'a", None),
        ("$X", None),
        ("", []),
    ],
)
def test_a_split_string_gives_these_words(text: str, words: list[str] | None) -> None:
    assert split_string(text, {"X": "1"}) == words


@given(st.text(alphabet="ab \t\\_'\"#$c{X}nt", max_size=12))
@settings(max_examples=150)
def test_split_strings_agree_with_env(text: str) -> None:
    # printf prints the words behind `|` one a line; a leading word keeps options and assignments in TEXT words.
    environ = {"X": "1", "PATH": os.environ["PATH"]}
    args = [path_of("env"), "-S", "printf '%s\\\\0' | " + text]
    run = subprocess.run(args, check=False, capture_output=True, text=True, env=environ)
    words = split_string("| " + text, {"X": "1"})
    if "split-string" not in run.stderr and run.returncode == 0:
        assert words == run.stdout.split("\0")[:-1]
    else:
        assert words is None


@pytest.mark.parametrize(
    ("args", "command", "environ", "chdir"),
    [
        (["python3"], ["python3"], {"PATH": "/p"}, None),
        (["-i", "A=1", "x", "-y"], ["x", "-y"], {"A": "1"}, None),
        (["-", "x"], ["x"], {}, None),
        (["-u", "PATH", "x"], ["x"], {}, None),
        (["-uPATH", "--chdir=/d", "x"], ["x"], {}, "/d"),
        (["-C", "/d", "--", "x"], ["x"], {"PATH": "/p"}, "/d"),
        (["-S", "PATH=/q x -a", "s"], ["x", "-a", "s"], {"PATH": "/q"}, None),
        (["-iSx -a", "s"], ["x", "-a", "s"], {}, None),
        (["-S-i x", "s"], ["x", "s"], {}, None),
        (["--split-string=x y", "s"], ["x", "y", "s"], {"PATH": "/p"}, None),
        (["--split", "x", "s"], ["x", "s"], {"PATH": "/p"}, None),
        (["--ignore-env", "x"], ["x"], {}, None),
    ],
)
def test_env_runs_this(args: list[str], command: list[str], environ: dict[str, str], chdir: str | None) -> None:
    found = env_command(args, {"PATH": "/p"})
    assert found is not None
    assert (list(found.command), found.environ, found.chdir) == (command, environ, chdir)


@pytest.mark.parametrize("args", [[], ["-i"], ["A=1"], ["-u"], ["--bogus", "x"], ["-Z", "x"], ["-S", "'"], ["--chdir"]])
def test_env_that_only_prints_or_complains_runs_nothing(args: list[str]) -> None:
    assert env_command(args, {}) is None


@given(st.lists(st.text(max_size=8), max_size=6))
def test_no_arguments_make_env_command_raise(args: list[str]) -> None:
    env_command(args, {"A": "-S-S"})
    env_command(["-S", *args], {"A": "x"})
