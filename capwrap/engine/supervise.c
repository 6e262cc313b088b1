/*
 * The engine's loop: waits for stops and resumes from them. A stopped call is copied, decided, and resumed in exactly one
 * of the ways of resume_*() below (ARCHITECTURE.md, rule 5).
 */
#include "capwrap/engine/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern const uint8_t cw_stub_begin[], cw_stub_end[], cw_stub_call[], cw_stub_retry[], cw_stub_done[], cw_stub_deliver[],
	cw_stub_start[], cw_stub_exec[], cw_stub_undo_from[], cw_stub_undo_to[];

#define AT(label) (CW_PAD_STUB + (uint64_t)((label)-cw_stub_begin))
#define X(name) void cw_rw_##name(struct cw_ctx *c);
CW_HANDLERS(X)
#undef X

static cw_rewriter *const rewriters[] = {NULL,
#define X(name) cw_rw_##name,
                                         CW_HANDLERS(X)
#undef X
};

static void resume(struct cw_task *t, int sig)
{
	/* ESRCH: killed meanwhile; its exit is reported */
	(void)ptrace(PTRACE_CONT, t->tid, NULL, (void *)(long)sig);
}

static void kill_process(struct cw_engine *e, struct cw_task *t, const char *why)
{
	if (why && !e->res->message[0])
		snprintf(e->res->message, sizeof(e->res->message), "process %d was killed: %s",
		         t->proc ? t->proc->pid : t->tid, why);
	if (!t->proc || t->proc->pidfd < 0 || syscall(SYS_pidfd_send_signal, t->proc->pidfd, SIGKILL, NULL, 0))
		(void)syscall(SYS_tkill, t->tid, SIGKILL);
	resume(t, 0);
}

static bool set_regs(struct cw_engine *e, struct cw_task *t, struct user_regs_struct *regs)
{
	if (!ptrace(PTRACE_SETREGS, t->tid, NULL, regs))
		return true;
	if (errno != ESRCH)
		kill_process(e, t, "its registers could not be set");
	return false;
}

/* --- the ways to go on from a call --- */

/* The call is not made; the target sees `ret`. */
static void resume_answer(struct cw_engine *e, struct cw_task *t, struct user_regs_struct *regs, int64_t ret)
{
	regs->rax = (uint64_t)ret;
	regs->orig_rax = UINT64_MAX;
	if (set_regs(e, t, regs))
		resume(t, 0);
}

/* The target makes a call from the stub, which the seccomp program judges afresh. */
static bool enter_stub(struct cw_engine *e, struct cw_task *t, struct user_regs_struct *regs, const uint8_t *entry,
                       size_t bytes)
{
	int slot = cw_slot_take(e, bytes);

	if (slot < 0)
		return false;
	t->slot = slot;
	t->slots = (int)((bytes + CW_PAD_SLOT_DATA + CW_PAD_SLOT_STRIDE - 1) / CW_PAD_SLOT_STRIDE);
	t->orig = *regs;
	struct cw_frame *f = (void *)(e->pad + (cw_slot_address(slot) - CW_PAD_BASE));

	f->rdi = regs->rdi;
	f->rsi = regs->rsi;
	f->rdx = regs->rdx;
	f->r10 = regs->r10;
	f->r8 = regs->r8;
	f->r9 = regs->r9;
	f->rbx = regs->rbx;
	f->rip = regs->rip;
	f->r11 = regs->eflags;
	f->result = CW_PAD_RESULT + (uint64_t)slot * 8;
	regs->rbx = cw_slot_address(slot);
	regs->rip = CW_PAD_STUB + (uint64_t)(entry - cw_stub_begin);
	return true;
}

static void decide(struct cw_engine *e, struct cw_task *t, struct user_regs_struct *regs, bool again);
static void forget_result(struct cw_engine *e, struct cw_task *t);

