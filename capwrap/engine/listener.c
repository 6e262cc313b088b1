/*
 * The listener of the seccomp program: answers the calls that only look, hands over descriptors that the supervisor opened
 * (ARCHITECTURE.md, rule 9), and makes on workers the few calls that may block. It runs beside the engine's thread.
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

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS /* Linux 6.6; Debian 12's headers are older */
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS _IOW('!', 4, uint64_t)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

static bool waits(struct cw_engine *e, uint64_t id)
{
	return !ioctl(e->listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id);
}

bool cw_notif_answer(struct cw_engine *e, uint64_t id, int64_t ret)
{
	struct seccomp_notif_resp resp = {.id = id, .error = ret < 0 ? (int32_t)ret : 0, .val = ret < 0 ? 0 : ret};

	return !ioctl(e->listener, SECCOMP_IOCTL_NOTIF_SEND, &resp);
}

static int64_t add(struct cw_engine *e, uint64_t id, int fd, int install, uint32_t flags)
{
	struct seccomp_notif_addfd a = {.id = id, .srcfd = (uint32_t)fd, .newfd_flags = flags};

	if (install >= 0) {
		a.flags = SECCOMP_ADDFD_FLAG_SETFD;
		a.newfd = (uint32_t)install;
	}
	int number = ioctl(e->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &a);

	return number < 0 ? -errno : number;
}

/* A number in the capability range lies above the limit where the target lowered it: raised for this one moment. */
static int64_t install_at(struct cw_engine *e, uint64_t id, int tid, const struct cw_delivery *d)
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
	pthread_t thread;
	uint64_t id;
	int tid; /* whose call it makes, -1: it has been answered; and its task, which stays until then */
	struct cw_task *task;
	bool given_up; /* a signal ended that call: it must not come about any more */
	struct cw_delivery d;
};

static bool given_up(struct cw_worker *w)
{
	pthread_mutex_lock(&w->e->lock);
	bool up = w->given_up;

	pthread_mutex_unlock(&w->e->lock);
	return up;
}

/*
 * What `t`'s call gives. It stays in the book until the thread is seen again: a signal may come first, and the kernel throws this
 * answer away (take_out in signals.c); or another thread takes that signal, and the call asks again (deliver).
 */
static void answer(struct cw_engine *e, uint64_t id, struct cw_task *t, int64_t ret)
{
	t->delivered = ret;
	t->answered = true;
	(void)cw_notif_answer(e, id, ret);
}

/*
 * `d->fd` becomes the target's, and no reference to it is left here when its call returns, so that the target's close is the
 * last one (flock(2), FIFOs, ETXTBSY).
 */
static void hand_over(struct cw_engine *e, uint64_t id, struct cw_task *t, const struct cw_delivery *d)
{
	int64_t ret = d->install < 0 ? add(e, id, d->fd, -1, d->flags) : install_at(e, id, t->tid, d);

	if (ret < 0 && !waits(e, id)) {
		/* as above, but that it has nothing yet */
		t->delivery = *d;
		return;
	}
	if (ret < 0)
		cw_undelivered(t, d);
	else
		close(d->fd);
	answer(e, id, t, ret);
}

/* It may be nudged for nothing, but it is not to be interrupted for nothing. */
static int64_t open_waiting(struct cw_worker *w)
{
	char path[48];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", w->d.fd);
	while (!given_up(w)) {
		int fd = open(path, (int)w->d.arg[0] | O_CLOEXEC | O_NOCTTY);

		if (fd >= 0 || errno != EINTR)
			return fd < 0 ? -errno : fd;
	}
	return -EINTR;
}

static int64_t truncate_waiting(struct cw_worker *w)
{
	char path[48];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", w->d.fd);
	while (!given_up(w)) {
		if (!truncate(path, (off_t)w->d.arg[0]))
			return 0;
		if (errno != EINTR)
			return -errno;
	}
	return -EINTR;
}

static int64_t connect_waiting(struct cw_worker *w)
{
	for (bool began = false; !given_up(w); began = true) {
		if (!connect(w->d.fd, (const struct sockaddr *)(void *)w->d.bytes, w->d.len))
			return 0;
		if (errno != EINTR)
			return began && errno == EISCONN ? 0 : -errno;
	}
	return -EINTR;
}

