"""Names and places that programs meet seldom: bytes that are not UTF-8, long paths, odd links, removed directories."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.compare import Bench
from support.run import run


def test_names_that_are_not_utf8_work_as_natively(each_bench: Bench) -> None:
    name = b"caf\xe9 \xff\n\t'\"\\$"

    def setup(work: Path) -> None:
        os.mkdir(os.path.join(os.fsencode(work), name))

    script = b'cd "$0" && : >"$0" && mv "$0" \xfe && ln -s \xfe "$0" && ls -1 | od -c && cat "$0" && pwd | od -c'
    pair = each_bench.compare([b"/bin/sh", b"-euc", script, name], setup=setup)
    assert name + b"/\xfe" in pair.tree
    paths = [record for record in each_bench.records() if "path_b64" in record]
    assert os.environ.get("CAPWRAP_EXEC") or paths, "the record holds such names in base64"


def test_an_argument_of_any_bytes_reaches_command(bench: Bench) -> None:
    bench.compare([b"printf", b"%s\\n", b"\xff\xfe", b"", b"--", b"-q", b"a\nb"])


def test_paths_of_every_length_up_to_the_limit_work_as_natively(bench: Bench) -> None:
    program = """\
import errno, os
top = os.getcwd()
part = "d" * 200
def attempt(path):
    made = []
    for call in (os.stat, os.mkdir, lambda p: os.close(os.open(p, os.O_RDONLY)), os.rmdir, os.readlink, os.listdir):
        try:
            call(path); made.append("ok")
        except OSError as error:
            made.append(errno.errorcode[error.errno])
    return made
