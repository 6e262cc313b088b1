/* Signals: a thread is taken out of the stub before it sees one, and a call that waited for an answer is answered first. */
#include "capwrap/engine/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <unistd.h>

#include "capwrap/engine/stub.h"

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
		if (t->delivery.work)
			cw_workers_give_up(e, t->tid);
		if (t->answered && t->delivered != -EINTR && t->delivery.install < 0) {
			/* it was over already, only the answer did not come */
			rax = t->delivered;
		} else if (t->delivery.opened && t->delivery.fd >= 0) {
			/* it is open: made anew behind the signal, the call finds it */
			undo = true;
			cw_drop_late(t);
			t->late = t->delivery.fd;
			t->delivery.fd = -1;
			t->late_sp = t->orig.rsp;
			t->late_ip = t->orig.rip;
		} else if (t->delivery.work) {
			/* it was interrupted while it waited: as if the original call had been */
			uint64_t nr = t->orig.orig_rax;

			*regs = t->orig;
			regs->rax = (uint64_t)rax;
			regs->orig_rax = nr;
			keep = true;
		} else {
			/* natively it would not have waited, and known no EINTR: made anew behind the signal */
			undo = true;
		}
	} else if (!cw_in_stub(regs->rip)) {
		cw_forget_result(e, t);
		return;
	} else if (t->anew) {
		/* it may not have become readable yet */
		undo = true;
		t->opened = false;
	} else if (regs->rip >= CW_STUB_AT(cw_stub_deliver) && regs->rip < CW_STUB_AT(cw_stub_start)) {
		/* between two calls: both are made anew */
		undo = regs->rip != CW_STUB_AT(cw_stub_deliver) || rax >= 0;
	} else if (regs->rip == CW_STUB_AT(cw_stub_call) || regs->rip == CW_STUB_AT(cw_stub_retry) ||
	           regs->rip == CW_STUB_AT(cw_stub_done) || regs->rip == CW_STUB_AT(cw_stub_both) ||
	           (regs->rip >= CW_STUB_AT(cw_stub_undo_from) && regs->rip < CW_STUB_AT(cw_stub_undo_to))) {
		undo = true;
	} else if (regs->rip > CW_STUB_AT(cw_stub_done) && regs->rip < CW_STUB_AT(cw_stub_deliver) - 2) {
		/* a sendmmsg whose message is sent: finish it */
		int64_t sent = regs->rip == CW_STUB_AT(cw_stub_done) + 2 ? rax : (int64_t)regs->rdi;

		if (restarts(sent)) {
			rax = sent;
		} else {
			uint32_t n = (uint32_t)sent;

			rax = sent < 0 ? sent : cw_mem_write(e, t->tid, t->count.a, &n, sizeof(n)) ? -EFAULT : 1;
		}
	} else if (regs->rip == CW_STUB_AT(cw_stub_retry) + 2 &&
	           (rax == -EXDEV || rax == -EAGAIN || rax == -EMFILE || rax == -EACCES)) {
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
	cw_forget_result(e, t);
	(void)cw_set_regs(e, t, regs);
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

/* Put back on the call that it was about to make, or waits in. */
static void make_anew(struct cw_engine *e, struct cw_task *t, struct user_regs_struct *regs)
{
	regs->rax = regs->orig_rax;
	regs->rip -= 2;
	regs->orig_rax = UINT64_MAX;
	(void)cw_set_regs(e, t, regs);
}

/*
 * The process stops, or a SIGCONT has come to it. Either ends a wait, and no signal need be delivered to this thread: a stop
 * natively too (signal(7)), so that its EINTR stands whatever comes next; a SIGCONT to who does not stop would end none.
 */
void cw_on_interrupted(struct cw_engine *e, struct cw_task *t, bool stops)
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, t->tid, NULL, &regs) || (int64_t)regs.orig_rax < 0)
		return;
	if (t->pending == CW_DELIVERING && (int)regs.orig_rax == CW_NR_DELIVER && restarts((int64_t)regs.rax)) {
		take_out(e, t, &regs);
	} else if ((int64_t)regs.rax == -EINTR && !stops) {
		make_anew(e, t, &regs);
	} else if ((int64_t)regs.rax == -EINTR) {
		regs.orig_rax = UINT64_MAX;
		(void)cw_set_regs(e, t, &regs);
	}
}

/*
 * The trap flag stops a program behind each of its instructions, and the stub's are none of them. Were the thread taken out for
 * it, a call that takes several of them would be made anew for ever.
 */
static bool is_step_in_stub(const struct cw_task *t, int sig, const struct user_regs_struct *regs)
{
	siginfo_t info;

	return sig == SIGTRAP && (t->pending == CW_IN_STUB || t->pending == CW_DELIVERING) && cw_in_stub(regs->rip) &&
	       !ptrace(PTRACE_GETSIGINFO, t->tid, NULL, &info) && info.si_code == TRAP_TRACE;
}

/*
 * Ours, to have the thread stop (cw_decide_notified): the target never sees it. Who sent it is lost where the target may have no
 * more signals waiting (RLIMIT_SIGPENDING, collect_signal in kernel/signal.c). It may then be another's that is taken for ours;
 * ours is still to come, and is taken for the other's.
 */
static bool is_ours(const struct cw_task *t, int sig)
{
	siginfo_t info;

	if (sig != SIGSTOP || !t->called || ptrace(PTRACE_GETSIGINFO, t->tid, NULL, &info))
		return false;
	return (info.si_code == SI_TKILL && info.si_pid == getpid()) || (info.si_code == SI_USER && !info.si_pid);
}

void cw_on_signal(struct cw_engine *e, struct cw_task *t, int sig)
{
	struct user_regs_struct regs;
	bool ours = is_ours(t, sig);

	if (ours)
		t->called = false;
	if (!ptrace(PTRACE_GETREGS, t->tid, NULL, &regs)) {
		if (is_step_in_stub(t, sig, &regs)) {
			cw_resume(t, 0);
			return;
		}
		take_out(e, t, &regs);
		if (!cw_tracing(e) && cw_waits_for_answer(&regs) && !cw_decide_interrupted(e, t, &regs)) {
			if (ours) {
				t->gone_on = false;
				t->opened = true;
				cw_resume_readable(e, t, &regs);
				return;
			}
			make_anew(e, t, &regs);
		}
		/* epoll_wait and kin end with EINTR for a signal that natively would not even have woken them (rule 17) */
		if ((int64_t)regs.orig_rax >= 0 && (int64_t)regs.rax == -EINTR && is_ignored(t->tid, sig))
			make_anew(e, t, &regs);
	}
	cw_resume(t, ours ? 0 : cw_group_stop(e, t, sig));
}
