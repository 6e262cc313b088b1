"""The files that the frames of stacks lie in: held open from when a stack was seen, read when it is symbolised.

A file is opened by the path that the kernel shows for the mapping, and used only if it is the file that was mapped.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from capwrap.elf.binary import MEMORY_MAX, Binary, Budget, Bytes, Memory, open_regular
from capwrap.elf.cfi import Row, find_row
from capwrap.elf.errors import ElfError
from capwrap.elf.gopclntab import GoTable, go_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from capwrap.elf.binary import HeldFile
    from capwrap.elf.dwarf import Dwarf
    from capwrap.elf.dwarf_unit import Place
    from capwrap.elf.snapshot import Code
    from capwrap.elf.symbols import SymbolTable

HELD_MAX = 64
"""Files that are held open at the same time."""
SECONDS_EACH = 3.0
"""Time for one module's tables, and for one address in them."""
VDSO = "[vdso]"


class Module:
    """One file with all that is known of it. Nothing of it raises ElfError but `row`."""

    def __init__(self, binary: Binary, budget: Budget) -> None:
        self._binary = binary
        self._budget = budget
        self.build_id = binary.build_id
        self._go: GoTable | None = None
        with contextlib.suppress(ElfError):
            self._go = go_table(binary)
        self._tables: list[SymbolTable] | None = None
        self._dwarf: list[Dwarf] = []
        self._opened: list[Binary] = []
        self._rows: dict[int, Row | ElfError | None] = {}
        self._places: dict[int, tuple[Place, ...]] = {}

    def close(self) -> None:
        """Closes its files."""
        for binary in (self._binary, *self._opened):
            binary.close()

    def address_of(self, code: Code, pc: int) -> int | None:
        """The address that the file gives to `pc`."""
        start = self._binary.address_of(code.offset)
        return None if start is None else start + pc - code.start

    def row(self, address: int) -> Row | None:
        """How to unwind from an address. Raises ElfError."""
        if address not in self._rows:
            try:
                self._rows[address] = self._find_row(address)
            except ElfError as error:
                self._rows[address] = error
        row = self._rows[address]
        if isinstance(row, ElfError):
            raise row
        return row

    def _find_row(self, address: int) -> Row | None:
        row = find_row(self._binary, address, self._budget.within(SECONDS_EACH))
        if row is None and self._go is not None:
            function = self._go.find(address)
            return None if function is None else function.row
        return row

    def places(self, address: int) -> tuple[Place, ...]:
        """The functions of an address, innermost first, at least one."""
        found = self._places.get(address)
        if found is None:
            found = self._places[address] = self._find_places(address)
        return found

    def _find_places(self, address: int) -> tuple[Place, ...]:
        from capwrap.elf.dwarf_unit import Place

        self._load()
        symbol = next((name for table in self._tables or () if (name := table.find(address)) is not None), None)
        for dwarf in self._dwarf:
            dwarf.budget = self._budget.within(SECONDS_EACH)
            with contextlib.suppress(ElfError):
                places = dwarf.find(address)
                if places:
                    outer = places[-1]
                    return (*places[:-1], Place(symbol, outer.file, outer.line, False))
        if self._go is not None:
            with contextlib.suppress(ElfError):
                function = self._go.find(address)
                if function is not None:
                    return (Place(function.symbol, function.file, function.line, False),)
        return (Place(symbol, None, None, False),)

    def _load(self) -> None:
        """The tables of the file, and of what was split from it."""
        if self._tables is not None:
            return
        from capwrap.elf.dwarf import Dwarf
        from capwrap.elf.symbols import SymbolTable, debug_file, mini_debug

        self._tables = []
        budget = self._budget.within(SECONDS_EACH)
        binary = self._binary
        sources = [binary]
        with contextlib.suppress(ElfError):
            if binary.section(".symtab") is None or binary.section(".debug_info") is None:
                separate = debug_file(binary, budget)
                if separate is not None:
                    self._opened.append(separate)
                    sources.append(separate)
        with contextlib.suppress(ElfError):
            if not any(source.section(".symtab") for source in sources):
                mini = mini_debug(binary)
                if mini is not None:
                    sources.append(mini)
        for source in sources:
            for name in (".symtab", ".dynsym"):
                with contextlib.suppress(ElfError):
                    table = SymbolTable(source, name, budget)
                    if table:
                        self._tables.append(table)
            with contextlib.suppress(ElfError):
                if source.section(".debug_info") is not None or source.section(".zdebug_info") is not None:
                    self._dwarf.append(Dwarf(source, budget))


