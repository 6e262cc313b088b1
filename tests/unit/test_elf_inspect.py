from __future__ import annotations

import contextlib
import json
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from elf_writer import (
    DF_1_PIE,
    EM_386,
    EM_AARCH64,
    ET_EXEC,
    ET_REL,
    GLIBC_LOADER,
    PT_LOAD,
    PT_NOTE,
    ElfSpec,
    build_id_note,
    note,
    property_note,
)
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.run import path_of, require, require_file

from capwrap.elf import ElfError, callsites
from capwrap.elf.callsites import find_call_sites
from capwrap.elf.closure import command_files
from capwrap.elf.inspect import Grant, Inspection, as_json, inspect, render
from capwrap.elf.reader import FileView, Phdr

SYSCALL = b"\x0f\x05"
X86_FEATURE_1_AND, X86_ISA_1_NEEDED = 0xC0000002, 0xC0008002


def mov_eax(number: int) -> bytes:
    return b"\xb8" + struct.pack("<I", number)


def inspected(tmp_path: Path, spec: ElfSpec) -> Inspection:
    return inspect(spec.write(tmp_path / "file"))


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        (ElfSpec(e_type=ET_EXEC), "static"),
        (ElfSpec(e_type=ET_EXEC, interpreter=GLIBC_LOADER), "dynamic executable"),
        (ElfSpec(flags_1=DF_1_PIE, interpreter=GLIBC_LOADER), "pie"),
        (ElfSpec(interpreter=GLIBC_LOADER), "pie"),
        (ElfSpec(flags_1=DF_1_PIE), "static-pie"),
        (ElfSpec(soname="libx.so"), "shared object"),
        (ElfSpec(soname="libc.so.6", interpreter=GLIBC_LOADER), "shared object"),
        (ElfSpec(), "shared object"),
        (ElfSpec(e_type=ET_REL), "relocatable"),
        (ElfSpec(e_type=4), "core"),
        (ElfSpec(e_type=0xFE00), "other"),
    ],
)
def test_the_kind_is_told(tmp_path: Path, spec: ElfSpec, kind: str) -> None:
    assert inspected(tmp_path, spec).kind == kind


def test_libraries_are_looked_up_as_for_a_target_without_ld_library_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ElfSpec(soname="liba.so").write(tmp_path / "lib/liba.so")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path / "lib"))
    (library,) = inspected(tmp_path, ElfSpec(interpreter="/no/loader", needed=("liba.so",))).libraries
    assert (library.name, library.path) == ("liba.so", None)


@pytest.mark.parametrize(
    ("name", "kind", "package"),
    [
        ("/bin/ls", "pie", "coreutils"),
        ("/usr/bin/busybox", "static", "busybox-static"),
        ("/sbin/ldconfig", "static-pie", "libc-bin"),
        ("/lib/x86_64-linux-gnu/libc.so.6", "shared object", "libc6"),
        (GLIBC_LOADER, "shared object", "libc6"),
        ("/usr/bin/ldd", "script", "libc-bin"),
    ],
)
def test_the_kind_of_a_system_file_is_told(name: str, kind: str, package: str) -> None:
    assert inspect(require_file(name, package)).kind == kind


def test_a_32_bit_file_is_reported_as_such(tmp_path: Path) -> None:
    seen = inspected(tmp_path, ElfSpec(bits=32, machine=EM_386, e_type=ET_EXEC, code=mov_eax(1) + SYSCALL))
    assert (seen.bits, seen.machine, seen.grants, seen.sites) == (32, "x86", (), None)
    assert "32-bit" in seen.problems[0]
    assert "32-bit x86" in render(seen)


def test_another_machine_is_named(tmp_path: Path) -> None:
    seen = inspected(tmp_path, ElfSpec(machine=EM_AARCH64))
    assert (seen.machine, seen.grants) == ("AArch64", ())
    assert seen.problems == ("for another machine: it cannot run here",)
    assert inspected(tmp_path, ElfSpec(machine=0xFEED)).machine == "e_machine 65261"


