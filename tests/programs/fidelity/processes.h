/* What the processes_* programs share: where they run, and how they show an end. */
#ifndef PROCESSES_H
#define PROCESSES_H

#include "observe.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static UNUSED void show_status(const char *label, pid_t got, pid_t child, int status)
{
	if (got < 0)
		say(label, "-1 %s", strerrorname_np(errno));
	else if (got == 0)
		say(label, "0");
	else
		say(label, "%s %04x%s", got == child ? "the child" : "another", (unsigned)status,
		    WIFSIGNALED(status) && WCOREDUMP(status) ? " with a core" : "");
}

/* waitpid, and what it told. */
static UNUSED void show_wait(const char *label, pid_t child, int options)
{
	int status = 0;
	pid_t got = waitpid(child, &status, options);

	show_status(label, got, child, status);
}

/* In a session of its own, in a group that is not the leader's and not orphaned, wherever it was started from. */
static void settle(void)
{
	for (int i = 0; i < 2; i++) {
		pid_t child = (pid_t)MUST(fork());
		int status;

		if (child) {
			MUST(waitpid(child, &status, 0));
			exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
		}
		if (i == 0)
			MUST(setsid());
		else
			MUST(setpgid(0, 0));
	}
}

#endif
