"""Generates from syscalls.tbl, rights.tbl and pad.h all that is checked in as generated.

``python rewriters/generate.py`` writes; ``--check`` writes nothing and exits with 1 where a file is stale.
"""

from __future__ import annotations

import argparse
import errno
import hashlib
import re
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLE = Path("rewriters/syscalls.tbl")
RIGHTS = Path("rewriters/rights.tbl")
PAD = Path("rewriters/pad.h")

CLASSES = ("pass", "refuse", "check", "trace", "notify")
MADE = "Made by rewriters/generate.py from {source}: do not edit."


class TableError(Exception):
    """A source that cannot be generated from; the text begins with file and line."""


@dataclass(frozen=True)
class Row:
    """One system call. ``rule``, ``handler`` and ``error`` are empty where the class has none."""

    number: int
    aarch64: int | None
    name: str
    kind: str
    rule: str
    handler: str
    error: str
    roles: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """syscalls.tbl: rows in the order of their numbers, and name -> words for roles, rules and handlers."""

    rows: tuple[Row, ...]
    roles: dict[str, str]
    rules: dict[str, str]
    handlers: dict[str, str]


@dataclass(frozen=True)
class Rights:
    """rights.tbl: name -> (bit, words), and the mask of each set."""

    bits: dict[str, tuple[int, str]]
    sets: dict[str, int]


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """(``file:line``, text) of every line that is neither empty nor a comment."""
    for number, line in enumerate((ROOT / path).read_text().splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            yield f"{path}:{number}", line.strip()


def _row(where: str, fields: list[str], table: Table) -> Row:
    if len(fields) != 5:
        raise TableError(f"{where}: {len(fields)} columns; there are five")
    number, aarch64, name, decision, arguments = fields
    kind, *rest = decision.split(":")
    shape = {"pass": (0, 0), "refuse": (1, 1), "check": (1, 2), "trace": (1, 1), "notify": (1, 1)}.get(kind)
    if shape is None:
        raise TableError(f"{where}: unknown class `{kind}`; there are {', '.join(CLASSES)}")
    if not shape[0] <= len(rest) <= shape[1]:
        raise TableError(f"{where}: `{decision}` has too many or too few parts")
    rule = rest[0] if kind == "check" else ""
    handler = rest[-1] if kind in ("trace", "notify") or len(rest) == 2 else ""
    error = rest[0] if kind == "refuse" else ""
    if error and not hasattr(errno, error):
        raise TableError(f"{where}: `{error}` is no errno")
    if rule and rule not in table.rules:
        raise TableError(f"{where}: rule `{rule}` has no @rule line")
    if handler and handler not in table.handlers:
        raise TableError(f"{where}: handler `{handler}` has no @handler line")
    roles = () if arguments == "-" else tuple(arguments.split(","))
    for role in roles:
        if role not in table.roles:
            raise TableError(f"{where}: role `{role}` has no @role line")
    if len(roles) > 6:
        raise TableError(f"{where}: {len(roles)} arguments; a call has at most six")
    return Row(int(number), None if aarch64 == "-" else int(aarch64), name, kind, rule, handler, error, roles)


def parse_table() -> Table:
    """Reads syscalls.tbl; TableError for what does not stand as its header says."""
    table = Table((), {}, {}, {})
    words = {"@role": table.roles, "@rule": table.rules, "@handler": table.handlers}
    rows: list[Row] = []
    for where, line in _lines(TABLE):
        first, *rest = line.split(None, 2)
        if first.startswith("@"):
            if first not in words or len(rest) != 2:
                raise TableError(f"{where}: `{first}` is no declaration of this table")
            if rest[0] in words[first]:
                raise TableError(f"{where}: `{rest[0]}` is declared twice")
            words[first][rest[0]] = rest[1]
            continue
        row = _row(where, line.split(), table)
        if rows and row.number <= rows[-1].number:
            raise TableError(f"{where}: {row.number} follows {rows[-1].number}")
        rows.append(row)
    names = [row.name for row in rows]
    if len(set(names)) != len(names):
        raise TableError(f"{TABLE}: {next(n for n in names if names.count(n) > 1)} has two rows")
    for what, declared, used in (
        ("role", table.roles, {role for row in rows for role in row.roles}),
        ("rule", table.rules, {row.rule for row in rows}),
        ("handler", table.handlers, {row.handler for row in rows}),
    ):
        for name in declared.keys() - used:
            raise TableError(f"{TABLE}: {what} `{name}` is declared and never used")
    return Table(tuple(rows), table.roles, table.rules, table.handlers)


def parse_rights() -> Rights:
    """Reads rights.tbl; bits are consecutive from 0, sets build on what stands above them."""
    bits: dict[str, tuple[int, str]] = {}
    sets: dict[str, int] = {}
    for where, line in _lines(RIGHTS):
        if not line.startswith("@set"):
            bit, name, words = line.split(None, 2)
            if int(bit) != len(bits):
                raise TableError(f"{where}: bit {bit} stands where {len(bits)} is next")
            bits[name] = (int(bit), words)
            continue
        known = {name: 1 << bit for name, (bit, _) in bits.items()} | sets | {"all": (1 << len(bits)) - 1}
        _, name, *items = line.split()
        mask = 0
        for item in items:
            if item.lstrip("+-") not in known:
                raise TableError(f"{where}: unknown right `{item}`")
            value = known[item.lstrip("+-")]
            mask = mask & ~value if item.startswith("-") else mask | value
        sets[name] = mask
    return Rights(bits, sets)


def parse_pad() -> dict[str, int]:
    """The numbers that pad.h defines, without their CW_ prefix, in its order."""
    text = (ROOT / PAD).read_text()
    found = re.findall(r"^#define CW_(\w+)[ \t]+(0x[0-9a-fA-F]+|[0-9]+)\b", text, re.M)
    defined = re.findall(r"^#define CW_(\w+)[ \t]+\S", text, re.M)
    if len(found) != len(defined):
        raise TableError(f"{PAD}: {sorted(set(defined) - {name for name, _ in found})} is not a plain number")
    return {name: int(value, 0) for name, value in found}


def digest(table: Table, rights: Rights, pad: dict[str, int]) -> bytes:
    """What an image and an engine must agree on: rows, bits and addresses, but no comments."""
    lines = [repr(row) for row in table.rows]
    lines += [f"{name} {bit}" for name, (bit, _) in rights.bits.items()]
    lines += [f"{name} {value}" for name, value in pad.items()]
    return hashlib.sha256("\n".join(lines).encode()).digest()


def syscalls_h(table: Table, sha256: bytes) -> str:
    """rewriters/generated/syscalls.h"""
    handlers, roles = list(table.handlers), list(table.roles)
    out = [
        f"/* {MADE.format(source=TABLE)} */",
        "#ifndef CAPWRAP_GENERATED_SYSCALLS_H",
        "#define CAPWRAP_GENERATED_SYSCALLS_H",
        "",
        "#include <stdint.h>",
        "",
        "/* Of the rows, the rights and the pad, as a policy image was made from them. */",
        "#define CW_TABLE_SHA256 \\",
        "\t{ \\",
        *("\t\t" + "".join(f"0x{b:02x}, " for b in sha256[i : i + 8]) + "\\" for i in range(0, 32, 8)),
        "\t}",
        "",
        "enum cw_class {",
        "\tCW_CLASS_NONE = 0, /* no such call */",
        *(f"\tCW_CLASS_{kind.upper()} = {i}," for i, kind in enumerate(CLASSES, 1)),
        "};",
        "",
        "/* X(name) for every handler cw_rw_<name>. */",
        "#define CW_HANDLERS(X) \\",
        *(f"\tX({name}) \\" for name in handlers[:-1]),
        f"\tX({handlers[-1]})",
        "",
        "enum cw_handler {",
        "\tCW_HANDLER_NONE = 0,",
        *(f"\tCW_HANDLER_{name.upper()} = {i}," for i, name in enumerate(handlers, 1)),
        "\tCW_HANDLER_COUNT",
        "};",
        "",
        "enum cw_role {",
        "\tCW_ROLE_NONE = 0,",
        *(f"\tCW_ROLE_{name.upper()} = {i}, /* {table.roles[name]} */" for i, name in enumerate(roles, 1)),
        "};",
        "",
        "/* Numbers on x86-64, also of the calls that the installed kernel headers are too old for. */",
        "enum cw_sys {",
        *(f"\tCW_SYS_{row.name} = {row.number}," for row in table.rows),
        "};",
        "",
        "struct cw_syscall {",
        "\tconst char *name;",
        "\tuint8_t class;   /* enum cw_class */",
        "\tuint8_t handler; /* enum cw_handler: of TRACE and NOTIFY, and of CHECK where the rule can stop the call */",
        "\tuint8_t notify;  /* may wait for the listener's answer */",
        "\tuint8_t error;   /* of REFUSE: an errno */",
        "\tuint8_t nargs;",
        "\tuint8_t roles[6]; /* enum cw_role */",
        "};",
        "",
        f"#define CW_SYSCALL_MAX {table.rows[-1].number}",
        "",
        "static const struct cw_syscall cw_syscalls[CW_SYSCALL_MAX + 1] = {",
    ]
    answered = {row.handler for row in table.rows if row.kind == "notify"}
    for row in table.rows:
        handler = row.handler.upper() or "NONE"
        notify = int(row.handler in answered)
        error = getattr(errno, row.error) if row.error else 0
        roles_text = ", ".join(f"CW_ROLE_{role.upper()}" for role in row.roles) or "0"
        out.append(
            f'\t[{row.number}] = {{ "{row.name}", CW_CLASS_{row.kind.upper()}, CW_HANDLER_{handler}, {notify}, '
            f"{error}, {len(row.roles)}, {{ {roles_text} }} }},"
        )
    return "\n".join([*out, "};", "", "#endif", ""])


def rights_h(rights: Rights) -> str:
    """rewriters/generated/rights.h"""
    out = [
        f"/* {MADE.format(source=RIGHTS)} */",
        "#ifndef CAPWRAP_GENERATED_RIGHTS_H",
        "#define CAPWRAP_GENERATED_RIGHTS_H",
        "",
        "#include <stdint.h>",
        "",
        *(
            f"#define CW_RIGHT_{name.upper()} (UINT64_C(1) << {bit}) /* {words} */"
            for name, (bit, words) in rights.bits.items()
        ),
        f"#define CW_RIGHT_COUNT {len(rights.bits)}",
        "",
        f"#define CW_RIGHTS_ALL UINT64_C(0x{(1 << len(rights.bits)) - 1:x})",
        *(f"#define CW_RIGHTS_{name.upper()} UINT64_C(0x{mask:x})" for name, mask in rights.sets.items()),
        "",
        "static const char *const cw_right_names[CW_RIGHT_COUNT] = {",
        *(f'\t"{name}",' for name in rights.bits),
        "};",
        "",
        "#endif",
        "",
    ]
    return "\n".join(out)


def syscalls_py(table: Table, sha256: bytes) -> str:
    """capwrap/policy/_syscalls.py"""
    out = [
        f'"""{MADE.format(source=TABLE)}"""',
        "",
        "from __future__ import annotations",
        "",
        "from dataclasses import dataclass",
        "",
        "",
        "@dataclass(frozen=True, slots=True)",
        "class Row:",
        '    """One system call: ``kind`` is its class; what a class does not have is empty."""',
        "",
        "    number: int",
        "    aarch64: int | None",
        "    name: str",
        "    kind: str",
        "    rule: str",
        "    handler: str",
        "    error: str",
        "    roles: tuple[str, ...]",
        "",
        "",
        "#: Of the rows, the rights and the pad: an image says from which it was made.",
        f'TABLE_SHA256 = bytes.fromhex("{sha256.hex()}")',
        "",
        "#: Handler names, in the order of enum cw_handler from 1 on.",
        "HANDLERS = (",
        *(f'    "{name}",' for name in table.handlers),
        ")",
        "",
        "#: In the order of their numbers.",
        "ROWS = (",
    ]
    for row in table.rows:
        roles = "(" + ", ".join(f'"{r}"' for r in row.roles) + ("," if len(row.roles) == 1 else "") + ")"
        out.append(
            f'    Row({row.number}, {row.aarch64}, "{row.name}", "{row.kind}", "{row.rule}", "{row.handler}", '
            f'"{row.error}", {roles}),'
        )
    return "\n".join([*out, ")", ""])


def rights_py(rights: Rights) -> str:
    """capwrap/policy/_rights.py"""
    out = [
        f'"""{MADE.format(source=RIGHTS)}"""',
        "",
        "from __future__ import annotations",
        "",
        "#: Name -> bit number.",
        "NAMES: dict[str, int] = {",
        *(f'    "{name}": {bit},' for name, (bit, _) in rights.bits.items()),
        "}",
        "",
        "#: Name -> what the right permits, in words.",
        "MEANINGS: dict[str, str] = {",
        *(f'    "{name}": "{words}",' for name, (_, words) in rights.bits.items()),
        "}",
        "",
        f"ALL = 0x{(1 << len(rights.bits)) - 1:X}",
        *(f"{name.upper()} = 0x{mask:X}" for name, mask in rights.sets.items()),
        "",
    ]
    return "\n".join(out)


def pad_py(pad: dict[str, int]) -> str:
    """capwrap/policy/_pad.py"""
    out = [f'"""{MADE.format(source=PAD)}"""', "", "from __future__ import annotations", ""]
    out += [f"{name} = 0x{value:X}" if value > 4096 else f"{name} = {value}" for name, value in pad.items()]
    return "\n".join([*out, ""])


def _roff(text: str) -> list[str]:
    """A sentence as lines of mdoc input; the table has no backslashes, and no line begins with a dot."""
    return textwrap.wrap(text, 78, break_on_hyphens=False, break_long_words=False)


def _words(row: Row, table: Table) -> str:
    if row.kind == "pass":
        return "passes"
    if row.kind == "refuse":
        return f"refused: {row.error}"
    if row.kind == "trace":
        return f"stops: {table.handlers[row.handler]}"
    if row.kind == "notify":
        return f"is answered: {table.handlers[row.handler]}"
    stops = f"; where it stops: {table.handlers[row.handler]}" if row.handler else ""
    return table.rules[row.rule] + stops


def syscalls_7(table: Table) -> str:
    """man/capwrap-syscalls.7"""
    kinds = {kind: sum(row.kind == kind for row in table.rows) for kind in CLASSES}
    out = [
        f'.\\" {MADE.format(source=TABLE)}',
        ".Dd November 21, 2026",
        ".Dt CAPWRAP-SYSCALLS 7",
        ".Os",
        ".Sh NAME",
        ".Nm capwrap-syscalls",
        ".Nd what becomes of every system call of a confined program",
        ".Sh DESCRIPTION",
        f"Of the {len(table.rows)} system calls of x86-64 Linux 6.18, {kinds['pass']} pass as they stand,",
        f"{kinds['refuse']} are refused always,",
        f"{kinds['check']} are decided by the seccomp program from their registers,",
        f"{kinds['trace']} always stop for the supervisor,",
        f"and {kinds['notify']} wait for its answer without a stop.",
        "A number that is not listed, every 32-bit call and every x32 call is answered",
        "with",
        ".Er ENOSYS .",
        ".Pp",
        "The",
        ".Em capability range",
        "is the part of the descriptor table, at its top, that holds the descriptors of",
        "the grants.",
        "The",
        ".Em pad",
        "is memory of the confined program that only the supervisor can write; see",
        ".Xr capwrap 7 .",
        ".Ss Roles of arguments",
        "The second line of each entry below names what the arguments are:",
        ".Bl -tag -width protocol -compact",
    ]
    for name, words in table.roles.items():
        out += [f".It Cm {name}", *_roff(words)]
    out += [".El", ".Sh SYSTEM CALLS", ".Bl -tag -width Ds"]
    for row in table.rows:
        words = _words(row, table)
        out += [f".It Sy {row.name} Pq {row.number}", *_roff(words[0].upper() + words[1:] + ".")]
        if row.roles:
            out += [".br", ".Em " + " , ".join(row.roles) + " ."]
    out += [
        ".El",
        ".Sh SEE ALSO",
        ".Xr capwrap 1 ,",
        ".Xr syscalls 2 ,",
        ".Xr capwrap 7",
        "",
    ]
    return "\n".join(out)


def outputs() -> dict[Path, str]:
    """Every generated file: path from the root -> text."""
    table, rights, pad = parse_table(), parse_rights(), parse_pad()
    sha256 = digest(table, rights, pad)
    return {
        Path("rewriters/generated/syscalls.h"): syscalls_h(table, sha256),
        Path("rewriters/generated/rights.h"): rights_h(rights),
        Path("capwrap/policy/_syscalls.py"): syscalls_py(table, sha256),
        Path("capwrap/policy/_rights.py"): rights_py(rights),
        Path("capwrap/policy/_pad.py"): pad_py(pad),
        Path("man/capwrap-syscalls.7"): syscalls_7(table),
    }


def main(argv: list[str] | None = None) -> int:
    """Writes, or with --check compares; 0, or 1 with the reason on stderr."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file is stale")
    options = parser.parse_args(argv)
    try:
        made = outputs()
    except TableError as error:
        print(error, file=sys.stderr)
        return 1
    stale = [path for path, text in made.items() if not (ROOT / path).exists() or (ROOT / path).read_text() != text]
    for path in stale:
        if options.check:
            print(f"{path}: stale: run python rewriters/generate.py", file=sys.stderr)
        else:
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / path).write_text(made[path])
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
