"""Python's functions from what the engine copies of them: lines as CPython tells them, and nothing from garbage."""

from __future__ import annotations

import argparse
import json.decoder
import os
import struct
from types import CodeType, FunctionType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capwrap.elf.cpython import PythonFrame, read_python


def frame(file: str, name: str, table: bytes, instr: int, first: int) -> bytes:
    """A struct cw_python_frame with what follows it, as the engine copies it."""
    raw, kinds = [], []
    for text in (file, name):
        widest = max(map(ord, text))
        kind = 1 if widest < 0x100 else 2 if widest < 0x10000 else 4
        encoding = {1: "latin-1", 2: "utf-16-le", 4: "utf-32-le"}[kind]
        raw.append(text.encode(encoding, "surrogatepass"))
        kinds.append(kind)
    body = b"".join(raw) + table
    head = struct.pack("<qi3I2I", instr, first, len(raw[0]), len(raw[1]), len(table), *kinds)
    return head + body + bytes(-(len(head) + len(body)) % 8)


def functions(module: object) -> list[CodeType]:
    found = [value.__code__ for value in vars(module).values() if isinstance(value, FunctionType)]
    for value in vars(module).values():
        if isinstance(value, type):
            found += [each.__code__ for each in vars(value).values() if isinstance(each, FunctionType)]
    return found


@pytest.mark.parametrize("module", [argparse, os, json.decoder], ids=lambda module: module.__name__)
def test_each_instruction_is_at_the_line_that_python_says(module: object) -> None:
    codes = functions(module)
    assert len(codes) > 5
    for code in codes:
        for start, end, line in code.co_lines():
            for instr in {start, end - 2}:
                data = frame(code.co_filename, code.co_qualname, code.co_linetable, instr, code.co_firstlineno)
                assert read_python(data) == (PythonFrame(code.co_qualname, code.co_filename, line),)


@pytest.mark.parametrize("name", ["plain", "caf\xe9", "\u0394t", "\U0001f40d", "not\udcff UTF-8"])
def test_names_are_read_in_every_width(name: str) -> None:
    data = frame(f"/src/{name}.py", name, b"", -1, 7) + frame("/src/outer.py", "outer", b"", -1, 1)
    assert read_python(data) == (PythonFrame(name, f"/src/{name}.py", 7), PythonFrame("outer", "/src/outer.py", 1))


@given(st.binary(max_size=300))
def test_garbage_is_no_frame_and_no_error(data: bytes) -> None:
    read_python(data)


@given(st.binary(max_size=60), st.binary(max_size=60), st.binary(max_size=60), st.integers(0, 5), st.integers(0, 5))
def test_garbage_in_a_frame_is_no_error(file: bytes, name: bytes, table: bytes, kind: int, other: int) -> None:
    head = struct.pack("<qi3I2I", 4, 1, len(file), len(name), len(table), kind, other)
    for each in read_python(head + file + name + table):
        assert each.file.encode("utf-8", "surrogateescape")
        assert each.symbol.encode("utf-8", "surrogateescape")
