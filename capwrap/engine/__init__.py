"""The engine as Python sees it: one launch in, one outcome out; batches of event records through a callback.

engine.h is the contract. The C module is loaded when it is first needed, so that commands that do not run anything
start without it. Tests put another `Engine` in its place.
"""

from __future__ import annotations

import os
from _thread import allocate_lock
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Sink = Callable[[bytes], bool]
    Started = Callable[[int], None]


class EngineError(Exception):
    """The engine cannot be loaded; the message says why and what to do."""


# Values here are named tuples: each frozen dataclass costs a millisecond of every start.


class Launch(NamedTuple):
    """One run of COMMAND (struct cw_run)."""

    image: bytes
    argv: Sequence[bytes]
    environ: Mapping[bytes, bytes]
    chdir: bytes | None = None
    """virtual directory to start in (in a trace: the host's); None: the caller's"""
    record_access: bool = False
    record_stack: bool = False
    linger: bool = False
    best_effort: bool = False
    foreground: bool = False
    timeout_ms: int = 0
    """0: none"""
    stdio: tuple[int, int, int] = (-1, -1, -1)
    """descriptors for 0, 1 and 2; -1: the caller's own"""
    pass_fds: Sequence[int] = ()
    trace: bool = False
    """confine nothing, and record what the policy would have refused"""
    prompt: bool = False
    """hand out records as they come"""


class Outcome(NamedTuple):
    """How a run ended (struct cw_result)."""

    failed: bool = False
    exec_errno: int = 0
    status: int = 0
    """wait status of COMMAND, as waitpid(2) gives it"""
    timed_out: bool = False
    stops: int = 0
    deliveries: int = 0
    refusals: int = 0
    absent: int = 0
    accesses: int = 0
    processes: int = 0
    """that COMMAND and its children started"""
    lost: int = 0
    incomplete: bool = False
    landlock_coarse: str = ""
    message: str = ""


class Features(NamedTuple):
    """What the kernel and the container offer (struct cw_features): versions, flags, or a negative errno."""

    landlock_abi: int = 0
    seccomp_trace: int = 0
    seccomp_user_notif: int = 0
    ptrace: int = 0
    yama_scope: int = -1
    process_vm: int = 0
    openat2: int = 0
    mseal: int = 0
    memfd_noexec_seal: int = 0
    procmap_query: int = 0
    fchmodat2: int = 0
    pidfd_getfd: int = 0
    unshare_fs: int = 0
    vdso_gadget: int = 0
    cap_sys_ptrace: int = 0
    cap_sys_resource: int = 0
    no_new_privs: int = 0
    seccomp_filters: int = 0
    nofile_soft: int = 0
    nofile_hard: int = 0
    release: str = ""


class Engine(Protocol):
    """What the command line and the API need of an engine."""

    def run(
        self,
        launch: Launch,
        sink: Sink | None = None,
        started: Started | None = None,
        jailed: Callable[[str], None] | None = None,
    ) -> Outcome:
        """Run COMMAND to its end; blocks.

        `sink` gets whole event records and returns whether it kept them. `started` gets COMMAND's pid. `jailed` is
        called once before the first batch, or else at the end, with where Landlock is coarser than the policy.
        """

    def signal(self, number: int) -> int:
        """Send a signal to COMMAND of the run under way: 0 or -errno."""

    def probe(self) -> Features:
        """What the kernel and the container offer."""

    def check_image(self, image: bytes) -> str | None:
        """None for a sound policy image, else what is wrong with it."""


class _Run:
    """What the C callbacks of one run reach."""

    def __init__(
        self, result: Any, sink: Sink | None, started: Started | None, jailed: Callable[[str], None] | None, ffi: Any
    ) -> None:
        self.result = result
        self.sink = sink
        self.started = started
        self.jailed = jailed
        self.ffi = ffi
        self.error: BaseException | None = None

    def tell_jail(self) -> None:
        if self.jailed is not None:
            jailed, self.jailed = self.jailed, None
            jailed(self.ffi.string(self.result.landlock_coarse).decode("utf-8", "replace"))

    def take(self, batch: Any, size: int) -> int:
        """A batch of records; 0 if it was kept. An exception ends no run: the records count as lost."""
        try:
            self.tell_jail()
            if self.sink is not None and self.sink(self.ffi.buffer(batch, size)[:]):
                return 0
        except BaseException as error:  # raised again when the run is over
            self.error = self.error or error
        return 1

    def start(self, pid: int) -> None:
        try:
            self.tell_jail()
            if self.started is not None:
                self.started(pid)
        except BaseException as error:  # raised again when the run is over
            self.error = self.error or error


