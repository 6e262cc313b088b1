"""The seccomp program as a whole, in the simulator and in the kernel; its rules have tests of their own."""

from __future__ import annotations

import errno
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seccomp_calls import (
    ALLOW,
    ANSWER,
    BASE,
    CAP_END,
    CAP_RO,
    CAP_RW,
    END,
    HIGH,
    NOTIFY,
    NUMBER,
    TRACE,
    U32,
    U64,
    VALUES,
    program,
    verdict,
    words,
)

from capwrap.policy import _pad, bpf, seccomp
from capwrap.policy._syscalls import ROWS, Row


def test_the_program_is_well_below_the_limit_of_the_kernel() -> None:
    many = frozenset(range(0x10000, 0x10400, 2))
    assert len(program().insns) < 1200
    assert len(program(2, many, True, False).insns) < bpf.MAX_INSNS


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_the_table_says_without_a_rule_holds_for_any_registers(row: Row) -> None:
    if row.kind != "check":
        expected = {"pass": ALLOW, "trace": TRACE, "notify": ANSWER}.get(row.kind, row.error)
        for value in (0, 1, CAP_RO, 0x1000, BASE, HIGH | BASE, U64):
            assert verdict(row.name, *(value,) * 6) == expected


@given(st.integers(0, U32), st.lists(st.integers(0, U64), min_size=6, max_size=6))
def test_a_number_without_a_row_is_enosys(nr: int, args: list[int]) -> None:
    known = {*NUMBER.values(), _pad.NR_DELIVER, _pad.NR_RETRY, _pad.NR_DONE}
    if nr not in known:
        assert words(bpf.run(program(), nr, args)) == "ENOSYS"


def test_x32_calls_are_enosys() -> None:
    for row in ROWS:
        assert words(bpf.run(program(), row.number | 0x40000000)) == "ENOSYS"


@pytest.mark.parametrize("arch", [0x40000003, 0xC00000B7, 0, U32, 0xC000003F])
def test_calls_of_another_architecture_are_enosys(arch: int) -> None:
    for row in ROWS:
        assert verdict(row.name, arch=arch) == "ENOSYS"
    assert words(bpf.run(program(), _pad.NR_DELIVER, (), arch)) == "ENOSYS"


def test_the_numbers_of_the_stub_have_their_verdicts() -> None:
    assert words(bpf.run(program(), _pad.NR_DELIVER)) == NOTIFY
    assert words(bpf.run(program(), _pad.NR_RETRY)) == TRACE
    assert words(bpf.run(program(), _pad.NR_DONE)) == TRACE
    for nr in (337, 423, 470, 0x3FF0):
        assert words(bpf.run(program(), nr)) == "ENOSYS"


def test_calls_that_pass_read_nothing_but_number_and_architecture() -> None:
    # As the kernel finds out which calls to keep in its bitmap (kernel/seccomp.c, seccomp_is_const_allow).
    insns = program().insns
    for row in ROWS:
        if row.kind != "pass":
            continue
        at = a = 0
        while insns[at].code != bpf.RET:
            insn = insns[at]
            at += 1
            match insn.code:
                case bpf.LD_ABS:
                    assert insn.k in (bpf.NR, bpf.ARCH), row.name
                    a = row.number if insn.k == bpf.NR else bpf.AUDIT_ARCH_X86_64
                case bpf.JA:
                    at += insn.k
                case bpf.JEQ:
                    at += insn.jt if a == insn.k else insn.jf
                case bpf.JGE:
                    at += insn.jt if a >= insn.k else insn.jf
                case _:
                    pytest.fail(f"{row.name}: code {insn.code:#x}")
        assert words(insns[at].k) == ALLOW


def test_every_trace_has_data_zero() -> None:
    assert {insn.k for insn in program().insns if insn.code == bpf.RET and insn.k >> 16 == 0x7FF0} == {0x7FF00000}