def test_notes_give_build_id_and_properties(tmp_path: Path) -> None:
    notes = note(1, bytes(16)) + note(3, b"zz", name=b"Go\0\0") + build_id_note(bytes(range(20)))
    seen = inspected(tmp_path, ElfSpec(notes=notes + property_note(X86_FEATURE_1_AND, 3)))
    assert seen.build_id == bytes(range(20)).hex()
    assert seen.properties == ("IBT", "SHSTK")
    assert inspected(tmp_path, ElfSpec(notes=property_note(X86_FEATURE_1_AND, 2))).properties == ("SHSTK",)
    assert inspected(tmp_path, ElfSpec(notes=property_note(X86_ISA_1_NEEDED, 4))).properties == ("x86-64-v3",)
    assert inspected(tmp_path, ElfSpec(notes=property_note(0xC0000001, 4))).properties == ()


@pytest.mark.parametrize(
    "spec",
    [
        ElfSpec(notes=struct.pack("<III", 4, 2**31, 5) + b"GNU\0" + bytes(8)),
        ElfSpec(extra_phdrs=[(PT_NOTE, 4, 2**50, 0, 100)]),
        ElfSpec(extra_phdrs=[(PT_NOTE, 4, 0, 0, 2**50)]),
        ElfSpec(extra_phdrs=[(PT_NOTE, 4, 0, 0, 64)] * 70),
    ],
)
def test_a_damaged_note_is_a_problem_and_not_the_end(tmp_path: Path, spec: ElfSpec) -> None:
    seen = inspected(tmp_path, spec)
    assert seen.build_id is None
    assert len(seen.problems) == 1
    assert "note" in seen.problems[0]


def test_the_stack_flag_is_told(tmp_path: Path) -> None:
    for value in (True, False, None):
        assert inspected(tmp_path, ElfSpec(exec_stack=value)).exec_stack is value


# Call sites


def test_call_sites_are_counted_and_those_behind_their_number_named(tmp_path: Path) -> None:
    code = (mov_eax(0) + SYSCALL) * 2 + b"\x48\xc7\xc0" + struct.pack("<I", 257) + SYSCALL
    code += b"\x89\xf8" + SYSCALL + mov_eax(60) + b"\x90" + SYSCALL + mov_eax(99999) + SYSCALL
    seen = inspected(tmp_path, ElfSpec(e_type=ET_EXEC, code=code))
    assert seen.sites == 6
    assert [(call.number, call.name, call.sites) for call in seen.calls] == [
        (0, "read", 2),
        (257, "openat", 1),
        (99999, None, 1),
    ]
    assert "at most 6, 4 directly behind their number\n    read x2, openat, number 99999" in render(seen)


def test_code_that_is_not_executable_or_mapped_twice_does_not_count_twice(tmp_path: Path) -> None:
    spec = ElfSpec(e_type=ET_EXEC, code=mov_eax(1) + SYSCALL)
    spec.extra_phdrs = [(PT_LOAD, 5, 0, 0x10000, 2**40), (PT_LOAD, 5, 2**60, 0, 10), (PT_LOAD, 5, 64, 0, 500)]
    assert inspected(tmp_path, spec).sites == 1


