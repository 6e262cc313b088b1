/* Calls that will be refused, each made from functions that a backtrace has to name. stack HOW PATH */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define APART __attribute__((noinline, noclone))

static const char *wanted;
static volatile int result;

static inline __attribute__((always_inline)) int inlined_open(const char *path)
{
	return open(path, O_RDONLY);
}

APART int read_config(const char *path, int look)
{
	struct stat st;

	result = look ? stat(path, &st) : inlined_open(path); /* LINE read_config */
	return result;
}

APART int start(const char *path, int look)
{
	char room[300];

	memset(room, look, sizeof(room));
	result = read_config(path, look); /* LINE start */
	return result + room[result & 7];
}

APART int other_way(const char *path, int look)
{
	result = read_config(path, look); /* LINE other_way */
	return result + 1;
}

static void on_signal(int sig)
{
	(void)sig;
	result = start(wanted, 1);
}

APART int deep(int n)
{
	volatile char room[1024];

	room[0] = (char)n;
	result = n ? deep(n - 1) : start(wanted, 0);
	return result + room[0];
}

static int sigcont(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCONT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	raise(SIGCONT);
	start(wanted, 1);
	sigpending(&set);
	printf("pending: %d\n", sigismember(&set, SIGCONT));
	return 0;
}

int main(int argc, char **argv)
{
	char self[4096] = "";
	const char *how = argc > 2 ? argv[1] : "";

	wanted = argc > 2 ? argv[2] : "";
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return 2;
	if (!strcmp(how, "look"))
		start(wanted, 1);
	else if (!strcmp(how, "open"))
		start(wanted, 0);
	else if (!strcmp(how, "both-ways")) {
		start(wanted, 0);
		other_way(wanted, 0);
	} else if (!strcmp(how, "storm"))
		for (int i = 0; i < 1000; i++)
			start(wanted, i & 1);
	else if (!strcmp(how, "signal")) {
		signal(SIGUSR1, on_signal);
		raise(SIGUSR1);
	} else if (!strcmp(how, "deep"))
		deep(200);
	else if (!strcmp(how, "sigcont"))
		return sigcont();
	else if (!strcmp(how, "gone")) {
		if (unlink(self))
			return 3;
		start(wanted, 0);
	} else if (!strcmp(how, "fifo")) {
		if (unlink(self) || mkfifo(self, 0600))
			return 3;
		start(wanted, 0);
	} else
		return 2;
	return 0;
}
