from __future__ import annotations

import itertools
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from elf_writer import DF_1_NODEFLIB, DF_1_PIE, EM_386, EM_AARCH64, ET_EXEC, GLIBC_LOADER, ElfSpec
from support.run import path_of, require, require_file

from capwrap.elf import ElfError
from capwrap.elf.closure import DEFAULT_PATH, LAZY, closure, command_files, find_command, preload_file
from capwrap.elf.search import MUSL_DIRS, absolute, musl_system_dirs, supported_levels
from capwrap.elf.shebang import DEPTH_MAX

NO_LOADER = "/nonexistent/ld.so"


def static(path: Path) -> str:
    return ElfSpec(e_type=ET_EXEC).write(path)


def script(path: Path, line: str, mode: int = 0o755) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(line + "\nbody\n")
    path.chmod(mode)
    return str(path)


def files(*command: str, cwd: str = "/", **environ: str) -> list[str]:
    return list(command_files(command, environ=environ, cwd=cwd))


def found(path: str, cwd: str = "/", **environ: str) -> dict[str, tuple[str | None, str]]:
    """Library name -> (path, rule)."""
    return {lib.name: (lib.path, lib.rule) for lib in closure(path, environ=environ, cwd=cwd).libraries}


# The command


def test_a_command_that_does_not_exist_has_no_files(tmp_path: Path) -> None:
    assert files("nosuch", PATH=str(tmp_path)) == []
    assert files("./nosuch") == files("") == files("nul\0name") == files(str(tmp_path)) == files() == []


def test_path_is_searched_in_order_past_what_is_no_executable_file(tmp_path: Path) -> None:
    (tmp_path / "a" / "x").mkdir(parents=True)
    script(tmp_path / "b" / "x", "plain", mode=0o644)
    want = static(tmp_path / "c" / "x")
    static(tmp_path / "d" / "x")
    path = ":".join(str(tmp_path / d) for d in ("none", "a", "b", "c", "d"))
    assert files("x", PATH=path) == [want]


def test_a_file_that_is_not_executable_is_found_where_nothing_better_is(tmp_path: Path) -> None:
    plain = script(tmp_path / "x", "#!/bin/sh", mode=0o644)
    assert files("x", PATH=str(tmp_path)) == [plain]


def test_an_empty_path_element_is_the_current_directory(tmp_path: Path) -> None:
    want = static(tmp_path / "x")
    assert files("x", cwd=str(tmp_path), PATH="/nonexistent:") == [want]
    assert files("x", cwd=str(tmp_path.parent), PATH=tmp_path.name) == [want]


def test_without_path_execvp_has_its_own() -> None:
    assert find_command("sh", environ={}, cwd="/") == find_command("sh", environ={"PATH": DEFAULT_PATH}, cwd="/")


def test_paths_stay_as_they_are_looked_up(tmp_path: Path) -> None:
    static(tmp_path / "real" / "x")
    (tmp_path / "link").symlink_to("real")
    assert files("link/../link//./x", cwd=str(tmp_path)) == [f"{tmp_path}/link/../link/x"]
    assert absolute("a/..//./b", "/c") == "/c/a/../b"


# Scripts


def test_interpreters_are_followed_through_scripts_to_the_program(tmp_path: Path) -> None:
    end = static(tmp_path / "end")
    second = script(tmp_path / "second", f"#! {end} -x")
    first = script(tmp_path / "first", f"#!{second}")
    assert files(first) == [first, second, end]


def test_a_relative_interpreter_is_looked_up_from_the_current_directory(tmp_path: Path) -> None:
    end = static(tmp_path / "end")
    first = script(tmp_path / "sub" / "first", "#!end")
    assert files(first, cwd=str(tmp_path)) == [first, end]


def test_as_many_interpreters_are_followed_as_this_kernel_follows(tmp_path: Path) -> None:
    previous = end = path_of("true")
    for depth in range(1, DEPTH_MAX + 3):
        previous = script(tmp_path / f"s{depth}", f"#!{previous}")
        try:
            subprocess.run([previous], check=True)
            runs = True
        except OSError:
            runs = False
        assert (end in files(previous)) == runs, depth


