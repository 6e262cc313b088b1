/*
 * The ways to go on from a stopped call (ARCHITECTURE.md, rule 5): as it stands, not made and answered, from the stub, as an
 * execve of a path in the pad, or as the hand-over of a descriptor. go_on() is the one function that resumes, and it
 * asserts that it is one of these.
 */
#include "capwrap/engine/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "capwrap/engine/stub.h"

void cw_resume(struct cw_task *t, int sig)
{
	/* ESRCH: killed meanwhile; its exit is reported */
	(void)ptrace(t->pending == CW_OBSERVED || t->forking ? PTRACE_SYSCALL : PTRACE_CONT, t->tid, NULL,
	             (void *)(long)sig);
}

void cw_kill_process(struct cw_engine *e, struct cw_task *t, const char *why)
{
	if (why && !e->res->message[0])
		snprintf(e->res->message, sizeof(e->res->message), "process %d was killed: %s", t->proc->pid, why);
	/* what lives on stays where it stopped */
	if (cw_send_signal(t->proc, 0, SIGKILL) || errno == ESRCH)
		cw_resume(t, 0);
}

bool cw_set_regs(struct cw_engine *e, struct cw_task *t, struct user_regs_struct *regs)
{
	if (!ptrace(PTRACE_SETREGS, t->tid, NULL, regs))
		return true;
	if (errno != ESRCH)
		cw_kill_process(e, t, "its registers could not be set");
	return false;
}

enum way { WAY_PASS, WAY_ANSWER, WAY_STUB, WAY_EXEC, WAY_DELIVER };

/* The program judges no RET_TRACE call again after its tracer's edit, so what goes on must be one of five things. */
static void go_on(struct cw_engine *e, struct cw_task *t, struct user_regs_struct *regs, enum way way)
{
	bool sound = !t->gone_on;

	switch (way) {
	case WAY_PASS:
		sound &= e->ctx.plan.kind == CW_PLAN_PASS && !regs;
		break;
	case WAY_ANSWER:
		sound &= regs->orig_rax == UINT64_MAX && !cw_in_stub(regs->rip);
		break;
	case WAY_STUB:
		sound &= regs->orig_rax == UINT64_MAX &&
		         (regs->rip == CW_STUB_AT(cw_stub_call) || regs->rip == CW_STUB_AT(cw_stub_retry) ||
		          regs->rip == CW_STUB_AT(cw_stub_done) || regs->rip == CW_STUB_AT(cw_stub_both) ||
		          regs->rip == CW_STUB_AT(cw_stub_readable));
		break;
	case WAY_EXEC:
		sound &= regs->orig_rax == SYS_execve && t->pending == CW_EXECUTING && t->exec &&
		         regs->rdi == cw_slot_address(t->slot) + CW_PAD_SLOT_DATA && !cw_in_stub(regs->rip);
		break;
	case WAY_DELIVER:
		sound &= regs->orig_rax == CW_NR_DELIVER && t->pending == CW_DELIVERING;
		break;
	}
	t->gone_on = true;
	if (!sound)
		cw_kill_process(e, t, "its call would have gone on in none of the ways that are sound");
	else if (way != WAY_EXEC && (!regs || cw_set_regs(e, t, regs)))
		cw_resume(t, 0);
	else if (way == WAY_EXEC && cw_set_regs(e, t, regs))
		(void)ptrace(PTRACE_SYSCALL, t->tid, NULL, NULL);
}

void cw_resume_pass(struct cw_engine *e, struct cw_task *t)
{
	go_on(e, t, NULL, WAY_PASS);
}

/* The call is not made; the target sees `ret`. */
void cw_resume_answer(struct cw_engine *e, struct cw_task *t, struct user_regs_struct *regs, int64_t ret)
{
	regs->rax = (uint64_t)ret;
	regs->orig_rax = UINT64_MAX;
	go_on(e, t, regs, WAY_ANSWER);
}

