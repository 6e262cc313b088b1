/*
 * The listener of the seccomp program: hands over descriptors that the supervisor opened (ARCHITECTURE.md, rule 9), and makes
 * on workers the few calls that may block. It runs beside the engine's thread and shares the book of tasks with it.
 */
#include "capwrap/engine/internal.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SECCOMP_ADDFD_FLAG_SEND
#define SECCOMP_ADDFD_FLAG_SEND (1UL << 1)
#endif

static void answer(struct cw_engine *e, uint64_t id, int64_t ret)
{
	struct seccomp_notif_resp resp = {.id = id, .error = ret < 0 ? (int32_t)ret : 0, .val = ret < 0 ? 0 : ret};

	(void)ioctl(e->listener, SECCOMP_IOCTL_NOTIF_SEND, &resp);
}

static int64_t add(struct cw_engine *e, uint64_t id, int fd, int install, uint32_t flags)
{
	struct seccomp_notif_addfd a = {.id = id, .srcfd = (uint32_t)fd, .newfd_flags = flags};

	if (install >= 0) {
		a.flags = SECCOMP_ADDFD_FLAG_SETFD;
		a.newfd = (uint32_t)install;
		return ioctl(e->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &a) < 0 ? -errno : install;
	}
	/* the number is the call's result, in one step: no other thread can come between */
	a.flags = SECCOMP_ADDFD_FLAG_SEND;
	int number = ioctl(e->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &a);

	return number < 0 ? -errno : number;
}

/* A number in the capability range lies above the limit where the target lowered it: raised for this one moment. */
static int64_t install_at(struct cw_engine *e, uint64_t id, int tid, struct cw_delivery *d)
{
	int64_t ret = add(e, id, d->fd, d->install, 0);

	if (ret == -EBADF) {
		struct rlimit old, up;

		if (!prlimit(tid, RLIMIT_NOFILE, NULL, &old)) {
			up = old;
			up.rlim_cur = (rlim_t)e->cap_base + (rlim_t)e->cap_end;
			if (up.rlim_max < up.rlim_cur)
				up.rlim_max = up.rlim_cur;
			if (!prlimit(tid, RLIMIT_NOFILE, &up, NULL)) {
				ret = add(e, id, d->fd, d->install, 0);
				(void)prlimit(tid, RLIMIT_NOFILE, &old, NULL);
			}
		}
	}
	return ret;
}

struct cw_worker {
	struct cw_worker *next;
	struct cw_engine *e;
	uint64_t id;
	struct cw_delivery d;
};

static void *worker(void *arg)
{
	struct cw_worker *w = arg;
	int64_t ret;

	if (w->d.work == CW_WORK_OPEN) {
		char path[48];

		snprintf(path, sizeof(path), "/proc/self/fd/%d", w->d.fd);
		int fd = open(path, (int)w->d.arg[0] | O_CLOEXEC | O_NOCTTY);

		ret = fd < 0 ? -errno : add(w->e, w->id, fd, -1, w->d.flags);
		if (fd >= 0)
			close(fd);
	} else {
		ret = connect(w->d.fd, (const struct sockaddr *)(void *)w->d.bytes, w->d.len) ? -errno : 0;
		answer(w->e, w->id, ret);
		ret = 0;
	}
	if (ret < 0)
		answer(w->e, w->id, ret);
	struct cw_engine *e = w->e;

	pthread_mutex_lock(&e->lock);
	struct cw_worker **at = &e->workers;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	close(w->d.fd);
	if (w->d.held >= 0)
		close(w->d.held);
	free(w);
	pthread_cond_signal(&e->idle);
	pthread_mutex_unlock(&e->lock);
	return NULL;
}

/* Nobody waits for them any more: whatever they block in is brought to an end. */
static void end_workers(struct cw_engine *e)
{
	pthread_mutex_lock(&e->lock);
	while (e->workers) {
		for (struct cw_worker *w = e->workers; w; w = w->next) {
			char path[48];
			int other;

			if (w->d.work != CW_WORK_OPEN) {
				(void)shutdown(w->d.fd, SHUT_RDWR);
				continue;
			}
			/* both ends of the FIFO, for a moment */
			snprintf(path, sizeof(path), "/proc/self/fd/%d", w->d.fd);
			other = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
			if (other >= 0)
				close(other);
		}
		struct timespec until;

		/* one that was not yet inside its open when the ends were there is met in the next round */
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += 10000000;
		if (until.tv_nsec >= 1000000000) {
			until.tv_nsec -= 1000000000;
			until.tv_sec++;
		}
		(void)pthread_cond_timedwait(&e->idle, &e->lock, &until);
	}
	pthread_mutex_unlock(&e->lock);
}