class CEngine:
    """The engine in C, through cffi."""

    def __init__(self) -> None:
        module = _module()
        self._ffi: Any = module.ffi
        self._lib: Any = module.lib
        self._turn = allocate_lock()  # threading's Lock, without importing threading
        ffi = self._ffi

        def take(context: Any, batch: Any, size: int) -> int:
            run: _Run = ffi.from_handle(context)
            return run.take(batch, size)

        def start(context: Any, pid: int) -> None:
            run: _Run = ffi.from_handle(context)
            run.start(pid)

        ffi.def_extern(name="capwrap_sink", error=1)(take)
        ffi.def_extern(name="capwrap_started")(start)

    def run(
        self,
        launch: Launch,
        sink: Sink | None = None,
        started: Started | None = None,
        jailed: Callable[[str], None] | None = None,
    ) -> Outcome:
        """Run COMMAND to its end; one run at a time, a second caller waits for its turn."""
        ffi, lib = self._ffi, self._lib
        result = ffi.new("struct cw_result *")
        state = _Run(result, sink, started, jailed, ffi)
        handle = ffi.new_handle(state)
        image = ffi.from_buffer(launch.image)
        strings = [ffi.new("char[]", text) for text in launch.argv]
        argv = ffi.new("const char *[]", [*strings, ffi.NULL])
        variables = [ffi.new("char[]", name + b"=" + value) for name, value in launch.environ.items()]
        envp = ffi.new("const char *[]", [*variables, ffi.NULL])
        chdir = ffi.NULL if launch.chdir is None else ffi.new("char[]", launch.chdir)
        pass_fds = ffi.new("int[]", list(launch.pass_fds) or [-1])

        run = ffi.new("struct cw_run *")
        run.image, run.image_size = image, len(launch.image)
        run.argv, run.envp, run.chdir = argv, envp, chdir
        run.flags = (
            (lib.CW_RUN_RECORD_ACCESS if launch.record_access else 0)
            | (lib.CW_RUN_LINGER if launch.linger else 0)
            | (lib.CW_RUN_BEST_EFFORT if launch.best_effort else 0)
            | (lib.CW_RUN_FOREGROUND if launch.foreground else 0)
            | (lib.CW_RUN_RECORD_STACK if launch.record_stack else 0)
            | (lib.CW_RUN_TRACE if launch.trace else 0)
            | (lib.CW_RUN_PROMPT if launch.prompt else 0)
        )
        run.timeout_ms = launch.timeout_ms
        run.stdio = list(launch.stdio)
        run.pass_fds, run.n_pass_fds = pass_fds, len(launch.pass_fds)
        run.sink = ffi.NULL if sink is None else lib.capwrap_sink
        run.started = lib.capwrap_started
        run.sink_ctx = handle
        with self._turn:
            lib.cw_run(run, result)
        state.tell_jail()
        if state.error is not None:
            raise state.error
        return Outcome(
            failed=bool(result.failed),
            exec_errno=result.exec_errno,
            status=result.status,
            timed_out=bool(result.timed_out),
            stops=result.stops,
            deliveries=result.deliveries,
            refusals=result.refusals,
            absent=result.absent,
            accesses=result.accesses,
            processes=result.processes,
            lost=result.lost,
            incomplete=bool(result.incomplete),
            landlock_coarse=ffi.string(result.landlock_coarse).decode("utf-8", "replace"),
            message=os.fsdecode(ffi.string(result.message)),
        )

    def signal(self, number: int) -> int:
        """Send a signal to COMMAND of the run under way: 0 or -errno."""
        return int(self._lib.cw_signal(number))

    def probe(self) -> Features:
        """What the kernel and the container offer."""
        features = self._ffi.new("struct cw_features *")
        self._lib.cw_probe(features)
        names = [name for name in Features._fields if name != "release"]
        return Features(
            release=self._ffi.string(features.release).decode("utf-8", "replace"),
            **{name: int(getattr(features, name)) for name in names},
        )

    def check_image(self, image: bytes) -> str | None:
        """None for a sound policy image, else what is wrong with it."""
        message = self._ffi.new("char[]", 1024)
        if self._lib.cw_image_check(self._ffi.from_buffer(image), len(image), message, 1024) == 0:
            return None
        return str(self._ffi.string(message).decode("utf-8", "replace"))


def _module() -> Any:
    try:
        return import_module("capwrap.engine._engine")
    except ImportError as error:
        raise EngineError(
            f"the engine's C module cannot be loaded: {error}; install capwrap with pip, which builds it"
        ) from error


def landlock_abi() -> int:
    """The version of Landlock's interface here; 0 where there is none. Raises EngineError without the C module."""
    return int(_module().lib.cw_landlock_abi())


_loaded: Engine | None = None


def load() -> Engine:
    """The process's engine, loaded at the first call. Raises EngineError where the C module is missing."""
    global _loaded  # noqa: PLW0603 (cw_run serves one run at a time per process, so there is one engine)
    if _loaded is None:
        _loaded = CEngine()
    return _loaded


def environ_bytes(environ: Mapping[str, str] | Mapping[bytes, bytes] | None = None) -> dict[bytes, bytes]:
    """An environment as bytes; None: this process's own."""
    if environ is None:
        return dict(os.environb)
    return {os.fsencode(name): os.fsencode(value) for name, value in environ.items()}
