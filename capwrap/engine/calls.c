/*
 * A stopped call, from its copy to its plan: the target's arguments are read once, one rewriter decides, and what is to be
 * performed is performed. How the thread goes on is resume.c's, or the listener's where the call waits there.
 */
#include "capwrap/engine/internal.h"

#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "capwrap/engine/stub.h"

#define X(name) void cw_rw_##name(struct cw_ctx *c);
CW_HANDLERS(X)
#undef X

static cw_rewriter *const rewriters[] = {NULL,
#define X(name) cw_rw_##name,
                                         CW_HANDLERS(X)
#undef X
};

static void violation(struct cw_engine *e, struct cw_task *t, int64_t *ret)
{
	const struct cw_image_header *h = e->im.h;

	if (e->ctx.rec.kind == CW_KIND_NONE || t->launching)
		return;
	if (h->violation_errno)
		*ret = -(int64_t)h->violation_errno;
	if (h->violation == CW_VIOLATION_ERRNO)
		return;
	/* a probe for a name that is not there stops nothing */
	const char *path = e->ctx.place[0].path[1] ? e->ctx.place[0].path : e->ctx.whole;
	struct stat st;

	if (e->ctx.rec.kind == CW_KIND_NOT_GRANTED && path[0] == '/' && lstat(path, &st))
		return;
	switch (h->violation) {
	case CW_VIOLATION_TRAP:
		(void)cw_send_signal(t->proc, t->tid, SIGTRAP);
		break;
	case CW_VIOLATION_STOP: {
		(void)cw_send_signal(t->proc, t->tid, SIGSTOP);
		/* with COMMAND we stop too (on_stop), and go on with it */
		int job = t->proc->pid == e->root_pid && (e->run->flags & CW_RUN_FOREGROUND) ? (int)getpid()
		                                                                             : t->proc->pid;
		char *shown = cw_printable(path);

		fprintf(stderr,
		        "capwrap: process %d stopped at a refused call (%s%s%s). Look at it in /proc/%d (maps, mem, "
		        "syscall), go on with kill -CONT %d, end it with kill -KILL %d. capwrap traces it, so no "
		        "debugger can attach; --on-violation trap leaves a core file for one\n",
		        t->tid, cw_syscalls[e->ctx.call.nr].name, path[0] ? " " : "", shown ? shown : "", t->tid, job,
		        job);
		free(shown);
		break;
	}
	default:
		e->killed = true;
		cw_kill_all(e, SIGKILL);
		break;
	}
}

void cw_forget_result(struct cw_engine *e, struct cw_task *t)
{
	if (t->pending == CW_IDLE || t->pending == CW_OBSERVED)
		return;
	if (t->record) {
		/* the stub leaves that of what it made last: for a descriptor that has a use (chdir), that use's */
		int64_t result = t->pending != CW_EXECUTING && t->slot >= 0 ? e->result[t->slot] : t->delivered;

		cw_record_result(e, t, result == CW_NO_RESULT ? -EINTR : result);
	}
	cw_slot_free(e, t);
	pthread_mutex_lock(&e->lock);
	if (t->delivery.fd >= 0) {
		if (t->delivery.held >= 0)
			close(t->delivery.held);
		cw_undelivered(t, &t->delivery);
	}
	t->delivery.fd = -1;
	t->pending = CW_IDLE;
	pthread_mutex_unlock(&e->lock);
	t->exec = false;
	t->anew = false;
}

/* NOLINTNEXTLINE(misc-no-recursion): see resume_rewrite */
/* The call `nr` with `args` of a thread, from its copy to what becomes of it; what was to be performed is. */
static enum cw_plan_kind decide(struct cw_engine *e, struct cw_task *t, int nr, const uint64_t args[6],
                                enum cw_try again, struct cw_outcome *o)
{
	struct cw_ctx *c = &e->ctx;

