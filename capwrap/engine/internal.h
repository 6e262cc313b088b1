/* What the engine's files share. One engine is one run; it is driven by one thread, with the listener's beside it. */
#ifndef CAPWRAP_ENGINE_INTERNAL_H
#define CAPWRAP_ENGINE_INTERNAL_H

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
	bool made; /* the file was made for it (O_EXCL): asked for again, it would exist */
	int held;  /* CONNECT: what the address names, JOIN: who listens there; closed with the work; -1: nothing */
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
	bool launching;     /* our own code before COMMAND: not yet the target */
	struct tptr count;  /* sendmmsg: where the result goes */
	uint64_t addressed; /* the published address that it uses in the stub; 0: none */
	int made;           /* an fd whose hand-over was interrupted, of a file that was made for it; -1: none */
	enum cw_try retry;  /* how the call is decided if the stub asks for it */
	/* a FIFO's end that was opened when a signal came: the call finds it when it is made anew, at this place */
	int late;
	uint64_t late_sp, late_ip;
	bool late_due;          /* the call that is being decided is made there */
	int64_t delivered;      /* the number that the listener installed, or -errno */
	bool handed_over;       /* it did, and the call's result is that number */
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

struct cw_view {
	char *path; /* virtual */
	int fd;     /* O_PATH */
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
struct sock_filter;

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

	struct cw_ipc_book *ipc; /* IPC objects of the target; NULL: it has made none */
	struct cw_helper ipc_keeper;
	struct cw_terminal terminals[64]; /* /dev/pts: those of the target */
};

#define container(c) ((struct cw_engine *)(c)->host)

static inline bool cw_tracing(const struct cw_engine *e)
{
	return e->run->flags & CW_RUN_TRACE;
}

