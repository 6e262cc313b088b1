/* A tracee, seized as the engine seizes its targets. */
#ifndef TRACER_H
#define TRACER_H

#include "fact.h"

#include <poll.h>
#include <sys/prctl.h>

/* A child that runs `body` once it is traced with `options`, and then exits with 0. It dies with its tracer. */
__attribute__((unused)) static pid_t trace(void (*body)(void), long options)
{
	int gate[2];
	char byte;

	need(pipe(gate), "pipe");
	pid_t child = (pid_t)need(fork(), "fork");
	if (!child) {
		close(gate[1]);
		need(prctl(PR_SET_PDEATHSIG, SIGKILL), "PR_SET_PDEATHSIG");
		/* The tracer lets go by closing its end. */
		need(read(gate[0], &byte, 1), "read");
		close(gate[0]);
		body();
		_exit(0);
	}
	close(gate[0]);
	if (ptrace(PTRACE_SEIZE, child, 0, options))
		lacks("PTRACE_SEIZE: %s", strerror(errno));
	close(gate[1]);
	return child;
}

/* The next wait status of the tracee. */
__attribute__((unused)) static int next(pid_t child)
{
	int status;

	need(waitpid(child, &status, __WALL), "waitpid");
	return status;
}

/* The next status is a stop for this ptrace event. */
#define claim_event(child, event)                                                                                      \
	do {                                                                                                           \
		int status_ = next(child);                                                                             \
		claim(WIFSTOPPED(status_) && status_ >> 16 == (event), "status %#x, not a stop for " #event, status_); \
	} while (0)

/* The tracee ended with 0: what it claimed by itself holds. */
__attribute__((unused)) static void claim_ended(pid_t child)
{
	int status = next(child);

	if (WIFEXITED(status) && WEXITSTATUS(status))
		_exit(WEXITSTATUS(status));
	claim(WIFEXITED(status), "status %#x, not an end", status);
}

__attribute__((unused)) static struct user_regs_struct registers(pid_t child)
{
	struct user_regs_struct regs;

	need(ptrace(PTRACE_GETREGS, child, 0, &regs), "PTRACE_GETREGS");
	return regs;
}

__attribute__((unused)) static void go_on(pid_t child, int signal)
{
	need(ptrace(PTRACE_CONT, child, 0, (long)signal), "PTRACE_CONT");
}

/* Waits until a process is in this state of proc_pid_stat(5), such as 'S'; ends with 1 after ten seconds. */
__attribute__((unused)) static void await_state(pid_t pid, char state)
{
	char path[48], text[512];

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	for (int i = 0; i < 10000; i++) {
		int fd = (int)need(open(path, O_RDONLY | O_CLOEXEC), path);
		ssize_t length = need(read(fd, text, sizeof(text) - 1), path);
		close(fd);
		text[length] = 0;
		const char *end = strrchr(text, ')');
		if (end && end[2] == state)
			return;
		poll(NULL, 0, 1);
	}
	ends(1, "process %d never came to state %c: %s", pid, state, text);
}

#endif
