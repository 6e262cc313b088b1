/*
 * A trace: COMMAND runs as it does without capwrap, and what the policy would have made of its calls is found out beside it.
 *
 * The same program and the same rewriters decide as in a run, on what the host has. Nothing is performed, nothing of the thread
 * is changed, and every call goes on as it stands. So what another thread changes in between can make the record wrong and
 * nothing worse: a trace holds nobody.
 */
#include "capwrap/engine/internal.h"
#include "capwrap/engine/trace.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#define X32_BIT 0x40000000 /* __X32_SYSCALL_BIT of asm/unistd.h */

/* --- at a stop --- */

/* The call is made as it stands; `observed`: its result is wanted. */
static void go_on(struct cw_engine *e, struct cw_task *t, bool observed)
{
	t->pending = observed ? CW_OBSERVED : CW_IDLE;
	cw_grants_let_go(e);
	cw_resume(t, 0);
}

static bool is_exec(int nr)
{
	return nr == SYS_execve || nr == SYS_execveat;
}

static bool makes_ipc(int nr)
{
	return nr == SYS_shmget || nr == SYS_semget || nr == SYS_msgget;
}

static bool opens(int nr)
{
	return nr == SYS_open || nr == SYS_openat || nr == SYS_openat2;
}

static bool is_ptmx(const struct cw_engine *e)
{
	const char *path = e->ctx.place[0].path;

	return !strcmp(path, "/dev/ptmx") || !strcmp(path, "/dev/pts/ptmx");
}

/* A refused call that named its file by a descriptor: the file's name on the host. */
static void name_by_fd(struct cw_engine *e, struct cw_task *t)
{
	struct cw_ctx *c = &e->ctx;
	char path[CW_PATH_MAX];

	if (c->rec.kind != CW_KIND_RIGHT_MISSING || c->whole[0] || (c->place[0].path[0] && c->place[0].path[1]))
		return;
	if (cw_trace_link(t->tid, (int)(uint32_t)c->call.arg[0], path, sizeof(path)) > 0 && path[0] == '/')
		memcpy(c->whole, path, strlen(path) + 1);
}

/* An argument could not be read though it may be there: the process is closed to its tracer (ptrace_access_vm). */
static bool is_closed(int tid, uint64_t stack)
{
	errno = 0;
	return ptrace(PTRACE_PEEKDATA, tid, (void *)(stack & ~UINT64_C(7)), NULL) == -1 && errno;
}

/* What stands behind an ungranted place is there as it was asked for: without its dots, which lead nowhere. A last one does
 * where there is no directory: nothing has such a name. */
static void without_dots(char *path)
{
	char *to = path;
	struct stat st;

	for (const char *s = path; *s;) {
		if (s[0] == '/' && s[1] == '.' && s[2] == '/')
			s += 2;
		else
			*to++ = *s++;
	}
	*to = 0;
	if (to - path >= 2 && !strcmp(to - 2, "/.") && !lstat(path, &st))
		to[to - 2 == path ? -1 : -2] = 0;
}

/* Where a lookup fails on the way, the name is the whole one, as it is in a run where the kernel looks it up. */
static void name_in_vain(struct cw_ctx *c)
{
	struct cw_place *p = &c->place[0];
	struct stat st;

	if (c->rec.kind != CW_KIND_NONE || c->plan.kind != CW_PLAN_REFUSE || c->whole[0] != '/' ||
	    (c->plan.ret != -ENOENT && c->plan.ret != -ENOTDIR) || !p->path[0])
		return;
	if (lstat(p->path, &st))
		return;
	p->path[0] = p->path[1] = 0;
	without_dots(c->whole);
}

static void look_where(struct cw_engine *e, struct cw_task *t)
{
	struct user_regs_struct regs;

	if ((e->run->flags & CW_RUN_RECORD_STACK) && !t->launching && !ptrace(PTRACE_GETREGS, t->tid, NULL, &regs))
		cw_stack_at_stop(e, t, &regs);
}

