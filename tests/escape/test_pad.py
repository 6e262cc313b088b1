"""The pad: nobody gets other memory to its address, and whatever stands in it is harmless in anybody's hands."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from capwrap.policy import _pad
from escape.harness import Arena
from escape.running import SOURCES
from escape.test_processes import survivor, writers

ATTACKS = [
    "write",
    "mprotect",
    "mprotect-from-below",
    "pkey-mprotect",
    "map-over",
    "map-page-over",
    "map-across",
    "unmap",
    "unmap-across",
    "wrapping",
    "remap-onto",
    "remap-away",
    "remap-shrink",
    "dontfork",
    "dontfork-across",
    "process-madvise",
    "wipeonfork",
    "remove",
    "shmat",
    "remap-file-pages",
    "proc-mem",
    "process-vm-writev",
]


@pytest.mark.stopped_by("seccomp", "pad")
@pytest.mark.parametrize("attack", ATTACKS)
def test_the_pad_cannot_be_changed_or_replaced(arena: Arena, attack: str) -> None:
    arena.holds("escape/pad", attack, standin=True, dies=True)


DOORS = ["by-number", "by-proc-self", "by-thread-self", "by-dev-fd", "by-pid", "by-parent", "by-map-files"]


@pytest.mark.stopped_by("pad", "rewriter")
@pytest.mark.parametrize("door", DOORS)
def test_the_file_behind_the_pad_is_out_of_reach(arena: Arena, door: str) -> None:
    # map_files is for CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE.
    needs_privilege = door == "by-map-files" and (arena.who.uid or os.geteuid())
    native = "only root may use /proc/self/map_files" if needs_privilege else None
    arena.holds("escape/seals", door, standin=True, native=native)


DEEDS: dict[str, Callable[[int], object]] = {
    "cut": lambda fd: os.ftruncate(fd, 0),
    "cut to the hows": lambda fd: os.ftruncate(fd, _pad.PAD_HOW_RO - _pad.PAD_BASE),
    "grow": lambda fd: os.ftruncate(fd, _pad.PAD_SIZE + mmap.PAGESIZE),
    "allocate": lambda fd: os.posix_fallocate(fd, _pad.PAD_SIZE, mmap.PAGESIZE),
    "punch a hole": lambda fd: punch(fd, _pad.PAD_HOW_RO - _pad.PAD_BASE, mmap.PAGESIZE),
    "write": lambda fd: os.pwrite(fd, bytes(64), _pad.PAD_HOW_RO - _pad.PAD_BASE),
    "map": lambda fd: mmap.mmap(fd, _pad.PAD_SIZE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE),
    "seal": lambda fd: fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE),
}


def punch(fd: int, offset: int, length: int) -> None:
    """fallocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.fallocate(fd, 3, ctypes.c_long(offset), ctypes.c_long(length)):
        raise OSError(ctypes.get_errno(), "fallocate")


def do_deeds(fd: int) -> dict[str, int | None]:
    """The errno of each deed on a memfd as large as the pad; None where it worked, and then the memfd is spoilt."""
    found: dict[str, int | None] = {}
    for name, deed in DEEDS.items():
        try:
            deed(fd)
        except OSError as error:
            found[name] = error.errno
        else:
            found[name] = None
            os.ftruncate(fd, _pad.PAD_SIZE)
    return found


@pytest.mark.stopped_by("pad")
def test_who_reaches_the_file_behind_the_pad_cannot_change_it(arena: Arena) -> None:
    """The seals are the second line, which the target never comes to see: they are tried from outside, by /proc."""
    fd = os.memfd_create("standin", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, _pad.PAD_SIZE)
    natively = do_deeds(fd)
    os.close(fd)
    assert set(natively.values()) == {None}, natively
    with survivor(arena, "stay", confined=True) as (_, trail):
        (pid,) = writers(trail)
        directory = Path(f"/proc/{pid}/fd")
        doors = [entry for entry in directory.iterdir() if os.readlink(entry) == "/memfd:capwrap-pad (deleted)"]
        assert doors, "the target holds no descriptor of the pad"
        for door in doors:
            fd = os.open(door, os.O_RDWR | os.O_CLOEXEC)
            try:
                before = os.pread(fd, _pad.PAD_SIZE, 0)
                assert do_deeds(fd) == dict.fromkeys(DEEDS, errno.EPERM)
                assert len(before) == _pad.PAD_SIZE
                assert os.pread(fd, _pad.PAD_SIZE, 0) == before
            finally:
                os.close(fd)


@pytest.mark.stopped_by("pad")
@pytest.mark.parametrize("attack", ["huge", "grow-down"])
def test_no_mapping_that_the_kernel_places_or_grows_comes_to_lie_there(arena: Arena, attack: str) -> None:
    arena.holds("escape/placed", attack, dies=True)