@dataclass(slots=True)
class _Slot:
    file: HeldFile | None
    module: Module | None = None
    tried: bool = False


_GONE = _Slot(None, tried=True)


class Modules:
    """The modules of a run's stacks, each opened once. One thread reads them."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._slots: dict[tuple[str, tuple[int, int], int], _Slot] = {}
        self._lock = threading.Lock()
        self._memory = Memory(MEMORY_MAX)
        self._vdso: Module | None = None

    def hold(self, codes: Iterable[Code]) -> None:
        """Open the files of mappings before they are gone, as many as may be held. For any thread."""
        for code in codes:
            with self._lock:
                if code.key in self._slots or not code.path.startswith("/") or self._n_held() >= HELD_MAX:
                    continue
                self._slots[code.key] = _Slot(None if code.deleted else _same_file(code))

    def _n_held(self) -> int:
        return sum(1 for slot in self._slots.values() if slot.file is not None)

    def module(self, code: Code) -> Module | None:
        """The module of a mapping; None where its file is gone, or is no ELF file."""
        if code.path == VDSO:
            if self._vdso is None:
                self._vdso = _own_vdso(self._budget)
            return self._vdso
        if not code.path.startswith("/"):
            return None
        with self._lock:
            while code.key not in self._slots and self._n_held() >= HELD_MAX:
                # the oldest goes: this is the one thread that reads them
                key, slot = next((key, slot) for key, slot in self._slots.items() if slot.file is not None)
                _close(slot)
                del self._slots[key]
        self.hold((code,))
        with self._lock:
            slot = self._slots.get(code.key, _GONE)
        if not slot.tried:
            slot.tried = True
            if slot.file is not None:
                with contextlib.suppress(ElfError):
                    slot.module = Module(Binary(slot.file, self._memory), self._budget)
        return slot.module

    def row(self, code: Code, pc: int) -> Row | None:
        """The rules of `unwind.Rules`."""
        module = self.module(code)
        address = None if module is None else module.address_of(code, pc)
        return None if module is None or address is None else module.row(address)

    def close(self) -> None:
        """Closes all files."""
        for slot in self._slots.values():
            _close(slot)
        self._slots.clear()


def _close(slot: _Slot) -> None:
    if slot.module is not None:
        slot.module.close()
    elif slot.file is not None:
        slot.file.close()
    slot.file = slot.module = None
    slot.tried = True


def _same_file(code: Code) -> HeldFile | None:
    """The mapped file, if its path still leads to it."""
    file = open_regular(code.path)
    if file is None:
        return None
    device, inode = file.identity
    if inode == code.inode and (
        (os.major(device), os.minor(device)) == code.device or code.device in _shown_devices(code.path, file)
    ):
        return file
    file.close()
    return None


def _shown_devices(path: str, file: HeldFile) -> set[tuple[int, int]]:
    """The devices that the kernel shows in maps for a file: not those of stat(2) on btrfs and overlayfs."""
    found = set()
    try:
        with mmap.mmap(file.fileno(), 1, access=mmap.ACCESS_READ), open("/proc/self/maps", "rb") as maps:
            for line in maps:
                fields = line.split(None, 5)
                if len(fields) == 6 and int(fields[4]) == file.identity[1] and fields[5].strip() == os.fsencode(path):
                    major, minor = fields[3].split(b":")
                    found.add((int(major, 16), int(minor, 16)))
    except (OSError, ValueError):
        return set()
    return found


@lru_cache(maxsize=1)
def _vdso_bytes() -> bytes:
    """This process's own vdso, which is the target's too."""
    try:
        with open("/proc/self/maps") as maps:
            for line in maps:
                if line.rstrip().endswith(VDSO):
                    start, end = (int(part, 16) for part in line.split()[0].split("-"))
                    with open("/proc/self/mem", "rb", 0) as memory:
                        memory.seek(start)
                        return memory.read(end - start)
    except (OSError, ValueError):
        pass
    return b""


def _own_vdso(budget: Budget) -> Module | None:
    try:
        return Module(Binary(Bytes(_vdso_bytes(), VDSO)), budget)
    except ElfError:
        return None