/* NOLINTNEXTLINE(misc-no-recursion): decide with `again` plans no retry, so this goes in once */
static void resume_rewrite(struct cw_engine *e, struct cw_task *t, struct user_regs_struct *regs)
{
	struct cw_plan *plan = &e->ctx.plan;
	const uint8_t *entry = plan->kind == CW_PLAN_EXEC ? cw_stub_exec
	                       : plan->count.a            ? cw_stub_done
	                       : plan->retry              ? cw_stub_retry
	                                                  : cw_stub_call;
	bool message = plan->nr == SYS_sendmsg;
	uint64_t *a = plan->arg;

	if (!enter_stub(e, t, regs, entry, message ? 0 : plan->len)) {
		t->pending = CW_IDLE;
		free(t->record);
		t->record = NULL;
		if (plan->retry) /* every slot is taken: the supervisor opens it */
			decide(e, t, regs, true);
		else
			resume_answer(e, t, regs, -ENOMEM);
		return;
	}
	uint64_t data = cw_slot_address(t->slot) + CW_PAD_SLOT_DATA;

	if (message) {
		/* whatever any of its fields is, any thread may use it at any time: its name is NULL or a published address */
		data = CW_PAD_MSGHDR + (uint64_t)t->slot * CW_PAD_MSGHDR_STRIDE;
		if (data >= CW_PAD_MSGHDR_END) {
			free(t->record);
			t->record = NULL;
			forget_result(e, t);
			resume_answer(e, t, &t->orig, -ENOBUFS);
			return;
		}
	}
	if (plan->slot_arg >= 0) {
		memcpy(e->pad + (data - CW_PAD_BASE), plan->bytes, plan->len);
		a[plan->slot_arg] = data;
	}
	t->pending = CW_IN_STUB;
	t->count = plan->count;
	regs->rax = (uint64_t)(uint32_t)plan->nr;
	regs->orig_rax = UINT64_MAX;
	regs->rdi = a[0];
	regs->rsi = a[1];
	regs->rdx = a[2];
	regs->r10 = a[3];
	regs->r8 = a[4];
	regs->r9 = a[5];
	if (set_regs(e, t, regs))
		resume(t, 0);
}

/* The call becomes the hand-over of a descriptor; `then`, if any, is the call that uses it, made from the stub. */
static void resume_deliver(struct cw_engine *e, struct cw_task *t, struct user_regs_struct *regs, struct cw_delivery *d,
                           const uint64_t *then)
{
	t->orig = *regs;
	if (then[0]) {
		if (!enter_stub(e, t, regs, cw_stub_deliver, 0)) {
			close(d->fd);
			resume_answer(e, t, regs, -ENOMEM);
			return;
		}
		struct cw_frame *f = (void *)(e->pad + (cw_slot_address(t->slot) - CW_PAD_BASE));

		f->expect = (uint64_t) - (int64_t)d->install;
		f->nr = then[0];
		memcpy(f->arg, then + 1, sizeof(f->arg));
	}
	pthread_mutex_lock(&e->lock);
	t->delivery = *d;
	t->pending = CW_DELIVERING;
	pthread_mutex_unlock(&e->lock);
	e->res->deliveries++;
	regs->orig_rax = CW_NR_DELIVER;
	regs->rax = (uint64_t)-ENOSYS;
	if (set_regs(e, t, regs))
		resume(t, 0);
}

/* --- a mapped script's argv: interpreter, argument, script, then the caller's from the second on --- */