static bool take_slot(struct cw_engine *e, struct cw_task *t, size_t bytes)
{
	int slot = cw_slot_take(e, bytes);

	if (slot < 0)
		return false;
	t->slot = slot;
	t->control = 0;
	e->result[slot] = CW_NO_RESULT;
	t->slots = (int)((bytes + CW_PAD_SLOT_DATA + CW_PAD_SLOT_STRIDE - 1) / CW_PAD_SLOT_STRIDE);
	return true;
}

/* The target makes a call from the stub, which the seccomp program judges afresh. */
static bool enter_stub(struct cw_engine *e, struct cw_task *t, struct user_regs_struct *regs, const uint8_t *entry,
                       size_t bytes)
{
	if (!take_slot(e, t, bytes))
		return false;
	int slot = t->slot;

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

/* NOLINTNEXTLINE(misc-no-recursion): decided with CW_TRY_PERFORM it plans no retry, so this goes in once */
void cw_resume_rewrite(struct cw_engine *e, struct cw_task *t, struct user_regs_struct *regs)
{
	struct cw_plan *plan = &e->ctx.plan;
	const uint8_t *entry = plan->count.a   ? cw_stub_done
	                       : plan->retry   ? cw_stub_retry
	                       : plan->then.nr ? cw_stub_both
	                                       : cw_stub_call;
	bool message = plan->nr == SYS_sendmsg;
	uint64_t *a = plan->arg, control[2] = {0, 0};

	if (!enter_stub(e, t, regs, entry, message ? 0 : plan->len)) {
		t->pending = CW_IDLE;
		free(t->record);
		t->record = NULL;
		if (plan->retry) /* every slot is taken: the supervisor opens it */
			cw_decide_stopped(e, t, regs, CW_TRY_PERFORM);
		else
			cw_resume_answer(e, t, regs, -ENOMEM);
		return;
	}
	uint64_t data = cw_slot_address(t->slot) + CW_PAD_SLOT_DATA;

	if (message) {
		/* whatever any of its fields is, any thread may use it at any time: its name is NULL or a published address */
		data = CW_PAD_MSGHDR + (uint64_t)t->slot * CW_PAD_MSGHDR_STRIDE;
		if (data >= CW_PAD_MSGHDR_END || (plan->control && !cw_control_put(e, t, plan->control, control))) {
			free(t->record);
			t->record = NULL;
			cw_forget_result(e, t);
			cw_resume_answer(e, t, &t->orig, -ENOBUFS);
			return;
		}
	}
	if (plan->then.nr) {
		struct cw_frame *f = (void *)(e->pad + (cw_slot_address(t->slot) - CW_PAD_BASE));

		f->expect = 0;
		f->nr = (uint64_t)plan->then.nr;
		memcpy(f->arg, plan->then.arg, sizeof(f->arg));
	}
	if (plan->slot_arg >= 0) {
		uint8_t *to = e->pad + (data - CW_PAD_BASE);
		uint64_t follows = data + plan->self + sizeof(follows);

		memcpy(to, plan->bytes, plan->len);
		if (plan->self)
			memcpy(to + plan->self, &follows, sizeof(follows));
		if (plan->control)
			memcpy(to + offsetof(struct k_msghdr, control), control, sizeof(control));
		a[plan->slot_arg] = data;
	}
	t->pending = CW_IN_STUB;
	t->count = plan->count;
	t->addressed = e->published;
	t->retry = plan->retry;
	regs->rax = (uint64_t)(uint32_t)plan->nr;
	regs->orig_rax = UINT64_MAX;
	regs->rdi = a[0];
	regs->rsi = a[1];
	regs->rdx = a[2];
	regs->r10 = a[3];
	regs->r8 = a[4];
	regs->r9 = a[5];
	go_on(e, t, regs, WAY_STUB);
}

/*
 * The thread makes its process readable for us, and then its call anew. The memory of a process that changed its ids is
 * closed to a tracer without CAP_SYS_PTRACE (ptrace_access_vm), until the process itself opens it.
 */
void cw_resume_readable(struct cw_engine *e, struct cw_task *t, struct user_regs_struct *regs)
{
	uint64_t nr = regs->orig_rax;

	if (!enter_stub(e, t, regs, cw_stub_readable, 0)) {
		cw_resume_answer(e, t, regs, -ENOMEM);
		return;
	}
	struct cw_frame *f = (void *)(e->pad + (cw_slot_address(t->slot) - CW_PAD_BASE));

	f->nr = nr;
	f->rip -= 2;
	t->pending = CW_IN_STUB;
	t->anew = true;
	regs->rax = SYS_prctl;
	regs->orig_rax = UINT64_MAX;
	regs->rdi = PR_SET_DUMPABLE;
	regs->rsi = 1;
	go_on(e, t, regs, WAY_STUB);
}

/* The call becomes the hand-over of a descriptor; `then`, if any, is the call that uses it, made from the stub. */
void cw_resume_deliver(struct cw_engine *e, struct cw_task *t, struct user_regs_struct *regs, struct cw_delivery *d,
                       const uint64_t *then)
{
	t->orig = *regs;
	if (then[0]) {
		if (!enter_stub(e, t, regs, cw_stub_deliver, 0)) {
			close(d->fd);
			cw_resume_answer(e, t, regs, -ENOMEM);
			return;
		}
		struct cw_frame *f = (void *)(e->pad + (cw_slot_address(t->slot) - CW_PAD_BASE));

		f->expect = (uint64_t) - (int64_t)d->install;
		f->nr = then[0];
		memcpy(f->arg, then + 1, sizeof(f->arg));
	}
	pthread_mutex_lock(&e->lock);
	t->delivery = *d;
	t->answered = false;
	t->pending = CW_DELIVERING;
	pthread_mutex_unlock(&e->lock);
	e->res->deliveries++;
	regs->orig_rax = CW_NR_DELIVER;
	regs->rax = (uint64_t)-ENOSYS;
	go_on(e, t, regs, WAY_DELIVER);
}

/* --- execs --- */

#define VECTOR_MAX 400000 /* what the slots have room for */

/* The addresses of an argument vector, read once: 0, or -errno. */
static int64_t read_vector(struct cw_engine *e, struct cw_task *t, uint64_t argv, uint64_t **members, size_t *count)
{
	*members = NULL;
	*count = 0;
	while (argv) {
		uint64_t from = argv + 8 * *count;
		size_t take = from % 4096 > 4088 ? 1 : (4096 - from % 4096) / 8;
		uint64_t *more = *count + take > VECTOR_MAX ? NULL : realloc(*members, 8 * (*count + take));

		if (!more)
			return -E2BIG;
		*members = more;
		if (cw_mem_read(e, t->tid, more + *count, from, 8 * take))
			return -EFAULT;
		for (size_t end = *count + take; *count < end; ++*count)
			if (!more[*count])
				return 0;
	}
	return 0;
}

/*
 * `strings` in the slot, and behind them the vector: the first `count` of these strings, in place of the caller's first, or no
 * string (0) and all of the caller's. It is the count of them that nobody can change then, for cw_exec_verify.
 */
static int64_t build_argv(struct cw_engine *e, struct cw_task *t, uint64_t argv, const char *strings, size_t len,
                          size_t count, struct user_regs_struct *regs)
{
	size_t n = 0, skip = count ? 1 : 0, head = (len + 7) & ~(size_t)7;
	uint64_t *members = NULL;
	int64_t err = read_vector(e, t, argv, &members, &n);

	n -= n ? skip : 0;
	if (!err && !take_slot(e, t, head + 8 * (count + n + 1)))
		err = count ? -E2BIG : -ENOMEM;
	if (err) {
		free(members);
		return err;
	}
	uint64_t data = cw_slot_address(t->slot) + CW_PAD_SLOT_DATA, at = data;
	uint8_t *to = e->pad + (data - CW_PAD_BASE);
	uint64_t *array = (void *)(to + head);

	memcpy(to, strings, len);
	for (size_t i = 0; i < count; i++) {
		*array++ = at;
		at += strlen(strings + (at - data)) + 1;
	}
	if (n)
		memcpy(array, members + skip, 8 * n);
	array[n] = 0;
	free(members);
	regs->rsi = data + head;
	/* the kernel makes one argument of none */
	t->plan.argc = (count + n ? count + n : 1) + t->plan.words;
	return 0;
}

/*
 * The one traced call that goes on edited: its path stands in the slot, where nobody can change it. Not from the stub, where
 * anybody could make it with whatever a slot holds, and see by how it fails what there is: the program never passes execve,
 * and its end is a stop, so that the supervisor sees first how it failed.
 */
void cw_resume_exec(struct cw_engine *e, struct cw_task *t, struct user_regs_struct *regs)
{
	struct cw_plan *plan = &e->ctx.plan;
	int64_t err = 0;

	if (t->plan.interp_fd >= 0)
		close(t->plan.interp_fd);
	t->plan = e->ctx.exec;
	e->ctx.exec.interp_fd = -1;
	t->exec = true;
	t->orig = *regs;
	t->plan.argc = 0;
	if (plan->ret || e->coarse_exec) {
		err = build_argv(e, t, plan->arg[1], plan->bytes, plan->len, (size_t)plan->ret, regs);
	} else {
		err = take_slot(e, t, plan->len) ? 0 : -ENOMEM;
		if (!err)
			memcpy(e->pad + (cw_slot_address(t->slot) + CW_PAD_SLOT_DATA - CW_PAD_BASE), plan->bytes,
			       plan->len);
		regs->rsi = plan->arg[1];
	}
	if (err) {
		free(t->record);
		t->record = NULL;
		cw_forget_result(e, t);
		cw_resume_answer(e, t, &t->orig, err);
		return;
	}
	t->pending = CW_EXECUTING;
	t->delivered = 0;
	regs->rdi = cw_slot_address(t->slot) + CW_PAD_SLOT_DATA;
	regs->rdx = plan->arg[2];
	regs->rax = (uint64_t)-ENOSYS;
	regs->orig_rax = SYS_execve;
	go_on(e, t, regs, WAY_EXEC);
}

/* What the kernel found wrong when it looked the path up again is not what was decided: somebody changed it meanwhile. */
static int64_t exec_error(const struct cw_engine *e, int64_t err)
{
	switch (err) {
	case -ENOEXEC: /* nor is what Landlock alone would not have kept from being read */
		return e->coarse_exec ? -EACCES : err;
	case -ENOENT:
	case -ENOTDIR:
	case -ELOOP:
	case -ENAMETOOLONG:
		return -EACCES;
	default:
		return err;
	}
}

void cw_on_exec_failed(struct cw_engine *e, struct cw_task *t)
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, t->tid, NULL, &regs)) {
		cw_resume(t, 0); /* ESRCH: it was killed */
		return;
	}
	int64_t err = exec_error(e, (int64_t)regs.rax);
	uint64_t nr = t->orig.orig_rax;

	regs = t->orig;
	if (t->record)
		cw_record_result(e, t, err);
	free(t->record);
	t->record = NULL;
	cw_forget_result(e, t);
	regs.rax = (uint64_t)err;
	/* a signal came first (prepare_bprm_creds in fs/exec.c): the kernel makes the call anew, and it is decided anew */
	regs.orig_rax = err <= -512 && err >= -516 /* ERESTARTNOINTR and kin */ ? nr : UINT64_MAX;
	if (cw_set_regs(e, t, &regs))
		cw_resume(t, 0);
}
