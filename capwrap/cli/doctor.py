"""capwrap doctor: what this kernel and container offer, which guarantees follow, what is missing."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from capwrap.cli.base import Command
from capwrap.cli.messages import emit, printable
from capwrap.policy._pad import AUX_COUNT

if TYPE_CHECKING:
    from collections.abc import Callable

    from capwrap.engine import Features


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table."""

    name: str
    state: str
    """yes, no, or a version"""
    ok: bool
    needed: bool
    """whether `capwrap run` cannot start without it"""
    means: str
    """the guarantee that follows, or the consequence of its absence with the remedy"""


@dataclass(frozen=True, slots=True)
class _Check:
    name: str
    value: Callable[[Features], int]
    needed: bool
    gives: str
    without: str


_LANDLOCK_STEPS = (
    # Of 2, renames between directories: the supervisor makes them, whom Landlock does not hold.
    (3, "truncation is held by the kernel too", "truncation is held by the seccomp program and the supervisor alone"),
    (4, "TCP is held by the kernel too", "TCP is held by the seccomp program and the supervisor alone"),
    (5, "ioctl on devices is held by the kernel too", "ioctl on devices is held by the seccomp program alone"),
    (
        6,
        "signals to groups of processes, and abstract sockets, work and stay in the target",
        "signals to groups of processes, and abstract sockets, are refused (Linux 6.12 can keep them in the target)",
    ),
)

_CHECKS = (
    _Check(
        "ptrace",
        lambda features: features.ptrace,
        True,
        "calls can be caught and rewritten",
        "no call can be caught; allow ptrace in the container's seccomp profile",
    ),
    _Check(
        "seccomp trace",
        lambda features: features.seccomp_trace,
        True,
        "the kernel passes only calls in capability form and hands the rest to the supervisor",
        "no call can be selected; run on a kernel with CONFIG_SECCOMP_FILTER, outside gVisor",
    ),
    _Check(
        "seccomp notification",
        lambda features: features.seccomp_user_notif,
        True,
        "the supervisor hands over descriptors, and the target cannot hide calls behind a listener of its own",
        "descriptors cannot be handed over; run on Linux 5.14 or later, without another listener",
    ),
    _Check(
        "openat2",
        lambda features: features.openat2,
        True,
        "names are resolved beneath their grant by the kernel",
        "names cannot be held beneath a grant; run on Linux 5.6 or later",
    ),
    _Check(
        "process_vm_readv",
        lambda features: features.process_vm,
        False,
        "arguments are copied in one call",
        "arguments are copied word by word with ptrace, which is slower",
    ),
    _Check(
        "mseal",
        lambda features: features.mseal,
        False,
        "the pad's mapping is sealed by the kernel",
        "the pad's mapping is guarded by the seccomp program alone (Linux 6.10 seals it)",
    ),
    _Check(
        "MFD_NOEXEC_SEAL",
        lambda features: features.memfd_noexec_seal,
        False,
        "the pad's file can never be executed",
        "the pad's file is kept from execution by the exec rules alone (Linux 6.3 seals it)",
    ),
    _Check(
        "PROCMAP_QUERY",
        lambda features: features.procmap_query,
        False,
        "an exec is verified by a question for one mapping",
        "an exec is verified by reading /proc/PID/maps, which is slower (Linux 6.11 is faster)",
    ),
    _Check(
        "fchmodat2",
        lambda features: features.fchmodat2,
        False,
        "modes are changed on a held descriptor",
        "modes are changed through /proc/self/fd (Linux 6.6 does without)",
    ),
    _Check(
        "pidfd_getfd",
        lambda features: features.pidfd_getfd,
        False,
        "unix sockets by path can be connected to and bound, and sockets can listen",
        "connect to a unix socket by path is ECONNREFUSED, bind to one EACCES, listen EOPNOTSUPP without --net host; "
        "allow pidfd_getfd in the container's seccomp profile (docker: --cap-add SYS_PTRACE)",
    ),
    _Check(
        "unshare",
        lambda features: features.unshare_fs,
        False,
        "the supervisor has an umask and a current directory of its own",
        "bind to a path is EACCES; allow unshare in the container's seccomp profile",
    ),
    _Check(
        "vDSO gadget",
        lambda features: features.vdso_gadget,
        True,
        "the pad is mapped at every exec before the program's first instruction",
        "the pad cannot be mapped; boot without vdso=0",
    ),
)


_OF_A_TRACED_CHILD = ("process_vm_readv", "pidfd_getfd")