	for (int tries = 0;; tries++) {
		c->call.nr = nr;
		c->call.tid = t->tid;
		c->call.tgid = t->proc->pid;
		memcpy(c->call.arg, args, sizeof(c->call.arg));
		/* a filter of the target's own may not know the stub's calls: it is served by performing (rule 16) */
		c->again = tries || t->proc->filtered ? CW_TRY_PERFORM : again;
		c->plan.kind = CW_PLAN_REFUSE;
		c->plan.ret = -ENOSYS;
		c->plan.retry = CW_TRY_FIRST;
		c->plan.count.a = 0;
		c->plan.then.nr = 0;
		c->plan.slot_arg = -1;
		c->plan.self = 0;
		c->rec.kind = CW_KIND_NONE;
		c->rec.needs = 0;
		c->rec.grant = c->rec.grant2 = CW_NONE;
		c->rec.extra[0] = 0;
		c->exec.interp_fd = -1;
		e->stack = NULL;
		c->whole[0] = c->whole2[0] = c->via[0] = 0;
		for (int i = 0; i < 2; i++) {
			c->place[i].fd = c->place[i].parent = -1;
			c->place[i].path[0] = 0;
			c->place[i].path[1] = 0;
			c->place[i].exact = false;
		}
		e->anew = false;
		e->published = 0;
		e->current = t;
		if (t->proc->creds)
			cw_adopt(e, t, false);
		unsigned handler = nr >= 0 && nr < CW_SYSCALL_MAX ? cw_syscalls[nr].handler : 0;

		if (handler && handler < sizeof(rewriters) / sizeof(rewriters[0]) && rewriters[handler])
			rewriters[handler](c);
		enum cw_plan_kind kind = c->plan.kind;

		*o = (struct cw_outcome){.ret = c->plan.ret, .delivery = {.fd = -1, .install = -1, .held = -1}};
		if (kind == CW_PLAN_PERFORM && (!cw_tracing(e) || c->plan.op == CW_OP_LOOPBACK))
			o->ret = cw_perform_plan(e, t, &o->delivery, o->then);
		cw_adopt_end(e);
		cw_place_drop(c, &c->place[0]);
		cw_place_drop(c, &c->place[1]);
		if (c->exec.interp_fd >= 0 && kind != CW_PLAN_EXEC) {
			close(c->exec.interp_fd);
			c->exec.interp_fd = -1;
		}
		if (kind == CW_PLAN_PERFORM && o->ret == -EAGAIN && c->plan.op == CW_OP_OPEN && tries < 16)
			continue;
		return kind;
	}
}

/* What would become of a call: 0, or the -errno of its refusal, with the record in the context. */
int64_t cw_judge(struct cw_engine *e, struct cw_task *t, int nr, const uint64_t args[6])
{
	struct cw_outcome o;

	(void)decide(e, t, nr, args, CW_TRY_FIRST, &o);
	if (o.delivery.fd >= 0)
		close(o.delivery.fd);
	if (e->ctx.exec.interp_fd >= 0)
		close(e->ctx.exec.interp_fd);
	e->ctx.exec.interp_fd = -1;
	if (e->ctx.rec.kind == CW_KIND_NONE)
		return 0;
	return e->im.h->violation_errno ? -(int64_t)e->im.h->violation_errno : o.ret;
}

/* These stop where the policy limits how many there are. */
static bool makes_thread(int nr)
{
	return nr == SYS_clone || nr == SYS_fork || nr == SYS_vfork;
}

/* NOLINTNEXTLINE(misc-no-recursion): see cw_resume_rewrite */
void cw_decide_stopped(struct cw_engine *e, struct cw_task *t, struct user_regs_struct *regs, enum cw_try again)
{
	const uint64_t args[6] = {regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9};
	struct cw_outcome o;
	bool opened = t->opened;

	/* a handler that was left by siglongjmp does not come back for it; one that still runs has its frame beneath */
	t->late_due = regs->rsp == t->late_sp && regs->rip == t->late_ip;
	if (t->late >= 0 && !t->late_due && regs->rsp >= t->late_sp)
		cw_drop_late(t);
	t->opened = false;
	/* pending first: a record of a call that is still to be made waits for its result */
	e->unreadable = false;
	switch (decide(e, t, (int)regs->orig_rax, args, again, &o)) {
	case CW_PLAN_PASS:
		/* one that fails has no event, but an end */
		t->forking = makes_thread((int)regs->orig_rax);
		cw_record_call(e, t, 0);
		cw_resume_pass(e, t);
		return;
	case CW_PLAN_REWRITE:
		t->pending = CW_IN_STUB;
		cw_record_call(e, t, 0);
		cw_resume_rewrite(e, t, regs);
		return;
	case CW_PLAN_EXEC:
		t->pending = CW_EXECUTING;
		cw_record_call(e, t, 0);
		cw_resume_exec(e, t, regs);
		return;
	case CW_PLAN_PERFORM:
		if (o.delivery.fd >= 0) {
			t->pending = CW_DELIVERING;
			t->delivered = 0;
			cw_record_call(e, t, 0);
			cw_resume_deliver(e, t, regs, &o.delivery, o.then);
			return;
		}
		break;
	default:
		break;
	}
	if (e->anew) {
		regs->rip -= 2;
		cw_resume_answer(e, t, regs, (int64_t)regs->orig_rax);
		return;
	}
	if (e->unreadable && !opened) {
		t->opened = true;
		cw_resume_readable(e, t, regs);
		return;
	}
	cw_stack_at_stop(e, t, regs);
	violation(e, t, &o.ret);
	/* answered first: whether an ungranted name exists is looked up while the target runs on */
	cw_resume_answer(e, t, regs, o.ret);
	cw_record_call(e, t, o.ret);
}

/* The table's `notify` calls have plans of two kinds only; any other is the mistake of a rewriter, and refused. */
static int64_t answer_of(struct cw_engine *e, struct cw_task *t, enum cw_plan_kind kind, struct cw_outcome *o)
{
	if (o->delivery.fd >= 0)
		close(o->delivery.fd);
	if (e->ctx.exec.interp_fd >= 0)
		close(e->ctx.exec.interp_fd);
	e->ctx.exec.interp_fd = -1;
	if ((kind != CW_PLAN_REFUSE && kind != CW_PLAN_PERFORM) || o->delivery.fd >= 0)
		return -ENOSYS;
	violation(e, t, &o->ret);
	return o->ret;
}