@given(st.integers(0, 40), st.sampled_from([mov_eax(5), b"\x48\xc7\xc0" + struct.pack("<I", 5)]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_site_on_the_border_of_two_chunks_counts_once(tmp_path: Path, before: int, mov: bytes) -> None:
    data = b"\x90" * before + (mov + SYSCALL) * 3
    (tmp_path / "code").write_bytes(data)
    phdr = Phdr(PT_LOAD, 5, 0, 0, len(data), len(data))
    with pytest.MonkeyPatch.context() as patch, FileView(str(tmp_path / "code")) as view:
        patch.setattr(callsites, "CHUNK", 16)
        sites = find_call_sites(view, [phdr])
        assert (sites.total, sites.numbered, sites.known, sites.complete) == (3, ((5, 3),), 3, True)


def test_more_code_than_is_searched_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callsites, "SCAN_MAX", 64)
    seen = inspected(tmp_path, ElfSpec(e_type=ET_EXEC, code=SYSCALL))
    assert seen.sites == 0
    assert seen.problems == ("has more code than is searched for call sites",)


def test_no_site_that_objdump_knows_is_missed() -> None:
    require("objdump")
    path = require_file("/lib/x86_64-linux-gnu/libc.so.6", "libc6")
    out = subprocess.run(["objdump", "-d", "--no-show-raw-insn", path], capture_output=True, text=True, check=True)
    real = len(re.findall(r"^\s+[0-9a-f]+:\s+syscall\b", out.stdout, re.MULTILINE))
    numbered = len(re.findall(r"\bmov\s+\$0x[0-9a-f]+,%(?:eax|rax)\n\s+[0-9a-f]+:\s+syscall\b", out.stdout))
    seen = inspect(path)
    assert seen.sites is not None
    assert real <= seen.sites <= real * 1.05
    assert numbered <= sum(call.sites for call in seen.calls) <= numbered * 1.05


# What it needs


def test_programs_and_loaders_need_execute_and_libraries_do_not(tmp_path: Path) -> None:
    loader = ElfSpec(e_type=ET_EXEC).write(tmp_path / "ld.so")
    library = ElfSpec().write(tmp_path / "with space.so")
    main = ElfSpec(interpreter=loader, needed=("with space.so", "libno.so"), runpath=str(tmp_path)).write(
        tmp_path / "p"
    )
    seen = inspect(main)
    assert seen.grants == (Grant("--rox", main), Grant("--rox", loader), Grant("--ro", library))
    assert seen.problems == (f"library libno.so, needed by {main}, is missing",)
    text = render(seen)
    assert f"--ro '{library}'" in text
    assert "libno.so => not found (missing)" in text


def test_the_loader_cache_is_among_the_grants_where_it_was_used() -> None:
    shell = path_of("sh")
    require_file("/etc/ld.so.cache", "libc-bin")
    seen = inspect(shell)
    assert Grant("--ro", "/etc/ld.so.cache") in seen.grants
    environ = {"PATH": os.environ["PATH"]}
    assert [g.path for g in seen.grants if g.path != "/etc/ld.so.cache"] == list(
        command_files((shell,), environ=environ, cwd="/")
    )


def test_a_missing_loader_and_a_missing_permission_are_problems(tmp_path: Path) -> None:
    seen = inspected(tmp_path, ElfSpec(interpreter="/nonexistent/ld.so"))
    assert seen.problems == ("its loader /nonexistent/ld.so does not exist",)
    path = ElfSpec(e_type=ET_EXEC).write(tmp_path / "plain", mode=0o644)
    assert inspect(path).problems == ("has no execute permission",)


def test_a_script_shows_its_interpreter_and_what_that_needs(tmp_path: Path) -> None:
    library = ElfSpec().write(tmp_path / "liba.so")
    end = ElfSpec(interpreter="/nonexistent/ld.so", needed=("liba.so",), runpath=str(tmp_path)).write(tmp_path / "end")
    path = tmp_path / "s"
    path.write_text(f"#!{end} -x y\n")
    path.chmod(0o755)
    seen = inspect("s", cwd=str(tmp_path))
    assert (seen.kind, seen.interpreter, seen.argument) == ("script", end, "-x y")
    assert seen.grants == (Grant("--rox", str(path)), Grant("--rox", end), Grant("--ro", library))
    assert f"interpreter: {end} -x y" in render(seen)
    path.write_text("#!/nonexistent/sh\n")
    assert inspect(str(path)).problems == ("its interpreter /nonexistent/sh does not exist",)
    path.write_text("text")
    assert inspect(str(path)).kind == "other"
    assert "neither" in render(inspect(str(path)))


def test_a_script_whose_interpreter_is_damaged_says_so(tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(b"\x7fELF")
    (tmp_path / "bad").chmod(0o755)
    path = tmp_path / "s"
    path.write_text(f"#!{tmp_path}/bad\n")
    path.chmod(0o755)
    assert "no valid ELF header" in inspect(str(path)).problems[0]


@pytest.mark.parametrize("path", ["", "nul\0", "/nonexistent", "/", "/dev/null"])
def test_what_cannot_be_inspected_is_an_error(path: str) -> None:
    with pytest.raises(ElfError):
        inspect(path)


# Rendering


def test_json_and_text_hold_every_field_and_are_printable(tmp_path: Path) -> None:
    spec = ElfSpec(
        interpreter="/ld\x1b[31m.so", needed=("lib\udcff.so",), soname="s\n", rpath="/r", runpath="/u", code=SYSCALL
    )
    seen = inspected(tmp_path, spec)
    value = json.loads(json.dumps(as_json(seen)))
    assert value["needed"] == ["lib\\xff.so"]
    assert set(value) == {("syscall_instructions" if f == "sites" else f) for f in Inspection.__dataclass_fields__}
    text = render(seen)
    assert all(c == "\n" or c.isprintable() for c in text)
    for word in ("soname: s\\n", "rpath: /r", "runpath: /u", "needed: lib\\xff.so"):
        assert word in text
    text.encode()


def test_many_calls_are_cut_in_the_text_and_not_in_the_json(tmp_path: Path) -> None:
    code = b"".join(mov_eax(number) + SYSCALL for number in range(30))
    seen = inspected(tmp_path, ElfSpec(e_type=ET_EXEC, code=code))
    assert "and 10 calls more" in render(seen)
    assert len(as_json(seen)["calls"]) == 30


def test_build_id_and_properties_agree_with_readelf() -> None:
    require("readelf")
    for path in ("/bin/ls", os.path.realpath(sys.executable)):
        out = subprocess.run(["readelf", "-nW", path], capture_output=True, text=True, check=True).stdout
        seen = inspect(path)
        assert [seen.build_id] == (re.findall(r"Build ID: ([0-9a-f]+)", out) or [None])
        x86 = re.search(r"x86 feature: (.*)", out)
        assert {p for p in seen.properties if not p.startswith("x86")} == set(x86[1].split(", ") if x86 else ())


# Hostile files


def victim() -> bytes:
    """A small real program with everything in it; of a large one only as much as the headers and first pages."""
    for path in ("/bin/true", "/usr/bin/env", "/bin/ls"):
        if os.path.exists(path):
            return Path(path).read_bytes()[: 1 << 16]
    return ElfSpec(interpreter=GLIBC_LOADER, needed=("libc.so.6",)).build()


VICTIM = victim()
WRITTEN = ElfSpec(
    interpreter=GLIBC_LOADER,
    needed=("libc.so.6", "libx.so"),
    soname="s",
    rpath="$ORIGIN",
    runpath="/x:$LIB",
    flags_1=DF_1_PIE,
    notes=build_id_note(bytes(20)) + property_note(X86_FEATURE_1_AND, 3),
    code=mov_eax(1) + SYSCALL,
).build()
FLIPS = st.lists(st.tuples(st.one_of(st.integers(0, 1023), st.integers(0, 1 << 16)), st.integers(0, 255)), max_size=6)
WORDS = st.lists(
    st.tuples(st.integers(0, 200), st.sampled_from([0, 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1, 0x6474E550, 4096])),
    max_size=3,
)


@given(st.sampled_from([VICTIM, WRITTEN]), FLIPS, WORDS, st.one_of(st.none(), st.integers(0, 1 << 16)))
@example(VICTIM, [], [], None)
@example(WRITTEN, [], [], None)
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_damage_gives_anything_but_elf_error(
    tmp_path: Path, base: bytes, flips: list[tuple[int, int]], words: list[tuple[int, int]], length: int | None
) -> None:
    data = bytearray(base)
    for at, value in flips:
        data[at % len(data)] = value
    for index, word in words:
        if index * 8 + 8 <= len(data):
            struct.pack_into("<Q", data, index * 8, word)
    path = tmp_path / "damaged"
    path.write_bytes(data[:length])
    path.chmod(0o755)
    for call in (
        lambda: json.dumps(as_json(inspect(str(path)))),
        lambda: render(inspect(str(path))).encode(),
        lambda: command_files((str(path),), environ={}, cwd="/"),
    ):
        with contextlib.suppress(ElfError):
            call()


@given(st.binary(max_size=300))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_interpreter_line_gives_anything_but_elf_error(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "script"
    path.write_bytes(b"#!" + line)
    path.chmod(0o755)
    with contextlib.suppress(ElfError):
        render(inspect(str(path), cwd=str(tmp_path))).encode()


def test_nothing_on_the_way_to_a_launch_imports_pyelftools() -> None:
    program = (
        "import sys, capwrap.elf, capwrap.elf.closure, capwrap.elf.inspect\n"
        "capwrap.elf.closure.command_files(('sh',), environ={}, cwd='/')\n"
        "assert not [m for m in sys.modules if m.startswith('elftools')]\n"
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "PYTHONPATH": str(root)})
