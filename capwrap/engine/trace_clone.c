/*
 * Children in a trace. One that nobody traces would run under a program whose calls nobody answers, so CLONE_UNTRACED is taken
 * out of the call that makes it, and put back before either of the two goes on behind that call.
 */
#include "capwrap/engine/internal.h"
#include "capwrap/engine/trace.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#define IN_REGISTER 1u /* clone's flags, the first argument; clone3's lie at an address */

/* `flags` with the bit or without it where they are: false, and errno. */
static bool edit(int tid, uint64_t where, bool untraced)
{
	struct user_regs_struct regs;
	long word;

	if (where == IN_REGISTER) {
		if (ptrace(PTRACE_GETREGS, tid, NULL, &regs))
			return false;
		regs.rdi = untraced ? regs.rdi | CLONE_UNTRACED : regs.rdi & ~(uint64_t)CLONE_UNTRACED;
		return !ptrace(PTRACE_SETREGS, tid, NULL, &regs);
	}
	errno = 0;
	word = ptrace(PTRACE_PEEKDATA, tid, (void *)where, NULL);
	if (word == -1 && errno)
		return false;
	word = untraced ? word | CLONE_UNTRACED : word & ~(long)CLONE_UNTRACED;
	return !ptrace(PTRACE_POKEDATA, tid, (void *)where, (void *)word);
}

bool cw_trace_clone(struct cw_engine *e, struct cw_task *t, int nr, const uint64_t args[6])
{
	uint64_t flags = args[0];

	/* what cannot be read makes no child */
	if ((nr != SYS_clone && nr != SYS_clone3) ||
	    (nr == SYS_clone3 && cw_mem_read(e, t->tid, &flags, args[0], sizeof(flags))) || !(flags & CLONE_UNTRACED))
		return false;
	t->untraced = nr == SYS_clone ? IN_REGISTER : args[0];
	if (edit(t->tid, t->untraced, false)) {
		e->untraced++;
		return true;
	}
	t->untraced = 0;
	e->res->incomplete = 1;
	return false;
}

void cw_trace_cloned(struct cw_engine *e, struct cw_task *t)
{
	if (!t->untraced)
		return;
	if (!edit(t->tid, t->untraced, true) && errno != ESRCH)
		e->res->incomplete = 1;
	t->untraced = 0;
	e->untraced--;
}

void cw_trace_child(struct cw_engine *e, const struct cw_task *parent, struct cw_task *child)
{
	if (parent->untraced) {
		child->untraced = parent->untraced;
		e->untraced++;
	}
	if (child->held) {
		child->held = false;
		cw_trace_cloned(e, child);
		cw_resume(child, 0);
	}
}

bool cw_trace_holds(struct cw_engine *e, struct cw_task *t)
{
	/* whether its maker's flags were edited is known with its maker's event */
	t->held = t->unannounced && e->untraced;
	if (!t->held)
		cw_trace_cloned(e, t);
	return t->held;
}

/* Whoever made what is held may have been killed before its event was told. */
void cw_trace_ended(struct cw_engine *e, const struct cw_task *t)
{
	if (!t->untraced || --e->untraced)
		return;
	for (struct cw_task *held = t->after; held != t; held = held->after) {
		if (held->held)
			cw_resume(held, 0);
		held->held = false;
	}
}

bool cw_trace_is_thread(const struct cw_task *parent, int tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d", parent->proc->pid, tid);
	return !faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW);
}