static void judged(struct cw_engine *e, struct cw_task *t, int nr, const uint64_t args[6], uint64_t stack)
{
	e->unreadable = false;
	int64_t would = cw_trace_private_use(e, cw_judge(e, t, nr, args));
	bool refused = e->ctx.rec.kind != CW_KIND_NONE;

	if (e->unreadable && is_closed(t->tid, stack))
		e->res->incomplete = 1;
	name_by_fd(e, t);
	name_in_vain(&e->ctx);
	for (int i = 0; i < 2 && refused; i++)
		if (e->ctx.place[i].path[0])
			without_dots(e->ctx.place[i].path);
	/*
	 * What is recorded of a refusal is known now, but for a name that is not there: the call may be about to make it. And of
	 * COMMAND's own exec, which is tried in each directory of PATH, only the one counts that comes about.
	 */
	bool wanted = t->launching || makes_ipc(nr) || (opens(nr) && is_ptmx(e)) ||
	              (refused ? cw_names_nothing(e) : e->run->flags & CW_RUN_RECORD_ACCESS || cw_moves(nr));

	if (refused)
		look_where(e, t);
	t->pending = wanted ? CW_OBSERVED : CW_IDLE;
	cw_record_call(e, t, would);
	if (refused)
		cw_trace_rest(e, t, nr, args);
	go_on(e, t, wanted);
}

static enum cw_event_kind kind_of(int nr)
{
	switch (nr) {
	case SYS_socket:
	case SYS_socketpair:
	case SYS_setsockopt:
		return CW_KIND_NETWORK;
	default:
		return CW_KIND_SYSCALL;
	}
}

/* The program would have refused it, by its registers: with `err`, which is 0 for a brk that stays where it is. */
static void refused(struct cw_engine *e, struct cw_task *t, int nr, const uint64_t args[6], int err)
{
	(void)cw_judge(e, t, nr, args);
	e->ctx.rec.kind = kind_of(nr);
	e->ctx.rec.needs = 0;
	e->ctx.rec.grant = e->ctx.rec.grant2 = CW_NONE;
	bool edited = cw_trace_clone(e, t, nr, args);

	if (err != ENOSYS)
		look_where(e, t);
	t->pending = CW_OBSERVED;
	cw_record_call(e, t, -err);
	/* as by a kernel without the call: programs and libraries have a way without it */
	if (err == ENOSYS)
		cw_trace_result(e, t, -ENOSYS);
	go_on(e, t, err != ENOSYS || edited);
}

/* A filter of its own has this call go to a tracer, and there is none: seccomp(2). */
static void without_tracer(struct cw_engine *e, struct cw_task *t)
{
	struct user_regs_struct regs;

	if (!ptrace(PTRACE_GETREGS, t->tid, NULL, &regs)) {
		regs.orig_rax = UINT64_MAX;
		regs.rax = (uint64_t)-ENOSYS;
		(void)cw_set_regs(e, t, &regs);
	}
	go_on(e, t, false);
}

/* No number of the table's can be said of it: above all those of another architecture, of which a run refuses each, and the
 * exec that led here before. Told once a process. */
static void foreign(struct cw_engine *e, struct cw_task *t, int nr, bool other)
{
	if (!other || !t->proc->foreign) {
		(void)cw_judge(e, t, -1, no_args);
		snprintf(e->ctx.rec.extra, sizeof(e->ctx.rec.extra), "call %d%s", nr,
		         other ? " of another architecture" : "");
		e->ctx.rec.kind = CW_KIND_SYSCALL;
		t->pending = other ? CW_IDLE : CW_OBSERVED;
		cw_record_call(e, t, -ENOSYS);
		if (!other) /* nor has the kernel such a call */
			cw_trace_result(e, t, -ENOSYS);
	}
	t->proc->foreign |= other;
	go_on(e, t, false);
}

void cw_trace_call(struct cw_engine *e, struct cw_task *t)
{
	struct __ptrace_syscall_info info;

	e->res->stops++;
	if (ptrace(PTRACE_GET_SYSCALL_INFO, t->tid, sizeof(info), &info) <= 0 ||
	    info.op != PTRACE_SYSCALL_INFO_SECCOMP) {
		if (errno != ESRCH)
			e->res->incomplete = 1;
		go_on(e, t, false);
		return;
	}
	const uint64_t args[6] = {info.seccomp.args[0], info.seccomp.args[1], info.seccomp.args[2],
	                          info.seccomp.args[3], info.seccomp.args[4], info.seccomp.args[5]};
	uint32_t data = info.seccomp.ret_data;
	int nr = (int)info.seccomp.nr;

	if (data != RET_JUDGE && !(data & RET_REFUSE))
		without_tracer(e, t);
	else if (info.arch != AUDIT_ARCH_X86_64 || (nr & X32_BIT && nr > 0))
		foreign(e, t, nr, true);
	else if (nr < 0 || nr > UINT16_MAX) /* struct cw_event has 16 bits */
		foreign(e, t, nr, false);
	else if (data == RET_JUDGE)
		judged(e, t, nr, args, info.stack_pointer);
	else
		refused(e, t, nr, args, (int)(data & ~RET_REFUSE));
}

