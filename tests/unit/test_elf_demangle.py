"""Mangled names: shown as c++filt shows them, and whatever a symbol is, it is a name or None."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capwrap.elf.demangle import demangle
from capwrap.elf.demangle_text import TEXT_MAX

STRING = "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >"
OLD_STRING = "std::basic_string<char, std::char_traits<char>, std::allocator<char> >"


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("_Z1fv", "f()"),
        ("_ZNK3app6Config4readEv", "app::Config::read() const"),
        ("_ZN3app6ConfigC2EPKc", "app::Config::Config(char const*)"),
        ("_ZN3app6ConfigD0Ev", "app::Config::~Config()"),
        ("_ZN12_GLOBAL__N_11fEi", "(anonymous namespace)::f(int)"),
        ("_Z3addIiET_S0_S0_", "int add<int>(int, int)"),
        ("_Z3appIJicEEvDpRKT_", "void app<int, char>(int const&, char const&)"),
        ("_Z3appIJEEvDpT_", "void app<>()"),
        ("_ZNKR1A1gEv", "A::g() const &"),
        ("_ZZ4mainENKUliE_clEi", "main::{lambda(int)#1}::operator()(int) const"),
        ("_ZZ4mainENKUlT_E0_clIiEEDaS_", "auto main::{lambda(auto:1)#2}::operator()<int>(int) const"),
        ("_Z1fPFvPFiiEE", "f(void (*)(int (*)(int)))"),
        ("_Z1fM1AKFvvE", "f(void (A::*)() const)"),
        ("_Z1fM1Ai", "f(int A::*)"),
        ("_Z1fRA5_A3_Ki", "f(int const (&) [5][3])"),
        ("_Z1fIXadL_Z1gvEEEvv", "void f<&(g())>()"),
        ("_Z1fI1BLb1ELin3ELm7EEvv", "void f<B, true, -3, 7ul>()"),
        ("_ZN1AcvbEv", "A::operator bool()"),
        ("_ZlsRSoRK1A", "operator<<(std::basic_ostream<char, std::char_traits<char> >&, A const&)"),
        ("_ZN1AnwEm", "A::operator new(unsigned long)"),
        ("_Zli2_sm", 'operator"" _s(unsigned long)'),
        ("_Z1fB5cxx11v", "f[abi:cxx11]()"),
        ("_Z1fNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE", f"f({STRING})"),
        ("_ZNSsC1EPKc", f"{OLD_STRING}::basic_string(char const*)"),
        ("_ZTV1A", "vtable for A"),
        ("_ZThn16_N1A1fEv", "non-virtual thunk to A::f()"),
        ("_ZTv0_n24_N1A1fEv", "virtual thunk to A::f()"),
        ("_ZGVZ1fvE1x", "guard variable for f()::x"),
        ("_ZN1A3fooEv.isra.0.cold", "A::foo() [clone .isra.0] [clone .cold]"),
        ("_Z1fDn", "f(decltype(nullptr))"),
        ("_Z1fI1AENSt9enable_ifIXsr3andIT_EE5valueEvE4typeERS2_", "std::enable_if<and<A>::value, void>::type f<A>(A&)"),
    ],
)
def test_a_name_is_shown_as_it_was_written(symbol: str, name: str) -> None:
    assert demangle(symbol) == name
    shown = subprocess.run(["c++filt", symbol], capture_output=True, text=True, check=True).stdout.rstrip("\n")
    assert shown.replace(" ", "") == name.replace(" ", "")


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE", "core::fmt::Write::write_fmt"),
        (
            "_ZN66_$LT$alloc..vec..Vec$LT$T$GT$$u20$as$u20$core..ops..drop..Drop$GT$4drop17h0123456789abcdefE",
            "<alloc::vec::Vec<T> as core::ops::drop::Drop>::drop",
        ),
        (
            "_ZN3std2rt10lang_start28_$u7b$$u7b$closure$u7d$$u7d$17hfedcba9876543210E",
            "std::rt::lang_start::{{closure}}",
        ),
    ],
)
def test_a_legacy_name_of_rust_is_shown_without_its_hash(symbol: str, name: str) -> None:
    assert demangle(symbol) == name


@pytest.mark.parametrize(
    "symbol", ["", "main", "_Z", "_ZN", "_ZNE", "_Z1", "_Z9f", "_Z1fi_", "_RNvC6_123foo3bar", "_Z1f" + "P" * 5000 + "i"]
)
def test_what_is_no_name_that_is_understood_is_none(symbol: str) -> None:
    assert demangle(symbol) is None


def library() -> Path:
    found = subprocess.run(["cc", "-print-file-name=libstdc++.so.6"], capture_output=True, text=True, check=True)
    path = Path(found.stdout.strip())
    assert path.is_absolute(), "no libstdc++.so.6: install the package libstdc++6"
    return path


def test_the_names_of_a_whole_library_are_those_that_cxxfilt_shows() -> None:
    assert shutil.which("c++filt"), "no c++filt: install the package binutils"
    table = subprocess.run(["nm", "-D", "--defined-only", library()], capture_output=True, text=True, check=True).stdout
    symbols = sorted({line.split()[-1].partition("@")[0] for line in table.splitlines()})
    symbols = [symbol for symbol in symbols if symbol.startswith("_Z")]
    assert len(symbols) > 3000
    text = "\n".join(symbols)
    shown = subprocess.run(["c++filt"], input=text, capture_output=True, text=True, check=True).stdout.splitlines()
    wrong = [
        (symbol, name, other)
        for symbol, name in zip(symbols, shown, strict=True)
        if (other := demangle(symbol)) is not None and other.replace(" ", "") != name.replace(" ", "")
    ]
    assert wrong == []
    assert sum(demangle(symbol) is None for symbol in symbols) <= len(symbols) // 100


PIECES = [
    "N",
    "I",
    "E",
    "J",
    "S_",
    "S0_",
    "St",
    "T_",
    "Dp",
    "P",
    "R",
    "K",
    "F",
    "A3_",
    "M",
    "1a",
    "Z",
    "Ul",
    "L",
    "X",
    "v",
]
PIECES += ["cv", "C1", "D2", "_", "0_", "i", "sr", "ad", "B1x", "Sa", "DT", "pl", "st", "li", "Th0_", ".x"]


@given(st.lists(st.sampled_from(PIECES), max_size=80), st.text(max_size=8))
def test_no_symbol_does_harm(pieces: list[str], rest: str) -> None:
    name = demangle("_Z" + "".join(pieces) + rest)
    assert name is None or len(name) <= 2 * TEXT_MAX


@pytest.mark.parametrize(
    "symbol",
    [
        "_Z1f" + "".join(f"N1aIJ{'T_' * 3}EE" for _ in range(60)),
        "_ZN1aIJiiiiEE" + "1bIJT_T_T_T_EE" * 200 + "E",
        "_Z1fI1aE" + "".join(f"1gIS{index}_S{index}_E" for index in ["", *range(9)]) + "v",
        "_Z1f" + "F" * 2000,
        "_Z1fIJ" + "1a" * 1500 + "EEv" + "DpT_" * 400,
        "_Z" + "Z1f" * 1000,
        "_Z1fIX" + "nt" * 1500,
    ],
)
def test_a_name_that_would_grow_without_end_ends(symbol: str) -> None:
    name = demangle(symbol)
    assert name is None or len(name) <= TEXT_MAX
