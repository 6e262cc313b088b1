"""Functions and lines of addresses: as addr2line has them, whatever compiled and split the file, and whatever is wrong
with it."""

from __future__ import annotations

import contextlib
import lzma
import os
import random
import re
import subprocess
from pathlib import Path

import pytest
from support.run import require

from capwrap.elf.binary import Binary, Budget, Bytes, Memory, open_regular
from capwrap.elf.errors import ElfError
from capwrap.elf.modules import Module
from capwrap.elf.symbols import debug_file

SOURCE = r"""
#include <string.h>
#include <stdio.h>
struct pair { int a, b; };
static inline __attribute__((always_inline)) int twice(int n) { return n * 2 + printf("%d", n); }
static inline __attribute__((always_inline)) int four(int n)
{
    int x = twice(n);
    { int y = twice(x); x += y; }
    return x;
}
__attribute__((noinline)) int split(int n)
{
    if (__builtin_expect(n > 1000, 0)) { puts("cold"); __builtin_trap(); }
    return four(n) + four(n + 1);
}
__attribute__((noinline)) int loop(struct pair *p, int n)
{
    int sum = 0;
    for (int i = 0; i < n; i++) { sum += split(p->a + i); p->b ^= sum; }
    return sum;
}
int main(int argc, char **argv) { struct pair p = {argc, 2}; return loop(&p, (int)strlen(argv[0])); }
"""

COMPILERS = {
    "gcc, DWARF 5": ("gcc", "-gdwarf-5", "-O2"),
    "gcc, DWARF 4": ("gcc", "-gdwarf-4", "-O2"),
    "gcc, DWARF 4, -O0": ("gcc", "-gdwarf-4", "-O0"),
    "gcc, compressed": ("gcc", "-gdwarf-5", "-O2", "-gz=zlib"),
    "gcc, every function in a section": ("gcc", "-gdwarf-5", "-O2", "-ffunction-sections", "-Wl,--gc-sections"),
    "clang, DWARF 5": ("clang", "-gdwarf-5", "-O2"),
    "clang, DWARF 4": ("clang", "-gdwarf-4", "-O2"),
}


def compiled(directory: Path, *command: str) -> Path:
    require(command[0], "addr2line", "objcopy", "objdump", "strip")
    source, target = directory / "a.c", directory / "a.out"
    source.write_text(SOURCE)
    subprocess.run([*command, "-o", str(target), "a.c"], cwd=directory, check=True)
    return target


def module_of(path: Path) -> Module:
    view = open_regular(str(path))
    assert view is not None
    return Module(Binary(view), Budget(60))


def addresses(path: Path) -> list[int]:
    """Every instruction of the functions in the source, but for what only fills the room between them."""
    text = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", path], check=True, capture_output=True
    ).stdout.decode()
    found, inside = [], False
    for line in text.splitlines():
        if name := re.match(r"[0-9a-f]+ <(\w+)(?:\.\w+)*>:", line):
            inside = name[1] in ("split", "loop", "main")
        elif inside and (instruction := re.match(r" +([0-9a-f]+):\t(?!.*nop|xchg +%ax,%ax)", line)):
            found.append(int(instruction[1], 16))
    assert len(found) > 40
    return found


def expected(path: Path, wanted: list[int]) -> list[list[tuple[str, str]]]:
    """addr2line's functions and lines, innermost first."""
    lines = subprocess.run(
        ["addr2line", "-i", "-f", "-a", "-e", path], input="\n".join(map(hex, wanted)), check=True, capture_output=True,
        text=True,
    ).stdout.splitlines()  # fmt: skip
    result: list[list[tuple[str, str]]] = []
    at = 0
    while at < len(lines):
        if lines[at].startswith("0x"):
            result.append([])
            at += 1
            continue
        place = re.sub(r" \(discriminator \d+\)", "", lines[at + 1])
        result[-1].append((lines[at], place))
        at += 2
    return result


@pytest.mark.parametrize("name", COMPILERS)
def test_functions_and_lines_are_those_of_addr2line(tmp_path: Path, name: str) -> None:
    # addr2line of binutils 2.40 does not follow clang's DWARF 5 into inlined functions: its DWARF 4 is of the same code
    path = compiled(tmp_path, *(word.replace("5", "4") if "clang" in name else word for word in COMPILERS[name]))
    wanted = addresses(path)
    told = expected(path, wanted)
    path = compiled(tmp_path, *COMPILERS[name])
    assert addresses(path) == wanted
    module = module_of(path)
    for address, places in zip(wanted, told, strict=True):
        mine = [
            ((place.symbol or "").split(".")[0], f"{place.file}:{place.line or '?'}")
            for place in module.places(address)
        ]
        assert mine == [(symbol.split(".")[0], place) for symbol, place in places], hex(address)
        assert [place.inlined for place in module.places(address)] == [True] * (len(mine) - 1) + [False]


def split_off(path: Path) -> Path:
    debug = path.with_suffix(".debug")
    subprocess.run(["objcopy", "--only-keep-debug", path, debug], check=True)
    subprocess.run(["strip", path], check=True)
    return debug


