"""The line holds where an ordinary container runs: with docker's default denials, and without CAP_SYS_PTRACE."""

from __future__ import annotations

import pytest

from escape.conftest import variants
from escape.harness import Arena
from escape.running import PATH, capwrap, run

# An ordinary user cannot be reached from inside: that takes a mount namespace, which the profile denies.
VARIANTS = [variant for variant in variants() if not variant.startswith("user")]

ATTACKS = [
    ("paths", "open", "{base}/secret/file"),
    ("paths", "stat", "directory/file"),
    ("paths", "exec", "../secret/prog"),
    ("paths", "chmod", "{base}/ro/file"),
    ("paths", "rename-away", "{base}/carved/a.key"),
    ("files", "reopen-writable"),
    ("files", "link-by-proc"),
    ("files", "fchmod"),
    ("filters", "not-dumpable"),
    ("filters", "own-listener"),
    ("processes", "kill"),
    ("scheduling", "prlimit-set"),
    ("execs", "memfd"),
    ("execs", "interpreter"),
    ("numbers", "int80-open"),
    ("numbers", "upper-half-number"),
]

MECHANISM = [
    ("caps", "own-how"),
    ("hurts", "close-range"),
    ("hurts", "dup2"),
    ("pad", "map-over"),
    ("pad", "dontfork"),
    ("forms", "read-only-offsets"),
    ("forms", "enter-stub"),
]


@pytest.mark.no_attack
@pytest.mark.parametrize("arena", VARIANTS, indirect=True)
def test_a_granted_file_opens_in_a_container(arena: Arena) -> None:
    outcome, _ = arena.attack("escape/paths", "open", "{base}/work/file", options=(), wrap=arena.container())
    assert outcome.stdout.endswith(": work\n\n"), str(outcome)


@pytest.mark.no_attack
@pytest.mark.parametrize("arena", [VARIANTS[0]], indirect=True)
def test_a_target_that_becomes_another_user_in_a_container_is_served(arena: Arena) -> None:
    """The supervisor has no CAP_SYS_PTRACE: the memory of a process that changed its ids is closed to it at first."""
    script = (
        "id -u; stat -c %U:%a /usr/bin/env; readlink /usr/bin/awk; head -c 4 /usr/bin/env | tail -c 3; echo; "
        "touch mine && stat -c %u mine; cat /etc/shadow || echo no; echo child | cat"
    )
    become = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", script]
    outcomes = []
    for confined in (False, True):
        arena.build()
        place = arena.base / "work" / "open"
        place.mkdir()
        place.chmod(0o777)
        front = [capwrap(), "run", "-q", "--"] if confined else []
        outcomes.append(run([*arena.container(), *front, *become], cwd=place, env={"PATH": PATH}))
    native, confined_run = outcomes
    assert native.returncode == 0, str(native)
    assert native.stdout.startswith("65534\nroot:755\n"), str(native)
    assert confined_run.stdout == native.stdout, f"{native}\n{confined_run}"
    assert confined_run.returncode == 0, str(confined_run)


@pytest.mark.stopped_by("rewriter", "seccomp", "Landlock", inside="container")
@pytest.mark.parametrize("arena", VARIANTS, indirect=True)
@pytest.mark.parametrize("attack", [*ATTACKS, *MECHANISM], ids=lambda attack: "-".join(attack[:2]))
def test_an_attack_is_held_in_a_container(arena: Arena, attack: tuple[str, ...]) -> None:
    family, name, *args = attack
    standin = ["standin"] if attack in MECHANISM else []
    wrap = arena.container()
    outcome, _ = arena.attack(f"escape/{family}", name, *args, *standin, options=None, wrap=wrap)
    assert outcome.verdict == "ESCAPED", f"natively the attack shows nothing: {outcome}"
    outcome, changes = arena.attack(f"escape/{family}", name, *args, options=(), wrap=wrap)
    # To be killed for trying is as good as to be refused where the attack is on capwrap's own mechanism.
    if not (attack in MECHANISM and outcome.returncode < 0):
        assert outcome.verdict == "HELD", str(outcome)
    assert not changes, "\n".join([*changes, str(outcome)])
