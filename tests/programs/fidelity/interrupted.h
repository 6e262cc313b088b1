/*
 * What the interrupted_* programs share. A call waits, and something comes to it meanwhile: a signal that is caught, with
 * and without SA_RESTART, that is ignored, whose handler does not return, and a stop. One process waits in the call, its
 * parent sees it asleep, interrupts it, and lets the call succeed in the end.
 */
#ifndef INTERRUPTED_H
#define INTERRUPTED_H

#include "observe.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define TIMES 3

struct call {
	const char *name;
	void (*before)(void);  /* by the parent */
	void (*planted)(void); /* by the one that then waits */
	long (*call)(void);
	void (*uproot)(void);  /* by the one that has waited, whatever came of it */
	void (*release)(void); /* by the parent */
	void (*after)(void);   /* by the parent: what was let go and not taken */
	int flags;
};

#define UNTIL_SIGNAL 1 /* nothing but a signal that is caught ends it */
#define HELD 2         /* what is waited for is held by the parent, and let go also where nobody waits any more */

static volatile struct shared {
	int entered, ended, handled;
	int futex;
	int beside; /* another thread, that does nothing */
} * shared;
static int pipe_[2];
static pid_t sleeper;
static sigjmp_buf out;
static char bytes[65536];

static void nothing(void)
{
}

static void write_pipe(void)
{
	MUST(write(pipe_[1], "x", 1));
}

static void empty_pipe(void)
{
	MUST(fcntl(pipe_[0], F_SETFL, O_NONBLOCK));
	(void)!read(pipe_[0], bytes, sizeof(bytes));
	MUST(fcntl(pipe_[0], F_SETFL, 0));
}

enum way { CAUGHT, RESTARTED, IGNORED, LEFT, STOPPED, STOPPED_BESIDE, WAYS };
static const char *const ways[] = {
	"caught", "restarted", "ignored", "left by siglongjmp", "stopped", "stopped by another thread"};

static void on_signal(int sig)
{
	(void)sig;
	shared->handled++;
}

static void on_signal_leave(int sig)
{
	(void)sig;
	shared->handled++;
	siglongjmp(out, 1);
}

static _Noreturn void lost(const char *what, const char *of)
{
	fprintf(stderr, "%s: %s\n", of, what);
	kill(sleeper, SIGKILL);
	_exit(4);
}

static char state_of(pid_t pid)
{
	char path[40], text[400];

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return 0;
	text[n] = 0;
	const char *end = strrchr(text, ')');

	return end && end[1] ? end[2] : 0;
}

static void nap(void)
{
	nanosleep(&(struct timespec){0, 300000}, NULL);
}

/* True: it sleeps, twice in a row. False: its call is over. */
static bool asleep(const char *name)
{
	int seen = 0;

	for (int i = 0; i < 50000; i++) {
		if (shared->ended)
			return false;
		seen = shared->entered && state_of(sleeper) == 'S' ? seen + 1 : 0;
		if (seen == 3)
			return true;
		nap();
	}
	lost("it never slept", name);
}

static void interrupt(enum way way, const char *name)
{
	for (int i = 0; i < TIMES && asleep(name); i++) {
		int handled = shared->handled, status;

		if (way == STOPPED || way == STOPPED_BESIDE) {
			if (way == STOPPED)
				MUST(kill(sleeper, SIGSTOP));
			else
				MUST(syscall(SYS_tgkill, sleeper, shared->beside, SIGSTOP));
			MUST(waitpid(sleeper, &status, WUNTRACED));
			if (!WIFSTOPPED(status))
				lost("it did not stop", name);
			MUST(kill(sleeper, SIGCONT));
			continue;
		}
		MUST(kill(sleeper, SIGUSR1));
		for (int k = 0; way != IGNORED && shared->handled == handled; k++) {
			if (k == 50000)
				lost("the signal was not handled", name);
			nap();
		}
	}
}

static void set_up(enum way way)
{
	struct sigaction a = {.sa_handler = way == IGNORED ? SIG_IGN : way == LEFT ? on_signal_leave : on_signal};
	sigset_t set;

	a.sa_flags = way == RESTARTED ? SA_RESTART : 0;
	MUST(sigaction(SIGUSR1, &a, NULL));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
}

static void *do_nothing(void *arg)
{
	shared->beside = (int)syscall(SYS_gettid);
	for (;;)
		pause();
	return arg;
}

static void sleep_in(const struct call *c, enum way way)
{
	volatile long ret = -3;

	errno = 0;
	set_up(way);
	c->planted();
	if (way == STOPPED_BESIDE) {
		pthread_t thread;

		MUST(pthread_create(&thread, NULL, do_nothing, NULL) ? -1 : 0);
		while (!shared->beside)
			sched_yield();
	}
	if (!sigsetjmp(out, 1)) {
		shared->entered = 1;
		ret = c->call();
	}
	int error = errno;

	shared->ended = 1;
	c->uproot();
	errno = error;
	if (ret == -3)
		say(c->name, "left, %d handled", shared->handled);
	else if (ret == -1)
		say(c->name, "-1 %s, %d handled", strerrorname_np(error), shared->handled);
	else
		say(c->name, "%ld, %d handled", ret, shared->handled);
	/* and what comes next is as ever */
	if (access("there", F_OK) || open("absent", O_RDONLY) >= 0 || errno != ENOENT)
		say(c->name, "what follows fails");
	_exit(0);
}

static void try(const struct call *c, enum way way)
{
	int status;

	shared->entered = shared->ended = shared->handled = shared->beside = 0;
	section(ways[way]);
	c->before();
	sleeper = (pid_t)MUST(fork());
	if (!sleeper)
		sleep_in(c, way);
	interrupt(way, c->name);
	if (!shared->ended && !(c->flags & UNTIL_SIGNAL)) {
		asleep(c->name);
		c->release();
	} else if (!shared->ended) {
		kill(sleeper, SIGKILL);
	} else if (c->flags & HELD) {
		c->release();
	}
	MUST(waitpid(sleeper, &status, 0));
	c->after();
	if (c->flags & UNTIL_SIGNAL && WIFSIGNALED(status))
		say(c->name, "waits on");
	else if (status)
		say(c->name, "status %04x", (unsigned)status);
}

static void begin(void)
{
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(shared == MAP_FAILED ? -1 : 0);
	write_file("there", "", 0644);
	MUST(pipe(pipe_));
}

static void interrupt_each(const struct call *calls, size_t count)
{
	for (enum way way = 0; way < WAYS; way++)
		for (size_t i = 0; i < count; i++)
			try(&calls[i], way);
}

#endif
