"""The cffi builder of `capwrap.engine._engine`: API mode, stable ABI.

The declarations are those of engine.h, by hand, with `...` where the C compiler knows better: it completes layouts
and constants and fails the build where a name or a type differs. setup.py takes the lists below for capwrap-exec.
"""

from __future__ import annotations

from pathlib import Path

from cffi import FFI

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "exec_main.c"  # main() of capwrap-exec; no part of the module

INCLUDE_DIRS = ["."]
COMPILE_ARGS = ["-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-pthread", "-fvisibility=hidden"]
LINK_ARGS = ["-pthread"]
STATIC_ARGS = ["-static-pie", "-fPIE"]  # of capwrap-exec, where the machine has a static libc


def _files(pattern: str) -> list[str]:
    """Files of the tree that match, as setuptools wants them: sorted, relative to the root."""
    return sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(pattern))


def _library_sources() -> list[str]:
    """All C and assembly sources but the main() of capwrap-exec."""
    own = [name for name in _files("capwrap/engine/*.c") if Path(name).name not in (PROGRAM, "_engine.c")]
    return own + _files("rewriters/*.c") + _files("capwrap/engine/*.S")


def program_sources() -> list[str]:
    """Sources of capwrap-exec."""
    return [f"capwrap/engine/{PROGRAM}", *_library_sources()]


CDEF = """
#define CW_RUN_RECORD_ACCESS ...
#define CW_RUN_LINGER ...
#define CW_RUN_BEST_EFFORT ...
#define CW_RUN_FOREGROUND ...
#define CW_RUN_RECORD_STACK ...
#define CW_RUN_TRACE ...
#define CW_RUN_PROMPT ...

struct cw_run {
    const void *image;
    size_t image_size;
    const char *const *argv;
    const char *const *envp;
    const char *chdir;
    uint32_t flags;
    uint32_t timeout_ms;
    int stdio[3];
    const int *pass_fds;
    size_t n_pass_fds;
    int (*sink)(void *ctx, const void *batch, size_t size);
    void *sink_ctx;
    void (*started)(void *ctx, int pid);
    ...;
};

struct cw_result {
    int failed;
    int exec_errno;
    int status;
    int timed_out;
    uint64_t stops;
    uint64_t deliveries;
    uint64_t refusals, absent, accesses, processes;
    uint64_t lost;
    int incomplete;
    char landlock_coarse[...];
    char message[...];
    ...;
};

int cw_run(const struct cw_run *run, struct cw_result *result);
int cw_signal(int sig);

struct cw_features {
    int landlock_abi;
    int seccomp_trace;
    int seccomp_user_notif;
    int ptrace;
    int yama_scope;
    int process_vm;
    int openat2;
    int mseal;
    int memfd_noexec_seal;
    int procmap_query;
    int fchmodat2;
    int pidfd_getfd;
    int unshare_fs;
    int vdso_gadget;
    int cap_sys_ptrace, cap_sys_resource;
    int no_new_privs;
    int seccomp_filters;
    uint64_t nofile_soft, nofile_hard;
    char release[...];
    ...;
};

void cw_probe(struct cw_features *out);
int cw_landlock_abi(void);
int cw_image_check(const void *image, size_t size, char *message, size_t message_size);

extern "Python" int capwrap_sink(void *ctx, const void *batch, size_t size);
extern "Python" void capwrap_started(void *ctx, int pid);
"""

ffibuilder = FFI()
ffibuilder.cdef(CDEF)
ffibuilder.set_source(
    "capwrap.engine._engine",
    '#include "capwrap/engine/engine.h"',
    sources=_library_sources(),
    include_dirs=INCLUDE_DIRS,
    depends=_files("capwrap/engine/*.h") + _files("rewriters/*.h") + _files("rewriters/generated/*.h"),
    extra_compile_args=COMPILE_ARGS,
    extra_link_args=LINK_ARGS,
)