def test_scripts_that_name_each_other_end(tmp_path: Path) -> None:
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    script(tmp_path / "a", f"#!{b}")
    script(tmp_path / "b", f"#!{a}")
    assert files(a) == [a, b]


@pytest.mark.parametrize("line", ["#!/nonexistent/sh", "text", "#!", "#!" + "x" * 300])
def test_a_script_that_cannot_run_is_only_itself(tmp_path: Path, line: str) -> None:
    path = script(tmp_path / "x", line)
    assert files(path) == [path]


@pytest.mark.parametrize(
    "line",
    [
        "tool",
        "-S tool -a",
        "-S -i PATH={bin} tool",
        "-S PATH={bin} tool -b",
        "-iS -u X PATH={bin} tool",
        "-S-C {bin} ./tool",
    ],
)
def test_env_in_a_script_leads_to_the_program_that_it_runs(tmp_path: Path, line: str) -> None:
    bin_dir = tmp_path / "bin"
    env, tool = static(bin_dir / "env"), static(bin_dir / "tool")
    path = script(tmp_path / "x", f"#!{env} " + line.format(bin=bin_dir))
    assert files(path, PATH=str(bin_dir)) == [path, env, tool]


def test_env_as_the_command_leads_to_its_program_and_that_program_interpreter(tmp_path: Path) -> None:
    env, end = static(tmp_path / "env"), static(tmp_path / "end")
    tool = script(tmp_path / "tool", f"#!{end}")
    assert files("env", "A=1", "tool", PATH=str(tmp_path)) == [env, tool, end]
    assert files("env", PATH=str(tmp_path)) == [env]


def test_env_that_runs_its_own_script_again_ends(tmp_path: Path) -> None:
    env = static(tmp_path / "env")
    path = script(tmp_path / "x", f"#!{env} x")
    assert files(path, PATH=str(tmp_path)) == [path, env]


# Programs that cannot be analysed


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (ElfSpec(bits=32, machine=EM_386, e_type=ET_EXEC).build(), "32-bit"),
        (ElfSpec(bits=32, e_type=ET_EXEC).build(), "32-bit"),
        (ElfSpec(machine=EM_AARCH64).build(), "another machine"),
        (b"\x7fELF" + bytes(60), "no valid ELF header"),
    ],
)
def test_a_program_that_cannot_run_here_is_an_error_also_behind_a_script(
    tmp_path: Path, data: bytes, what: str
) -> None:
    program = tmp_path / "p"
    program.write_bytes(data)
    program.chmod(0o755)
    for command in (str(program), script(tmp_path / "s", f"#!{program}")):
        with pytest.raises(ElfError, match=what) as caught:
            files(command)
        assert caught.value.path == str(program)


# Libraries, with files of our own


def test_the_closure_is_breadth_first_without_duplicates(tmp_path: Path) -> None:
    loader = static(tmp_path / "ld.so")
    runpath = str(tmp_path)
    main = ElfSpec(interpreter=loader, needed=("liba.so", "libb.so"), runpath=runpath).write(tmp_path / "main")
    a = ElfSpec(needed=("libc1.so", "libb.so"), runpath=runpath).write(tmp_path / "liba.so")
    b = ElfSpec(needed=("liba.so", "libmissing.so"), soname="libc1.so.9").write(tmp_path / "libb.so")
    c = ElfSpec(needed=("libc1.so.9",)).write(tmp_path / "libc1.so")
    assert files(main) == [main, loader, a, b, c]
    assert found(main)["libmissing.so"] == (None, "missing")