/* Whoever's call it was has its answer, or does without: nobody waits for this worker any more but the end of the run. */
static void stay_behind(struct cw_worker *w)
{
	w->tid = -1;
	w->given_up = false;
	pthread_cond_broadcast(&w->e->idle);
}

static void end_call(struct cw_worker *w, int64_t ret)
{
	pthread_mutex_lock(&w->e->lock);
	answer(w->e, w->id, w->task, ret);
	stay_behind(w);
	pthread_mutex_unlock(&w->e->lock);
}

static void end_open(struct cw_worker *w, int fd)
{
	struct cw_delivery d = w->d;

	d.fd = fd;
	d.held = -1;
	d.opened = true;
	pthread_mutex_lock(&w->e->lock);
	hand_over(w->e, w->id, w->task, &d);
	stay_behind(w);
	pthread_mutex_unlock(&w->e->lock);
}

/* A connection to a listener of the target's, which it is watched on its way to, whether its caller waits for it or not. */
static void join(struct cw_worker *w)
{
	struct cw_engine *e = w->e;
	bool waits, answered = false;
	int64_t ret = cw_join_begin(&w->d, &waits);
	int limit = waits ? cw_join_limit(&w->d) : 0;
	int state = ret == -EINPROGRESS ? cw_join_wait(&w->d, limit) : 1;

	while (state != 1 && !atomic_load(&e->listener_ends)) {
		/* it has waited long enough, or does not wait; or a signal came */
		if (!answered && (!state || given_up(w))) {
			end_call(w, state ? -EINTR : -EINPROGRESS);
			answered = true;
		}
		state = cw_join_wait(&w->d, answered ? -1 : limit);
	}
	if (ret == -EINPROGRESS && waits && !answered)
		ret = cw_join_result(&w->d);
	ret = cw_join_end(&w->d, ret);
	/* before the call returns: the target's close is the last one */
	close(w->d.fd);
	w->d.fd = -1;
	if (!answered)
		end_call(w, ret);
}

static void *worker(void *arg)
{
	struct cw_worker *w = arg;
	struct cw_engine *e = w->e;
	int64_t ret;

	if (w->d.work == CW_WORK_OPEN) {
		ret = open_waiting(w);
		if (ret >= 0)
			end_open(w, (int)ret);
		else
			end_call(w, ret);
	} else if (w->d.work == CW_WORK_JOIN) {
		join(w);
	} else {
		ret = w->d.work == CW_WORK_TRUNCATE ? truncate_waiting(w) : connect_waiting(w);
		/* before the call returns: the target's close is the last one */
		close(w->d.fd);
		w->d.fd = -1;
		end_call(w, ret);
	}
	pthread_mutex_lock(&e->lock);
	struct cw_worker **at = &e->workers;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	if (w->d.fd >= 0)
		close(w->d.fd);
	if (w->d.held >= 0)
		close(w->d.held);
	free(w);
	pthread_cond_broadcast(&e->idle);
	pthread_mutex_unlock(&e->lock);
	return NULL;
}

/*
 * Of one thread of the target, or of all (0): a signal or the end has come to its call. Returns when nothing is left of it, so
 * that nobody meets a reader of a FIFO whose open was interrupted. Whoever was not in its call yet is nudged again.
 */
void cw_workers_give_up(struct cw_engine *e, int tid)
{
	pthread_mutex_lock(&e->lock);
	for (;;) {
		struct timespec until;
		bool left = false;

		for (struct cw_worker *w = e->workers; w; w = w->next)
			if (!tid || w->tid == tid) {
				w->given_up = left = true;
				(void)pthread_kill(w->thread, CW_SIG_NUDGE);
			}
		if (!left)
			break;
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += 1000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		(void)pthread_cond_timedwait(&e->idle, &e->lock, &until);
	}
	pthread_mutex_unlock(&e->lock);
}

/* An fd that could not be handed over: kept where a second try would find what the first one made. */
void cw_undelivered(struct cw_task *t, const struct cw_delivery *d)
{
	if (!t || !d->made) {
		close(d->fd);
		return;
	}
	if (t->made >= 0)
		close(t->made);
	t->made = d->fd;
}

