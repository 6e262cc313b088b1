/* A run from its image to its result: set up, launch, supervise, clean up. */
#include "capwrap/engine/internal.h"

#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

uint64_t cw_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

int cw_failed(struct cw_engine *e, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (!e->res->failed)
		vsnprintf(e->res->message, sizeof(e->res->message), fmt, ap);
	va_end(ap);
	e->res->failed = 1;
	return -1;
}

/* The pid that signals are forwarded to; 0 while nothing runs. Handlers have no engine handle to look in. */
static atomic_int command_pid;

/* Signals that came while there was nobody to have them yet, as a mask. */
static atomic_ullong early;

static void forward_early(void)
{
	uint64_t mask = atomic_exchange(&early, 0);

	for (int sig = 1; sig < 65; sig++)
		if (mask >> (sig - 1) & 1)
			(void)cw_signal(sig);
}

void cw_command_is(int pid)
{
	atomic_store(&command_pid, pid);
	if (pid)
		forward_early();
}

int cw_signal(int sig)
{
	int pid = atomic_load(&command_pid);

	const struct cw_proc command = {.pid = pid, .pidfd = -1};

	if (pid <= 0)
		return -ESRCH;
	return cw_send_signal(&command, 0, sig) ? 0 : -errno;
}

static void forward(int sig, siginfo_t *info, void *context)
{
	int saved = errno;

	(void)context;
	/* from the terminal it went to the whole foreground group, COMMAND included, if there was one */
	if (info->si_code <= 0 || !atomic_load(&command_pid)) {
		atomic_fetch_or(&early, UINT64_C(1) << (sig - 1));
		if (atomic_load(&command_pid))
			forward_early();
	}
	errno = saved;
}

/* Without SA_RESTART: it is there to have a blocking call end. */
static void nothing(int sig)
{
	(void)sig;
}

static const int forwarded[] = {SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2};
static const int ignored[] = {SIGTSTP, SIGTTIN, SIGTTOU};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void take(struct cw_engine *e, int sig, const struct sigaction *sa)
{
	(void)sigaction(sig, sa, &e->saved[sig]);
	e->taken |= UINT64_C(1) << (sig - 1);
}

static void own_signals(struct cw_engine *e)
{
	struct sigaction sa, was;

	/* not for stops: each would wake the caller's thread for nothing; and never ignored, or nothing could be waited for */
	memset(&sa, 0, sizeof(sa));
	(void)sigaction(SIGCHLD, NULL, &sa);
	sa.sa_flags |= SA_NOCLDSTOP;
	sa.sa_flags &= ~SA_NOCLDWAIT;
	if (sa.sa_handler == SIG_IGN)
		sa.sa_handler = SIG_DFL;
	take(e, SIGCHLD, &sa);
	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = nothing;
	take(e, CW_SIG_NUDGE, &sa);
	if (!(e->run->flags & CW_RUN_FOREGROUND))
		return;
	memset(&sa, 0, sizeof(sa));
	atomic_store(&early, 0);
	sa.sa_sigaction = forward;
	sa.sa_flags = SA_SIGINFO | SA_RESTART;
	for (size_t i = 0; i < COUNT(forwarded); i++)
		if (!sigaction(forwarded[i], NULL, &was) && was.sa_handler != SIG_IGN)
			take(e, forwarded[i], &sa);
	sa.sa_flags = 0;
	sa.sa_handler = SIG_IGN;
	for (size_t i = 0; i < COUNT(ignored); i++)
		take(e, ignored[i], &sa);
}

static void return_signals(struct cw_engine *e)
{
	for (int i = 1; i < 65; i++)
		if (e->taken >> (i - 1) & 1)
			(void)sigaction(i, &e->saved[i], NULL);
}

/* What it holds beside the granted directories: pad, listener, private directories, a process descriptor of each process. */
#define OWN_DESCRIPTORS 48