static bool build_argv(struct cw_engine *e, struct cw_task *t, uint64_t argv, const char *strings, size_t len,
                       int count, struct user_regs_struct *regs)
{
	size_t n = 0, size;
	uint64_t p = 0;

	for (; argv && n < 65536; n++) {
		if (cw_mem_read(t->tid, &p, argv + 8 * n, 8))
			return false;
		if (!p)
			break;
	}
	size = ((len + 7) & ~(size_t)7) + 8 * ((size_t)count + (n ? n : 1) + 1);
	if (!enter_stub(e, t, regs, cw_stub_exec, size))
		return false;
	uint64_t data = cw_slot_address(t->slot) + CW_PAD_SLOT_DATA, at = data;
	uint8_t *to = e->pad + (data - CW_PAD_BASE);
	uint64_t *array = (void *)(to + ((len + 7) & ~(size_t)7));

	memcpy(to, strings, len);
	for (int i = 0; i < count; i++) {
		*array++ = at;
		at += strlen(strings + (at - data)) + 1;
	}
	for (size_t i = 1; i < n; i++, array++)
		if (cw_mem_read(t->tid, array, argv + 8 * i, 8) || !*array) {
			*array = 0;
			break;
		}
	*array = 0;
	regs->rdi = data;
	regs->rsi = data + ((len + 7) & ~(size_t)7);
	return true;
}

/* NOLINTNEXTLINE(misc-no-recursion): see resume_rewrite */
static void resume_exec(struct cw_engine *e, struct cw_task *t, struct user_regs_struct *regs)
{
	struct cw_plan *plan = &e->ctx.plan;

	if (t->plan.interp_fd >= 0)
		close(t->plan.interp_fd);
	t->plan = e->ctx.exec;
	e->ctx.exec.interp_fd = -1;
	t->exec = true;
	if (!plan->ret) {
		resume_rewrite(e, t, regs);
		return;
	}
	if (!build_argv(e, t, plan->arg[1], plan->bytes, plan->len, (int)plan->ret, regs)) {
		free(t->record);
		t->record = NULL;
		forget_result(e, t);
		resume_answer(e, t, regs, -E2BIG);
		return;
	}
	t->pending = CW_IN_STUB;
	t->count.a = 0;
	regs->rax = SYS_execve;
	regs->orig_rax = UINT64_MAX;
	regs->rdx = plan->arg[2];
	if (set_regs(e, t, regs))
		resume(t, 0);
}

/* --- a stopped call --- */

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
		(void)syscall(SYS_tgkill, t->proc->pid, t->tid, SIGTRAP);
		break;
	case CW_VIOLATION_STOP:
		(void)syscall(SYS_tgkill, t->proc->pid, t->tid, SIGSTOP);
		fprintf(stderr,
		        "capwrap: process %d stopped at a refused call (%s%s%s). It is traced: end it with kill -KILL "
		        "%d, look at it in /proc/%d, "
		        "go on with kill -CONT %d; to attach a debugger, kill -KILL %d ends capwrap and all that it "
		        "runs\n",
		        t->tid, cw_syscalls[e->ctx.call.nr].name, path[0] ? " " : "", path, t->proc->pid, t->tid,
		        t->proc->pid, (int)getpid());
		break;
	default:
		e->killed = true;
		cw_kill_all(e, SIGKILL);
		break;
	}
}

static void forget_result(struct cw_engine *e, struct cw_task *t)
{
	if (t->pending == CW_IDLE)
		return;
	if (t->record)
		cw_record_result(e, t, t->pending == CW_IN_STUB && t->slot >= 0 ? e->result[t->slot] : t->delivered);
	cw_slot_free(e, t);
	pthread_mutex_lock(&e->lock);
	if (t->delivery.fd >= 0)
		close(t->delivery.fd);
	t->delivery.fd = -1;
	t->pending = CW_IDLE;
	pthread_mutex_unlock(&e->lock);
	t->exec = false;
}

