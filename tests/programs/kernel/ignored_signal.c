/* A signal that is ignored does not wake a process, but makes a traced epoll_wait end with EINTR (rule 17). */
#include "tracer.h"

#include <sys/epoll.h>

static int pipes[2], expected;

static void body(void)
{
	struct epoll_event event = {.events = EPOLLIN};
	int epoll = (int)need(epoll_create1(0), "epoll_create1");

	signal(SIGUSR1, SIG_IGN);
	need(epoll_ctl(epoll, EPOLL_CTL_ADD, pipes[0], &event), "EPOLL_CTL_ADD");
	/* The call itself: libc's may be another one. */
	long result = syscall(SYS_epoll_wait, epoll, &event, 1, -1);
	claim(expected ? result < 0 && errno == expected : result == 1, "epoll_wait gave %s", outcome(result));
}

int main(void)
{
	need(pipe2(pipes, O_CLOEXEC), "pipe2");
	pid_t child = (pid_t)need(fork(), "fork");
	if (!child) {
		body();
		_exit(0);
	}
	await_state(child, 'S');
	need(kill(child, SIGUSR1), "kill");
	await_state(child, 'S');
	need(write(pipes[1], "x", 1), "write");
	join(child);

	char byte;
	need(read(pipes[0], &byte, 1), "read");
	expected = EINTR;
	child = trace(body, PTRACE_O_EXITKILL);
	await_state(child, 'S');
	need(kill(child, SIGUSR1), "kill");
	int status = next(child);
	claim(WIFSTOPPED(status) && WSTOPSIG(status) == SIGUSR1, "status %#x", status);
	claim((int64_t)registers(child).rax == -EINTR, "at the stop, rax is %lld", registers(child).rax);
	go_on(child, SIGUSR1);
	claim_ended(child);
	return 0;
}
