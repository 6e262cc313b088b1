from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capwrap.policy import Policy, PolicyError
from capwrap.policy.items import EnvRule, Grant, Private, WorkDir
from capwrap.policy.locate import line_and_column, locate
from capwrap.policy.model import Limits
from capwrap.policy.rights import RO, RW, RWX, Right
from capwrap.policy.toml_format import KEYS, parse_policy

FULL = """
extends = ["runtime"]
optional = true
additive = false
ro = ["/usr/share", "a=/b"]
rox = []
rw = ["${HOME}/x"]
rwx = ["."]
deny = ["/etc/shadow", "**/*.key"]
workdir = "rw"
closure = true
proc = true
devices = false
clear_env = true
env = ["LANG", "LC_*", "HERE=${PWD}"]
net = "loopback"
connect = ["tcp:127.0.0.1:80", "unix:${HOME}/s"]
bind = []
allow = ["memfd-exec", "ioctl:3"]
on_violation = "errno:EPERM"
private = [{ path = "/tmp", mode = "1777" }]
empty = ["/opt"]
limits = { memory = "1G", cpu = 3 }

[[grant]]
path = "/data"
rights = "read,lookup"
virtual = "/d"
optional = false

[[grant]]
path = "/e"
rights = "ro"
"""


def parse(text: str) -> tuple[object, ...]:
    return parse_policy(text, "/p/policy.toml")


def failure(text: str) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        parse(text)
    return caught.value


def test_an_empty_directory_is_named_from_the_root() -> None:
    error = failure('empty = ["opt"]')
    assert "`opt` is no absolute path" in str(error)


def test_every_key_is_read(tmp_path: Path) -> None:
    data = tomllib.loads(FULL)
    assert set(data) == set(KEYS)
    file = tmp_path / "full.toml"
    file.write_text(FULL)
    settings = Policy.load(file).settings()
    own = [grant for grant in settings.grants if grant.where is not None and grant.where.file == str(file)]
    assert own == [
        Grant("/usr/share", RO, optional=True),
        Grant("a", RO, "/b", optional=True),
        Grant("${HOME}/x", RW, optional=True, expand=True),
        Grant(".", RWX, optional=True),
        Grant("/data", Right.READ | Right.LOOKUP, "/d"),
        Grant("/e", RO, optional=True),
    ]
    assert [deny.pattern for deny in settings.denies] == ["/etc/shadow", "**/*.key"]
    assert settings.privates == (Private("/tmp", RWX, sticky=True, optional=True),)
    assert settings.workdirs == (WorkDir(RW),)
    assert settings.env == (EnvRule("LANG"), EnvRule("LC_*"), EnvRule("HERE", "${PWD}", expand=True))
    assert settings.net == "loopback"
    assert settings.limits == Limits(memory=1 << 30, cpu=3)
    assert settings.ioctls == {3}
    assert settings.unix[0].expand


