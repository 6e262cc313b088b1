"""The table of system calls is complete, agrees with the kernel's headers, and all that is made from it is fresh."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest

from capwrap.policy import _pad, _rights, seccomp, seccomp_sockets
from capwrap.policy._syscalls import HANDLERS, ROWS, TABLE_SHA256, Row

ROOT = Path(__file__).resolve().parents[2]

#: What asm/unistd.h of arm64 asks of asm-generic/unistd.h.
ARM64 = (
    "-D__BITS_PER_LONG=64",
    "-D__ARCH_WANT_RENAMEAT",
    "-D__ARCH_WANT_NEW_STAT",
    "-D__ARCH_WANT_SET_GET_RLIMIT",
    "-D__ARCH_WANT_SYS_CLONE3",
    "-D__ARCH_WANT_MEMFD_SECRET",
)


def load_generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "rewriters/generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["generate"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


generate = load_generator()


def numbers(header: str, *defines: str) -> dict[str, int]:
    """Every ``__NR_name`` that a kernel header defines, resolved."""
    command = ["gcc", "-E", "-dM", *defines, "-include", header, "-x", "c", "/dev/null"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    macros = dict(re.findall(r"^#define (__NR\w+) (\S+)$", text, re.M))
    found = {}
    for name, value in macros.items():
        number = value
        while number in macros:
            number = macros[number]
        if name.startswith("__NR_") and name not in ("__NR_syscalls", "__NR_arch_specific_syscall"):
            found[name.removeprefix("__NR_")] = int(number)
    return found


def by_name() -> dict[str, Row]:
    return {row.name: row for row in ROWS}


def test_every_number_of_the_installed_headers_has_a_row() -> None:
    known = {row.number: row.name for row in ROWS}
    header = numbers("asm/unistd_64.h")
    assert len(header) > 300
    assert {name: number for name, number in header.items() if known.get(number) != name} == {}


def test_the_rows_are_those_of_linux_6_18() -> None:
    assert [row.number for row in ROWS] == [*range(337), *range(424, 470)]


def test_aarch64_numbers_are_those_of_the_generic_table() -> None:
    header = numbers("asm-generic/unistd.h", *ARM64)
    assert len(header) > 250
    rows = by_name()
    assert {name: number for name, number in header.items() if rows[name].aarch64 != number} == {}
    beyond = {row.name for row in ROWS if row.aarch64 is not None and row.name not in header}
    assert all(rows[name].number >= 424 for name in beyond)


def test_new_numbers_are_the_same_everywhere() -> None:
    assert [row.name for row in ROWS if row.number >= 424 and row.aarch64 != row.number] == []


def test_generated_files_are_fresh() -> None:
    stale = [path for path, text in generate.outputs().items() if (ROOT / path).read_text() != text]
    assert stale == []


def test_check_names_a_stale_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (generate.TABLE, generate.RIGHTS, generate.PAD):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text((ROOT / path).read_text())
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    (tmp_path / "capwrap/policy/_pad.py").write_text("PAD_BASE = 0\n")
    assert generate.main(["--check"]) == 1
    assert "capwrap/policy/_pad.py: stale" in capsys.readouterr().err


def test_every_rule_of_the_table_has_a_function_and_the_other_way_round() -> None:
    assert {row.rule for row in ROWS if row.rule} == seccomp.RULES.keys()
    named = [name for module in seccomp.MODULES for name in vars(module) if name.startswith("_rule_")]
    assert len(named) == len(seccomp.RULES), "one of a module hides another's of the same name"


def test_every_handler_is_named_once() -> None:
    assert len(set(HANDLERS)) == len(HANDLERS)
    assert {row.handler for row in ROWS if row.handler} == set(HANDLERS)
    text = (ROOT / "rewriters/generated/syscalls.h").read_text()
    assert tuple(re.findall(r"\tX\((\w+)\)", text)) == HANDLERS


def test_what_stops_has_a_handler_and_what_is_refused_an_errno() -> None:
    for row in ROWS:
        assert bool(row.handler) or row.kind != "trace", row
        assert bool(row.error) == (row.kind == "refuse"), row
        assert bool(row.rule) == (row.kind == "check"), row


def test_no_call_that_takes_a_path_passes_as_it_stands() -> None:
    paths = {"path", "path2", "dirfd", "dirfd2", "how"}
    assert [row.name for row in ROWS if row.kind == "pass" and paths & set(row.roles)] == []


def test_no_call_that_takes_a_pid_passes_as_it_stands_but_for_waits() -> None:
    pids = {"pid", "tid", "pgid", "who"}
    assert [row.name for row in ROWS if row.kind == "pass" and pids & set(row.roles)] == ["wait4", "waitid"]


def test_no_call_that_takes_an_address_to_connect_to_passes_as_it_stands() -> None:
    assert [row.name for row in ROWS if row.kind == "pass" and "sockaddr" in row.roles] == []


def test_calls_of_one_family_stop_for_one_handler() -> None:
    rows = by_name()
    for handler, names in {
        "open": "open openat openat2 creat",
        "stat": "stat lstat newfstatat statx",
        "rename": "rename renameat renameat2",
        "chmod": "chmod fchmod fchmodat fchmodat2",
        "chown": "chown fchown lchown fchownat",
        "utime": "utime utimes futimesat utimensat",
        "unlink": "unlink unlinkat rmdir",
        "exec": "execve execveat",
    }.items():
        assert {rows[name].handler for name in names.split()} == {handler}


def test_the_digest_changes_with_a_row_and_with_the_pad_and_not_with_a_comment() -> None:
    table, rights, pad = generate.parse_table(), generate.parse_rights(), generate.parse_pad()
    assert generate.digest(table, rights, pad) == TABLE_SHA256
    fewer = generate.Table(table.rows[1:], table.roles, table.rules, table.handlers)
    assert generate.digest(fewer, rights, pad) != TABLE_SHA256
    assert generate.digest(table, rights, pad | {"PAD_BASE": 0}) != TABLE_SHA256
    reworded = generate.Table(table.rows, dict.fromkeys(table.roles, ""), table.rules, table.handlers)
    assert generate.digest(reworded, rights, pad) == TABLE_SHA256


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("0 63 read pass", "4 columns"),
        ("0 63 read maybe fd", "unknown class `maybe`"),
        ("0 63 read pass:x fd", "too many or too few"),
        ("0 63 read trace fd", "too many or too few"),
        ("0 63 read refuse:EWHAT fd", "`EWHAT` is no errno"),
        ("0 63 read check:nothing fd", "no @rule line"),
        ("0 63 read trace:nothing fd", "no @handler line"),
        ("0 63 read pass thing", "role `thing` has no @role line"),
        ("0 63 read pass fd,fd,fd,fd,fd,fd,fd", "at most six"),
        ("1 63 read pass fd\n1 64 write pass fd", "1 follows 1"),
        ("0 63 read pass fd\n1 64 read pass fd", "read has two rows"),
        ("0 63 read pass -", "role `fd` is declared and never used"),
        ("@what fd words", "`@what` is no declaration"),
        ("@role fd words", "declared twice"),
    ],
)
def test_the_generator_refuses(line: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken.tbl"
    broken.write_text(f"@role fd a descriptor\n{line}\n")
    monkeypatch.setattr(generate, "TABLE", broken)
    with pytest.raises(generate.TableError, match=re.escape(why)):
        generate.parse_table()


def test_the_pad_has_plain_numbers_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "pad.h"
    broken.write_text("#define CW_PAD_BASE (1 + 1)\n")
    monkeypatch.setattr(generate, "PAD", broken)
    with pytest.raises(generate.TableError, match="PAD_BASE"):
        generate.parse_pad()


def test_the_sets_of_rights_are_those_of_the_contract() -> None:
    bit = {name: 1 << number for name, number in _rights.NAMES.items()}
    ro = "read seek lookup fstat fstatfs fchdir mmap flock event extattr_get extattr_list ioctl"
    assert sum(bit[name] for name in ro.split()) == _rights.RO
    assert _rights.RO | bit["fexecve"] == _rights.ROX
    assert _rights.ALL & ~bit["fexecve"] == _rights.RW
    assert _rights.RWX == _rights.ALL == sum(bit.values())


def test_the_pad_lies_as_the_seccomp_program_rests_on() -> None:
    # The upper halves are zero, slots are aligned to their strides, regions do not overlap, and no huge page of 2 MiB
    # begins beneath the pad and covers it.
    assert _pad.PAD_END < 1 << 31
    assert _pad.PAD_BASE % (2 << 20) == 0
    assert _pad.PAD_BASE + _pad.PAD_SIZE == _pad.PAD_RESULT
    assert _pad.PAD_RESULT + _pad.PAD_RESULT_SIZE == _pad.PAD_END
    regions = [
        (_pad.PAD_STUB, _pad.PAD_STUB + _pad.PAD_STUB_SIZE, 32),
        (_pad.PAD_HOW_RO, _pad.PAD_HOW_RO_END, _pad.PAD_HOW_STRIDE),
        (_pad.PAD_HOW_RW, _pad.PAD_HOW_RW_END, _pad.PAD_HOW_STRIDE),
        (_pad.PAD_FDPATH, _pad.PAD_FDPATH_END, _pad.PAD_FDPATH_STRIDE),
        (*seccomp_sockets.IN4_CONNECT, _pad.PAD_IN_STRIDE),
        (*seccomp_sockets.IN4_BIND, _pad.PAD_IN_STRIDE),
        (*seccomp_sockets.IN6_CONNECT, _pad.PAD_IN_STRIDE),
        (*seccomp_sockets.IN6_BIND, _pad.PAD_IN_STRIDE),
        (_pad.PAD_ABSTRACT, _pad.PAD_ABSTRACT_END, _pad.PAD_UN_STRIDE),
        (_pad.PAD_MSGHDR, _pad.PAD_MSGHDR_END, _pad.PAD_MSGHDR_STRIDE),
        (_pad.PAD_SLOT, _pad.PAD_SLOT_END, _pad.PAD_SLOT_STRIDE),
        (_pad.PAD_CONTROL, _pad.PAD_CONTROL_END, _pad.PAD_CONTROL_STRIDE),
    ]
    assert all(start % stride == 0 and end % stride == 0 and start < end for start, end, stride in regions)
    assert all(before[1] <= after[0] for before, after in pairwise(regions))
    assert regions[0][0] >= _pad.PAD_BASE
    assert regions[-1][1] <= _pad.PAD_RESULT
    assert all(stride & stride - 1 == 0 for _, _, stride in regions)
    assert _pad.PAD_FDPATH_STRIDE * _pad.PAD_DELIVERY_COUNT == _pad.PAD_FDPATH_END - _pad.PAD_FDPATH
    assert _pad.AUX_COUNT == _pad.AUX_DELIVERY + _pad.PAD_DELIVERY_COUNT


def test_the_headers_compile_without_a_warning_and_agree_with_python(tmp_path: Path) -> None:
    source = tmp_path / "headers.c"
    source.write_text(
        '#include <stdio.h>\n#include "rewriters/generated/rights.h"\n#include "rewriters/generated/syscalls.h"\n'
        "static const uint8_t sha256[32] = CW_TABLE_SHA256;\n"
        "int main(void)\n{\n"
        '\tfor (int i = 0; i < 32; i++)\n\t\tprintf("%02x", sha256[i]);\n'
        '\tprintf(" %s %d %d %s\\n", cw_syscalls[CW_SYS_openat2].name, cw_syscalls[CW_SYS_openat2].handler == '
        "CW_HANDLER_OPEN, (int)cw_syscalls[CW_SYS_openat2].roles[2] == CW_ROLE_HOW, "
        "cw_right_names[CW_RIGHT_COUNT - 1]);\n"
        "\treturn CW_RIGHTS_RWX == CW_RIGHTS_ALL ? 0 : 1;\n}\n"
    )
    flags = ["-std=c11", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror", f"-I{ROOT}"]
    subprocess.run(["gcc", *flags, "-o", tmp_path / "headers", source], check=True)
    out = subprocess.run([tmp_path / "headers"], check=True, capture_output=True, text=True).stdout
    assert out.split() == [TABLE_SHA256.hex(), "openat2", "1", "1", "ioctl"]


def test_the_page_has_every_call_and_mandoc_finds_nothing_wrong() -> None:
    page = ROOT / "man/capwrap-syscalls.7"
    assert re.findall(r"^\.It Sy (\w+) Pq (\d+)$", page.read_text(), re.M) == [
        (row.name, str(row.number)) for row in ROWS
    ]
    lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True, text=True, check=False)
    assert lint.stdout == ""
