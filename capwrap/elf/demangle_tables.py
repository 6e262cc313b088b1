"""Codes of the Itanium C++ ABI, section 5.1: operators, builtin types, abbreviations, special names."""

from __future__ import annotations

import re


def _table(text: str) -> dict[str, str]:
    """Codes with their meanings, as `code meaning` parted by commas and line ends."""
    return dict(entry.strip().split(" ", 1) for entry in re.split(r",\s|\n", text) if entry.strip())


OPERATORS = _table("""
    nw new, na new[], dl delete, da delete[], aw co_await
    ps +, ng -, ad &, de *, co ~, pl +, mi -, ml *, dv /, rm %
    an &, or |, eo ^, aS =, pL +=, mI -=, mL *=, dV /=, rM %=
    aN &=, oR |=, eO ^=, ls <<, rs >>, lS <<=, rS >>=, ss <=>
    eq ==, ne !=, lt <, gt >, le <=, ge >=, nt !, aa &&, oo ||
    pp ++, mm --, pm ->*, pt ->, cl (), ix [], qu ?
""") | {"cm": ","}
BUILTIN = _table("""
    v void, w wchar_t, b bool, c char, a signed char, h unsigned char
    s short, t unsigned short, i int, j unsigned int, l long, m unsigned long
    x long long, y unsigned long long, n __int128, o unsigned __int128
    f float, d double, e long double, g __float128, z ...
""")
MORE_BUILTIN = _table("""
    Dd decimal64, De decimal128, Df decimal32, Dh half, Di char32_t, Ds char16_t
    Du char8_t, Da auto, Dc decltype(auto), Dn decltype(nullptr)
""")
#: What a literal of a type has behind it; of other types the type stands in front.
LITERALS = {
    "int": "",
    "unsigned int": "u",
    "long": "l",
    "unsigned long": "ul",
    "long long": "ll",
    "unsigned long long": "ull",
}
_CHARS = "<char, std::char_traits<char>, std::allocator<char> >"
_STREAM = "<char, std::char_traits<char> >"
ABBREVIATIONS = {
    "a": "std::allocator",
    "b": "std::basic_string",
    "s": f"std::basic_string{_CHARS}",
    "i": f"std::basic_istream{_STREAM}",
    "o": f"std::basic_ostream{_STREAM}",
    "d": f"std::basic_iostream{_STREAM}",
}
#: (text, what follows): a type, a name, or an encoding behind so many call offsets.
SPECIAL = {
    "TV": ("vtable for ", "type"),
    "TT": ("VTT for ", "type"),
    "TI": ("typeinfo for ", "type"),
    "TS": ("typeinfo name for ", "type"),
    "TW": ("TLS wrapper function for ", "name"),
    "TH": ("TLS init function for ", "name"),
    "GV": ("guard variable for ", "name"),
    "GTt": ("transaction clone for ", "encoding"),
    "Tc": ("covariant return thunk to ", "hh"),
}
#: What stands between dollars in Rust's legacy names.
RUST = {"SP": "@", "BP": "*", "RF": "&", "LT": "<", "GT": ">", "LP": "(", "RP": ")", "C": ","}