def test_runpath_is_not_inherited_and_rpath_is_unless_runpath_stands_beside_it(tmp_path: Path) -> None:
    deep = ElfSpec().write(tmp_path / "d" / "libdeep.so")
    ElfSpec(needed=("libdeep.so",)).write(tmp_path / "d" / "libmid.so")
    directory = str(tmp_path / "d")

    def of(mid_runpath: str | None = None, **paths: str) -> str | None:
        spec = ElfSpec(needed=("libdeep.so",), runpath=mid_runpath)
        spec.write(tmp_path / "d" / "libmid.so")
        main = ElfSpec(interpreter=NO_LOADER, needed=("libmid.so",), **paths)  # type: ignore[arg-type]
        return found(main.write(tmp_path / "main"))["libdeep.so"][0]

    assert of(rpath=directory) == deep
    assert of(runpath=directory) is None
    assert of(rpath=directory, runpath=directory) is None
    assert of(rpath=directory, mid_runpath="/nonexistent") is None
    assert of(runpath=directory, mid_runpath=directory) == deep


def test_ld_library_path_comes_after_rpath_and_before_runpath(tmp_path: Path) -> None:
    for name in ("r", "e"):
        ElfSpec().write(tmp_path / name / "liba.so")
    own, env = str(tmp_path / "r"), str(tmp_path / "e")
    by_rpath = ElfSpec(interpreter=NO_LOADER, needed=("liba.so",), rpath=own).write(tmp_path / "p")
    by_runpath = ElfSpec(interpreter=NO_LOADER, needed=("liba.so",), runpath=own).write(tmp_path / "q")
    assert found(by_rpath, LD_LIBRARY_PATH=env)["liba.so"] == (f"{own}/liba.so", f"RPATH of {by_rpath}")
    assert found(by_runpath, LD_LIBRARY_PATH=f"/none;{env}")["liba.so"] == (f"{env}/liba.so", "LD_LIBRARY_PATH")
    assert found(by_runpath)["liba.so"] == (f"{own}/liba.so", f"RUNPATH of {by_runpath}")
    assert found(by_runpath, cwd=env, LD_LIBRARY_PATH=":")["liba.so"] == (f"{env}/liba.so", "LD_LIBRARY_PATH")


@pytest.mark.parametrize("token", ["$ORIGIN", "${ORIGIN}"])
def test_origin_is_the_directory_of_the_real_program(tmp_path: Path, token: str) -> None:
    real = ElfSpec(interpreter=NO_LOADER, needed=("liba.so",), runpath=f"/no:{token}/../lib").write(
        tmp_path / "bin" / "p"
    )
    ElfSpec().write(tmp_path / "lib" / "liba.so")
    (tmp_path / "link").symlink_to(real)
    assert found(str(tmp_path / "link"))["liba.so"][0] == f"{tmp_path}/bin/../lib/liba.so"


def test_lib_and_platform_are_expanded_and_other_dollars_stay(tmp_path: Path) -> None:
    lib = "lib/x86_64-linux-gnu" if os.path.isdir("/lib/x86_64-linux-gnu") else "lib64"
    ElfSpec().write(tmp_path / lib / "x86_64" / "liba.so")
    ElfSpec().write(tmp_path / "$ORIGINAL" / "libb.so")
    runpath = f"{tmp_path}/$LIB/${{PLATFORM}}:{tmp_path}/$ORIGINAL"
    main = ElfSpec(interpreter=NO_LOADER, needed=("liba.so", "libb.so"), runpath=runpath).write(tmp_path / "p")
    assert found(main)["liba.so"][0] == f"{tmp_path}/{lib}/x86_64/liba.so"
    assert found(main)["libb.so"][0] == f"{tmp_path}/$ORIGINAL/libb.so"


def test_a_name_with_a_slash_is_a_path(tmp_path: Path) -> None:
    a = ElfSpec().write(tmp_path / "liba.so")
    main = ElfSpec(interpreter=NO_LOADER, needed=("$ORIGIN/liba.so", "./libb.so")).write(tmp_path / "p")
    b = ElfSpec().write(tmp_path / "cwd" / "libb.so")
    assert [path for path, _ in found(main, cwd=str(tmp_path / "cwd")).values()] == [a, b]


