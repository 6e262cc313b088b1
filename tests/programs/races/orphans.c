/*
 * `orphans WAY`: has the kernel tell a process group that it is an orphan: SIGHUP and SIGCONT to all that are in it, when
 * its last link to the rest of the session goes while one of them is stopped (setpgid(2), _exit(2)). The group is that of
 * whoever started this, and nobody here sends it a signal.
 *
 *	stop, tstp     a child stops, by SIGSTOP or by SIGTSTP, in the first group
 *	moved          it stops in a group of its own and is then moved into the first
 *	command        this process itself stops, and with it perhaps who started it
 *	leave          nobody stops here: somebody else of the group has
 *
 * Two more have nobody told, and say what SIGTSTP does to a member of the group:
 *
 *	linked         while it has a link: "stopped"
 *	ignored        while it has none, but another process has left it: "went on"
 *
 * `hold` keeps a link for ever, with a stopped process in the group, and says so. `told` waits for a line, and says then whether
 * a process may leave the group, and whether one stops in it.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Does it stop, before it ends? */
static int stops(pid_t pid)
{
	int status;

	return waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status);
}

/* A member of the first group, and a child of the one whose group is another: what links the two. */
static void link_and_leave(const char *way, pid_t home)
{
	int go[2], moves = !strcmp(way, "moved");
	char byte;

	if (pipe(go))
		_exit(2);
	pid_t member = fork();

	if (!member) {
		close(go[1]);
		if (moves)
			setpgid(0, 0);
		if (read(go[0], &byte, 1) != 1)
			_exit(2);
		if (strcmp(way, "leave"))
			raise(strcmp(way, "tstp") && strcmp(way, "linked") ? SIGSTOP : SIGTSTP);
		_exit(0);
	}
	setpgid(0, 0);
	if (write(go[1], "x", 1) != 1)
		_exit(2);
	int stopped = stops(member);

	if (!strcmp(way, "linked"))
		printf("%s\n", stopped ? "stopped" : "went on");
	if (moves)
		printf("moved: %s\n", setpgid(member, home) ? strerror(errno) : "yes");
	if (!strcmp(way, "hold"))
		for (printf("held\n");;)
			pause();
	if (!strcmp(way, "linked")) {
		kill(member, SIGCONT);
		stops(member);
	}
	/* a member that is stopped stays so: it is the end of this process that takes the link away */
	_exit(0);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int is_stopped(pid_t pid)
{
	char path[32], state = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	FILE *f = fopen(path, "r");

	if (f && fscanf(f, "%*d %*s %c", &state) != 1)
		state = 0;
	if (f)
		fclose(f);
	return state == 'T' || state == 't';
}

/* The link is a child that goes away while `command` is stopped, which its own parent ends when it comes to it. */
static void link_and_stop(pid_t command, pid_t home)
{
	for (int i = 0; i < 10; i++) {
		int hold[2], status;
		char byte;

		if (pipe(hold))
			_exit(2);
		pid_t child = fork();

		if (!child) {
			close(hold[1]);
			_exit(read(hold[0], &byte, 1) == 1);
		}
		setpgid(0, 0);
		kill(command, SIGSTOP);
		/* under a supervisor that stops with it, nobody sees it so: not for long, then */
		for (double until = now() + 0.1; !is_stopped(command) && now() < until;)
			sched_yield();
		close(hold[0]);
		close(hold[1]);
		waitpid(child, &status, 0);
		kill(command, SIGCONT);
		/* back, for the next child to be made in the first group */
		if (setpgid(0, home))
			break;
	}
	kill(command, SIGCONT);
	_exit(0);
}

static int stop_unlinked(void)
{
	pid_t other = fork(), member;
	int status;

	if (!other)
		_exit(setpgid(0, 0));
	waitpid(other, &status, 0);
	member = fork();
	if (!member) {
		raise(SIGTSTP);
		_exit(0);
	}
	printf("%s\n", stops(member) ? "stopped" : "went on");
	kill(member, SIGKILL);
	return 0;
}

static int leave_and_stop(void)
{
	pid_t member;
	char byte;
	int status;

	printf("waiting\n");
	if (read(0, &byte, 1) != 1)
		return 2;
	member = fork();
	if (!member) {
		printf("leaving: %s\n", setpgid(0, 0) ? strerror(errno) : "yes");
		_exit(0);
	}
	waitpid(member, &status, 0);
	member = fork();
	if (!member) {
		raise(SIGSTOP);
		_exit(0);
	}
	printf("%s\n", stops(member) ? "stopped" : "went on");
	kill(member, SIGKILL);
	return 0;
}

int main(int argc, char **argv)
{
	pid_t linking, self = getpid();
	int status;

	if (argc < 2)
		return 2;
	setvbuf(stdout, NULL, _IONBF, 0);
	if (!strcmp(argv[1], "ignored"))
		return stop_unlinked();
	if (!strcmp(argv[1], "told"))
		return leave_and_stop();
	linking = fork();
	if (!linking) {
		if (!strcmp(argv[1], "command"))
			link_and_stop(self, getpgid(0));
		link_and_leave(argv[1], getpgid(0));
	}
	waitpid(linking, &status, 0);
	printf("done\n");
	return 0;
}