/* NOLINTNEXTLINE(misc-no-recursion): see resume_rewrite */
static void decide(struct cw_engine *e, struct cw_task *t, struct user_regs_struct *regs, bool again)
{
	struct cw_ctx *c = &e->ctx;
	int nr = (int)regs->orig_rax;
	int64_t ret = 0;

	for (int tries = 0;; tries++) {
		c->call.nr = nr;
		c->call.tid = t->tid;
		c->call.tgid = t->proc->pid;
		c->call.arg[0] = regs->rdi;
		c->call.arg[1] = regs->rsi;
		c->call.arg[2] = regs->rdx;
		c->call.arg[3] = regs->r10;
		c->call.arg[4] = regs->r8;
		c->call.arg[5] = regs->r9;
		/* a filter of the target's own may not know the stub's calls: it is served by performing (rule 16) */
		c->again = again || tries || t->proc->filtered;
		c->plan.kind = CW_PLAN_REFUSE;
		c->plan.ret = -ENOSYS;
		c->plan.retry = false;
		c->plan.count.a = 0;
		c->plan.slot_arg = -1;
		c->rec.kind = CW_KIND_NONE;
		c->rec.needs = 0;
		c->rec.grant = c->rec.grant2 = CW_NONE;
		c->rec.extra[0] = 0;
		c->exec.interp_fd = -1;
		c->whole[0] = c->whole2[0] = 0;
		for (int i = 0; i < 2; i++) {
			c->place[i].fd = c->place[i].parent = -1;
			c->place[i].path[0] = 0;
			c->place[i].path[1] = 0;
			c->place[i].exact = false;
		}
		e->current = t;
		if (t->proc->creds)
			cw_adopt(e, t, false);
		unsigned handler = nr >= 0 && nr < CW_SYSCALL_MAX ? cw_syscalls[nr].handler : 0;

		if (handler && handler < sizeof(rewriters) / sizeof(rewriters[0]) && rewriters[handler])
			rewriters[handler](c);
		struct cw_delivery d = {.fd = -1, .install = -1, .held = -1};
		uint64_t then[7] = {0};
		enum cw_plan_kind kind = c->plan.kind;

		ret = c->plan.ret;
		if (kind == CW_PLAN_PERFORM)
			ret = cw_perform_plan(e, t, &d, then);
		cw_adopt_end(e);
		cw_place_drop(c, &c->place[0]);
		cw_place_drop(c, &c->place[1]);
		if (c->exec.interp_fd >= 0 && kind != CW_PLAN_EXEC) {
			close(c->exec.interp_fd);
			c->exec.interp_fd = -1;
		}
		if (kind == CW_PLAN_PERFORM && ret == -EAGAIN && c->plan.op == CW_OP_OPEN && tries < 16)
			continue;
		/* pending first: a record of a call that is still to be made waits for its result */
		switch (kind) {
		case CW_PLAN_PASS:
			cw_record_call(e, t, 0);
			resume(t, 0);
			return;
		case CW_PLAN_REWRITE:
			t->pending = CW_IN_STUB;
			cw_record_call(e, t, 0);
			resume_rewrite(e, t, regs);
			return;
		case CW_PLAN_EXEC:
			t->pending = CW_IN_STUB;
			cw_record_call(e, t, 0);
			resume_exec(e, t, regs);
			return;
		case CW_PLAN_PERFORM:
			if (d.fd >= 0) {
				t->pending = CW_DELIVERING;
				t->delivered = 0;
				cw_record_call(e, t, 0);
				resume_deliver(e, t, regs, &d, then);
				return;
			}
			break;
		default:
			break;
		}
		violation(e, t, &ret);
		/* answered first: whether an ungranted name exists is looked up while the target runs on */
		resume_answer(e, t, regs, ret);
		cw_record_call(e, t, ret);
		return;
	}
}

static bool in_stub(uint64_t rip)
{
	return rip >= CW_PAD_STUB && rip < AT(cw_stub_end);
}

/* What the kernel found wrong when it looked the path up again is not what was decided: somebody changed it meanwhile. */
static int64_t exec_error(int64_t err)
{
	switch (err) {
	case -ENOENT:
	case -ENOTDIR:
	case -ELOOP:
	case -ENAMETOOLONG:
		return -EACCES;
	default:
		return err;
	}
}

