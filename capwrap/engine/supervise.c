/*
 * The engine's loop: waits for what happens to the processes of the target, and keeps the book of them.
 */
#include "capwrap/engine/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- processes --- */

static void on_new(struct cw_engine *e, struct cw_task *parent)
{
	unsigned long msg = 0;
	struct user_regs_struct regs;
	int tid;

	parent->forking = false;
	cw_forget_result(e, parent);
	if (ptrace(PTRACE_GETEVENTMSG, parent->tid, NULL, &msg) || ptrace(PTRACE_GETREGS, parent->tid, NULL, &regs)) {
		cw_resume(parent, 0);
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

	if (known) {
		known->unannounced = false;
		if (cw_tracing(e))
			cw_trace_child(e, parent, known);
	}
	if (!ended && !known) {
		/* whatever the event: that goes by CLONE_VFORK and by the signal at its end, which a thread can have as well */
		bool thread = (int)regs.orig_rax == SYS_clone && (regs.rdi & 0x10000 /* CLONE_THREAD */);

		if (cw_tracing(e))
			thread = cw_trace_is_thread(parent, tid);
		struct cw_proc *proc = thread ? parent->proc : cw_proc_add(e, tid, parent->proc);
		struct cw_task *t = proc ? cw_task_add(e, tid, proc) : NULL;

		if (!t) {
			(void)cw_send_signal(&(struct cw_proc){.pid = tid, .pidfd = -1}, 0, SIGKILL);
			e->res->incomplete = 1;
		} else {
			if (cw_tracing(e))
				cw_trace_child(e, parent, t);
			if (!thread) {
				e->res->processes++;
				cw_record_process(e, CW_PROCESS_START, tid, parent->proc->pid, NULL, 0);
			}
		}
	}
	cw_resume(parent, 0);
}

struct origin {
	int tgid, ppid, filters;
};

static void read_origin(const char *path, struct origin *o)
{
	char line[256];
	FILE *f = fopen(path, "re");

	while (f && fgets(line, sizeof(line), f)) {
		(void)sscanf(line, "Tgid: %d", &o->tgid);
		(void)sscanf(line, "PPid: %d", &o->ppid);
		(void)sscanf(line, "Seccomp_filters: %d", &o->filters);
	}
	if (f)
		fclose(f);
}

/* More seccomp filters than we have, and the one of ours. */
static bool has_filter_of_its_own(struct cw_engine *e, const struct origin *o)
{
	struct origin own = {0, 0, 0};

	if (!e->filters) {
		read_origin("/proc/thread-self/status", &own);
		e->filters = own.filters + 1;
	}
	return o->filters > e->filters;
}

/* It is in the book now, and not to be counted for its maker as well, which has stopped with its number. */
static void count_once(const struct cw_task *made)
{
	unsigned long number;

	for (struct cw_task *t = made->after; t != made; t = t->after)
		if (t->forking && !ptrace(PTRACE_GETEVENTMSG, t->tid, NULL, &number) && (int)number == made->tid)
			t->forking = false;
}

/*
 * A thread that stopped before its parent's event came: it is of the target, since we trace it. Of whom it was made is not
 * known yet: with CLONE_PARENT it has the parent of its maker.
 */
static struct cw_task *adopt_unknown(struct cw_engine *e, int tid)
{
	char path[48];
	struct origin o = {tid, 0, 0};

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	read_origin(path, &o);
	int tgid = o.tgid, ppid = o.ppid;
	struct cw_proc *proc = cw_proc_find(e, tgid);

	if (!proc) {
		proc = cw_proc_add(e, tgid, cw_proc_find(e, ppid));
		if (proc) {
			proc->creds |= e->creds_ever;
			proc->filtered |= has_filter_of_its_own(e, &o);
			e->res->processes++;
			cw_record_process(e, CW_PROCESS_START, tgid, ppid, NULL, 0);
		}
	}
	struct cw_task *t = proc ? cw_task_add(e, tid, proc) : NULL;

	if (t) {
		t->unannounced = true;
		count_once(t);
	}
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

/*
 * Is it in its stop? A process that was killed there goes on to its end, and what can still be asked of it is answered with
 * one error or another: without memory, its files of /proc belong to root.
 */
static bool stands_still(const struct cw_task *t)
{
	struct user_regs_struct regs;

	return !ptrace(PTRACE_GETREGS, t->tid, NULL, &regs);
}

static void on_exec(struct cw_engine *e, struct cw_task *t)
{
	unsigned long former = 0;
	struct cw_task *by;

	if (ptrace(PTRACE_GETEVENTMSG, t->tid, NULL, &former)) {
		cw_kill_process(e, t, NULL); /* somebody else did, and its end is still to come */
		return;
	}
	by = (int)former == t->tid ? t : cw_task_find(e, (int)former);
	if (!by || (!by->exec && !cw_tracing(e))) {
		e->res->incomplete = 1;
		cw_kill_process(e, t, "it executed a program that was not decided");
		return;
	}
	struct cw_exec plan = by->plan;
	bool launching = by->launching;

	/* now, whatever becomes of it here: its end is recorded as well */
	if (launching)
		cw_record_process(e, CW_PROCESS_START, t->proc->pid, (int64_t)getpid(), NULL, 0);
	by->plan.interp_fd = -1;
	by->exec = false;
	if (cw_tracing(e))
		cw_trace_result(e, by, 0);
	else
		cw_record_result(e, by, 0);
	cw_slot_free(e, by);
	by->pending = CW_IDLE;
	/* its own call, if another thread made the exec, is over */
	cw_workers_give_up(e, t->tid);
	if (by != t) {
		cw_forget_result(e, t);
		if (t->pending == CW_OBSERVED) { /* so far its leader's */
			cw_trace_result(e, t, -EINTR);
			cw_trace_ended(e, t);
			t->untraced = 0;
			t->pending = CW_IDLE;
		}
		cw_task_drop(e, by); /* it goes on under its leader's number; no exit is reported for the old one */
	}
	cw_drop_late(t);
	t->launching = false;
	t->proc->undumpable = false;
	cw_creds_forget(t); /* root's come back with an exec (capabilities(7)) */
	if (t->proc->creds)
		cw_adopt(e, t, false);
	int err = cw_tracing(e) ? 0 : cw_exec_verify(e, t, &plan);

	cw_adopt_end(e);

	if (plan.interp_fd >= 0)
		close(plan.interp_fd);
	if (err && !stands_still(t)) {
		/* nothing was mapped that could be compared, and nothing of it will run */
		cw_kill_process(e, t, NULL);
		return;
	}
	if (err) {
		char why[160];

		snprintf(why, sizeof(why), "at its exec stop, what was mapped is not what was decided (%s)",
		         strerror(-err));
		cw_kill_process(e, t, why);
		return;
	}
	if (launching && e->run->started)
		e->run->started(e->run->sink_ctx, t->proc->pid);
	record_exec(e, t);
	if (cw_tracing(e)) {
		cw_resume(t, 0);
		return;
	}
	t->inject = true;
	(void)ptrace(PTRACE_SYSCALL, t->tid, NULL, NULL);
}

static void on_exec_exit(struct cw_engine *e, struct cw_task *t)
{
	if (t->proc->creds)
		cw_adopt(e, t, false);
	int err = cw_exec_inject(e, t);

	cw_adopt_end(e);

	t->inject = false;
	if (err)
		cw_kill_process(e, t, stands_still(t) ? "the pad could not be mapped into it" : NULL);
	else
		cw_resume(t, 0);
}

/*
 * A leader's end is reported when its other threads have been reaped. One that is in the book still was killed in an exec: it
 * had taken its leader's number, and neither an exec stop nor an end of its own is to come.
 */
static void drop_others(struct cw_engine *e, const struct cw_task *leader)
{
	for (unsigned i = 0; leader->proc->threads > 1 && i < CW_HASH; i++)
		for (struct cw_task *t = e->tasks[i], *next; t; t = next) {
			next = t->next;
			if (t != leader && t->proc == leader->proc)
				cw_task_drop(e, t);
		}
}

static void on_ended(struct cw_engine *e, struct cw_task *t, int status)
{
	int tid = t->tid;
	bool leader = t->proc && t->proc->pid == tid;

	cw_forget_result(e, t);
	cw_trace_ended(e, t);
	if (t->pending == CW_OBSERVED)
		cw_trace_result(e, t, -EINTR);
	if (leader && !t->launching && (e->run->flags & CW_RUN_RECORD_ACCESS))
		cw_record_process(e, CW_PROCESS_EXIT, tid, status, NULL, 0);
	if (t->unannounced)
		note_early(e, tid);
	if (leader)
		drop_others(e, t);
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
		cw_kill_process(e, t, NULL);
		return;
	}
	switch (event) {
	case PTRACE_EVENT_SECCOMP:
		if (cw_tracing(e))
			cw_trace_call(e, t);
		else
			cw_on_call(e, t);
		return;
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_VFORK:
	case PTRACE_EVENT_CLONE:
		on_new(e, t);
		return;
	case PTRACE_EVENT_EXEC:
		on_exec(e, t);
		return;
	case PTRACE_EVENT_STOP:
		if (cw_tracing(e) && cw_trace_holds(e, t))
			return;
		cw_on_interrupted(e, t, is_stop(sig));
		if (!is_stop(sig)) {
			if (t->inject)
				(void)ptrace(PTRACE_SYSCALL, t->tid, NULL, NULL);
			else
				cw_resume(t, 0);
			return;
		}
		(void)ptrace(PTRACE_LISTEN, t->tid, NULL, NULL);
		if (t->tid == e->root_pid && (e->run->flags & CW_RUN_FOREGROUND))
			cw_stop_with_command(e, t);
		return;
	case 0:
		if (sig == (SIGTRAP | 0x80)) {
			if (t->inject)
				on_exec_exit(e, t);
			else if (t->pending == CW_EXECUTING)
				cw_on_exec_failed(e, t);
			else if (t->pending == CW_OBSERVED)
				cw_trace_exit(e, t);
			else {
				t->forking = false; /* it failed */
				cw_resume(t, 0);
			}
			return;
		}
		cw_on_signal(e, t, sig);
		return;
	default:
		cw_resume(t, 0);
		return;
	}
}

/*
 * Of the threads that have stopped, the kernel names our own child first and then whoever is traced the shortest (do_wait and
 * ptrace_link), however long the others have waited. Those that stop again at once would keep the rest from ever being heard;
 * so every few times a thread of the ring is asked alone.
 */
static bool ask_one(struct cw_engine *e, siginfo_t *info)
{
	if (e->n_tasks < 3 || ++e->n_events % 4)
		return false;
	e->asked = e->asked->after;
	return !waitid(P_PID, (id_t)e->asked->tid, info,
	               WEXITED | WSTOPPED | WNOWAIT | WNOHANG | __WALL | __WNOTHREAD) &&
	       info->si_pid;
}

/*
 * What happened next: waitpid's status of a thread, or -1. The turn is held on return.
 *
 * A thread is reaped by whoever has the turn: until then its number is its own, on which the listener's answers rest. So the
 * wait itself takes nothing (WNOWAIT). A stop for a call needs no taking either, since going on from it clears it.
 */
static int next_event(struct cw_engine *e, int *status)
{
	siginfo_t info;
	int tid;

	for (;;) {
		info.si_pid = 0;
		if (!ask_one(e, &info) &&
		    waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WNOWAIT | __WALL | __WNOTHREAD)) {
			if (errno == EINTR)
				continue;
			cw_turn_take(&e->turn);
			return -1;
		}
		tid = info.si_pid;
		cw_turn_take(&e->turn);
		if (info.si_code == CLD_TRAPPED && info.si_status == (SIGTRAP | PTRACE_EVENT_SECCOMP << 8)) {
			*status = info.si_status << 8 | 0x7f;
			return tid;
		}
		if (waitpid(tid, status, __WALL | __WNOTHREAD | WNOHANG) == tid)
			return tid;
		/* it went on meanwhile: somebody killed it, and its end is still to come */
		cw_turn_give(&e->turn);
	}
}