@pytest.mark.parametrize(
    ("text", "line", "column", "message", "remedy"),
    [
        ('\nrx = ["/usr"]\n', 2, 1, "unknown key `rx`", "`rox`"),
        ('ro = [\n  "/usr",\n  3,\n]\n', 3, 3, "not a string", "quotes"),
        ('ro = "/usr"\n', 1, 1, "not an array", 'ro = ["..."]'),
        ('ro = ["/a", "${HMOE}/b"]\n', 1, 13, "unknown variable `HMOE`", "did you mean `HOME`"),
        ('ro = ["/a", "${HOME"]\n', 1, 13, "`${` without `}`", "is a literal"),
        ('ro = ["/a=/b/../c"]\n', 1, 7, "`..` in the virtual path", "meant"),
        ('[[grant]]\npath = "/a"\nrights = "reed"\n', 3, 1, "unknown right `reed`", "did you mean `read`"),
        ('[[grant]]\nrights = "ro"\n', 1, 1, "`path` is missing", "path ="),
        ('[[grant]]\npath = "/a"\nrights = ["read", "fstat"]\n', 3, 1, "`rights` is not a string", '"read,fstat"'),
        (
            '[[grant]]\npath="/a"\nrights="ro"\n[[grant]]\npath="/b"\nright="ro"\n',
            6,
            1,
            "unknown key `right`",
            "rights",
        ),
        ('grant = [{path = "/a", rights = "ro", virtul = "/b"}]\n', 1, 39, "unknown key `virtul`", "virtual"),
        ("grant = [1]\n", 1, 10, "not a table", "[[grant]]"),
        ("grant = 1\n", 1, 1, "not an array of tables", "[[grant]]"),
        ('[limits]\nmemory = "1G"\nmem = 2\n', 3, 1, "unknown key `mem`", "memory"),
        ("[limits]\ncpu = true\n", 2, 1, "no number", "write 10"),
        ("limits.cpu = 1.5\n", 1, 8, "no number", "write 10"),
        ('limits = {cpu = "1K"}\n', 1, 11, "no value for the limit", "seconds"),
        ('net = "all"\n', 1, 1, "unknown network mode", "none, loopback, host"),
        ("closure = 1\n", 1, 1, "not a boolean", "true or false"),
        ('deny = ["/a", "/b["]\n', 1, 15, "`[` without `]`", "[[]"),
        ('private = [{path = "/tmp", mode = "777"}]\n', 1, 28, "no mode", "1777"),
        ('connect = ["tcp:localhost:1"]\n', 1, 12, "no IPv4", "numeric"),
        ('extends = ["bsae"]\n', 1, 12, "no profile `bsae`", "did you mean `base`"),
        ('extends = ["./absent.toml"]\n', 1, 12, "cannot read the policy", ""),
        ('on_violation = "die"\n', 1, 1, "unknown answer", "kill"),
        ('allow = ["all"]\n', 1, 10, "nothing that can be allowed", "memfd-exec"),
        ('env = ["=x"]\n', 1, 8, "no name of a variable", "NAME=VALUE"),
        ('workdir = "x"\n', 1, 1, "unknown right", ""),
        ('ro = ["/a\\u0000b"]\n', 1, 7, "NUL", ""),
        ('a = "\n', 1, 6, "illegal character", ""),
        ("ro = [\n", 2, 1, "invalid value", ""),
    ],
)
def test_an_error_points_at_its_place_and_says_what_to_do(
    text: str, line: int, column: int, message: str, remedy: str
) -> None:
    error = failure(text)
    assert error.where is not None
    assert (error.where.line, error.where.column) == (line, column)
    assert message.lower() in error.message.lower()
    assert remedy in (error.remedy or "")
    assert str(error).startswith(f"/p/policy.toml:{line}:{column}: ")


def test_the_caret_stands_under_the_column() -> None:
    lines = str(failure('ro = ["/a", 3]\n')).split("\n")
    assert lines[1] == '    ro = ["/a", 3]'
    assert lines[2] == "                ^"
    assert lines[1][lines[2].index("^")] == "3"


def test_the_caret_keeps_tabs() -> None:
    lines = str(failure("ro = [\n\t\t3]\n")).split("\n")
    assert lines[2] == "    \t\t^"


def test_positions_survive_strings_and_comments_that_look_like_toml() -> None:
    text = "\n".join(
        (
            '# ro = [ "x" ]',
            "env = [",
            '    """A=',
            "[limits]",
            r'rx = "no\"" """, # ] not the end',
            "    '''B=",
            "]]''',",
            "    \"C={\", 'D=[',",
            "]",
            '"rx" = 1',
        )
    )
    assert "rx" in tomllib.loads(text)
    error = failure(text)
    assert error.where is not None
    assert error.where.text == '"rx" = 1'