static void on_call(struct cw_engine *e, struct cw_task *t)
{
	struct user_regs_struct regs;

	e->res->stops++;
	if (ptrace(PTRACE_GETREGS, t->tid, NULL, &regs)) {
		if (errno != ESRCH)
			kill_process(e, t, "its registers could not be read");
		else
			resume(t, 0);
		return;
	}
	int nr = (int)regs.orig_rax;

	if (t->pending == CW_IN_STUB && in_stub(regs.rip) && nr != CW_NR_RETRY && nr != CW_NR_DONE) {
		/* a rewritten call that the program does not pass would be rewritten for ever */
		regs = t->orig;
		free(t->record);
		t->record = NULL;
		forget_result(e, t);
		resume_answer(e, t, &regs, -ENOSYS);
		return;
	}
	if (nr == CW_NR_RETRY || nr == CW_NR_DONE) {
		/* only the stub has a use for these, and only with a call of its own under way */
		if (t->pending != CW_IN_STUB || !in_stub(regs.rip)) {
			resume_answer(e, t, &regs, -ENOSYS);
			return;
		}
		int64_t result = (int64_t)regs.rdi;
		struct tptr count = t->count;

		if (t->exec)
			result = exec_error(result);
		regs = t->orig;
		free(t->record);
		t->record = NULL;
		forget_result(e, t);
		if (nr == CW_NR_RETRY) {
			decide(e, t, &regs, true);
			return;
		}
		if (result >= 0 && count.a) {
			uint32_t sent = (uint32_t)result;

			result = cw_mem_write(t->tid, count.a, &sent, sizeof(sent));
			if (!result)
				result = 1;
		}
		resume_answer(e, t, &regs, result);
		return;
	}
	forget_result(e, t);
	decide(e, t, &regs, false);
}

/* --- signals --- */

static bool restarts(int64_t rax)
{
	return rax <= -512 && rax >= -516;
}

/*
 * A signal must not find a thread inside the stub: it is taken out first, to where the program believes it to be: before
 * the call if it was not made, behind it with its result if it was. Then frames never nest, a handler may leave by
 * siglongjmp, and EINTR and restarts are the kernel's own.
 */
static void take_out(struct cw_engine *e, struct cw_task *t, struct user_regs_struct *regs)
{
	bool undo = false, keep = false;
	int64_t rax = (int64_t)regs->rax;
	bool from_call = (int64_t)regs->orig_rax >= 0;

	if (t->pending == CW_IDLE)
		return;
	if (t->pending == CW_DELIVERING && (int)regs->orig_rax == CW_NR_DELIVER && from_call && restarts(rax)) {
		/* it was interrupted while it waited: as if the original call had been */
		uint64_t nr = t->orig.orig_rax;

		*regs = t->orig;
		regs->rax = (uint64_t)rax;
		regs->orig_rax = nr;
		keep = true;
	} else if (!in_stub(regs->rip)) {
		forget_result(e, t);
		return;
	} else if (t->pending == CW_DELIVERING && regs->rip >= AT(cw_stub_deliver) && regs->rip < AT(cw_stub_start)) {
		undo = regs->rip != AT(cw_stub_deliver) || rax >= 0;
	} else if (regs->rip == AT(cw_stub_call) || regs->rip == AT(cw_stub_retry) || regs->rip == AT(cw_stub_done) ||
	           (regs->rip >= AT(cw_stub_undo_from) && regs->rip < AT(cw_stub_undo_to))) {
		undo = true;
	} else if (regs->rip >= AT(cw_stub_exec)) {
		/* an exec: not made yet, or failed */
		if (regs->rip == AT(cw_stub_exec))
			undo = true;
		else
			rax = exec_error(regs->rip == AT(cw_stub_exec) + 2 ? rax : (int64_t)regs->rdi);
	} else if (regs->rip > AT(cw_stub_done) && regs->rip < AT(cw_stub_deliver) - 2) {
		/* a sendmmsg whose message is sent: finish it */
		int64_t sent = regs->rip == AT(cw_stub_done) + 2 ? rax : (int64_t)regs->rdi;

		if (restarts(sent)) {
			rax = sent;
		} else {
			uint32_t n = (uint32_t)sent;

			rax = sent < 0 ? sent : cw_mem_write(t->tid, t->count.a, &n, sizeof(n)) ? -EFAULT : 1;
		}
	} else if (regs->rip == AT(cw_stub_retry) + 2 && (rax == -EXDEV || rax == -EAGAIN || rax == -EMFILE)) {
		undo = true;
	}
	if (!keep && undo) {
		uint64_t nr = t->orig.orig_rax;

		*regs = t->orig;
		regs->rip -= 2;
		regs->rax = nr;
		regs->orig_rax = UINT64_MAX;
	} else if (!keep) {
		uint64_t nr = t->orig.orig_rax;
		bool again = from_call && restarts(rax);

		*regs = t->orig;
		regs->rax = (uint64_t)rax;
		regs->orig_rax = again ? nr : UINT64_MAX;
	}
	if (t->record && !undo && !keep)
		cw_record_result(e, t, rax);
	free(t->record);
	t->record = NULL;
	forget_result(e, t);
	(void)set_regs(e, t, regs);
}