static void on_event(struct cw_engine *e, int tid, int status)
{
	struct cw_task *t = cw_task_find(e, tid);

	if (!WIFSTOPPED(status)) {
		if (t)
			on_ended(e, t, status);
		else
			note_early(e, tid);
		return;
	}
	if (!t)
		t = adopt_unknown(e, tid);
	if (!t) {
		e->res->incomplete = 1;
		if (cw_send_signal(&(struct cw_proc){.pid = tid, .pidfd = -1}, 0, SIGKILL) || errno == ESRCH)
			(void)ptrace(PTRACE_CONT, tid, NULL, NULL);
		return;
	}
	on_stop(e, t, status);
}

void cw_supervise(struct cw_engine *e, int status)
{
	int tid = e->root_pid;

	cw_turn_take(&e->turn);
	while (tid > 0) {
		on_event(e, tid, status);
		if (e->run->flags & CW_RUN_PROMPT)
			cw_record_flush(e);
		cw_turn_give(&e->turn);
		if (!e->n_tasks)
			break;
		tid = next_event(e, &status);
	}
	if (tid < 0) {
		/* nobody is left to wait for, and yet the book is not empty: the book is wrong, and says so */
		cw_turn_give(&e->turn);
		e->res->incomplete = 1;
		cw_kill_all(e, SIGKILL);
	}
	e->res->status = e->root_status;
}