/* --- at the end of a call --- */

static void uncount(struct cw_engine *e, uint8_t type)
{
	if (type == CW_EVENT_REFUSAL)
		e->res->refusals--;
	else if (type == CW_EVENT_ABSENT)
		e->res->absent--;
	else
		e->res->accesses--;
}

/*
 * What the record of a call comes to by its result. A name that was not there and that the call has made is no absent one; a
 * call that the kernel refuses in the same way is refused by nobody else.
 */
void cw_trace_result(struct cw_engine *e, struct cw_task *t, int64_t result)
{
	struct cw_event *v = (void *)t->record;
	bool keep = true;

	if (!v)
		return;
	uint8_t type = v->type;
	/* ptrace: refused because we are there */
	bool by_kernel = v->kind == CW_KIND_SYSCALL || v->kind == CW_KIND_NETWORK;
	bool by_name = v->len[0] != 0;

	if (result <= -512 && result >= -516) /* ERESTARTSYS and kin: it is made anew, or was interrupted */
		keep = false;
	else if (t->launching && is_exec(v->nr))
		keep = !result;
	else if (type == CW_EVENT_ABSENT && result >= 0)
		v->type = CW_EVENT_REFUSAL;
	else if (type == CW_EVENT_REFUSAL && by_kernel && !by_name && result == v->result && v->nr != SYS_ptrace)
		v->type = CW_EVENT_ABSENT;
	uncount(e, type);
	if (keep && v->type == CW_EVENT_REFUSAL)
		e->res->refusals++;
	else if (keep && v->type == CW_EVENT_ABSENT)
		e->res->absent++;
	else if (keep)
		e->res->accesses++;
	keep &= v->type == CW_EVENT_REFUSAL || (e->run->flags & CW_RUN_RECORD_ACCESS) || cw_moves(v->nr);
	if (keep) {
		cw_record_result(e, t, v->type == CW_EVENT_ACCESS ? result : v->result);
	} else {
		free(t->record);
		t->record = NULL;
	}
}

/* A terminal that the target made is its own, by name as well. */
static void note_terminal(struct cw_engine *e, struct cw_task *t, int fd)
{
	struct stat st;
	int own = cw_get_fd(t, fd), n;

	if (own < 0)
		return;
	if (!fstat(own, &st) && S_ISCHR(st.st_mode) && st.st_rdev == 0x502 && !ioctl(own, TIOCGPTN, &n)) /* 5:2, ptmx */
		cw_terminal_add(e, n, NULL);
	close(own);
}

static bool ends_in_ptmx(const struct cw_task *t)
{
	const struct cw_event *v = (const void *)t->record;

	return v && v->len[0] >= 5 && !memcmp(t->record + sizeof(*v) + v->len[0] - 5, "/ptmx", 5);
}

void cw_trace_exit(struct cw_engine *e, struct cw_task *t)
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, t->tid, NULL, &regs)) {
		cw_resume(t, 0); /* ESRCH: it was killed, and its end is still to come */
		return;
	}
	int nr = (int)regs.orig_rax;
	int64_t result = (int64_t)regs.rax;

	cw_trace_cloned(e, t);
	const struct cw_event *v = (const void *)t->record;

	/* what is not refused has no record where none is wanted */
	if (result >= 0 && makes_ipc(nr) && (!v || v->type == CW_EVENT_ACCESS))
		cw_ipc_was_made(e, nr, (int)result);
	if (result >= 0 && opens(nr) && (!v || ends_in_ptmx(t)))
		note_terminal(e, t, (int)result);
	cw_trace_result(e, t, result);
	go_on(e, t, false);
}
