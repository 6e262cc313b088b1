/*
 * Processes of the supervisor's own beside the target's: small, deaf to signals, and gone when the run is over, or when the
 * supervisor has ended in whatever way. They are copies of a process with threads, so they live on raw calls alone.
 */
#include "capwrap/engine/internal.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The descriptors of a helper: its pipe, the supervisor's descriptor, and where it says that it is there. */
enum { TOLD, SUPERVISOR, READY, OWN };

struct start {
	int fd[OWN];
	void (*body)(void *arg);
	const char *name;
	void *arg;
	long pid;
};

long cw_helper_fork(void)
{
	return syscall(SYS_clone, 0, 0, 0, 0, 0);
}

_Noreturn void cw_helper_leave(void)
{
	for (;;)
		syscall(SYS_exit_group, 0);
}

void cw_helper_ready(void)
{
	(void)!write(READY, "r", 1);
	(void)syscall(SYS_close, READY);
}

/*
 * Until it is told to end, the supervisor has ended, or `other` (or -1) is readable. Closed without a word, the pipe says that the
 * supervisor is about to end; but all that it traces has to be killed before.
 */
void cw_helper_wait(int other)
{
	struct pollfd p[3] = {
		{.fd = TOLD, .events = POLLIN}, {.fd = SUPERVISOR, .events = POLLIN}, {.fd = other, .events = POLLIN}};
	bool hung = false;

	while (syscall(SYS_poll, p, 3, hung ? 10000 : -1) > 0) {
		if ((p[0].revents & POLLIN) || p[1].revents || p[2].revents)
			return;
		hung = true;
		p[0].fd = -1;
	}
}

/* Whether it has stopped or not: SIGCONT. */
void cw_helper_wake_supervisor(void)
{
	(void)syscall(SYS_pidfd_send_signal, SUPERVISOR, SIGCONT, NULL, 0);
}

/* By a thread of its own: the engine's waits for the children of its own, all of which are the target's. */
static void *start(void *arg)
{
	const struct start *s = arg;
	long pid = cw_helper_fork();

	if (pid) {
		((struct start *)arg)->pid = pid;
		return NULL;
	}
	(void)prctl(PR_SET_NAME, s->name, 0, 0, 0);
	for (int i = 0; i < OWN; i++)
		if (syscall(SYS_dup3, s->fd[i], i, 0) < 0)
			cw_helper_leave();
	if (!syscall(SYS_close_range, OWN, ~0u, 0))
		s->body(s->arg);
	cw_helper_leave();
}

static void close_one(int fd)
{
	if (fd >= 0)
		close(fd);
}

bool cw_helper_start(struct cw_engine *e, struct cw_helper *h, const char *name, void (*body)(void *arg), void *arg)
{
	int told[2] = {-1, -1}, ready[2] = {-1, -1};
	struct start s = {.fd = {-1, -1, -1}, .body = body, .name = name, .arg = arg, .pid = -1};
	int supervisor = (int)syscall(SYS_pidfd_open, getpid(), 0);
	bool adopted = e->creds_adopted;
	char byte = 0;

	/* it shall not have what the engine has adopted of the target */
	cw_adopt_end(e);
	if (supervisor >= 0 && !pipe2(told, O_CLOEXEC) && !pipe2(ready, O_CLOEXEC)) {
		pthread_t thread;

		/* out of the way of the numbers that it moves them to */
		s.fd[TOLD] = fcntl(told[0], F_DUPFD_CLOEXEC, OWN);
		s.fd[SUPERVISOR] = fcntl(supervisor, F_DUPFD_CLOEXEC, OWN);
		s.fd[READY] = fcntl(ready[1], F_DUPFD_CLOEXEC, OWN);
		if (!pthread_create(&thread, NULL, start, &s))
			(void)pthread_join(thread, NULL);
	}
	for (int i = 0; i < OWN; i++)
		close_one(s.fd[i]);
	close_one(supervisor);
	close_one(told[0]);
	close_one(ready[1]);
	if (s.pid > 0) {
		while (read(ready[0], &byte, 1) < 0 && errno == EINTR) {
		}
		h->told = told[1];
		h->pid = (int)s.pid;
		if (!byte)
			cw_helper_end(h);
	} else {
		close_one(told[1]);
	}
	close_one(ready[0]);
	if (adopted)
		cw_adopt(e, e->current, false);
	return h->told >= 0;
}

bool cw_helper_lives(const struct cw_helper *h)
{
	struct pollfd p = {.fd = h->told, .events = 0};

	/* POLLERR: nobody reads any more */
	return h->told >= 0 && !poll(&p, 1, 0);
}

void cw_helper_end(struct cw_helper *h)
{
	struct pollfd p = {.fd = h->told, .events = 0};
	int status;

	if (h->told < 0)
		return;
	(void)!write(h->told, ".", 1);
	if (poll(&p, 1, 1000) != 1)
		(void)kill(h->pid, SIGKILL);
	while (waitpid(h->pid, &status, __WALL) < 0 && errno == EINTR) {
	}
	close(h->told);
	h->told = -1;
}