static bool is_ignored(int tid, int sig)
{
	char path[48], text[4096];
	unsigned long long ignored = 0, caught = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	FILE *f = fopen(path, "re");

	if (!f)
		return false;
	while (fgets(text, sizeof(text), f)) {
		(void)sscanf(text, "SigIgn: %llx", &ignored);
		(void)sscanf(text, "SigCgt: %llx", &caught);
	}
	fclose(f);
	if (ignored >> (sig - 1) & 1)
		return true;
	return !(caught >> (sig - 1) & 1) && (sig == SIGCHLD || sig == SIGURG || sig == SIGWINCH || sig == SIGCONT);
}

static void on_signal(struct cw_engine *e, struct cw_task *t, int sig)
{
	struct user_regs_struct regs;

	if (!ptrace(PTRACE_GETREGS, t->tid, NULL, &regs)) {
		take_out(e, t, &regs);
		/* epoll_wait and kin end with EINTR for a signal that natively would not even have woken them (rule 17) */
		if ((int64_t)regs.orig_rax >= 0 && (int64_t)regs.rax == -EINTR && is_ignored(t->tid, sig)) {
			regs.rax = regs.orig_rax;
			regs.rip -= 2;
			regs.orig_rax = UINT64_MAX;
			(void)set_regs(e, t, &regs);
		}
	}
	resume(t, sig);
}

/* --- processes --- */

static void on_new(struct cw_engine *e, struct cw_task *parent, int event)
{
	unsigned long msg = 0;
	struct user_regs_struct regs;
	int tid;

	forget_result(e, parent);
	if (ptrace(PTRACE_GETEVENTMSG, parent->tid, NULL, &msg) || ptrace(PTRACE_GETREGS, parent->tid, NULL, &regs)) {
		resume(parent, 0);
		return;
	}
	tid = (int)msg;
	bool ended = false;

	for (unsigned i = 0; i < sizeof(e->early) / sizeof(e->early[0]); i++)
		if (e->early[i] == tid) {
			e->early[i] = 0;
			ended = true;
		}
	struct cw_task *known = cw_task_find(e, tid);

	if (known)
		known->unannounced = false;
	if (!ended && !known) {
		bool thread = event == PTRACE_EVENT_CLONE && (int)regs.orig_rax == SYS_clone &&
		              (regs.rdi & 0x10000 /* CLONE_THREAD */);
		struct cw_proc *proc = thread ? parent->proc : cw_proc_add(e, tid, parent->proc);
		struct cw_task *t = proc ? cw_task_add(e, tid, proc) : NULL;

		if (!t) {
			(void)syscall(SYS_tkill, tid, SIGKILL);
			e->res->incomplete = 1;
		} else {
			if (!thread) {
				e->res->processes++;
				if (e->run->flags & CW_RUN_RECORD_ACCESS)
					cw_record_process(e, CW_PROCESS_START, tid, parent->proc->pid, NULL, 0);
			}
		}
	}
	resume(parent, 0);
}