def findings(features: Features) -> list[Finding]:
    """The table, in the order in which it is shown."""
    abi = max(features.landlock_abi, 0)
    found = [
        Finding(
            "Landlock",
            f"ABI {abi}" if abi else "no",
            abi > 0,
            True,
            "what is not granted can be neither opened nor executed, even if a rewriter has a bug"
            if abi
            else "nothing stands behind the rewriters; enable Landlock (lsm=landlock), or run with --best-effort",
        )
    ]
    for step, gives, without in _LANDLOCK_STEPS:
        if abi:
            ok = abi >= step
            found.append(Finding(f"Landlock ABI {step}", "yes" if ok else "no", ok, False, gives if ok else without))
    for check in _CHECKS:
        if check.name in _OF_A_TRACED_CHILD and features.ptrace <= 0:
            continue  # not tried
        value = check.value(features)
        ok = value > 0
        state = "yes" if ok else "no" if value == 0 else f"no ({os.strerror(-value)})"
        found.append(Finding(check.name, state, ok, check.needed, check.gives if ok else check.without))
    if features.yama_scope >= 2 and features.ptrace <= 0:
        scope = f"scope {features.yama_scope}"
        found.append(
            Finding("Yama", scope, False, True, "tracing is forbidden; set kernel.yama.ptrace_scope to 1 or 0")
        )
    return found


_TABLE = 4096  # CW_FD_TABLE: above this the range of the capabilities does not lie
_CAPABILITIES = 192 + AUX_COUNT  # CW_MAX_CAPS, and the descriptors of the pad and of deliveries


def remarks(features: Features) -> list[str]:
    """What else is worth knowing of this process's place."""
    lines = []
    if features.seccomp_filters > 0:
        lines.append("a seccomp filter is in force already (a container's profile): what it refuses stays refused")
    if os.geteuid() == 0:
        lines.append("run by root: the target keeps the file capabilities only")
    soft, hard = features.nofile_soft, features.nofile_hard
    if soft <= _TABLE and soft + _CAPABILITIES > hard and not features.cap_sys_resource:
        lines.append(
            f"RLIMIT_NOFILE is {soft}, and {hard} at most: the capabilities take up to {_CAPABILITIES} of them, "
            "so that the target sees less; raise the hard limit before"
        )
    return lines


def place_remarks() -> tuple[list[str], list[str]]:
    """(where Landlock is coarser than the default policy here, warnings of its grants)."""
    from capwrap.cli.launch import current_directory
    from capwrap.cli.messages import Failure
    from capwrap.policy import Policy, PolicyError
    from capwrap.policy.build import build_namespace
    from capwrap.policy.check import warnings
    from capwrap.policy.coarse import coarse_places

    policy = Policy.profile(Policy.DEFAULT_PROFILE)
    try:
        space = build_namespace(policy, command=None, cwd=current_directory(), environ=os.environ)
    except (PolicyError, Failure) as error:
        return [], [f"the default policy cannot be used here: {error}"]
    return coarse_places(space), list(warnings(space))


@click.command("doctor", cls=Command, short_help="Show what this kernel and container offer.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> int:
    """Show what this kernel and container offer, which guarantees follow, and what is missing.

    The exit status is 0 if `capwrap run` can work here, else 1.
    """
    from capwrap import engine as engines

    features = engines.load().probe()
    table = findings(features)
    works = all(finding.ok for finding in table if finding.needed)
    coarse, warnings = place_remarks()
    if as_json:
        import json

        document: dict[str, Any] = {
            "works": works,
            "kernel": features.release,
            "features": features._asdict(),
            "findings": [asdict(finding) for finding in table],
            "remarks": remarks(features),
            "landlock_coarse": coarse,
            "warnings": warnings,
        }
        emit(json.dumps(document, indent=2) + "\n")
    else:
        emit(render(features, table, coarse, warnings, works=works))
    return 0 if works else 1


def render(features: Features, table: list[Finding], coarse: list[str], warnings: list[str], *, works: bool) -> str:
    """The report for a person; ends with a newline."""
    lines = [f"kernel {printable(features.release)}", ""]
    width = max(len(finding.name) for finding in table)
    states = max(len(finding.state) for finding in table)
    for title, chosen in (
        ("There, and what follows:", [finding for finding in table if finding.ok]),
        ("Missing, and what that means:", [finding for finding in table if not finding.ok]),
    ):
        if chosen:
            lines.append(title)
            for finding in chosen:
                grave = "needed: " if finding.needed and not finding.ok else ""
                lines.append(f"  {finding.name:<{width}}  {finding.state:<{states}}  {grave}{finding.means}")
            lines.append("")
    for title, texts in (
        ("Remarks:", remarks(features)),
        ("Where Landlock is coarser than the default policy here:", coarse),
        ("Warnings of the default policy here:", warnings),
    ):
        if texts:
            lines += [title, *(f"  {printable(line)}" for text in texts for line in text.splitlines()), ""]
    lacking = [finding.name for finding in table if finding.needed and not finding.ok]
    if works:
        lines.append("`capwrap run` can work here.")
    elif lacking == ["Landlock"]:
        lines.append("`capwrap run` can work here with --best-effort only.")
    else:
        lines.append("`capwrap run` cannot work here.")
    return "\n".join(lines) + "\n"
