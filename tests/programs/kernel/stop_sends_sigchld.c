/* Each stop of a tracee sends its tracer a SIGCHLD, which stays pending where it is blocked; SA_NOCLDSTOP prevents it. */
#include "tracer.h"

static void body(void)
{
	for (;;)
		pause();
}

/* Whether a SIGCHLD is pending, and takes it. */
static bool taken(void)
{
	const struct timespec none = {0};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	return sigtimedwait(&set, NULL, &none) == SIGCHLD;
}

static void stop_once(pid_t child)
{
	need(ptrace(PTRACE_INTERRUPT, child, 0, 0), "PTRACE_INTERRUPT");
	claim_event(child, PTRACE_EVENT_STOP);
}

int main(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	need(sigprocmask(SIG_BLOCK, &set, NULL), "sigprocmask");
	pid_t child = trace(body, PTRACE_O_EXITKILL);
	stop_once(child);
	claim(taken(), "no SIGCHLD is pending, though it is blocked");
	go_on(child, 0);
	need(sigaction(SIGCHLD, &(struct sigaction){.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDSTOP}, NULL),
	     "sigaction");
	stop_once(child);
	claim(!taken(), "a SIGCHLD is pending in spite of SA_NOCLDSTOP");
	need(kill(child, SIGKILL), "kill");
	claim(WIFSIGNALED(next(child)), "it does not die");
	claim(taken(), "no SIGCHLD tells of the end");
	return 0;
}