/* A thread that stopped before its parent's event came: it is of the target, since we trace it. */
static struct cw_task *adopt_unknown(struct cw_engine *e, int tid)
{
	char path[48], line[256];
	int tgid = tid, ppid = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		(void)sscanf(line, "Tgid: %d", &tgid);
		(void)sscanf(line, "PPid: %d", &ppid);
	}
	if (f)
		fclose(f);
	struct cw_proc *proc = cw_proc_find(e, tgid);

	if (!proc) {
		proc = cw_proc_add(e, tgid, cw_proc_find(e, ppid));
		if (proc) {
			proc->creds |= e->creds_ever; /* CLONE_PARENT: its maker may be another */
			e->res->processes++;
			if (e->run->flags & CW_RUN_RECORD_ACCESS)
				cw_record_process(e, CW_PROCESS_START, tgid, ppid, NULL, 0);
		}
	}
	struct cw_task *t = proc ? cw_task_add(e, tid, proc) : NULL;

	if (t)
		t->unannounced = true;
	return t;
}

/* Its parent's event is still to come, and must not bring it back into the book. */
static void note_early(struct cw_engine *e, int tid)
{
	e->early[e->n_early++ % (sizeof(e->early) / sizeof(e->early[0]))] = tid;
}

/* argv as /proc shows it, for the record of an exec. */
static void record_exec(struct cw_engine *e, struct cw_task *t)
{
	char path[48], text[4096];

	snprintf(path, sizeof(path), "/proc/%d/cmdline", t->tid);
	FILE *f = fopen(path, "re");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

	if (f)
		fclose(f);
	if (n && text[n - 1])
		text[n++] = 0;
	cw_record_process(e, CW_PROCESS_EXEC, t->proc->pid, 0, text, n);
}

static void on_exec(struct cw_engine *e, struct cw_task *t)
{
	unsigned long former = 0;
	struct cw_task *by;

	(void)ptrace(PTRACE_GETEVENTMSG, t->tid, NULL, &former);
	by = (int)former == t->tid ? t : cw_task_find(e, (int)former);
	if (!by || !by->exec) {
		e->res->incomplete = 1;
		kill_process(e, t, "it executed a program that was not decided");
		return;
	}
	struct cw_exec plan = by->plan;
	bool launching = by->launching;

	by->plan.interp_fd = -1;
	by->exec = false;
	free(by->record);
	by->record = NULL;
	cw_slot_free(e, by);
	by->pending = CW_IDLE;
	if (by != t)
		cw_task_drop(e, by); /* it goes on under its leader's number; no exit is reported for the old one */
	cw_slot_free(e, t);
	t->pending = CW_IDLE;
	t->launching = false;
	t->proc->undumpable = false;
	int err = cw_exec_verify(e, t, &plan);

	if (plan.interp_fd >= 0)
		close(plan.interp_fd);
	if (err == -ESRCH || err == -ENOENT) {
		/* it was killed on the way: nothing was mapped that could be compared, and nothing of it will run */
		kill_process(e, t, NULL);
		return;
	}
	if (err) {
		char why[160];

		snprintf(why, sizeof(why), "at its exec stop, what was mapped is not what was decided (%s)",
		         strerror(-err));
		kill_process(e, t, why);
		return;
	}
	if (launching && e->run->started)
		e->run->started(e->run->sink_ctx, t->proc->pid);
	if (launching && (e->run->flags & CW_RUN_RECORD_ACCESS))
		cw_record_process(e, CW_PROCESS_START, t->proc->pid, (int64_t)getpid(), NULL, 0);
	record_exec(e, t);
	t->inject = true;
	(void)ptrace(PTRACE_SYSCALL, t->tid, NULL, NULL);
}

