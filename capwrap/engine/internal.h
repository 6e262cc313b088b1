/* What the engine's files do for each other, file by file. An engine is driven by one thread, with the listener's beside it. */
#ifndef CAPWRAP_ENGINE_INTERNAL_H
#define CAPWRAP_ENGINE_INTERNAL_H

#include "capwrap/engine/state.h"

struct cw_child; /* jail.h */
struct sock_filter;
struct sockaddr_un;

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

/* control.c: control data in a slot of the pad until `t` stops again, its address and length in at[]; false: all are in use */
bool cw_control_put(struct cw_engine *e, struct cw_task *t, const struct cw_control *c, uint64_t at[2]);

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
int cw_view_fd(struct cw_engine *e, int view);                          /* O_PATH, until another one is asked for */
void cw_views_drop(struct cw_engine *e, int tid);                       /* those of a thread that is gone */
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
int64_t cw_op_connect(struct cw_engine *e, struct cw_task *t, struct cw_place *p, struct cw_plan *plan,
                      struct cw_delivery *d);
bool cw_hold_port(int s); /* stays bound where it is, whatever becomes of its connection */
int64_t cw_op_bind(struct cw_engine *e, struct cw_task *t, struct cw_place *p, struct cw_plan *plan);

/* socket_names.c */
void cw_socket_bound(struct cw_engine *e, int s, const struct cw_place *p, const char *text);
void cw_socket_joins(struct cw_engine *e, int s, const struct cw_place *p); /* what is bound to that place */
size_t cw_socket_name(struct cw_engine *e, const struct cw_task *t, int fd, bool peer, struct sockaddr_un *dst);
void cw_socket_names_end(struct cw_engine *e);

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
bool cw_send_signal(const struct cw_proc *p, int tid, int sig); /* tid 0: to the process; false: with errno */
void cw_kill_all(struct cw_engine *e, int sig);

/* exec_stop.c: what happens at an exec stop */
int cw_exec_verify(struct cw_engine *e, struct cw_task *t, const struct cw_exec *plan);
int cw_exec_inject(struct cw_engine *e, struct cw_task *t);

/* jobserver.c: the jobserver of a make that started capwrap */
void cw_find_jobserver(struct cw_engine *e, char *const *env);

/* groups.c: the caller's process group */
int cw_group_stop(struct cw_engine *e, const struct cw_task *t, int sig);
void cw_stop_with_command(struct cw_engine *e, const struct cw_task *t);
int cw_group_join(struct cw_engine *e, int pid, int group);
void cw_group_end(struct cw_engine *e);

/* helpers.c: processes of our own. In `body` and what it calls, raw calls only */
bool cw_helper_start(struct cw_engine *e, struct cw_helper *h, const char *name, void (*body)(void *arg), void *arg);
bool cw_helper_lives(const struct cw_helper *h);
void cw_helper_end(struct cw_helper *h);
void cw_helper_ready(void);
void cw_helper_wait(int other);
void cw_helper_wake_supervisor(void);
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