def test_files_for_another_machine_are_passed_over_and_broken_ones_are_not(tmp_path: Path) -> None:
    ElfSpec(bits=32, machine=EM_386).write(tmp_path / "a" / "liba.so")
    good = ElfSpec().write(tmp_path / "b" / "liba.so")
    script(tmp_path / "a" / "libb.so", "INPUT(libc.so.6)")
    runpath = f"{tmp_path}/a:{tmp_path}/b"
    main = ElfSpec(interpreter=NO_LOADER, needed=("liba.so", "libb.so"), runpath=runpath).write(tmp_path / "p")
    libraries = closure(main, environ={}, cwd="/").libraries
    assert [(lib.path, lib.problem) for lib in libraries] == [
        (good, None),
        (f"{tmp_path}/a/libb.so", "is not an ELF file"),
    ]


def test_one_file_under_two_names_is_read_once_and_named_twice(tmp_path: Path) -> None:
    a = ElfSpec(needed=("libx.so",)).write(tmp_path / "liba.so")
    (tmp_path / "libb.so").symlink_to(a)
    main = ElfSpec(interpreter=NO_LOADER, needed=("liba.so", "libb.so"), runpath=str(tmp_path)).write(tmp_path / "p")
    assert list(found(main)) == ["liba.so", "libb.so", "libx.so"]
    assert closure(main, environ={}, cwd="/").paths == (a, f"{tmp_path}/libb.so")


def test_preloaded_libraries_come_first(tmp_path: Path) -> None:
    a = ElfSpec().write(tmp_path / "liba.so")
    main = ElfSpec(interpreter=NO_LOADER, needed=("liba.so",), runpath=str(tmp_path)).write(tmp_path / "p")
    pre = ElfSpec().write(tmp_path / "pre.so")
    assert closure(main, environ={"LD_PRELOAD": f"{pre} nosuch.so"}, cwd="/").paths == (pre, a)
    (tmp_path / "preload").write_text(f"{pre}:x y # z\n\nw\n")
    assert preload_file(str(tmp_path / "preload")) == [pre, "x", "y", "w"]
    assert preload_file(str(tmp_path / "none")) == []


def test_nodeflib_keeps_to_the_paths_that_the_file_names(tmp_path: Path) -> None:
    spec = ElfSpec(interpreter=NO_LOADER, needed=("libc.so.6",), flags_1=DF_1_PIE)
    assert found(spec.write(tmp_path / "p"))["libc.so.6"][0] is not None
    spec.flags_1 |= DF_1_NODEFLIB
    assert found(spec.write(tmp_path / "p"))["libc.so.6"] == (None, "missing")


def test_hwcaps_directories_are_searched_for_this_processor_only(tmp_path: Path) -> None:
    assert supported_levels(frozenset()) == ()
    v2 = frozenset(["cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3"])
    assert supported_levels(v2) == ("x86-64-v2",)
    v3 = v2 | frozenset(["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"])
    assert supported_levels(v3 | {"avx512f"}) == ("x86-64-v3", "x86-64-v2")
    plain = ElfSpec().write(tmp_path / "liba.so")
    ElfSpec().write(tmp_path / "glibc-hwcaps" / "x86-64-v9" / "liba.so")
    main = ElfSpec(interpreter=NO_LOADER, needed=("liba.so",), runpath=str(tmp_path)).write(tmp_path / "p")
    assert found(main)["liba.so"][0] == plain
    flags = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    assert flags is not None
    for level in reversed(supported_levels(frozenset(flags[1].split()))):
        better = ElfSpec().write(tmp_path / "glibc-hwcaps" / level / "liba.so")
        assert found(main)["liba.so"][0] == better