def test_policies_extend_files_relative_to_themselves(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "common.toml").write_text('ro = ["/common"]\n')
    (tmp_path / "sub" / "a.toml").write_text('extends = ["../common.toml"]\nro = ["/a"]\n')
    (tmp_path / "b.toml").write_text('extends = ["sub/a.toml", "common.toml"]\nro = ["/b"]\n')
    settings = Policy.load(tmp_path / "b.toml").settings()
    assert [grant.path for grant in settings.grants] == ["/common", "/a", "/b"]
    assert len(settings.files) == 3


def test_policies_that_extend_each_other_are_an_error_that_names_the_circle(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('extends = ["b.toml"]\n')
    (tmp_path / "b.toml").write_text('extends = [\n  "./a.toml",\n]\n')
    with pytest.raises(PolicyError, match=r"a.toml -> b.toml -> a.toml") as caught:
        Policy.load(tmp_path / "a.toml")
    assert caught.value.where is not None
    assert (caught.value.where.line, caught.value.where.column) == (2, 3)


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_bytes(b'ro = ["\xff"]\n')
    with pytest.raises(PolicyError, match="not UTF-8"):
        Policy.load(tmp_path / "p.toml")


def test_crlf_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_bytes(b'ro = [\r\n  "/a",\r\n  1,\r\n]\r\n')
    with pytest.raises(PolicyError) as caught:
        Policy.load(tmp_path / "p.toml")
    assert caught.value.where is not None
    assert (caught.value.where.line, caught.value.where.column, caught.value.where.text) == (3, 3, "  1,")


# A generator of TOML texts together with where their keys stand.

_KEYS = st.one_of(
    st.text("abz09_-", min_size=1, max_size=4), st.text("a ]=#\"'\\é\n", max_size=4).map(lambda s: f'"{_escaped(s)}"')
)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


_STRINGS = st.one_of(
    st.text("a],{}=#'\\\"\n", max_size=6).map(lambda s: f'"{_escaped(s)}"'),
    st.text('a],{}=#\\"', max_size=6).map(lambda s: f"'{s}'"),
    st.text("a],{}=#'\n", max_size=6).map(lambda s: f'"""{s}"""'),
    st.text('a],{}=#\\"\n', max_size=6).map(lambda s: f"'''{s}'''"),
)
_SCALARS = st.one_of(_STRINGS, st.sampled_from(["1", "-2.5", "true", "1979-05-27 07:32:00", "0x1f", "inf"]))
_SPACES = st.sampled_from(["", " ", "\n", "# ], }\n", "\t"])
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(st.tuples(_SPACES, inner, _SPACES), max_size=3).map(
            lambda items: "[" + ",".join(a + b + c for a, b, c in items) + "]"
        ),
        st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3).map(
            lambda items: "{" + ", ".join(f"{key} = {value}" for key, value in items.items()) + "}"
        ),
    ),
    max_leaves=6,
)


def _paths(value: object, path: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    found: set[tuple[str | int, ...]] = {path} if path else set()
    if isinstance(value, dict):
        for key, inner in value.items():
            found |= _paths(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found |= _paths(inner, (*path, index))
    return found


@given(
    st.lists(st.tuples(_KEYS, _VALUES), max_size=4),
    st.lists(st.tuples(st.booleans(), _KEYS, _KEYS, _VALUES), max_size=3),
)
def test_every_key_and_element_of_any_text_is_found(
    pairs: list[tuple[str, str]], tables: list[tuple[bool, str, str, str]]
) -> None:
    text = "".join(f"{key} = {value}\n" for key, value in pairs)
    text += "".join(
        (f"[[{name}]]\n" if many else f"[{name}]\n") + f"  {key} = {value} # x\n" for many, name, key, value in tables
    )
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return  # keys that clash: not a text that the locator is asked about
    found = locate(text)
    assert set(found) >= _paths(data)
    for path, offset in found.items():
        line, column = line_and_column(text, offset)
        assert text.split("\n")[line - 1][column - 1 :] or not path
