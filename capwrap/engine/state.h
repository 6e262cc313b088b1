/* What a run knows: its processes and threads, its pad, its grants, what it has made. One engine is one run. */
#ifndef CAPWRAP_ENGINE_STATE_H
#define CAPWRAP_ENGINE_STATE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/user.h>

#include "capwrap/engine/engine.h"
#include "rewriters/rewriter.h"

/* Ends a wait of a thread of the engine's own; a real-time signal, since programs that embed the engine use the others. */
#define CW_SIG_NUDGE (SIGRTMAX - 2)

#define CW_MAX_CAPS 192  /* capabilities in the target's fd table; further grants are decided by walking */
#define CW_FD_TABLE 4096 /* the range lies no higher, since every fork copies the table up to its highest number */

/* What stands in a slot of the results until the thread has come to the end of what it makes in the stub. */
#define CW_NO_RESULT INT64_MIN

/* stub.S knows these offsets */
struct cw_frame {
	uint64_t rdi, rsi, rdx, r10, r8, r9, rbx, rip, r11, result, expect, nr, arg[6];
};

enum cw_pending {
	CW_IDLE,
	CW_IN_STUB,    /* sent to the stub; `orig` has the registers of the call */
	CW_DELIVERING, /* its call waits for the listener */
	CW_EXECUTING,  /* it makes the execve that was decided; its end is a stop */
	CW_OBSERVED,   /* in a trace, it makes its own call, whose end is a stop */
};

struct cw_delivery {
	int fd;         /* the host's; -1: none */
	int install;    /* number to install it at, or -1: the lowest free one */
	uint32_t flags; /* O_CLOEXEC or 0 */
	int work;       /* enum cw_work: what the listener's worker does instead of handing `fd` over */
	uint64_t arg[2];
	bool made;   /* the file was made for it (O_EXCL): asked for again, it would exist */
	bool opened; /* its work is done: `fd` is what it opened */
	int held;    /* CONNECT: what the address names, JOIN: who listens there; closed with the work; -1: nothing */
	uint8_t bytes[64];
	uint32_t len;
};

enum cw_work { CW_WORK_NONE, CW_WORK_OPEN, CW_WORK_TRUNCATE, CW_WORK_CONNECT, CW_WORK_JOIN };

/* What a decided call came to. */
struct cw_outcome {
	int64_t ret;                 /* where nothing else is to be done */
	struct cw_delivery delivery; /* fd >= 0: to be handed over, */
	uint64_t then[7];            /* and used by this call, if any */
};

struct cw_proc {
	int pid;
	int pidfd;
	int parent;
	int threads;
	bool creds;      /* its credentials may differ from the supervisor's */
	bool filtered;   /* it has a seccomp filter of its own */
	bool undumpable; /* what PR_GET_DUMPABLE answers */
	bool nofile_set; /* the target set RLIMIT_NOFILE itself */
	bool foreign;    /* in a trace: a call of another architecture was told of */
	uint64_t nofile[2];
	struct cw_stack *stacks; /* that its refused calls had */
	unsigned n_stacks;
	unsigned python; /* minor version of the CPython that it runs; 0: none */
	struct cw_proc *next;
};

struct cw_task {
	int tid;
	struct cw_proc *proc;
	enum cw_pending pending;
	int slot, slots;              /* slots of the pad that it uses, or -1 */
	int control;                  /* slot of control data that its message in the stub uses, from 1; 0: none */
	struct user_regs_struct orig; /* registers of the call that is being served */
	struct cw_delivery delivery;
	bool anew;    /* in the stub to become readable: its call is still to be made */
	bool opened;  /* its last call was made anew for that, once */
	bool gone_on; /* from its stopped call, in one of the ways of resume.c */
	bool called;  /* a SIGSTOP of ours is on its way to it */
	bool exec;    /* an exec was planned: */
	struct cw_exec plan;
	bool inject;        /* the exit of its execve comes next: map the pad there */
	uint64_t untraced;  /* in a trace: where CLONE_UNTRACED is to be put back; 0: nowhere */
	bool held;          /* in a trace: in its first stop, until its parent's event */
	bool unannounced;   /* seen, its parent's event not yet */
	bool forking;       /* a fork of its passed, whose child is not in the book yet */
	bool launching;     /* our own code before COMMAND: not yet the target */
	struct tptr count;  /* sendmmsg: where the result goes */
	uint64_t addressed; /* the published address that it uses in the stub; 0: none */
	int made;           /* an fd whose hand-over was interrupted, of a file that was made for it; -1: none */
	enum cw_try retry;  /* how the call is decided if the stub asks for it */
	/* a FIFO's end that was opened when a signal came: the call finds it when it is made anew, at this place */
	int late;
	uint64_t late_sp, late_ip;
	bool late_due;          /* the call that is being decided is made there */
	int64_t delivered;      /* what the listener answered: the number that it installed, or -errno, or 0 */
	bool answered;          /* it did, whether the answer came or not */
	struct cw_creds *creds; /* NULL: those that COMMAND began with */
	bool creds_known;
	uint8_t *record; /* an access record that waits for its result */
	uint32_t record_size;
	struct cw_task *next;
	struct cw_task *after, *before; /* all threads in a ring */
};

/* A ticket lock. */
struct cw_turn {
	atomic_uint last, now, asleep;
};

#define CW_VIEWS_HELD 64 /* at once: there may be more than one may have descriptors */

struct cw_view {
	char *path; /* virtual; NULL: free for another one */
	int fd;     /* O_PATH, or -1: cw_view_fd */
	uint64_t dev, ino;
};

struct cw_terminal {
	bool held;
	int number;
	int fd; /* O_PATH, where it is held */
};

struct cw_helper {
	int told; /* what it waits for; -1: there is none */
	int pid;
};