def test_glibc_brings_what_it_loads_by_itself(tmp_path: Path) -> None:
    ElfSpec(soname="libc.so.6").write(tmp_path / "libc.so.6")
    lazy = [ElfSpec().write(tmp_path / name) for name in LAZY]
    main = ElfSpec(interpreter=NO_LOADER, needed=("libc.so.6",)).write(tmp_path / "p")
    paths = closure(main, environ={"LD_LIBRARY_PATH": str(tmp_path)}, cwd="/").paths
    assert list(paths) == [f"{tmp_path}/libc.so.6", *lazy]


def test_a_malformed_library_is_named_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "liba.so").write_bytes(b"\x7fELF" + bytes(40))
    main = ElfSpec(interpreter=NO_LOADER, needed=("liba.so",), runpath=str(tmp_path)).write(tmp_path / "p")
    (library,) = closure(main, environ={}, cwd="/").libraries
    assert library.path == f"{tmp_path}/liba.so"
    assert library.problem is not None
    assert "no valid ELF header" in library.problem


# musl


def test_musl_has_its_own_rules(tmp_path: Path) -> None:
    loader = static(tmp_path / "lib" / "ld-musl-x86_64.so.1")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "ld-musl-x86_64.path").write_text(f"/none\n{tmp_path}/sys:/none2\n")
    deep = ElfSpec().write(tmp_path / "o" / "libdeep.so")
    mid = ElfSpec(needed=("libdeep.so", "libm.so.6", "libpthread.so.0")).write(tmp_path / "o" / "libmid.so")
    system = ElfSpec().write(tmp_path / "sys" / "libsys.so")
    needed = ("libc.so", "libc.musl-x86_64.so.1", "libmid.so", "libsys.so")
    main = ElfSpec(interpreter=loader, needed=needed, runpath="$ORIGIN/o:$LIB/o").write(tmp_path / "p")
    assert files(main) == [main, loader, mid, system, deep]
    env = ElfSpec().write(tmp_path / "e" / "libmid.so")
    assert found(main, LD_LIBRARY_PATH=str(tmp_path / "e"))["libmid.so"] == (env, "LD_LIBRARY_PATH")
    assert musl_system_dirs(str(tmp_path / "x" / "y" / "ld-musl-x86_64.so.1")) == MUSL_DIRS


def test_a_musl_program_has_the_closure_that_musl_reports(tmp_path: Path) -> None:
    require("musl-gcc")
    (tmp_path / "a.c").write_text("int a(void) { return 0; }\n")
    (tmp_path / "m.c").write_text("int a(void); int main(void) { return a(); }\n")
    for args in (
        ["-shared", "-fPIC", "-o", "liba.so", "a.c"],
        ["-o", "m", "m.c", "-L.", "-la", "-Wl,-rpath,$ORIGIN"],
    ):
        subprocess.run(["musl-gcc", *args], cwd=tmp_path, check=True)
    main = str(tmp_path / "m")
    loader = "/lib/ld-musl-x86_64.so.1"
    out = subprocess.run([loader, "--list", main], capture_output=True, text=True, check=True).stdout
    reported = [path for name, path in re.findall(r"^\t(\S+) => (\S+)", out, re.MULTILINE) if path != loader]
    assert files(main) == [main, loader, *reported]


# The real loader as the oracle


def ldd(path: str, cwd: str | None = None, env: dict[str, str] | None = None) -> dict[str, str | None]:
    """What the program's own loader says: library name -> path, None where missing."""
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C", **(env or {}), "LD_TRACE_LOADED_OBJECTS": "1"}
    # Without a library the loader says so and, depending on its version, fails.
    run = subprocess.run([GLIBC_LOADER, path], check=False, capture_output=True, text=True, env=env, cwd=cwd)
    out = run.stdout
    assert out, run.stderr
    found = re.findall(r"^\t(\S+) => (not found|\S+)", out, re.MULTILINE)
    return {name: None if path == "not found" else path for name, path in found}


def ours(path: str, cwd: str = "/", env: dict[str, str] | None = None) -> dict[str, str | None]:
    libraries = closure(path, environ=env or {}, cwd=cwd).libraries
    return {lib.name: lib.path for lib in libraries if "loaded by libc" not in lib.rule}