os.makedirs("/".join([part] * 10))
for length in (4094, 4095, 4096, 4097, 5000):
    # A long way of saying `.`, and then a name.
    for tail in ("x", part + "/x"):
        fill = length - len(tail) - 1
        path = "." + "/" * (1 - fill % 2)
        path += "/." * ((fill - len(path)) // 2)
        print(length, len(path + "/" + tail), attempt(path + "/" + tail))
print(attempt("n" * 255), attempt("n" * 256), attempt(part + "/" + "n" * 256))
"""
    bench.compare(f"/usr/bin/python3 -c '{program}'; rm -rf ddd*")


def test_a_place_deeper_than_a_path_can_say_is_too_long_as_capwrap7_states(bench: Bench) -> None:
    """Natively one can step on for ever: the supervisor cannot, since the kernel names no such place to it."""
    program = """\
import errno, os
part, depth = "e" * 200, 0
try:
    for depth in range(30):
        os.mkdir(part); os.chdir(part)
except OSError as error:
    print(depth > 15, errno.errorcode[error.errno])
else:
    print("all the way")
"""
    bench.fresh()
    shell = ["/bin/sh", "-c", f"/usr/bin/python3 -c '{program}'; rm -rf eee*"]
    natively = bench.runner.native(shell, cwd=bench.work, env=bench.env)
    assert natively.text == "all the way\n", natively.describe()
    bench.fresh()
    confined = bench.confined(shell)
    assert confined.text == "True ENAMETOOLONG\n", confined.describe()


def links(work: Path) -> None:
    (work / "a").mkdir()
    (work / "a/file").write_text("file\n")
    (work / "loop").symlink_to("loop")
    (work / "ping").symlink_to("pong")
    (work / "pong").symlink_to("ping")
    (work / "chain0").symlink_to("a/file")
    for number in range(1, 45):
        (work / f"chain{number}").symlink_to(f"chain{number - 1}")
    (work / "absolute").symlink_to(work / "a/file")
    (work / "through").symlink_to(f"../{work.name}/a/../a/file")
    (work / "root").symlink_to("/")
    (work / "etc").symlink_to("/etc")
    (work / "slashes").symlink_to("a///./")
    (work / "dangling").symlink_to("a/absent")
    (work / "self").symlink_to("/proc/self")


LINK_SCRIPTS = {
    "loops": "cat loop 2>&1 || true; cat ping/x 2>&1 || true; stat -c %F loop; rm loop && ls -A | wc -l",
    "chains up to forty": "cat chain38 chain39 chain40 chain41 2>&1 || true; cat chain44 2>&1 || true",
    "absolute and climbing": "cat absolute through; cd a && cat ../through ../absolute ../a/../a/file",
    "through the root": "cat root/etc/passwd | head -n 1; cat etc/passwd | head -n 1; ls root/usr | sort | head -n 2",
    "slashes and dots": """
        cat slashes/file; ls slashes/ a/. a/./.. | sort; cat a/file/ 2>&1 || true; rmdir a/. 2>&1 || true
    """,
    "writing through a dangling link": """
        echo new >dangling; cat a/absent; echo x >loop 2>&1 || true; ln -sfn a root; ls root
    """,
    "no following": """
        rm chain0 absolute; mv ping p; ln pong q; readlink q; cp -P through copy; chown -h $(id -u) root; cat a/file
    """,
    "links of procfs": """
        readlink self/exe; cat self/comm; cat self/fd/0 <a/file; readlink self/cwd; cat self/cwd/a/file
    """,
}


@pytest.mark.parametrize("name", LINK_SCRIPTS)
def test_links_are_followed_as_natively(each_bench: Bench, name: str) -> None:
    each_bench.compare(LINK_SCRIPTS[name], setup=links)


REMOVED = {
    "the current directory is removed": """
        mkdir d; cd d; rmdir ../d; ls -A; pwd -P 2>&1; : >x 2>&1 || echo no; cd .. 2>&1 || echo no
    """,
    "the current directory is moved": "mkdir d e; cd d; mv ../d ../e/f; pwd -P; /bin/pwd; cd ..; /bin/pwd; ls",
    "the way up from what is removed": "echo x >f; mkdir d; cd d; rmdir ../d; cat ..//f; ls ..//; ! ls ..//etc 2>&1",
    "an open file is removed": "exec 3>f; rm f; echo x >&3; cat /proc/self/fd/3; readlink /proc/self/fd/3",
    "a directory that cannot be searched": "mkdir -m 0 d; ls d 2>&1 || true; cat d/x 2>&1 || true; chmod 700 d; ls d",
    "a file that cannot be read": "echo x >f; chmod 0 f; cat f 2>&1 || true; echo y >f 2>&1 || true; stat -c %a f",
    "a directory without write": "mkdir d; chmod 555 d; : 2>&1 >d/x || true; mkdir d/y 2>&1 || true; ls d",
    "a sticky directory": "mkdir -m 1777 d; : >d/x; rm d/x; ls d",
    "a set-gid directory": "mkdir d; chmod g+s d; mkdir d/e; : >d/f; stat -c '%a %g' d d/e d/f",
}


@pytest.mark.parametrize("name", REMOVED)
def test_places_that_change_behave_as_natively(each_bench: Bench, name: str) -> None:
    # As root some of these succeed where another user fails: both are as natively.
    each_bench.compare(["sh", "-c", REMOVED[name]], status=None)


@pytest.mark.parametrize("pattern", ["/usr/share/doc/**.key", "/usr/*/doc/*.key", "sub/**.key", "*/deep/*.key"])
def test_a_directory_is_renamed_where_a_pattern_is_denied_elsewhere(bench: Bench, pattern: str) -> None:
    bench.compare("mkdir -p d/deep sub && mv d e && mkdir d && mv e/deep d && ls -R", options=("--deny", pattern))


def test_a_granted_name_whose_directory_is_gone_does_not_exist(bench: Bench) -> None:
    gone = bench.root / "gone"
    script = "echo x >D/n; mkdir D/n; ln -s x D/n; cat D/n; ls -d D/n; rm D/n; mv f D/n".replace("D", str(gone))
    bench.fresh({"f": "f"})
    native = bench.runner.native(["sh", "-c", script], cwd=bench.work, env=bench.env)
    gone.mkdir()
    image = bench.root / "policy.cap"
    made = bench.runner.command(["compile", "--rw", gone / "n", "-o", image], cwd=bench.work, env=bench.env)
    assert made.status == 0, made.describe()
    gone.rmdir()
    confined = run([*bench.runner.capwrap_exec, image, "--", "sh", "-c", script], cwd=bench.work, env=bench.env)
    assert confined.stdout == native.stdout == b""
    assert confined.stderr.startswith(native.stderr), f"{native.describe()}\n{confined.describe()}"
    assert native.stderr.count(b"\n") == 7


def test_the_way_to_a_denied_name_is_what_the_host_has_there(each_bench: Bench) -> None:
    denied = ("--deny", each_bench.work / "out/secret", "--deny", each_bench.work / "d/no/such/name")
    script = """
        ls -A; test ! -e out; test ! -e d/no; ! cat d/no/such 2>/dev/null
        echo x >out; cat out; ls -l out | cut -c1-10; mv out other; ln -s . out; echo y >out/open; cat open; rm out
        mkdir out; echo z >out/open; ls out; ls -A d; mkdir -p d/no/such; ls d/no; echo w >d/no/such/thing"""
    each_bench.compare(script, files={"d/f": "f"}, options=denied)


def test_where_nothing_is_granted_a_deny_makes_no_directory(bench: Bench) -> None:
    bench.compare("test ! -e /absent-here; ! ls -d /absent-here/* 2>/dev/null", options=("--deny", "/absent-here/a/b"))


def test_an_empty_directory_shows_what_is_granted_beneath_it(bench: Bench) -> None:
    bench.fresh()
    for name in ("shown/granted", "shown/other"):
        (bench.root / name).mkdir(parents=True)
    policy = bench.root / "policy.toml"
    policy.write_text(f'extends = ["workspace"]\nempty = ["{bench.root}/shown"]\n')
    script = f"cd {bench.root}/shown && ls; cat other; : >new"

    def said(*options: str) -> tuple[str, str]:
        run = bench.runner.confined(
            ["sh", "-c", script], cwd=bench.work, env=bench.env, options=["--policy", str(policy), *options]
        )
        return run.text, run.stderr.decode()

    out, err = said()
    assert out == ""
    assert "cat: other: No such file or directory" in err
    assert "cannot create new" in err
    assert said("--ro", f"{bench.root}/shown/granted")[0] == "granted\n"