/* A call that may block is made by a thread of its own. */
static bool start_worker(struct cw_engine *e, const struct seccomp_notif *n, struct cw_task *t,
                         const struct cw_delivery *d)
{
	struct cw_worker *w = malloc(sizeof(*w));

	if (!w)
		return false;
	*w = (struct cw_worker){.e = e, .id = n->id, .tid = (int)n->pid, .task = t, .d = *d};
	pthread_mutex_lock(&e->lock);
	w->next = e->workers;
	e->workers = w;
	bool started = !pthread_create(&w->thread, NULL, worker, w);

	if (started)
		pthread_detach(w->thread);
	else
		e->workers = w->next;
	pthread_mutex_unlock(&e->lock);
	if (!started)
		free(w);
	return started;
}

/*
 * With the turn, and for a thread that waits. It may be asked twice for one call: a signal to the process ends the waiting of a
 * thread, another thread takes the signal, and the kernel makes the first one's call anew without any stop.
 */
static void deliver(struct cw_engine *e, const struct seccomp_notif *n)
{
	struct cw_task *t = cw_task_find(e, (int)n->pid);
	struct cw_delivery d = {.fd = -1};
	bool planned = t && t->pending == CW_DELIVERING;
	struct cw_worker *w;

	pthread_mutex_lock(&e->lock);
	for (w = e->workers; w && w->tid != (int)n->pid; w = w->next)
		;
	if (planned && w) {
		w->id = n->id;
	} else if (planned && t->delivery.fd >= 0) {
		d = t->delivery;
		t->delivery.fd = -1;
	} else if (planned && t->answered) {
		(void)cw_notif_answer(e, n->id, t->delivered);
	} else {
		/* nobody planned this: the target made the call itself */
		(void)cw_notif_answer(e, n->id, -ENOSYS);
	}
	pthread_mutex_unlock(&e->lock);
	if (d.fd < 0)
		return;
	if (!d.work || d.opened) {
		hand_over(e, n->id, t, &d);
	} else if (!start_worker(e, n, t, &d)) {
		close(d.fd);
		if (d.held >= 0)
			close(d.held);
		answer(e, n->id, t, -ENOMEM);
	}
}

/*
 * What a thread waits for, if it still does. Then it is the thread that its number says, and it is at this very call: it is
 * neither looked at where a signal ended its wait nor reaped but by who has the turn.
 */
static void serve(struct cw_engine *e, const struct seccomp_notif *n)
{
	cw_turn_take(&e->turn);
	if (waits(e, n->id)) {
		if (n->data.nr == CW_NR_DELIVER)
			deliver(e, n);
		else
			cw_decide_notified(e, n);
	}
	cw_turn_give(&e->turn);
}

/* Waits in the ioctl itself: a poll before it would cost every answer a call. */
static void *listen_loop(void *arg)
{
	struct cw_engine *e = arg;
	struct seccomp_notif n;

	while (!atomic_load(&e->listener_ends)) {
		struct pollfd p = {.fd = e->listener, .events = POLLIN};

		memset(&n, 0, sizeof(n));
		if (!ioctl(e->listener, SECCOMP_IOCTL_NOTIF_RECV, &n))
			serve(e, &n);
		/* EINTR: the end. ENOENT: killed meanwhile, or (Linux 6.11) nobody has the program any more */
		else if (errno != EINTR && (errno != ENOENT || (poll(&p, 1, 0) > 0 && (p.revents & POLLHUP))))
			return NULL;
	}
	return NULL;
}

int cw_listener_start(struct cw_engine *e)
{
	sigset_t own, old;

	/* keep the answering thread on the CPU of the one that waits; without it, only slower */
	(void)ioctl(e->listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
	/* signals are the other threads' business, but for the one that ends the waiting */
	sigfillset(&own);
	sigdelset(&own, CW_SIG_NUDGE);
	pthread_sigmask(SIG_SETMASK, &own, &old);
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
		struct timespec soon;

		/* more than once: the first may come before it waits */
		atomic_store(&e->listener_ends, 1);
		do {
			(void)pthread_kill(e->listener_thread, CW_SIG_NUDGE);
			clock_gettime(CLOCK_REALTIME, &soon);
			soon.tv_nsec += 1000000;
			soon.tv_sec += soon.tv_nsec / 1000000000;
			soon.tv_nsec %= 1000000000;
		} while (pthread_timedjoin_np(e->listener_thread, NULL, &soon));
		cw_workers_give_up(e, 0);
	}
	if (e->listener >= 0)
		close(e->listener);
}
