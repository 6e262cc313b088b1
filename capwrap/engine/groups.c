/*
 * The caller's process group, in which the target begins: what happens to members of the target in it must not be told to
 * the others.
 *
 * When a group loses the last process whose parent is in another group of the session, and one of its members is stopped,
 * the kernel sends SIGHUP and SIGCONT to the whole of it (kill_orphaned_pgrp in kernel/exit.c). No Landlock scope and no
 * rewriter sees these signals. Such a parent is made by setpgid(2), and a target makes and ends them as it likes. Where no
 * shell with job control is above us, as in a CI job, nobody else links the group to its session. So before a process of the
 * target leaves our group, comes back into it, or stops in it, we make a link of our own: a process in a group of its own, and its child
 * in ours. It goes by leaving the group, which the kernel tells nobody.
 */
#include "capwrap/engine/internal.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct place {
	int parent, group, session;
};

static bool place_of(int pid, struct place *p)
{
	char text[512];
	const char *rest = cw_read_stat(pid, text, sizeof(text));

	return rest && sscanf(rest, " %*c %d %d %d", &p->parent, &p->group, &p->session) == 3;
}

/* The first of all processes links nobody (is_global_init in will_become_orphaned_pgrp); that of a container does. */
static bool is_init(int pid)
{
	struct stat st;

	return pid == 1 && (stat("/proc/self/ns/pid", &st) || st.st_ino == 0xeffffffcu /* PROC_PID_INIT_INO */);
}

static bool links(const struct place *p, const struct place *parent)
{
	return p->group == getpgrp() && parent->session == p->session && parent->group != p->group &&
	       !is_init(p->parent);
}

/* Above us is the shell that links our group to the session: it is no orphan, whatever the target does. */
static bool linked_above(void)
{
	struct place p, parent;

	if (!place_of((int)getpid(), &p))
		return false;
	for (int i = 0; i < 64 && place_of(p.parent, &parent) && parent.session == p.session; i++) {
		if (links(&p, &parent))
			return true;
		p = parent;
	}
	return false;
}

static bool linked_by_target(struct cw_engine *e)
{
	for (int i = 0; i < CW_HASH; i++)
		for (const struct cw_proc *proc = e->procs[i]; proc; proc = proc->next) {
			struct place p, parent;

			if (place_of(proc->pid, &p) && place_of(p.parent, &parent) && links(&p, &parent))
				return true;
		}
	return false;
}

/* Ends with its parent, and at no signal that is sent to the group. */
static _Noreturn void be_member(pid_t parent)
{
	(void)syscall(SYS_close_range, 0, ~0u, 0);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) || syscall(SYS_getppid) != parent)
		cw_helper_leave();
	for (;;)
		(void)syscall(SYS_pause);
}

static void be_link(void *arg)
{
	pid_t self = (pid_t)syscall(SYS_getpid);
	long member = cw_helper_fork();

	(void)arg;
	if (!member)
		be_member(self);
	int held = member < 0 ? -1 : (int)syscall(SYS_pidfd_open, member, 0);

	if (held < 0)
		return;
	if (!syscall(SYS_setpgid, 0, 0)) {
		cw_helper_ready();
		cw_helper_wait(held);
	}
	/* out of the group first: of a member that ends in it the kernel may tell the others */
	(void)syscall(SYS_setpgid, member, 0);
	(void)syscall(SYS_kill, member, SIGKILL);
	(void)syscall(SYS_wait4, member, NULL, __WALL, NULL);
}

/* True where our group is linked to the session by something that is not the target's. */
static bool link_group(struct cw_engine *e)
{
	if (cw_helper_lives(&e->link))
		return true;
	cw_helper_end(&e->link);
	return linked_above() || cw_helper_start(e, &e->link, "capwrap-link", be_link, NULL);
}

void cw_group_end(struct cw_engine *e)
{
	cw_helper_end(&e->link);
}

static bool catches(int tid, int sig)
{
	char path[48], text[256];
	unsigned long long caught = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	FILE *f = fopen(path, "re");

	while (f && fgets(text, sizeof(text), f))
		(void)sscanf(text, "SigCgt: %llx", &caught);
	if (f)
		fclose(f);
	return caught >> (sig - 1) & 1;
}

/* What is delivered for `sig`: itself, or 0 where it would stop the process and must not. */
int cw_group_stop(struct cw_engine *e, const struct cw_task *t, int sig)
{
	if ((sig != SIGSTOP && sig != SIGTSTP && sig != SIGTTIN && sig != SIGTTOU) ||
	    getpgid(t->proc->pid) != getpgrp())
		return sig;
	/* an orphan's member ignores them by default (signal(7)), and with our link it would be none */
	if (sig != SIGSTOP && !catches(t->tid, sig) && !linked_above() && !linked_by_target(e))
		return 0;
	if (link_group(e))
		return sig;
	fprintf(stderr,
	        "capwrap: process %d does not stop: no process could be made that keeps the kernel from sending "
	        "SIGHUP to the whole process group for it. Look at the limit of processes (ulimit -u)\n",
	        t->proc->pid);
	return 0;
}

/* Wakes the supervisor when the time of the run is over, and again until it says that it is awake: it may be about to stop. */
static void be_clock(void *arg)
{
	const struct cw_engine *e = arg;
	const struct itimerspec due = {
		.it_value = {(time_t)(e->deadline_ns / 1000000000u), (long)(e->deadline_ns % 1000000000u)},
		.it_interval = {0, 100000000},
	};
	int timer = (int)syscall(SYS_timerfd_create, CLOCK_MONOTONIC, 0);
	uint64_t times;

	if (timer < 0 || syscall(SYS_timerfd_settime, timer, TFD_TIMER_ABSTIME, &due, NULL))
		return;
	cw_helper_ready();
	for (struct pollfd p = {.fd = timer, .events = POLLIN};;) {
		cw_helper_wait(timer);
		if (syscall(SYS_poll, &p, 1, 0) <= 0 || syscall(SYS_read, timer, &times, sizeof(times)) < 0)
			return;
		cw_helper_wake_supervisor();
	}
}

/*
 * COMMAND has stopped. The job that the outer shell sees is ours: stop with it, and go on with it; but not beyond the deadline,
 * which nobody else keeps.
 */
void cw_stop_with_command(struct cw_engine *e, const struct cw_task *t)
{
	struct cw_helper clock = {.told = -1};

	if (!link_group(e) || (e->deadline_ns && (cw_now() >= e->deadline_ns ||
	                                          !cw_helper_start(e, &clock, "capwrap-clock", be_clock, e))))
		return;
	/* by this very thread: it would go on for a moment if another of ours took the signal */
	(void)syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGSTOP);
	cw_helper_end(&clock);
	(void)cw_send_signal(t->proc, 0, SIGCONT);
}

/* setpgid(2), into a group of the target's or ours. */
int cw_group_join(struct cw_engine *e, int pid, int group)
{
	int from = getpgid(pid), home = getpgrp();

	if (from != group && (from == home || group == home) && !link_group(e))
		return -EPERM;
	if (group == pid || group == home)
		return 0;
	return e->ctx.ops->member_group(&e->ctx, group) ? 0 : -EPERM;
}