@pytest.mark.stopped_by("seccomp")
def test_the_heap_cannot_be_moved_there(arena: Arena) -> None:
    # A position-independent program's data lies above the pad, and the heap has to lie above that.
    arena.holds("escape/placed", "set-mm", static=True, dies=True)


@pytest.mark.stopped_by("seccomp")
def test_the_vdso_cannot_be_mapped_there(arena: Arena) -> None:
    native = "without /proc there is no telling where the first vdso lies" if arena.pure else None
    arena.holds("escape/placed", "vdso", standin=True, native=native, dies=True)


@pytest.mark.stopped_by("seccomp")
@pytest.mark.parametrize("attack", ["tagged", "shadow-stack"])
def test_what_newer_processors_can_do_with_addresses_leaves_the_pad_alone(arena: Arena, attack: str) -> None:
    outcome, _ = arena.attack("escape/placed", attack, "standin", options=None)
    native = None if outcome.verdict == "ESCAPED" else "this processor or this kernel cannot"
    arena.holds("escape/placed", attack, standin=True, native=native, dies=True)


@pytest.mark.stopped_by("exec stop")
@pytest.mark.parametrize(
    "layout",
    [
        "-Wl,-Ttext-segment=0x7f000000",
        "-Wl,-Ttext-segment=0x7f002000",
        "-Wl,-Ttext-segment=0x7f100000",
        "-Wl,-Ttext-segment=0x7f440000",
        "-Wl,-Ttext-segment=0x7e000000 -DROOM=0x3000000",
    ],
)
def test_a_program_linked_to_lie_there_does_not_start(arena: Arena, layout: str) -> None:
    flags = ["-static", "-no-pie", *layout.split()]
    where = arena.programs.directory / f"padelf-{layout.replace(' ', '').replace('/', '')}"
    program = arena.programs.compile(where, [SOURCES / "escape" / "padelf.c"], *flags)
    arena.holds("escape/execs", "by-path", str(program), dies=True)


@pytest.mark.stopped_by("capability form", "rewriter")
@pytest.mark.parametrize("attack", ["read-only-offsets", "writable-offsets"])
def test_no_how_can_be_read_from_between_two_slots(arena: Arena, attack: str) -> None:
    arena.holds("escape/forms", attack, standin=True)


@pytest.mark.stopped_by("capability form", "rewriter")
def test_nothing_else_in_the_pad_serves_as_a_how(arena: Arena) -> None:
    arena.holds("escape/forms", "other-regions", standin=True)


@pytest.mark.stopped_by("capability form", "rewriter")
def test_no_other_size_of_a_how_is_let_through(arena: Arena) -> None:
    arena.holds("escape/forms", "odd-sizes", standin=True)


@pytest.mark.stopped_by("capability form", "rewriter")
def test_a_pointer_that_is_a_slot_in_its_lower_half_only_is_no_slot(arena: Arena) -> None:
    arena.holds("escape/forms", "upper-half-pointer", standin=True)


@pytest.mark.stopped_by("capability form", "rewriter")
def test_the_hows_of_the_pad_serve_no_descriptor_of_ones_own(arena: Arena) -> None:
    arena.holds("escape/forms", "own-descriptor", standin=True, stdin="secret")


@pytest.mark.stopped_by("seccomp", "rewriter")
def test_entering_the_stub_anywhere_with_any_registers_does_nothing(arena: Arena) -> None:
    arena.holds("escape/forms", "enter-stub", standin=True)


@pytest.mark.stopped_by("seccomp", "rewriter")
def test_a_forged_frame_returns_to_no_place_in_the_stub_that_does_anything(arena: Arena) -> None:
    arena.holds("escape/forms", "return-to-stub", standin=True)


@pytest.mark.stopped_by("capability form", "rewriter")
def test_a_thread_that_the_kernel_takes_out_of_the_stub_for_a_restartable_sequence_gets_nothing(arena: Arena) -> None:
    arena.holds("escape/sections", "rewritten", standin=True)


@pytest.mark.stopped_by("rewriter")
def test_an_exec_of_what_a_slot_holds_tells_of_no_name(arena: Arena) -> None:
    arena.holds("escape/stub", "exec-tells", standin=True)


@pytest.mark.stopped_by("supervisor")
def test_the_numbers_that_only_the_stub_uses_are_unknown_to_others(arena: Arena) -> None:
    why = "the numbers are unknown to the kernel, too: this compares with it"
    outcome, _ = arena.attack("escape/forms", "private-numbers", options=None)
    assert outcome.verdict == "HELD", str(outcome)
    arena.holds("escape/forms", "private-numbers", native=why, why="ENOSYS")
