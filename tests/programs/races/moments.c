/*
 * `moments POINTS PHASE SINCE SPAN SIGNAL WHOM NAME COMMAND [ARG]...`: runs COMMAND, a supervisor, once to count its system
 * calls, and then POINTS times, sending SIGNAL at another of them each time, evenly from the first call of number SINCE
 * (-1: any) over SPAN stops (0: to the last). PHASE, from 0 to below 1, shifts them all by a part of their distance. WHOM is
 * the `supervisor`, or the `oldest` or `newest` process below it. SIGSTOP is followed by SIGCONT once the process has stopped.
 *
 * The supervisor is traced, and stands still at the entry or the exit of a system call when the signal is sent: so every
 * state that the kernel can see of it is tried, and a moment that shows something can be tried again.
 *
 * A line `STATUS n` a run says how it ended, as in $?. It ends at the first run with HUNG, with STOPPED where the supervisor
 * stops of itself, with SURVIVED where a process outlives it, or with UNCONFINED where one whose program is called NAME has
 * no seccomp filter.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE = 60, MOST = 4096 };

static volatile sig_atomic_t late;

static void on_alarm(int sig)
{
	(void)sig;
	late = 1;
}

static _Noreturn void fail(const char *what)
{
	printf("UNTRIED %s: %s\n", what, strerror(errno));
	exit(2);
}

struct process {
	pid_t pid, parent;
	unsigned long long started;
	char state;
	int below, links;
};

static struct process all[MOST];
static int n_all;

/* Every process below this one, but for the supervisor, in the order in which they began. */
static int by_start(const void *a, const void *b)
{
	const struct process *p = a, *q = b;

	return p->started != q->started ? (p->started > q->started) - (p->started < q->started) : p->pid - q->pid;
}

static void find_processes(pid_t supervisor)
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	char path[300], text[1024];

	if (!proc)
		fail("/proc");
	n_all = 0;
	while (n_all < MOST && (entry = readdir(proc))) {
		struct process *p = &all[n_all];

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

		if (fd >= 0)
			close(fd);
		if (n <= 0)
			continue;
		text[n] = 0;
		const char *rest = strrchr(text, ')');

		/* without the process that keeps our group from being an orphan, the kernel hangs the whole of it up, us included */
		*p = (struct process){.pid = atoi(entry->d_name), .links = strstr(text, "(capwrap-link)") != NULL};
		/* state, parent, and 17 fields on, the time it began: proc(5) */
		if (rest &&
		    sscanf(rest, ") %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
		           &p->state, &p->parent, &p->started) == 3)
			n_all++;
	}
	closedir(proc);
	for (int changed = 1; changed;) {
		changed = 0;
		for (int i = 0; i < n_all; i++) {
			int below = all[i].parent == getpid();

			for (int k = 0; k < n_all && !below; k++)
				below = all[k].below && all[k].pid == all[i].parent;
			changed |= below && !all[i].below;
			all[i].below = below;
		}
	}
	int kept = 0;

	for (int i = 0; i < n_all; i++)
		if (all[i].below && all[i].pid != supervisor && all[i].state != 'Z' && !all[i].links)
			all[kept++] = all[i];
	n_all = kept;
	qsort(all, (size_t)n_all, sizeof(*all), by_start);
}

/* The value of a number in /proc/PID/status; -1 where it cannot be read. */
static long status_of(pid_t pid, const char *field)
{
	char path[64], line[256];
	long value = -1;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	FILE *f = fopen(path, "re");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, field, strlen(field)) && line[strlen(field)] == ':')
			value = atol(line + strlen(field) + 1);
	if (f)
		fclose(f);
	return value;
}

/* What runs the command's program is confined, at any moment. */
static void judge_confined(pid_t pid, const char *name)
{
	char link[64], exe[4096];

	snprintf(link, sizeof(link), "/proc/%d/exe", pid);
	ssize_t n = readlink(link, exe, sizeof(exe) - 1);

	if (n <= 0)
		return;
	exe[n] = 0;
	const char *last = strrchr(exe, '/');

	/* in this order: what is the program now was it when its filters are read */
	if (!last || strcmp(last + 1, name) != 0)
		return;
	long filter = status_of(pid, "Seccomp"), privileges = status_of(pid, "NoNewPrivs");

	if ((filter >= 0 && filter != 2) || !privileges) {
		printf("UNCONFINED %d: Seccomp %ld, NoNewPrivs %ld\n", pid, filter, privileges);
		exit(1);
	}
}

static _Noreturn void give_up(pid_t supervisor, const char *verdict, long point)
{
	find_processes(0);
	printf("%s at point %ld:", verdict, point);
	for (int i = 0; i < n_all; i++)
		printf(" %d%s (%c)", all[i].pid, all[i].pid == supervisor ? " the supervisor" : "", all[i].state);
	printf("\n");
	for (int i = 0; i < n_all; i++)
		kill(all[i].pid, SIGKILL);
	exit(1);
}

/* Waits until a process has stopped or ended, or the alarm comes. */
static void until_stopped(pid_t pid)
{
	const struct timespec pause = {.tv_nsec = 200000};

	for (int tries = 0; tries < 100 && !late; tries++) {
		char path[64], text[512];

		snprintf(path, sizeof(path), "/proc/%d/stat", pid);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

		if (fd >= 0)
			close(fd);
		text[n > 0 ? n : 0] = 0;
		const char *rest = strrchr(text, ')');

		if (!rest || strchr("TtZX", rest[2]))
			return;
		nanosleep(&pause, NULL);
	}
}

