/* The book of processes and threads. A process descriptor (pidfd) is held for every process. */
#include "capwrap/engine/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static unsigned hash(int id)
{
	return (unsigned)id * 2654435761u >> 22;
}

struct cw_task *cw_task_find(struct cw_engine *e, int tid)
{
	struct cw_task *t = e->tasks[hash(tid)];

	while (t && t->tid != tid)
		t = t->next;
	return t;
}

struct cw_proc *cw_proc_find(struct cw_engine *e, int pid)
{
	struct cw_proc *p = e->procs[hash(pid)];

	while (p && p->pid != pid)
		p = p->next;
	return p;
}

struct cw_proc *cw_proc_add(struct cw_engine *e, int pid, struct cw_proc *parent)
{
	struct cw_proc *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->pid = pid;
	p->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (parent) {
		p->parent = parent->pid;
		p->creds = parent->creds;
		p->nofile_set = parent->nofile_set;
		p->nofile[0] = parent->nofile[0];
		p->nofile[1] = parent->nofile[1];
		p->undumpable = parent->undumpable;
		p->filtered = parent->filtered;
	}
	pthread_mutex_lock(&e->lock);
	p->next = e->procs[hash(pid)];
	e->procs[hash(pid)] = p;
	e->n_procs++;
	pthread_mutex_unlock(&e->lock);
	return p;
}

struct cw_task *cw_task_add(struct cw_engine *e, int tid, struct cw_proc *proc)
{
	struct cw_task *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->tid = tid;
	t->proc = proc;
	t->slot = -1;
	t->delivery.fd = -1;
	t->made = t->late = -1;
	t->plan.interp_fd = -1;
	pthread_mutex_lock(&e->lock);
	t->next = e->tasks[hash(tid)];
	e->tasks[hash(tid)] = t;
	e->n_tasks++;
	if (!e->asked)
		e->asked = t->after = t->before = t;
	t->after = e->asked;
	t->before = e->asked->before;
	t->before->after = t->after->before = t;
	if (proc)
		proc->threads++;
	pthread_mutex_unlock(&e->lock);
	return t;
}

static void proc_drop(struct cw_engine *e, struct cw_proc *p)
{
	struct cw_proc **at = &e->procs[hash(p->pid)];

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	e->n_procs--;
	cw_stacks_drop(e, p);
	if (p->pidfd >= 0)
		close(p->pidfd);
	free(p);
}

void cw_drop_late(struct cw_task *t)
{
	if (t->late >= 0)
		close(t->late);
	t->late = -1;
}

void cw_task_drop(struct cw_engine *e, struct cw_task *t)
{
	cw_workers_give_up(e, t->tid); /* they know it */
	cw_slot_free(e, t);
	cw_views_drop(e, t->tid);
	pthread_mutex_lock(&e->lock);
	struct cw_task **at = &e->tasks[hash(t->tid)];

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	e->n_tasks--;
	t->before->after = t->after;
	t->after->before = t->before;
	if (e->asked == t)
		e->asked = t->after == t ? NULL : t->after;
	if (t->delivery.fd >= 0)
		close(t->delivery.fd);
	if (t->delivery.fd >= 0 && t->delivery.held >= 0)
		close(t->delivery.held);
	if (t->made >= 0)
		close(t->made);
	cw_drop_late(t);
	if (t->plan.interp_fd >= 0)
		close(t->plan.interp_fd);
	if (t->proc && --t->proc->threads == 0)
		proc_drop(e, t->proc);
	pthread_mutex_unlock(&e->lock);
	cw_creds_forget(t);
	free(t->record);
	free(t);
}

/* By its descriptor, or to the one thread; where that cannot be, by its number, which is traced, and not reused. */
static long send_to(const struct cw_proc *p, int tid, int sig)
{
	if (tid)
		return syscall(SYS_tgkill, p->pid, tid, sig);
	long sent = p->pidfd < 0 ? -1 : syscall(SYS_pidfd_send_signal, p->pidfd, sig, NULL, 0);

	return sent && (p->pidfd < 0 || errno != ESRCH) ? kill(p->pid, sig) : sent;
}

/* The real user of a process; -1: it is gone. For a handler of signals, too. */
static uid_t user_of(int pid)
{
	char path[48], text[2048];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	const char *ids = cw_read_text(path, text, sizeof(text)) ? strstr(text, "\nUid:") : NULL;

	return ids ? (uid_t)strtoul(ids + 5, NULL, 10) : (uid_t)-1;
}

/*
 * A signal to a process of the target, or to one thread of it. Who was root may have become somebody else, and root without
 * CAP_KILL, as in some containers, may signal only those whose user it really is (kill_ok_by_cred in kernel/signal.c). False:
 * it could not be sent, with errno; ESRCH where there is nobody any more.
 */
bool cw_send_signal(const struct cw_proc *p, int tid, int sig)
{
	if (!send_to(p, tid, sig))
		return true;
	if (errno != EPERM)
		return false;
	uid_t own = getuid(), its = user_of(p->pid);
	/* the raw calls: of this thread alone */
	bool sent = !syscall(SYS_setresuid, its, -1, -1) && !send_to(p, tid, sig);
	int err = errno;

	(void)syscall(SYS_setresuid, own, -1, -1);
	errno = err;
	return sent;
}

void cw_kill_all(struct cw_engine *e, int sig)
{
	pthread_mutex_lock(&e->lock);
	for (int i = 0; i < CW_HASH; i++)
		for (struct cw_proc *p = e->procs[i]; p; p = p->next)
			(void)cw_send_signal(p, 0, sig);
	pthread_mutex_unlock(&e->lock);
}