def program(name: str) -> str:
    if name == "cc1":
        require("gcc")
        out = subprocess.run(["gcc", "-print-prog-name=cc1"], capture_output=True, text=True, check=True).stdout.strip()
        return require_file(out, "gcc")
    return os.path.realpath(sys.executable) if name == "python" else path_of(name)


@pytest.mark.parametrize("name", ["ls", "python", "cc1", "clang", "git", "bash", "ld", "perl", "cmake"])
def test_a_system_program_has_the_closure_that_its_loader_reports(name: str) -> None:
    require_file(GLIBC_LOADER, "libc6")
    path = program(name)
    assert ours(path) == {n: p for n, p in ldd(path).items() if p != GLIBC_LOADER}


Builder = Callable[..., None]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """main -> libmid -> libdeep, every combination of RPATH and RUNPATH on the first two, libdeep in two places."""
    require("gcc")
    require_file(GLIBC_LOADER, "libc6")
    root = tmp_path_factory.mktemp("built")
    for sub in ("bin", "lib", "other", "lib/sub"):
        (root / sub).mkdir()
    (root / "deep.c").write_text("int deep(void) { return 0; }\n")
    (root / "mid.c").write_text("int deep(void); int mid(void) { return deep(); }\n")
    (root / "main.c").write_text("int mid(void); int main(void) { return mid(); }\n")

    def gcc(*args: str) -> None:
        subprocess.run(["gcc", *args, "-Wl,--no-as-needed", "-Wl,--allow-shlib-undefined"], cwd=root, check=True)

    for place in ("other", "lib/sub"):
        gcc("-shared", "-fPIC", "-o", f"{place}/libdeep.so", "deep.c", "-Wl,-soname,libdeep.so")
    for mid_kind, main_kind in itertools.product(KINDS, KINDS):
        mid = f"libmid-{mid_kind}.so"
        if not (root / "lib" / mid).exists():
            gcc("-shared", "-fPIC", "-o", f"lib/{mid}", "mid.c", f"-Wl,-soname,{mid}", "-Llib/sub", "-ldeep",
                *flags(mid_kind, "$ORIGIN/sub"))  # fmt: skip
        gcc("-o", f"bin/main-{mid_kind}-{main_kind}", "main.c", "-Llib", f"-l:{mid}",
            *flags(main_kind, f"$ORIGIN/../lib:{root}/lib/:$ORIGIN/../other"))  # fmt: skip
    return root


KINDS = ("none", "rpath", "runpath")


def flags(kind: str, path: str) -> list[str]:
    tags = {"rpath": "--disable-new-dtags", "runpath": "--enable-new-dtags"}
    return [] if kind == "none" else [f"-Wl,{tags[kind]},-rpath,{path}"]


@pytest.mark.parametrize(("mid_kind", "main_kind"), list(itertools.product(KINDS, KINDS)))
@pytest.mark.parametrize("library_path", ["", "other", "lib/sub:lib", "{root}/other;lib:", "$ORIGIN/../lib", "lib:"])
def test_rpath_runpath_and_ld_library_path_work_together_as_in_ld_so(
    built: Path, mid_kind: str, main_kind: str, library_path: str
) -> None:
    main = str(built / "bin" / f"main-{mid_kind}-{main_kind}")
    env = {"LD_LIBRARY_PATH": library_path.format(root=built)} if library_path else {}
    theirs = {n: absolute(p, str(built)) if p else None for n, p in ldd(main, cwd=str(built), env=env).items()}
    assert ours(main, cwd=str(built), env=env) == {n: p for n, p in theirs.items() if p != GLIBC_LOADER}


def test_every_file_of_a_real_command_exists_once_and_is_absolute() -> None:
    result = files("sh", "-c", "true", PATH=os.environ["PATH"])
    assert len(result) == len(set(result)) > 1
    assert all(os.path.isabs(path) and stat.S_ISREG(os.stat(path).st_mode) for path in result)