static int check_descriptors(struct cw_engine *e)
{
	uint64_t needed = OWN_DESCRIPTORS;

	for (uint32_t i = 0; i < e->im.n_nodes; i++)
		needed += e->im.nodes[i].kind == CW_NODE_DIR || e->im.nodes[i].kind == CW_NODE_PRIVATE;
	if (e->features.nofile_soft >= needed)
		return 0;
	return cw_failed(
		e,
		"at most %llu descriptors may be open here (RLIMIT_NOFILE), and capwrap itself needs %llu: raise "
		"the limit, as with ulimit -n 1024",
		(unsigned long long)e->features.nofile_soft, (unsigned long long)needed);
}

static int check_features(struct cw_engine *e)
{
	struct cw_features *f = &e->features;

	cw_probe_run(f);
	if (f->openat2 == -ENOSYS)
		return cw_failed(e, "this kernel has no openat2(2): Linux 5.14 or later is needed");
	if (f->openat2 < 0)
		return cw_failed(e, "openat2(2) does not work here: %s. A container may deny it; see capwrap doctor",
		                 strerror(-f->openat2));
	/* a run within a run lacks both, and this is what it cannot do without */
	int tracing = f->landlock_abi < 1 ? cw_probe_ptrace() : 1;

	if (tracing < 0)
		return cw_failed(e, CW_CANNOT_TRACE, strerror(-tracing));
	if (!f->seccomp_trace || !f->seccomp_user_notif)
		return cw_failed(e, "this kernel or container offers no seccomp filters with RET_TRACE and a listener: "
		                    "see capwrap doctor");
	return 0;
}

/* Root keeps for the supervisor what the target has, and what supervising takes; a rewriter's mistake then costs no more. Not in a
 * trace: there the target has all of it. */
static void reduce_root(struct cw_engine *e)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2];

	if (syscall(SYS_capget, &h, d))
		return;
	e->privileged = d[0].permitted & (1u << CAP_SETUID);
	if (!e->privileged || cw_tracing(e))
		return;
	d[0].effective = d[0].permitted & (1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_FOWNER |
	                                   1u << CAP_FSETID | 1u << CAP_SETUID | 1u << CAP_SETGID |
	                                   1u << CAP_SYS_PTRACE | 1u << CAP_KILL | 1u << CAP_SYS_RESOURCE);
	d[1].effective = 0;
	(void)syscall(SYS_capset, &h, d);
}

static void *engine_thread(void *arg)
{
	struct cw_engine *e = arg;

	/* umask, cwd and credentials of this thread alone are changed by what it performs */
	e->shared_fs = unshare(CLONE_FS) != 0; /* some container profiles deny it */
	/* what the launcher needs in full, it does before it reduces itself */
	if (cw_tracing(e)) {
		if (!cw_trace_make(e)) {
			reduce_root(e);
			(void)cw_launch(e);
		}
	} else if (!cw_scratch_make(e) && !cw_grants_open(e) && !cw_pad_make(e) && !cw_landlock_make(e)) {
		if (e->gadget < 0) {
			cw_failed(e, "the vdso has no place to map the pad from; see capwrap doctor");
		} else {
			reduce_root(e);
			(void)cw_launch(e);
		}
	}
	cw_listener_stop(e);
	cw_group_end(e);
	cw_ipc_end(e);
	/* which programs ran is of interest only with a record, or where something was refused */
	if ((e->run->flags & CW_RUN_RECORD_ACCESS) || e->res->refusals)
		cw_record_flush(e);
	free(e->batch);
	free(e->look);
	free(e->creds_first);
	cw_socket_names_end(e);
	cw_pad_close(e);
	cw_grants_close(e);
	cw_terminals_end(e);
	while (e->n_bound)
		close(e->bound[--e->n_bound].fd);
	cw_scratch_remove(e);
	if (e->ruleset >= 0)
		close(e->ruleset);
	pthread_mutex_lock(&e->lock);
	e->ended = true;
	pthread_cond_signal(&e->over);
	pthread_mutex_unlock(&e->lock);
	return NULL;
}