/* Sends the signal; the process that waits for SIGCONT, or 0. */
static pid_t act(pid_t supervisor, int sig, const char *whom, const char *name)
{
	find_processes(supervisor);
	for (int i = 0; i < n_all; i++)
		judge_confined(all[i].pid, name);
	pid_t chosen = supervisor;

	if (strcmp(whom, "supervisor") != 0) {
		if (!n_all)
			return 0;
		chosen = all[strcmp(whom, "newest") ? 0 : n_all - 1].pid;
	}
	kill(chosen, sig);
	if (sig != SIGSTOP)
		return 0;
	if (chosen == supervisor)
		return supervisor;
	until_stopped(chosen);
	return chosen;
}

static pid_t start(char **command)
{
	int go[2];
	char byte;

	if (pipe2(go, O_CLOEXEC))
		fail("pipe");
	pid_t pid = fork();

	if (pid < 0)
		fail("fork");
	if (!pid) {
		close(go[1]);
		if (read(go[0], &byte, 1) == 1)
			execvp(command[0], command);
		_exit(126);
	}
	if (ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL) ||
	    ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) || write(go[1], "", 1) != 1)
		fail("ptrace");
	close(go[0]);
	close(go[1]);
	return pid;
}

/* Whether a thread at a system call stop makes call `nr`. */
static int makes(pid_t tid, long nr)
{
	struct user_regs_struct regs;

	return nr < 0 || (!ptrace(PTRACE_GETREGS, tid, NULL, &regs) && (long)regs.orig_rax == nr);
}

static void nap(void)
{
	const struct timespec pause = {.tv_nsec = 300000};

	nanosleep(&pause, NULL);
}

/* A stop that is none of the supervisor's system calls: it goes on, with the signal that it was to get. */
static void go_on(pid_t pid, int status)
{
	int sig = WSTOPSIG(status);

	ptrace(PTRACE_SYSCALL, pid, NULL, status >> 16 || sig == (SIGTRAP | 0x80) ? 0 : sig);
}

/* One run with the signal at `point`, 0 for never; how many system call stops there were. */
static long once(long point, long since, int sig, const char *whom, const char *name, char **command)
{
	pid_t supervisor = start(command), waiting = 0;
	int status, ended = -1, idle = 0;
	long count = 0;

	late = 0;
	alarm(PATIENCE);
	while (ended < 0) {
		/* What was stopped goes on when the supervisor has nothing to do any more, as it may be waiting for that. */
		pid_t pid = waitpid(-1, &status, __WALL | (waiting && waiting != supervisor ? WNOHANG : 0));

		if (late)
			give_up(supervisor, "HUNG", point);
		if (pid == 0) {
			nap();
			if (++idle == 20) {
				kill(waiting, SIGCONT);
				waiting = 0;
			}
			continue;
		}
		idle = 0;
		if (pid < 0)
			continue;
		if (!WIFSTOPPED(status)) {
			if (pid == supervisor)
				ended = status;
			continue;
		}
		int what = WSTOPSIG(status), event = status >> 16;

		if (what == (SIGTRAP | 0x80)) {
			if ((count || makes(pid, since)) && ++count == point)
				waiting = act(supervisor, sig, whom, name);
			ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
		} else if (event == PTRACE_EVENT_STOP && what == SIGSTOP) {
			if (sig != SIGSTOP)
				give_up(supervisor, "STOPPED", point);
			ptrace(PTRACE_LISTEN, pid, NULL, NULL);
			/* It stops with its command as well; a shell has the whole job go on. */
			if (waiting && waiting != supervisor)
				kill(waiting, SIGCONT);
			kill(supervisor, SIGCONT);
			waiting = 0;
		} else {
			go_on(pid, status);
		}
	}
	/* Whoever is left has become a child of this process; processes of the supervisor's own are traced, and stop. */
	for (pid_t pid; (pid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR;) {
		if (late)
			give_up(supervisor, "SURVIVED", point);
		if (pid > 0 && WIFSTOPPED(status))
			go_on(pid, status);
	}
	alarm(0);
	printf("STATUS %d\n", WIFEXITED(ended) ? WEXITSTATUS(ended) : 128 + WTERMSIG(ended));
	return count;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int number;
	} signals[] = {{"KILL", SIGKILL}, {"STOP", SIGSTOP}, {"TERM", SIGTERM}};
	int sig = 0;

	for (size_t i = 0; argc > 8 && i < sizeof(signals) / sizeof(*signals); i++)
		if (!strcmp(signals[i].name, argv[5]))
			sig = signals[i].number;
	if (!sig)
		fail("usage: moments POINTS PHASE SINCE SPAN SIGNAL WHOM NAME COMMAND [ARG]...");
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) ||
	    sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_alarm}, NULL))
		fail("subreaper");
	const char *whom = argv[6], *name = argv[7];
	long points = atol(argv[1]), since = atol(argv[3]), span = atol(argv[4]);
	long calls = once(0, since, sig, whom, name, argv + 8);
	double phase = atof(argv[2]), step = (double)(span && span < calls ? span : calls) / (double)points;

	for (long i = 0; i < points; i++)
		(void)once(1 + (long)(((double)i + phase) * step), since, sig, whom, name, argv + 8);
	printf("MOMENTS %ld of %ld\n", points, calls);
	return 0;
}