struct cw_ipc_book;
struct cw_worker;
struct cw_creds;
struct cw_stack;
struct cw_stack_look;

#define CW_HASH 1024

struct cw_engine {
	const struct cw_run *run;
	struct cw_result *res;
	struct cw_image im;
	struct cw_ctx ctx;
	struct cw_ops ops; /* in a trace: the host's, but for what changes something */
	struct cw_features features;

	/* grants */
	int *node_fd;        /* per node: O_PATH of the directory, or -1 */
	uint32_t node_held;  /* in a trace: the one node that has one, or CW_NONE */
	int *node_cap;       /* per node: number of its capability in the target, or -1 */
	char **node_real;    /* per node: where a PRIVATE directory really is, or NULL */
	uint32_t *host_hash; /* host path -> node + 1 */
	uint32_t host_mask;
	int cap_base, cap_rw, cap_aux, cap_end, n_caps;
	int cap_src[CW_MAX_CAPS + CW_AUX_COUNT];
	uint64_t special_dev[1024];
	int n_special;
	bool nofile_shifted;
	int jobserver[2]; /* of a make that started us: passed on as well */
	int n_jobserver;
	uint64_t nofile_soft, nofile_hard; /* as the target sees them at first */

	/* the pad */
	int pad_fd, pad_ro, result_fd;
	uint8_t *pad;
	int64_t *result;
	uint64_t *slot_used; /* bitmap */
	int slot_hint;
	struct {
		int tid; /* who was given it last */
		bool made;
	} control[32]; /* slots of control data */
	int next_delivery;
	uint64_t next_addr;
	uint64_t published; /* the address that the last decision published */
	long gadget;        /* offset of `syscall; xor...; ret` in the vdso, or -1 */
	const uint8_t *stub;

	/* what the launcher makes */
	char scratch[128];
	int scratch_fd;
	char disk[128];
	int disk_fd;
	struct cw_view *views;
	int views_held[CW_VIEWS_HELD],
		views_next; /* whose descriptors are open (index + 1), and whose gives way to the next one */
	int n_views;
	unsigned made;

	/* processes */
	struct cw_turn
		turn; /* to decide: the engine's thread at a stop, the listener's at a notification; taken before `lock` */
	bool answers; /* `notify` calls wait for the listener; else they stop */
	uint64_t
		answering; /* the notification that the listener's thread decides on: ptrace is not at its disposal; 0: none */
	bool anew;         /* the call that is decided is to be made again: what it would use is in use */
	bool unreadable;      /* memory was met that cannot be read here and now, though it may be there */
	pthread_mutex_t lock; /* tasks, procs and deliveries, between the engine's thread and the listener's */
	struct cw_task *tasks[CW_HASH];
	struct cw_proc *procs[CW_HASH];
	int n_tasks, n_procs;
	struct cw_task *asked; /* the thread of the ring that is asked next whether it has stopped */
	unsigned untraced;     /* threads with `untraced` */
	unsigned n_events;
	int early[1024]; /* threads that ended before their parent's event told of them */
	unsigned n_early;
	int filters; /* seccomp filters of a process that has none of its own; 0: not counted yet */
	int root_pid;
	bool root_ended, tearing, killed;
	struct cw_helper link; /* our group to its session */
	int root_status;
	int listener;
	struct cw_worker *workers; /* calls that block on the target's behalf */
	pthread_cond_t idle;
	sigset_t saved_mask;        /* the caller's, which COMMAND starts with */
	struct sigaction saved[65]; /* of the signals that were taken */
	uint64_t taken;             /* bit n - 1: signal n */
	pthread_t listener_thread;
	bool listener_running;
	atomic_int listener_ends;
	int ruleset;
	uint64_t landlock_handled;
	int landlock_abi;
	unsigned coarse_more; /* places that found no room in the result's landlock_coarse */
	bool scoped, make_sock;
	bool coarse_exec; /* Landlock lets more be executed than the policy does: an exec rests on nothing but its stop */
	bool privileged;
	struct cw_creds *creds_first; /* what COMMAND began with; NULL: not known, or nobody changed any */
	bool creds_ever;              /* some process of the target changed its credentials */
	bool creds_adopted, creds_real;
	bool reaching; /* cw_reach: the adopted credentials do not keep us out */
	uint64_t reached_from;
	unsigned uid, gid; /* our real ids, while the target's are adopted */
	bool shared_fs;    /* unshare(CLONE_FS) was denied: umask and current directory are the whole process's */
	bool umask_set;
	mode_t umask_was;
	uint64_t start_ns;
	struct timespec began; /* the same by the clock of files */
	uint64_t deadline_ns;  /* 0: none */
	pthread_cond_t over;   /* `ended`, for the one who waits until the deadline */
	bool ended;            /* the engine's thread is about to */
	atomic_int timed_out;

	/* records */
	uint8_t *batch;
	size_t batch_len;
	struct cw_task *current;
	struct cw_stack_look *look;
	struct cw_stack *stack; /* of the call that is decided, where it is refused and that is recorded */
	uint64_t n_stacks;
	size_t stacks_size;

	struct {
		uint64_t ino;
		int fd;
	} bound[128]; /* datagram sockets of the target that it may send to: --net loopback */
	int n_bound;

	struct cw_socket_book *socket_names; /* unix sockets of the target; NULL: it has bound none to a path */
	struct cw_ipc_book *ipc;             /* IPC objects of the target; NULL: it has made none */
	struct cw_helper ipc_keeper;
	struct cw_terminal terminals[64]; /* /dev/pts: those of the target */
};

#define container(c) ((struct cw_engine *)(c)->host)

static inline bool cw_tracing(const struct cw_engine *e)
{
	return e->run->flags & CW_RUN_TRACE;
}

#endif
