"""An Inspection as text and as JSON."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from capwrap.elf.errors import printable

if TYPE_CHECKING:
    from capwrap.elf.inspect import Call, Inspection

_CALLS_SHOWN = 20


def render(inspection: Inspection) -> str:
    """The inspection for a person: one `name: value` a line, lists indented beneath; ends with a newline."""
    lines = [f"{printable(inspection.path)}: {_headline(inspection)}"]
    interpreter = inspection.interpreter
    if interpreter is not None and inspection.argument is not None:
        interpreter += " " + inspection.argument
    exec_stack = None if inspection.exec_stack is None else "executable" if inspection.exec_stack else "not executable"
    for label, value in (
        ("interpreter", interpreter),
        ("soname", inspection.soname),
        ("rpath", inspection.rpath),
        ("runpath", inspection.runpath),
        ("build id", inspection.build_id),
        ("properties", " ".join(inspection.properties) or None),
        ("stack", exec_stack),
    ):
        if value is not None:
            lines.append(f"  {label}: {printable(value)}")
    if inspection.needed:
        lines.append(f"  needed: {printable(' '.join(inspection.needed))}")
    if inspection.libraries:
        lines.append("  libraries:")
        for library in inspection.libraries:
            found = "not found" if library.path is None else printable(library.path)
            lines.append(f"    {printable(library.name)} => {found} ({printable(library.rule)})")
    lines += _call_lines(inspection)
    if inspection.grants:
        lines.append("  to start with --pure it needs:")
        lines += [f"    {grant.flag} {printable(shlex.quote(grant.path))}" for grant in inspection.grants]
    if inspection.problems:
        lines.append("  problems:")
        lines += [f"    {printable(problem)}" for problem in inspection.problems]
    return "\n".join(lines) + "\n"


def _headline(inspection: Inspection) -> str:
    if inspection.kind == "script":
        return "script"
    if inspection.machine is None:
        return "neither an ELF file nor a script"
    return f"{inspection.kind}, {inspection.bits}-bit {inspection.machine}"


def _call_lines(inspection: Inspection) -> list[str]:
    if inspection.sites is None:
        return []
    known = sum(call.sites for call in inspection.calls)
    lines = [f"  syscall instructions: at most {inspection.sites}, {known} directly behind their number"]
    shown = inspection.calls[:_CALLS_SHOWN]
    if shown:
        lines.append("    " + ", ".join(_call_text(call) for call in shown))
    if len(inspection.calls) > len(shown):
        lines.append(f"    and {len(inspection.calls) - len(shown)} calls more (--json lists all)")
    return lines


def _call_text(call: Call) -> str:
    name = f"number {call.number}" if call.name is None else call.name
    return name if call.sites == 1 else f"{name} x{call.sites}"


def as_json(inspection: Inspection) -> dict[str, Any]:
    """The inspection as values for json.dump, every field under its own name. What is not UTF-8 stands as `\\xNN`."""
    return {
        "path": printable(inspection.path),
        "kind": inspection.kind,
        "bits": inspection.bits,
        "machine": inspection.machine,
        "interpreter": _text(inspection.interpreter),
        "argument": _text(inspection.argument),
        "needed": [printable(name) for name in inspection.needed],
        "soname": _text(inspection.soname),
        "rpath": _text(inspection.rpath),
        "runpath": _text(inspection.runpath),
        "libraries": [
            {
                "name": printable(library.name),
                "by": printable(library.by),
                "path": _text(library.path),
                "rule": printable(library.rule),
                "problem": _text(library.problem),
            }
            for library in inspection.libraries
        ],
        "build_id": inspection.build_id,
        "properties": list(inspection.properties),
        "exec_stack": inspection.exec_stack,
        "syscall_instructions": inspection.sites,
        "calls": [{"number": call.number, "name": call.name, "sites": call.sites} for call in inspection.calls],
        "grants": [{"flag": grant.flag, "path": printable(grant.path)} for grant in inspection.grants],
        "problems": [printable(problem) for problem in inspection.problems],
    }


def _text(value: str | None) -> str | None:
    return None if value is None else printable(value)