bool cw_waits_for_answer(const struct user_regs_struct *regs)
{
	int nr = (int)regs->orig_rax;

	return (int64_t)regs->orig_rax >= 0 && (int64_t)regs->rax == -512 /* ERESTARTSYS */ && nr >= 0 &&
	       nr < CW_SYSCALL_MAX && cw_syscalls[nr].notify;
}

/*
 * A signal ended the wait for the listener's answer. Natively the call would have come to its end before the signal, so it is
 * answered now. False: the target must first make itself readable.
 */
bool cw_decide_interrupted(struct cw_engine *e, struct cw_task *t, struct user_regs_struct *regs)
{
	const uint64_t args[6] = {regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9};
	struct cw_outcome o;
	enum cw_plan_kind kind;

	cw_forget_result(e, t);
	e->unreadable = false;
	kind = decide(e, t, (int)regs->orig_rax, args, CW_TRY_FIRST, &o);
	int64_t ret = answer_of(e, t, kind, &o);

	if (e->unreadable && !t->opened)
		return false;
	t->opened = false;
	cw_stack_at_stop(e, t, regs);
	regs->rax = (uint64_t)ret;
	regs->orig_rax = UINT64_MAX;
	(void)cw_set_regs(e, t, regs);
	cw_record_call(e, t, ret);
	return true;
}

/* With the turn, and for a thread that waits. */
void cw_decide_notified(struct cw_engine *e, const struct seccomp_notif *n)
{
	struct cw_task *t = cw_task_find(e, (int)n->pid);
	struct cw_outcome o;

	e->res->stops++;
	if (!t || !t->proc || t->launching) {
		(void)cw_notif_answer(e, n->id, -ENOSYS);
		return;
	}
	cw_forget_result(e, t);
	e->answering = true;
	e->unreadable = false;
	enum cw_plan_kind kind = decide(e, t, n->data.nr, (const uint64_t *)n->data.args, CW_TRY_FIRST, &o);

	e->answering = false;
	if ((e->unreadable || cw_stack_needs_stop(e, t)) && (kind == CW_PLAN_REFUSE || kind == CW_PLAN_PERFORM) &&
	    o.delivery.fd < 0) {
		/* at most its tracer can read it, and only at a stop: this signal brings one, and ends there (cw_on_signal) */
		t->called = true;
		(void)cw_send_signal(t->proc, t->tid, SIGSTOP);
	} else {
		int64_t ret = answer_of(e, t, kind, &o);

		/* not taken: a signal was first, and the call is decided again at its stop */
		if (cw_notif_answer(e, n->id, ret))
			cw_record_call(e, t, ret);
	}
}

static void on_call(struct cw_engine *e, struct cw_task *t)
{
	struct user_regs_struct regs;

	e->res->stops++;
	if (ptrace(PTRACE_GETREGS, t->tid, NULL, &regs)) {
		if (errno != ESRCH)
			cw_kill_process(e, t, "its registers could not be read");
		else
			cw_resume(t, 0);
		return;
	}
	int nr = (int)regs.orig_rax;

	if (t->pending == CW_IN_STUB && cw_in_stub(regs.rip) && nr != CW_NR_RETRY && nr != CW_NR_DONE) {
		/* a rewritten call that the program does not pass would be rewritten for ever */
		regs = t->orig;
		free(t->record);
		t->record = NULL;
		cw_forget_result(e, t);
		cw_resume_answer(e, t, &regs, -ENOSYS);
		return;
	}
	if (nr == CW_NR_RETRY || nr == CW_NR_DONE) {
		/* only the stub has a use for these, and only with a call of its own under way */
		if (t->pending != CW_IN_STUB || !cw_in_stub(regs.rip)) {
			cw_resume_answer(e, t, &regs, -ENOSYS);
			return;
		}
		int64_t result = (int64_t)regs.rdi;
		struct tptr count = t->count;

		regs = t->orig;
		free(t->record);
		t->record = NULL;
		cw_forget_result(e, t);
		/* a table that is full is full for a delivery too, and what that would make or empty must not come about */
		if (nr == CW_NR_RETRY && result != -EMFILE) {
			cw_decide_stopped(e, t, &regs, t->retry);
			return;
		}
		if (result >= 0 && count.a) {
			uint32_t sent = (uint32_t)result;

			result = cw_mem_write(e, t->tid, count.a, &sent, sizeof(sent));
			if (!result)
				result = 1;
		}
		cw_resume_answer(e, t, &regs, result);
		return;
	}
	cw_forget_result(e, t);
	cw_decide_stopped(e, t, &regs, CW_TRY_FIRST);
}

void cw_on_call(struct cw_engine *e, struct cw_task *t)
{
	t->gone_on = false;
	on_call(e, t);
}