def test_relocations_are_added_to_what_stands_there() -> None:
    made = seccomp.build(net=0, allow_ioctls=frozenset(), limit_processes=False)
    assert {reloc.kind for reloc in made.relocs} == {0, 1, 2, 3}
    for reloc in made.relocs:
        assert program().insns[reloc.index].k == made.insns[reloc.index].k + VALUES[reloc.kind]
    with pytest.raises(ValueError, match="not linked"):
        bpf.run(made, 0)


@pytest.mark.parametrize("net", [-1, 3])
def test_build_refuses_an_unknown_net(net: int) -> None:
    with pytest.raises(ValueError, match="net"):
        seccomp.build(net=net, allow_ioctls=frozenset(), limit_processes=False)


@pytest.mark.parametrize("request_", [0x5412, 0x541C, 0x5423, 0x8901, 0x8902, 0x40086602, -1, 1 << 32])
def test_build_refuses_an_ioctl_that_is_never_passed(request_: int) -> None:
    with pytest.raises(ValueError, match="ioctl request"):
        seccomp.build(net=0, allow_ioctls=frozenset({request_}), limit_processes=False)


CALLER = r"""
/* Installs the program in the file argv[1], then makes each call that stdin lists and prints its result. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static struct sock_filter insns[4096];
	static unsigned long calls[4096][7];
	struct sock_fprog program = { .filter = insns };
	size_t n = 0;
	FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;

	if (!file)
		return 2;
	program.len = (unsigned short)fread(insns, sizeof(insns[0]), 4096, file);
	fclose(file);
	for (unsigned long *c = calls[0]; n < 4096; c = calls[++n])
		if (scanf("%lu %lu %lu %lu %lu %lu %lu", c, c + 1, c + 2, c + 3, c + 4, c + 5, c + 6) != 7)
			break;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program)) {
		perror("seccomp");
		return 3;
	}
	for (size_t i = 0; i < n; i++) {
		const unsigned long *c = calls[i];
		long result = syscall((long)c[0], c[1], c[2], c[3], c[4], c[5], c[6]);
		printf("%ld\n", result == -1 ? -(long)errno : result);
	}
	return 0;
}
"""
#: Calls whose answer by the kernel is known if the program passes them: name, arguments, result.
PASSED = [
    ("close", (5000,), -errno.EBADF),
    ("dup2", (5000, 5001), -errno.EBADF),
    ("fcntl", (1, 1), 0),
    ("fcntl", (5000, 0, CAP_END + 100), -errno.EBADF),
    ("munmap", (0x1, 0x1000), -errno.EINVAL),
    ("munmap", (BASE - 0x1001, 0x1000), -errno.EINVAL),
    ("munmap", (END + 1, 0x1000), -errno.EINVAL),
    ("mprotect", (1 << 33, 0x1000, 0), -errno.ENOMEM),
    ("getpgid", (HIGH,), None),
    ("personality", (U32,), 0),
    ("seccomp", (2, 0, 0), -errno.EFAULT),
    ("socket", (1, 2, 7), -errno.EPROTONOSUPPORT),
    ("ioctl", (5000, 0x5401, 0), -errno.EBADF),
    ("prctl", (23, 0), None),
    ("clock_gettime", (-6, 0), -errno.EFAULT),
    ("openat2", (CAP_RO, 0, _pad.PAD_HOW_RO, 24), -errno.EFAULT),
    ("sendto", (5000, 0, 0, 0, 0, 0), -errno.EBADF),
    ("umask", (0o22,), None),
]
#: Calls that the program decides: their result is its verdict, and a stop without a tracer is ENOSYS.
DECIDED = [
    ("execve", (_pad.PAD_SLOT + 256, 0, 0)),
    ("close", (HIGH | CAP_RO,)),
    ("dup", (CAP_END - 1,)),
    ("dup2", (0, CAP_RW)),
    ("fcntl", (1, 0, CAP_RO)),
    ("fcntl", (1, 0, CAP_END - 1)),
    ("fcntl", (CAP_RO, 2, 1)),
    ("fcntl", (1, 15, 0)),
    ("close_range", (3, U32, 0)),
    ("munmap", (BASE - 0x1000, 0x1001)),
    ("munmap", (0x1000, U64 - 0xFFF)),
    ("munmap", (U64 - 0xFFF, 0x1000)),
    ("munmap", (1 << 47, 0x1000)),
    ("munmap", (END - 0x1000, 0x1000)),
    ("mmap", (BASE, 0x1000, 3, 0x32, U64, 0)),
    ("mmap", (BASE, 0x1000, 3, 0x100022, U64, 0)),
    ("mmap", (0x40000000, 0x1000, 3, 0x32, U64, 0)),
    ("mmap", (0x1000, BASE, 3, 0x32, U64, 0)),
    ("mremap", (1 << 33, 0x1000, 0x1000, 3, BASE)),
    ("brk", (BASE,)),
    ("shmat", (0, BASE, 0)),
    ("unshare", (0x10000000,)),
    ("clone", (0x10000011, 0, 0, 0, 0)),
    ("clone3", (0, 0)),
    ("ptrace", (0, 0, 0, 0)),
    ("prctl", (35, 0)),
    ("prctl", (59, 1)),
    ("personality", (0x400000,)),
    ("arch_prctl", (0x2003, BASE)),
    ("seccomp", (1, 8, 0)),
    ("socket", (1, 0x40000001, 0)),
    ("socket", (16, 3, 0)),
    ("socket", (2, 3, 1)),
    ("socket", (2, 1, 132)),
    ("ioctl", (0, 0x5412, 0)),
    ("ioctl", (0, 0x8901, 0)),
    ("openat2", (-100, 0, _pad.PAD_HOW_RO, 24)),
    ("openat2", (CAP_RO, 0, _pad.PAD_HOW_RO + 8, 24)),
    ("open", (0, 0, 0)),
    ("kill", (1, 0)),
    ("listen", (5000, 1)),
    ("connect", (5000, _pad.PAD_IN4 + 1, 16)),
    ("name_to_handle_at", (0, 0, 0, 0, 0)),
]