static void on_exec_exit(struct cw_engine *e, struct cw_task *t)
{
	int err = cw_exec_inject(e, t);

	t->inject = false;
	if (err)
		kill_process(e, t, "the pad could not be mapped into it");
	else
		resume(t, 0);
}

static void on_ended(struct cw_engine *e, struct cw_task *t, int status)
{
	int tid = t->tid;
	bool leader = t->proc && t->proc->pid == tid;

	forget_result(e, t);
	if (leader && (e->run->flags & CW_RUN_RECORD_ACCESS))
		cw_record_process(e, CW_PROCESS_EXIT, tid, status, NULL, 0);
	if (t->unannounced)
		note_early(e, tid);
	cw_task_drop(e, t);
	if (tid == e->root_pid) {
		e->root_ended = true;
		cw_command_is(0);
		e->root_status = status;
		if (!(e->run->flags & CW_RUN_LINGER)) {
			e->tearing = true;
			cw_kill_all(e, SIGKILL);
		}
	}
}

static bool is_stop(int sig)
{
	return sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;
}

static void on_stop(struct cw_engine *e, struct cw_task *t, int status)
{
	int sig = WSTOPSIG(status), event = status >> 16;

	if (e->tearing) {
		/* nothing of the target runs on once COMMAND has ended */
		kill_process(e, t, NULL);
		return;
	}
	switch (event) {
	case PTRACE_EVENT_SECCOMP:
		on_call(e, t);
		return;
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_VFORK:
	case PTRACE_EVENT_CLONE:
		on_new(e, t, event);
		return;
	case PTRACE_EVENT_EXEC:
		on_exec(e, t);
		return;
	case PTRACE_EVENT_STOP:
		if (!is_stop(sig)) {
			if (t->inject)
				(void)ptrace(PTRACE_SYSCALL, t->tid, NULL, NULL);
			else
				resume(t, 0);
			return;
		}
		(void)ptrace(PTRACE_LISTEN, t->tid, NULL, NULL);
		if (t->tid == e->root_pid && (e->run->flags & CW_RUN_FOREGROUND)) {
			/* the job that the outer shell sees is ours: stop with COMMAND, and go on with it */
			(void)kill(getpid(), SIGSTOP);
			(void)kill(e->root_pid, SIGCONT);
		}
		return;
	case 0:
		if (sig == (SIGTRAP | 0x80)) {
			if (t->inject)
				on_exec_exit(e, t);
			else
				resume(t, 0);
			return;
		}
		on_signal(e, t, sig);
		return;
	default:
		resume(t, 0);
		return;
	}
}

void cw_supervise(struct cw_engine *e)
{
	while (e->n_tasks) {
		int status, tid = waitpid(-1, &status, __WALL | __WNOTHREAD);

		if (tid < 0) {
			if (errno == EINTR)
				continue;
			/* nobody is left to wait for, and yet the book is not empty: the book is wrong, and says so */
			e->res->incomplete = 1;
			cw_kill_all(e, SIGKILL);
			break;
		}
		struct cw_task *t = cw_task_find(e, tid);

		if (!WIFSTOPPED(status)) {
			if (t)
				on_ended(e, t, status);
			else
				note_early(e, tid);
			continue;
		}
		if (!t)
			t = adopt_unknown(e, tid);
		if (!t) {
			e->res->incomplete = 1;
			(void)syscall(SYS_tkill, tid, SIGKILL);
			(void)ptrace(PTRACE_CONT, tid, NULL, NULL);
			continue;
		}
		on_stop(e, t, status);
	}
	e->res->status = e->root_status;
}