/* engine.c */
int cw_failed(struct cw_engine *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
uint64_t cw_now(void);
void cw_command_is(int pid); /* where signals are forwarded to */

/* probe.c */
void cw_probe_run(struct cw_features *f);
int cw_probe_ptrace(void); /* 1, or -errno */
#define CW_CANNOT_TRACE                                                                                                \
	"cannot trace the child: %s. A container may deny ptrace, Yama (kernel.yama.ptrace_scope) may be 2 or 3; see " \
	"capwrap doctor"

/* sha256.c */
void cw_sha256(const void *data, size_t len, uint8_t out[32]);

/* grants.c: capabilities and where host paths lie in the namespace */
int cw_grants_open(struct cw_engine *e);
void cw_grants_close(struct cw_engine *e);
int cw_reverse(struct cw_engine *e, const char *host, char *dst, size_t size); /* length or -ENOENT */
int cw_node_dir(struct cw_engine *e, uint32_t node);
void cw_grants_let_go(struct cw_engine *e); /* of what a trace holds of them */
int cw_special_dev(struct cw_engine *e, uint64_t dev);

/* pad.c */
int cw_pad_make(struct cw_engine *e);
void cw_pad_close(struct cw_engine *e);
uint64_t cw_publish_how(struct cw_engine *e, bool writable, uint64_t flags, uint64_t mode);
uint64_t cw_publish_addr(struct cw_engine *e, uint64_t region, const void *addr, size_t len);
int cw_delivery_number(struct cw_engine *e, const struct cw_task *t);
int cw_slot_take(struct cw_engine *e, size_t bytes); /* first slot, or -1; how many in *n */
void cw_slot_free(struct cw_engine *e, struct cw_task *t);
uint64_t cw_slot_address(int slot);
long cw_vdso_gadget(void);

/* memory.c: the target's memory */
int cw_mem_read(struct cw_engine *e, int tid, void *dst, uint64_t src, size_t n);
int cw_mem_write(struct cw_engine *e, int tid, uint64_t dst, const void *src, size_t n);
int cw_mem_string(struct cw_engine *e, int tid, char *dst, size_t size, uint64_t src);

/* scratch.c: directories that the launcher makes */
int cw_scratch_make(struct cw_engine *e);
void cw_scratch_sweep(const struct cw_run *run); /* removes what runs that were killed left behind */
void cw_scratch_remove(struct cw_engine *e);
int cw_scratch_private(struct cw_engine *e, uint32_t node);
int cw_made_file(struct cw_engine *e, const char *text, size_t len); /* readable fd */

/* views.c */
bool cw_shows_otherwise(struct cw_engine *e, const struct cw_place *p); /* a directory lists other than is there */
bool cw_shown_whole(struct cw_engine *e, const struct cw_place *p);     /* and may be read and watched */
int cw_view_for(struct cw_engine *e, const char *path);                 /* index of the view of a virtual path */
int cw_view_open(struct cw_engine *e, int view);                        /* for reading, with our own credentials */
int cw_view_fill(struct cw_engine *e, int view, struct cw_place *p);    /* 0 or -errno; entries as of now */

/* procfs.c */
int cw_proc_lookup(struct cw_ctx *c, struct cw_place *p, char *text, size_t size, bool nofollow);
int cw_proc_open(struct cw_engine *e, struct cw_place *p, uint64_t flags);

/* proc_entries.c: what stands in a directory of /proc */
int cw_proc_list(struct cw_engine *e, struct cw_place *p, int (*add)(void *ctx, const char *name, uint32_t type),
                 void *ctx);

/* proc_links.c: what a link of a process says */
int cw_proc_fd_text(struct cw_engine *e, int tid, int fd, char *dst, size_t size);

/* mounts.c */
int cw_mounts_made(struct cw_engine *e, const char *name);

/* peers.c: what one process of the target may do to another */
bool cw_may_look_into(struct cw_engine *e, int pid);
bool cw_may_limit(struct cw_engine *e, const struct cw_proc *other);

/* limits.c */
bool cw_limit_of(int tid, int resource, uint64_t *soft);
int64_t cw_limit_service(struct cw_ctx *c, const uint64_t *arg); /* CW_SERVICE_RLIMIT */

/* terminals.c: the pseudo-terminals of the target */
void cw_terminal_add(struct cw_engine *e, int number, const struct stat *is); /* is: what it must be, or NULL */
int cw_terminal_find(struct cw_engine *e, int number);                        /* the held descriptor, or -1 */
void cw_terminals_end(struct cw_engine *e);

/* host.c: the operations of struct cw_ops */
extern const struct cw_ops cw_host_ops;

/* descriptors.c: of the target; operations of struct cw_ops, but for */
int cw_fd_link(struct cw_ctx *c, int fd, char *dst, size_t size); /* the host's path, or what the kernel says instead */
int cw_fd_flags(struct cw_engine *e, int tid, int fd, int held);  /* fd_flags of struct cw_ops, of any thread */
int cw_dir_path(struct cw_ctx *c, int fd, char *dst, size_t size);
bool cw_dir_removed(struct cw_ctx *c, int fd);
int cw_hold_fd(struct cw_ctx *c, int fd);
int cw_held_path(struct cw_ctx *c, int held, char *dst, size_t size);

/* members.c: operations of struct cw_ops */
bool cw_member(struct cw_ctx *c, int pid);
int cw_member_ended(struct cw_ctx *c, int pid, uint32_t flags);
bool cw_member_group(struct cw_ctx *c, int pgid);
int cw_group_of(struct cw_ctx *c, int pidfd, int pid, bool session);

/* exec_name.c: an operation of struct cw_ops */
int cw_exec_string(struct cw_ctx *c, const struct cw_place *p, const char *own, char *dst, size_t size);

/* opening.c: 0 or -errno, where nothing else is said */
bool cw_table_full(struct cw_engine *e, int tid); /* would a descriptor that is handed over find a number? */
int64_t cw_op_open(struct cw_engine *e, struct cw_task *t, struct cw_place *p, struct cw_plan *plan,
                   struct cw_delivery *d);
int64_t cw_op_list(struct cw_engine *e, struct cw_place *p, struct cw_plan *plan, struct cw_delivery *d);
int cw_by_worker(const struct cw_place *p, enum cw_work work, uint64_t arg, struct cw_delivery *d); /* -EINPROGRESS */
int cw_install(struct cw_engine *e, struct cw_place *p, struct cw_delivery *d); /* number, or -errno */
uint64_t cw_delivery_slot(struct cw_engine *e, int number, uint64_t region, uint64_t stride);

/* perform.c */
int64_t cw_perform_plan(struct cw_engine *e, struct cw_task *t, struct cw_delivery *d, uint64_t then[7]);
int cw_fd_path(int fd, char path[48]);
int cw_dup_fd(int fd);

/* printable.c */
char *cw_printable(const char *text); /* free() it; NULL: out of memory */

/* proc_text.c */
bool cw_read_text(const char *path, char *dst, size_t size); /* false, and "": there is nothing to read */
const char *cw_read_stat(int pid, char *dst, size_t size);   /* /proc/PID/stat from its third field on; NULL */

/* sticky.c: 0, or -EACCES */
int cw_sticky_follow(int dir, int link);
int cw_sticky_create(int dir, int fd); /* O_CREAT of what is there */

/* sockets.c */
int cw_get_fd(const struct cw_task *t, int fd); /* ours now; -EPERM: a container may deny it */
int64_t cw_op_listen(struct cw_task *t, struct cw_plan *plan, const struct cw_engine *e);
int64_t cw_op_connect(struct cw_task *t, struct cw_place *p, struct cw_plan *plan, struct cw_delivery *d);
bool cw_hold_port(int s); /* stays bound where it is, whatever becomes of its connection */
int64_t cw_op_bind(struct cw_engine *e, struct cw_task *t, struct cw_place *p, struct cw_plan *plan);

/* loopback.c */
int64_t cw_op_loopback(struct cw_engine *e, struct cw_task *t, struct cw_plan *plan, struct cw_delivery *d);
int64_t cw_join_begin(const struct cw_delivery *d, bool *waits);
int cw_join_limit(const struct cw_delivery *d);
int cw_join_wait(const struct cw_delivery *d, int limit);
int64_t cw_join_result(const struct cw_delivery *d);
int64_t cw_join_end(const struct cw_delivery *d, int64_t ret);

/* creds.c */
void cw_creds_change(struct cw_engine *e, struct cw_task *t);
void cw_creds_forget(struct cw_task *t);
void cw_adopt(struct cw_engine *e, struct cw_task *t, bool umask_needed);
void cw_adopt_real(struct cw_engine *e, struct cw_task *t);
void cw_adopt_end(struct cw_engine *e);
struct cw_adopted {
	bool any, real;
};
struct cw_adopted cw_as_ourselves(struct cw_engine *e);
void cw_as_target(struct cw_engine *e, struct cw_adopted was);
struct cw_caller {
	struct cw_adopted adopted;
	unsigned euid, egid; /* our own */
	bool other;          /* not what COMMAND began with */
};
struct cw_caller cw_caller(struct cw_engine *e);
void cw_caller_end(struct cw_engine *e, struct cw_caller was);
bool cw_reach(struct cw_engine *e, bool on);

/* landlock.c */
int cw_landlock_make(struct cw_engine *e);

/* coarse.c: accesses of linux/landlock.h that it has words for */
#define CW_LL_EXECUTE (1u << 0)
#define CW_LL_READ_FILE (1u << 2)
#define CW_LL_MAKE_SOCK (1u << 9)
/* By node: what its rule permits at its place and beneath, and in the directory that it is a name of. */
void cw_coarse_places(struct cw_engine *e, const uint64_t *held, const uint64_t *in_directory);
void cw_coarse(struct cw_engine *e, const char *place, const char *what);

/* launch.c */
int cw_launch(struct cw_engine *e);

/* jail.c: the child between fork and exec */
enum cw_step {
	CW_STEP_STDIO,
	CW_STEP_PRIVS,
	CW_STEP_CWD,
	CW_STEP_ROOT,
	CW_STEP_LIMIT,
	CW_STEP_INHERIT,
	CW_STEP_CAPS,
	CW_STEP_PAD,
	CW_STEP_LANDLOCK,
	CW_STEP_SECCOMP,
	CW_STEP_LISTENER,
	CW_STEP_EXEC,
};

/* What the child tells the launcher: at which step it failed, and errno. With errno 0, and the listener: it got to the exec. */
struct cw_report {
	int step;
	int err;
};

struct cw_child {
	struct cw_engine *e;
	struct sock_filter *program;
	int sock, cwd;
	char **paths; /* what execve is tried with, in this order */
	char **argv, **envp;
	/* what the message header in the pad names: the report, and the listener beside it */
	struct cw_report report;
	struct iovec iov;
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
};

_Noreturn void cw_jail_child(struct cw_child *ch);
const char *cw_jail_step(int step);

/* listener.c */
int cw_listener_start(struct cw_engine *e);
void cw_undelivered(struct cw_task *t, const struct cw_delivery *d);
bool cw_notif_answer(struct cw_engine *e, uint64_t id, int64_t ret); /* false: nobody waits for it any more */
void cw_listener_stop(struct cw_engine *e);
void cw_workers_give_up(struct cw_engine *e, int tid); /* 0: of all threads */

/* tasks.c */
struct cw_task *cw_task_find(struct cw_engine *e, int tid);
struct cw_proc *cw_proc_find(struct cw_engine *e, int pid);
struct cw_task *cw_task_add(struct cw_engine *e, int tid, struct cw_proc *proc);
struct cw_proc *cw_proc_add(struct cw_engine *e, int pid, struct cw_proc *parent);
void cw_drop_late(struct cw_task *t);
void cw_task_drop(struct cw_engine *e, struct cw_task *t);
void cw_kill_all(struct cw_engine *e, int sig);

/* exec_stop.c: what happens at an exec stop */
int cw_exec_verify(struct cw_engine *e, struct cw_task *t, const struct cw_exec *plan);
int cw_exec_inject(struct cw_engine *e, struct cw_task *t);

/* jobserver.c: the jobserver of a make that started capwrap */
void cw_find_jobserver(struct cw_engine *e, char *const *env);

/* groups.c: the caller's process group */
int cw_group_stop(struct cw_engine *e, const struct cw_task *t, int sig);
bool cw_group_may_stop(struct cw_engine *e);
int cw_group_join(struct cw_engine *e, int pid, int group);
void cw_group_end(struct cw_engine *e);

/* helpers.c: processes of our own. In `body` and what it calls, raw calls only */
bool cw_helper_start(struct cw_engine *e, struct cw_helper *h, const char *name, void (*body)(void *arg), void *arg);
bool cw_helper_lives(const struct cw_helper *h);
void cw_helper_end(struct cw_helper *h);
void cw_helper_ready(void);
void cw_helper_wait(int other);
long cw_helper_fork(void);
_Noreturn void cw_helper_leave(void);

/* supervise.c */
void cw_supervise(struct cw_engine *e, int status); /* `status`: the stop in which COMMAND's process waits */

/* turn.c */
void cw_turn_take(struct cw_turn *turn);
void cw_turn_give(struct cw_turn *turn);

/* calls.c: decisions; who decides has the turn */
struct seccomp_notif;
void cw_on_call(struct cw_engine *e, struct cw_task *t); /* at the stop of a call */
void cw_decide_stopped(struct cw_engine *e, struct cw_task *t, struct user_regs_struct *regs, enum cw_try again);
bool cw_decide_interrupted(struct cw_engine *e, struct cw_task *t, struct user_regs_struct *regs);
void cw_decide_notified(struct cw_engine *e, const struct seccomp_notif *n);
bool cw_waits_for_answer(const struct user_regs_struct *regs);
void cw_forget_result(struct cw_engine *e, struct cw_task *t);
int64_t cw_judge(struct cw_engine *e, struct cw_task *t, int nr, const uint64_t args[6]); /* nothing is performed */

/* trace.c: a program that is not confined */
struct sock_filter;
int cw_trace_make(struct cw_engine *e);
int cw_trace_private(struct cw_engine *e, uint32_t node);
int cw_trace_prepare(struct cw_engine *e, struct cw_child *ch); /* environment and starting directory */
void cw_trace_program(struct sock_filter *f, uint32_t n);
void cw_trace_call(struct cw_engine *e, struct cw_task *t);
void cw_trace_exit(struct cw_engine *e, struct cw_task *t);
void cw_trace_result(struct cw_engine *e, struct cw_task *t, int64_t result);

/* trace_clone.c: its children */
bool cw_trace_is_thread(const struct cw_task *parent, int tid);
void cw_trace_cloned(struct cw_engine *e,
                     struct cw_task *t); /* behind the call that made it, or by which it made one */
void cw_trace_child(struct cw_engine *e, const struct cw_task *parent,
                    struct cw_task *child); /* its maker's event came */
void cw_trace_ended(struct cw_engine *e, const struct cw_task *t);
bool cw_trace_holds(struct cw_engine *e, struct cw_task *t); /* at its first stop: it stays there for now */

/* resume.c: how a stopped thread goes on */
void cw_resume(struct cw_task *t, int sig);
void cw_resume_pass(struct cw_engine *e, struct cw_task *t);
void cw_resume_answer(struct cw_engine *e, struct cw_task *t, struct user_regs_struct *regs, int64_t ret);
void cw_resume_rewrite(struct cw_engine *e, struct cw_task *t, struct user_regs_struct *regs);
void cw_resume_exec(struct cw_engine *e, struct cw_task *t, struct user_regs_struct *regs);
void cw_on_exec_failed(struct cw_engine *e, struct cw_task *t);
void cw_resume_deliver(struct cw_engine *e, struct cw_task *t, struct user_regs_struct *regs, struct cw_delivery *d,
                       const uint64_t *then);
void cw_resume_readable(struct cw_engine *e, struct cw_task *t, struct user_regs_struct *regs);
bool cw_set_regs(struct cw_engine *e, struct cw_task *t, struct user_regs_struct *regs);
void cw_kill_process(struct cw_engine *e, struct cw_task *t, const char *why);

/* signals.c */
void cw_on_interrupted(struct cw_engine *e, struct cw_task *t, bool stops);
void cw_on_signal(struct cw_engine *e, struct cw_task *t, int sig);

/* records.c */
bool cw_moves(int nr);
void cw_record_call(struct cw_engine *e, struct cw_task *t, int64_t result);
void cw_record_process(struct cw_engine *e, int what, int pid, int64_t result, const char *argv, size_t argv_len);
bool cw_names_nothing(const struct cw_engine *e); /* the call that is recorded next, and is refused */
void cw_record_flush(struct cw_engine *e);
void cw_record_result(struct cw_engine *e, struct cw_task *t, int64_t result);
void cw_record_stack(struct cw_engine *e, uint64_t id, const uint8_t *bytes, size_t size);

/* stack_python.c */
#define CW_PYTHON_FRAMES 64

struct cw_python_at {
	uint64_t code, instr;
};

/* The Python functions that a thread is in, innermost first. */
struct cw_python {
	int tid;
	unsigned minor; /* of CPython 3 */
	unsigned reads; /* that may still be made */
	struct cw_python_at frame[CW_PYTHON_FRAMES];
	unsigned n;
};

unsigned cw_python_minor(const char *name, size_t len); /* from a file's name; 0: no CPython that is known */
void cw_python_look(struct cw_python *p, int tid, unsigned minor, const uint8_t *window, size_t len, uint64_t sp);
size_t cw_python_copy(struct cw_python *p, uint8_t *dst, size_t room); /* struct cw_python_frame each */

/* stack.c: where in the program a refused call was made */
void cw_stack_at_stop(struct cw_engine *e, struct cw_task *t, const struct user_regs_struct *regs);
bool cw_stack_needs_stop(struct cw_engine *e, struct cw_task *t); /* of a thread that waits for the listener */
uint64_t cw_stack_record(struct cw_engine *e); /* the id of e->stack, which is in the record now; 0: none */
void cw_stacks_drop(struct cw_engine *e, struct cw_proc *p);

/* ipc_objects.c */
int64_t cw_ipc_service(struct cw_engine *e, int what, const uint64_t *arg);
int64_t cw_ipc_would_get(struct cw_engine *e, const uint64_t *arg);    /* 0, or the -errno of a run */
const char *cw_ipc_queue(const struct cw_engine *e, const char *path); /* its name in the target; NULL: none of ours */
void cw_ipc_was_made(struct cw_engine *e, int nr, int id);
void cw_ipc_end(struct cw_engine *e);

#endif