static void serve(struct cw_engine *e, const struct seccomp_notif *n)
{
	struct cw_delivery d = {.fd = -1, .install = -1, .held = -1};
	struct cw_task *t;

	pthread_mutex_lock(&e->lock);
	t = cw_task_find(e, (int)n->pid);
	if (t && t->pending == CW_DELIVERING && t->delivery.fd >= 0) {
		d = t->delivery;
		t->delivery.fd = -1;
	}
	pthread_mutex_unlock(&e->lock);
	if (d.fd < 0) {
		/* nobody planned this: the target made the call itself */
		answer(e, n->id, -ENOSYS);
		return;
	}
	if (d.work) {
		struct cw_worker *w = malloc(sizeof(*w));
		pthread_t thread;

		if (w) {
			*w = (struct cw_worker){NULL, e, n->id, d};
			pthread_mutex_lock(&e->lock);
			w->next = e->workers;
			e->workers = w;
			bool started = !pthread_create(&thread, NULL, worker, w);

			if (!started)
				e->workers = w->next;
			pthread_mutex_unlock(&e->lock);
			if (started) {
				pthread_detach(thread);
				return;
			}
			free(w);
		}
		answer(e, n->id, -ENOMEM);
		close(d.fd);
		if (d.held >= 0)
			close(d.held);
		return;
	}
	int64_t ret = d.install >= 0 ? install_at(e, n->id, (int)n->pid, &d) : add(e, n->id, d.fd, -1, d.flags);

	pthread_mutex_lock(&e->lock);
	t = cw_task_find(e, (int)n->pid);
	if (t)
		t->delivered = ret;
	pthread_mutex_unlock(&e->lock);

	if (d.install >= 0 || ret < 0)
		answer(e, n->id, ret);
	close(d.fd);
}

static void *listen_loop(void *arg)
{
	struct cw_engine *e = arg;
	struct seccomp_notif n;
	struct pollfd p[2] = {{.fd = e->listener, .events = POLLIN}, {.fd = e->wake[0], .events = POLLIN}};
	bool open = true, terminated = false;

	for (;;) {
		int wait = -1;

		if (e->deadline_ns) {
			uint64_t now = cw_now(), due = e->deadline_ns + (terminated ? 2000000000u : 0);

			if (now >= due) {
				atomic_store(&e->timed_out, 1);
				cw_kill_all(e, terminated ? SIGKILL : SIGTERM);
				if (!terminated)
					cw_kill_all(e, SIGCONT);
				terminated = true;
				wait = 2000;
			} else
				wait = (int)((due - now) / 1000000 + 1);
		}
		if (poll(open ? p : p + 1, open ? 2 : 1, wait) < 0 && errno != EINTR)
			return NULL;
		if (p[1].revents)
			return NULL;
		if (open && (p[0].revents & POLLIN)) {
			memset(&n, 0, sizeof(n));
			if (!ioctl(e->listener, SECCOMP_IOCTL_NOTIF_RECV, &n))
				serve(e, &n);
		} else if (open && (p[0].revents & (POLLHUP | POLLERR)))
			open = false; /* nobody has the program any more */
	}
}

int cw_listener_start(struct cw_engine *e)
{
	sigset_t all, old;

	if (pipe2(e->wake, O_CLOEXEC))
		return cw_failed(e, "cannot make a pipe: %s", strerror(errno));
#ifdef SECCOMP_IOCTL_NOTIF_SET_FLAGS
	/* keep the answering thread on the CPU of the one that waits (Linux 6.6); without it, only slower */
	(void)ioctl(e->listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, 1);
#endif
	/* signals are the other threads' business */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int err = pthread_create(&e->listener_thread, NULL, listen_loop, e);

	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		return cw_failed(e, "cannot start the listener's thread: %s", strerror(err));
	e->listener_running = true;
	return 0;
}

void cw_listener_stop(struct cw_engine *e)
{
	if (e->listener_running) {
		(void)!write(e->wake[1], "x", 1);
		pthread_join(e->listener_thread, NULL);
		end_workers(e);
	}
	for (int i = 0; i < 2; i++)
		if (e->wake[i] >= 0)
			close(e->wake[i]);
	if (e->listener >= 0)
		close(e->listener);
}