/* --timeout: SIGTERM at the deadline, SIGKILL two seconds later. */
static void keep_deadline(struct cw_engine *e)
{
	uint64_t due = e->deadline_ns;

	pthread_mutex_lock(&e->lock);
	while (!e->ended) {
		struct timespec until = {(time_t)(due / 1000000000u), (long)(due % 1000000000u)};

		if (pthread_cond_timedwait(&e->over, &e->lock, &until) != ETIMEDOUT)
			continue;
		bool first = !atomic_exchange(&e->timed_out, 1);

		due = cw_now() + 2000000000u;
		pthread_mutex_unlock(&e->lock);
		cw_kill_all(e, first ? SIGTERM : SIGKILL);
		if (first)
			cw_kill_all(e, SIGCONT);
		pthread_mutex_lock(&e->lock);
	}
	pthread_mutex_unlock(&e->lock);
}

int cw_run(const struct cw_run *run, struct cw_result *result)
{
	/* not from the heap, which would zero it: most of its 96 KB is never touched */
	struct cw_engine *e = mmap(NULL, sizeof(*e), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_t thread;
	sigset_t all;
	const char *why;
	int err;

	memset(result, 0, sizeof(*result));
	if (e == MAP_FAILED) {
		result->failed = 1;
		snprintf(result->message, sizeof(result->message), "out of memory");
		return -1;
	}
	e->run = run;
	e->res = result;
	e->listener = e->pad_fd = e->pad_ro = e->result_fd = e->scratch_fd = e->disk_fd = e->ruleset = -1;
	e->link.told = e->ipc_keeper.told = -1;
	e->gadget = -1;
	e->node_held = CW_NONE;
	e->start_ns = cw_now();
	clock_gettime(CLOCK_REALTIME_COARSE, &e->began);
	e->uid = getuid();
	e->gid = getgid();
	if (run->timeout_ms)
		e->deadline_ns = e->start_ns + (uint64_t)run->timeout_ms * 1000000u;
	pthread_mutex_init(&e->lock, NULL);
	pthread_cond_init(&e->idle, NULL);
	pthread_condattr_t monotonic;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&e->over, &monotonic);
	pthread_condattr_destroy(&monotonic);
	e->ctx.image = &e->im;
	e->ctx.ops = &cw_host_ops;
	e->ctx.host = e;
	for (int i = 0; i < 2; i++)
		e->ctx.place[i].fd = e->ctx.place[i].parent = -1;
	if (cw_image_check(run->image, run->image_size, result->message, sizeof(result->message))) {
		result->failed = 1;
	} else if (cw_image_open(&e->im, run->image, run->image_size, &why) && !check_features(e) &&
	           !check_descriptors(e)) {
		own_signals(e);
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &e->saved_mask);
		err = pthread_create(&thread, NULL, engine_thread, e);
		pthread_sigmask(SIG_SETMASK, &e->saved_mask, NULL);
		if (err) {
			cw_failed(e, "cannot start the engine's thread: %s", strerror(err));
		} else {
			/* beside the engine's thread: listing /tmp is nothing that COMMAND should wait for */
			cw_scratch_sweep(run);
			if (e->deadline_ns)
				keep_deadline(e);
			pthread_join(thread, NULL);
		}
		atomic_store(&command_pid, 0);
		return_signals(e);
		result->timed_out = atomic_load(&e->timed_out);
		if (result->lost)
			result->incomplete = 1;
	}
	pthread_mutex_destroy(&e->lock);
	pthread_cond_destroy(&e->idle);
	pthread_cond_destroy(&e->over);
	munmap(e, sizeof(*e));
	return result->failed ? -1 : 0;
}

int cw_image_check(const void *image, size_t size, char *message, size_t message_size)
{
	struct cw_image im;
	const char *why;
	uint8_t digest[32];

	if (!cw_image_open(&im, image, size, &why)) {
		snprintf(message, message_size,
		         "the policy image cannot be used: %s. Compile it again with capwrap compile", why);
		return -1;
	}
	cw_sha256((const uint8_t *)image + sizeof(*im.h), size - sizeof(*im.h), digest);
	if (memcmp(digest, im.h->sha256, 32)) {
		snprintf(message, message_size,
		         "the policy image is corrupt (its digest is wrong). Compile it again with capwrap compile");
		return -1;
	}
	return 0;
}
