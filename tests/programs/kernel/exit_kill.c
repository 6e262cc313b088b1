/* PTRACE_O_EXITKILL ends the tracees with their tracer, also where SIGKILL ends that. */
#include "tracer.h"

static int pipes[2];

static void body(void)
{
	prctl(PR_SET_PDEATHSIG, 0);
	for (int sig = 1; sig < 32; sig++)
		signal(sig, SIG_IGN);
	need(write(pipes[1], "x", 1), "write");
	for (;;)
		pause();
}

int main(void)
{
	char byte;

	need(pipe2(pipes, O_CLOEXEC), "pipe2");
	pid_t tracer = (pid_t)need(fork(), "fork");
	if (!tracer) {
		pid_t child = trace(body, PTRACE_O_EXITKILL);
		close(pipes[1]);
		for (;;)
			go_on(child, WSTOPSIG(next(child)));
	}
	close(pipes[1]);
	need(read(pipes[0], &byte, 1), "read");
	need(kill(tracer, SIGKILL), "kill");
	/* Its end of the pipe closes when the tracee is gone, and only then. */
	struct pollfd wait = {.fd = pipes[0]};
	claim(poll(&wait, 1, 20000) == 1 && wait.revents & POLLHUP, "the tracee lives on");
	return 0;
}
