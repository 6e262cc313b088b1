"""With everything granted, a program observes what it observes natively: results, errors, effects."""

from __future__ import annotations

import pytest
from conftest import USERS

from fidelity.conftest import Observing
from fidelity.harness import TRACED, Program, compare

PROGRAMS = [
    Program("paths", tree=True, lines=15000),
    Program("openflags", tree=True, lines=10000),
    Program("dirfds", tree=True, lines=35000),
    Program("attributes", lines=1400),
    Program("permissions", lines=800),
    Program("times", lines=140),
    Program("places", lines=130),
    Program("posix_make", lines=2500),
    Program("posix_remove", lines=2000),
    Program("posix_held", lines=60),
    Program("fds", lines=120),
    Program("streams", lines=160),
    Program("processes_children", lines=130),
    Program("processes_signals", lines=50),
    Program("processes_starts", lines=30),
    Program("interrupted_files", lines=100),
    Program("interrupted_waits", lines=105),
    Program("scoped", lines=550),
    Program("sockets", lines=190),
    Program("watch", lines=80),
    Program("sticky", lines=150),
    Program("sysv_objects", forms=("beneath",), lines=600),
    Program("sysv_waits", forms=("beneath",), lines=110),
    Program("posix_ipc", forms=("beneath",), lines=400),
    Program("further", lines=105),
    Program("groups", lines=330),
    Program("machine", forms=("beneath",), lines=220),
    Program("terminals", forms=("beneath",), lines=115),
    Program("shared", lines=75),
    Program("self", forms=("beneath",), lines=340),
    Program("systemfds", forms=("beneath",), lines=400),
]

RUNS = [pytest.param(program, form, id=f"{program}-{form}") for program in PROGRAMS for form in program.forms]

# An ordinary user's are refused everything; of the large ones that is enough: all they do is looked at either way.
TRACES = [
    pytest.param(program, user, id=f"{program}-{user}")
    for program in PROGRAMS
    for user in USERS
    if user == USERS[-1] or program.lines < 2000
]


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize(("program", "form"), RUNS)
def test_a_program_observes_what_it_observes_natively(
    observing: Observing, program: Program, form: str, user: str
) -> None:
    compare(observing(user), program, form)


@pytest.mark.parametrize(("program", "user"), TRACES)
def test_a_traced_program_observes_what_it_observes_natively(observing: Observing, program: Program, user: str) -> None:
    compare(observing(user), program, TRACED)
