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

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct place {
	int parent, group, session;
};

static bool place_of(int pid, struct place *p)
{
	char path[32], text[512];
	bool found = false;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	FILE *f = fopen(path, "re");

	/* behind the name, which may hold anything: state, parent, group, session */
	if (f && fgets(text, sizeof(text), f)) {
		const char *end = strrchr(text, ')');

		found = end && sscanf(end, ") %*c %d %d %d", &p->parent, &p->group, &p->session) == 3;
	}
	if (f)
		fclose(f);
	return found;
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

/* What the link is given: its pipe, the supervisor's descriptor, and where it says that it is there. */
struct link {
	int told, supervisor, ready;
	long pid;
};

static long fork_raw(void)
{
	return syscall(SYS_clone, 0, 0, 0, 0, 0);
}

static _Noreturn void leave(void)
{
	for (;;)
		syscall(SYS_exit_group, 0);
}

/* Ends with its parent, and at no signal that is sent to the group. */
static _Noreturn void be_member(pid_t parent)
{
	(void)syscall(SYS_close_range, 0, ~0u, 0);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) || syscall(SYS_getppid) != parent)
		leave();
	for (;;)
		(void)syscall(SYS_pause);
}

/*
 * In the link's process, a copy of one with threads: by raw calls alone. It waits until it is told to end, or the supervisor has
 * ended. Closed without a word, the pipe says that the supervisor is about to end, but all that it traces has to end before.
 */
static _Noreturn void be_link(const struct link *l)
{
	struct pollfd p[3] = {{.fd = 0, .events = POLLIN}, {.fd = 1, .events = POLLIN}, {.fd = 3, .events = POLLIN}};
	pid_t self = (pid_t)syscall(SYS_getpid);
	bool hung = false;

	(void)prctl(PR_SET_NAME, "capwrap-link", 0, 0, 0);
	if (syscall(SYS_dup3, l->told, 0, 0) < 0 || syscall(SYS_dup3, l->supervisor, 1, 0) < 0 ||
	    syscall(SYS_dup3, l->ready, 2, 0) < 0 || syscall(SYS_close_range, 3, ~0u, 0))
		leave();
	long member = fork_raw();

	if (!member)
		be_member(self);
	if (member < 0 || syscall(SYS_pidfd_open, member, 0) != 3)
		leave();
	if (!syscall(SYS_setpgid, 0, 0)) {
		(void)!write(2, "r", 1);
		(void)syscall(SYS_close, 2);
		while (syscall(SYS_poll, p, 3, hung ? 10000 : -1) > 0) {
			if ((p[0].revents & POLLIN) || p[1].revents || p[2].revents)
				break;
			hung = true;
			p[0].fd = -1;
		}
	}
	/* out of the group first: of a member that ends in it the kernel may tell the others */
	(void)syscall(SYS_setpgid, member, 0);
	(void)syscall(SYS_kill, member, SIGKILL);
	(void)syscall(SYS_wait4, member, NULL, __WALL, NULL);
	leave();
}

/* By a thread of its own: the engine's waits for the children of its own, all of which are the target's. */
static void *fork_link(void *arg)
{
	struct link *l = arg;

	l->pid = fork_raw();
	if (!l->pid)
		be_link(l);
	return NULL;
}

static void close_one(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void end_link(struct cw_engine *e)
{
	struct pollfd p = {.fd = e->link, .events = 0};
	int status;

	if (e->link < 0)
		return;
	/* POLLERR: nobody reads any more, it has gone */
	(void)!write(e->link, ".", 1);
	if (poll(&p, 1, 1000) != 1)
		(void)kill(e->link_pid, SIGKILL);
	while (waitpid(e->link_pid, &status, __WALL) < 0 && errno == EINTR) {
	}
	close(e->link);
	e->link = -1;
}

static bool make_link(struct cw_engine *e)
{
	int told[2] = {-1, -1}, ready[2] = {-1, -1};
	struct link l = {.told = -1, .supervisor = -1, .ready = -1, .pid = -1};
	int supervisor = (int)syscall(SYS_pidfd_open, getpid(), 0);
	char byte = 0;

	/* it shall not have what the engine has adopted of the target */
	cw_adopt_end(e);
	if (supervisor >= 0 && !pipe2(told, O_CLOEXEC) && !pipe2(ready, O_CLOEXEC)) {
		pthread_t thread;

		/* out of the way of the numbers that it moves them to */
		l.told = fcntl(told[0], F_DUPFD_CLOEXEC, 3);
		l.supervisor = fcntl(supervisor, F_DUPFD_CLOEXEC, 3);
		l.ready = fcntl(ready[1], F_DUPFD_CLOEXEC, 3);
		if (!pthread_create(&thread, NULL, fork_link, &l))
			(void)pthread_join(thread, NULL);
	}
	close_one(l.told);
	close_one(l.supervisor);
	close_one(l.ready);
	close_one(supervisor);
	close_one(told[0]);
	close_one(ready[1]);
	if (l.pid > 0) {
		while (read(ready[0], &byte, 1) < 0 && errno == EINTR) {
		}
		e->link = told[1];
		e->link_pid = (int)l.pid;
		if (!byte)
			end_link(e);
	} else {
		close_one(told[1]);
	}
	close_one(ready[0]);
	return e->link >= 0;
}

/* True where our group is linked to the session by something that is not the target's. */
static bool link_group(struct cw_engine *e)
{
	struct pollfd p = {.fd = e->link, .events = 0};

	if (e->link >= 0 && !poll(&p, 1, 0))
		return true;
	end_link(e);
	return linked_above() || make_link(e);
}

void cw_group_end(struct cw_engine *e)
{
	end_link(e);
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

/* COMMAND has stopped, and we are about to. */
bool cw_group_may_stop(struct cw_engine *e)
{
	return link_group(e);
}

/* setpgid(2), into a group of the target's or ours. */
int cw_group_join(struct cw_engine *e, int pid, int group)
{
	int from = getpgid(pid), home = getpgrp();

	if (from != group && (from == home || group == home) && !link_group(e))
		return -EPERM;
	if (group == pid || group == home)
		return 0;
	for (int i = 0; i < CW_HASH; i++)
		for (struct cw_proc *p = e->procs[i]; p; p = p->next)
			if (getpgid(p->pid) == group)
				return 0;
	return -EPERM;
}
