/*
 * Storms: much at once, of what a supervisor has to follow. Each ends with HELD and what it counted, natively and confined;
 * with ESCAPED where something was read that was not granted, which with the argument "blind" nobody tries. ARG 0 is the
 * program.
 */
#include "attack.h"

#include <limits.h>
#include <pthread.h>
#include <sys/time.h>

enum { THREADS = 8, ROUNDS = 40, CHAIN = 40 };

static pthread_barrier_t start;
static int granted_calls; /* of the thread that counts them */

static int blind(void)
{
	return has_argument(1) && !strcmp(argument(1), "blind");
}

/* The attack that the program is executed for. */
static const char *executed(void)
{
	return blind() ? "nothing" : "again";
}

static void look(void)
{
	if (blind())
		return;
	int secret = open(in_base("secret/file"), O_RDONLY | O_CLOEXEC);

	if (secret >= 0)
		judge_read(secret, "secret/file");
}

static void again(void)
{
	look();
	_exit(7);
}

static void nothing(void)
{
	_exit(7);
}

/* What one thread does to its process, all at once with the others. */
static void *at_once(void *arg)
{
	const char *self[] = {argument(0), executed(), in_base(""), "0", NULL};
	long number = (long)arg;
	struct stat st;

	pthread_barrier_wait(&start);
	switch (number % THREADS) {
	case 0:
	case 1:
		execv(self[0], (char **)(uintptr_t)self);
		break;
	case 2:
		syscall(SYS_exit_group, 7);
		break;
	case 3:
		kill(getpid(), SIGSTOP);
		break;
	case 4:
		if (!fork())
			_exit(0);
		break;
	case 5:
		(void)!stat(in_base("ro/file"), &st);
		break;
	default:
		look();
	}
	return NULL;
}

/* Processes whose threads exec, exit, stop, fork and call at once. However it goes, each ends, and with 7. */
static void ends(void)
{
	int ended = 0;

	for (int i = 0; i < ROUNDS; i++) {
		pid_t child = need(fork(), "fork");

		if (!child) {
			pthread_t thread;

			pthread_barrier_init(&start, NULL, THREADS);
			for (long k = 1; k < THREADS; k++)
				if (pthread_create(&thread, NULL, at_once, (void *)(k + i)))
					_exit(1);
			at_once((void *)(long)i);
			for (;;)
				pause();
		}
		for (int status;;) {
			if (waitpid(child, &status, WUNTRACED) != child)
				continue;
			if (WIFSTOPPED(status)) {
				kill(child, SIGCONT);
				continue;
			}
			ended += WIFEXITED(status) && WEXITSTATUS(status) == 7;
			break;
		}
	}
	held("%d of %d ended", ended, ROUNDS);
}

static volatile sig_atomic_t over;

static void count(int sig)
{
	(void)sig;
}

static void *signalling(void *arg)
{
	const pthread_t *to = arg;

	while (!over)
		pthread_kill(*to, SIGUSR1);
	return NULL;
}

/* A thread that makes every kind of call while two others send it signals, and a timer does. */
static void signals(void)
{
	const struct itimerval often = {{0, 300}, {0, 300}};
	pthread_t self = pthread_self(), threads[2];
	struct sigaction sa = {.sa_handler = count, .sa_flags = SA_RESTART};
	struct stat st;

	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	for (int i = 0; i < 2; i++)
		need(-pthread_create(&threads[i], NULL, signalling, &self), "pthread_create");
	for (int i = 0; i < 5 * ROUNDS; i++) {
		int fd = open(in_base(i % 2 ? "other/file" : "carved/file"), O_RDONLY | O_CLOEXEC);

		granted_calls += fd >= 0 && !fstat(fd, &st) && st.st_size > 0;
		if (fd >= 0)
			close(fd);
		granted_calls += !stat(in_base("ro/file"), &st);
		granted_calls += !mkdir(in_base("work/made"), 0700);
		granted_calls += !rmdir(in_base("work/made"));
		look();
	}
	over = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	held("%d of %d calls", granted_calls, 20 * ROUNDS);
}

/* ARG 0 links, in chains as long as they may be and one longer. */
static void links(void)
{
	char name[64], to[64];
	int followed = 0, refusals = 0, n = atoi(argument(0));

	need(chdir(in_base("carved")), "chdir");
	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		snprintf(to, sizeof(to), i % (CHAIN + 1) ? "l%d" : "file", i - 1);
		need(symlink(to, name), "symlink");
	}
	for (int i = 0; i < n; i += CHAIN / 2) {
		snprintf(name, sizeof(name), "l%d", i);
		int fd = open(name, O_RDONLY | O_CLOEXEC);

		followed += fd >= 0;
		refusals += fd < 0 && errno == ELOOP;
		if (fd >= 0)
			close(fd);
	}
	held("%d followed, %d too long", followed, refusals);
}

static int run(char **argv)
{
	pid_t child = need(fork(), "fork");

	if (!child) {
		execv(argv[0], argv);
		_exit(errno == E2BIG ? 8 : 9);
	}
	int status = reap(child);

	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Arguments as long as they may be, one longer, and as many as fit and more. */
static void arguments(void)
{
	enum { LONGEST = 32 * 4096 }; /* MAX_ARG_STRLEN, with its NUL */
	static char text[LONGEST + 1], *many[40000];
	char *few[] = {(char *)(uintptr_t)argument(0),
	               (char *)(uintptr_t)executed(),
	               (char *)(uintptr_t)in_base(""),
	               (char *)"0",
	               text,
	               NULL};
	int ended[4];

	memset(text, 'x', LONGEST - 1);
	ended[0] = run(few);
	text[LONGEST - 1] = 'x';
	ended[1] = run(few);
	memcpy(many, few, sizeof(few));
	for (size_t i = 4; i < ARRAY_SIZE(many) - 1; i++)
		many[i] = (char *)"argument";
	ended[2] = run(many);
	text[LONGEST - 1] = 0;
	for (size_t i = 4; i < ARRAY_SIZE(many) - 1; i++)
		many[i] = text;
	ended[3] = run(many);
	held("%d %d %d %d", ended[0], ended[1], ended[2], ended[3]);
}

const struct attack attacks[] = {
	{"again", again}, {"nothing", nothing},     {"ends", ends}, {"signals", signals},
	{"links", links}, {"arguments", arguments}, {NULL, NULL},
};