def names(path: Path, address: int) -> list[tuple[str | None, int | None]]:
    return [(place.symbol, place.line) for place in module_of(path).places(address)]


@pytest.mark.parametrize("where", ["", ".debug"])
def test_a_debug_file_beside_the_binary_is_found_by_its_link(tmp_path: Path, where: str) -> None:
    path = compiled(tmp_path, "gcc", "-g", "-O2")
    address = addresses(path)[10]
    whole = names(path, address)
    debug = split_off(path)
    subprocess.run(["objcopy", f"--add-gnu-debuglink={debug}", path], check=True)
    (tmp_path / where).mkdir(exist_ok=True)
    debug.rename(tmp_path / where / debug.name)
    assert names(path, address) == whole


def test_a_debug_file_of_another_build_is_not_taken(tmp_path: Path) -> None:
    path = compiled(tmp_path, "gcc", "-g", "-O2")
    address = addresses(path)[10]
    debug = split_off(path)
    subprocess.run(["objcopy", f"--add-gnu-debuglink={debug}", path], check=True)
    with open(debug, "ab") as file:
        file.write(b"x")
    assert names(path, address) == [(None, None)]


@pytest.mark.parametrize("kind", ["link", "fifo", "directory"])
def test_a_debug_file_that_is_no_file_is_not_opened(tmp_path: Path, kind: str) -> None:
    path = compiled(tmp_path, "gcc", "-g", "-O2")
    address = addresses(path)[10]
    debug = split_off(path)
    subprocess.run(["objcopy", f"--add-gnu-debuglink={debug}", path], check=True)
    debug.rename(tmp_path / "elsewhere")
    if kind == "link":
        debug.symlink_to("elsewhere")
    elif kind == "fifo":
        os.mkfifo(debug)
    else:
        debug.mkdir()
    assert names(path, address) == [(None, None)]


def test_a_debug_file_is_found_by_its_build_id(tmp_path: Path) -> None:
    path = compiled(tmp_path, "gcc", "-g", "-O2", "-Wl,--build-id")
    debug = split_off(path)
    view = open_regular(str(path))
    assert view is not None
    binary = Binary(view)
    assert binary.build_id is not None
    root = tmp_path / "root"
    place = root / ".build-id" / binary.build_id[:2]
    place.mkdir(parents=True)
    debug.rename(place / f"{binary.build_id[2:]}.debug")
    found = debug_file(binary, Budget(60), str(root))
    assert found is not None
    assert found.section(".debug_info") is not None


def test_functions_are_found_in_mini_debug_information(tmp_path: Path) -> None:
    path = compiled(tmp_path, "gcc", "-O2")
    address = addresses(path)[10]
    ((whole, _),) = names(path, address)
    debug = split_off(path)
    packed = tmp_path / "packed"
    packed.write_bytes(lzma.compress(debug.read_bytes()))
    subprocess.run(["objcopy", "--add-section", f".gnu_debugdata={packed}", path], check=True)
    assert whole is not None
    assert names(path, address) == [(whole, None)]


@pytest.mark.parametrize("seed", range(12))
def test_a_damaged_file_costs_names_and_nothing_else(tmp_path: Path, seed: int) -> None:
    path = compiled(tmp_path, *list(COMPILERS.values())[seed % len(COMPILERS)])
    wanted = addresses(path)[::9]
    good = path.read_bytes()
    chance = random.Random(seed)
    answers = 0
    for _ in range(25):
        data = bytearray(good)
        for _ in range(chance.choice((1, 4, 30, 300))):
            # mostly where the tables are, and often in what says how long they are
            at = chance.choice((chance.randrange(len(data)), chance.randrange(len(data) // 2, len(data)), 0x20))
            data[at : at + 1] = bytes((chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256))),))
        if chance.random() < 0.2:
            del data[chance.randrange(len(data)) :]
        try:
            module = Module(Binary(Bytes(bytes(data), str(path))), Budget(60))
        except ElfError:
            continue
        for address in wanted:
            answers += len(module.places(address)) > 0
            with contextlib.suppress(ElfError):
                module.row(address)
    assert answers


def test_time_that_is_over_costs_names_and_nothing_else(tmp_path: Path) -> None:
    path = compiled(tmp_path, "gcc", "-g", "-O2")
    view = open_regular(str(path))
    assert view is not None
    assert [place.line for place in Module(Binary(view), Budget(-1)).places(addresses(path)[10])] == [None]


def test_memory_that_is_used_up_costs_names_and_nothing_else(tmp_path: Path) -> None:
    path = compiled(tmp_path, "gcc", "-g", "-gz=zlib", "-O2")
    address = addresses(path)[10]
    for size, known in ((64 << 20, True), (64, False)):
        view = open_regular(str(path))
        assert view is not None
        places = Module(Binary(view, Memory(size)), Budget(60)).places(address)
        assert [place.line is not None for place in places][-1] == known