def test_the_kernel_takes_the_program_and_decides_as_the_simulator_does(tmp_path: Path) -> None:
    (tmp_path / "caller.c").write_text(CALLER)
    subprocess.run(["gcc", "-std=gnu11", "-Wall", "-Werror", "-o", "caller", "caller.c"], cwd=tmp_path, check=True)
    insns = program().insns
    (tmp_path / "program").write_bytes(b"".join(struct.pack("<HBBI", i.code, i.jt, i.jf, i.k) for i in insns))
    calls = [(NUMBER[name], args) for name, args in DECIDED] + [(NUMBER[name], args) for name, args, _ in PASSED]
    calls += [(nr, ()) for nr in (_pad.NR_DELIVER, _pad.NR_RETRY, 5000, 470, 0x40000000 | 39)]
    text = "".join(f"{nr} {' '.join(str(a & U64) for a in (*args, *(0,) * (6 - len(args))))}\n" for nr, args in calls)
    command = [tmp_path / "caller", tmp_path / "program"]
    ran = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    results = [int(line) for line in ran.stdout.splitlines()]
    assert len(results) == len(calls)
    for (name, args), result in zip(DECIDED, results, strict=False):
        said = verdict(name, *args)
        assert said != ALLOW, name
        assert result == (-errno.ENOSYS if said == TRACE else 0 if said == "0" else -getattr(errno, said)), (name, args)
    for (name, args, expected), result in zip(PASSED, results[len(DECIDED) :], strict=False):
        assert verdict(name, *args) == ALLOW, name
        assert result == expected if expected is not None else result >= 0, (name, args, result)
    assert results[-5:] == [-errno.ENOSYS] * 5
