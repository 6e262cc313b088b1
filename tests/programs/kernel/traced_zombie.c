/* While a tracer does not reap a dead process, its parent cannot, and its pid is not given to another (rule 18). */
#include "tracer.h"

#include <linux/sched.h>
#include <sched.h>

static int to_parent[2], from_parent[2];

static long clone_as(pid_t pid)
{
	pid_t wanted[1] = {pid};
	struct clone_args args = {.exit_signal = SIGCHLD, .set_tid = (uintptr_t)wanted, .set_tid_size = 1};
	long child = syscall(SYS_clone3, &args, sizeof(args));

	if (!child)
		_exit(0);
	if (child > 0)
		waitpid((pid_t)child, NULL, 0);
	return child;
}

/* Forks, says whom, and asks for its end each time it is told to. */
static void parent(void)
{
	char byte;
	pid_t child = (pid_t)need(fork(), "fork");

	if (!child) {
		pause();
		_exit(0);
	}
	need(write(from_parent[1], &child, sizeof(child)), "write");
	for (;;) {
		if (need(read(to_parent[0], &byte, 1), "read") != 1)
			_exit(0);
		pid_t reaped = waitpid(child, NULL, byte == 'w' ? 0 : WNOHANG);
		need(write(from_parent[1], &reaped, sizeof(reaped)), "write");
	}
}

static pid_t ask(char how)
{
	pid_t pid = -1;

	need(write(to_parent[1], &how, 1), "write");
	need(read(from_parent[0], &pid, sizeof(pid)), "read");
	return pid;
}

int main(void)
{
	pid_t target = -1;

	need(pipe2(to_parent, O_CLOEXEC), "pipe2");
	need(pipe2(from_parent, O_CLOEXEC), "pipe2");
	pid_t middle = (pid_t)need(fork(), "fork");
	if (!middle) {
		close(to_parent[1]);
		parent();
	}
	close(to_parent[0]);
	need(read(from_parent[0], &target, sizeof(target)), "read");
	if (ptrace(PTRACE_SEIZE, target, 0, PTRACE_O_EXITKILL))
		lacks("PTRACE_SEIZE: %s", strerror(errno));
	need(kill(target, SIGKILL), "kill");
	await_state(target, 'Z');
	claim(ask('n') == 0, "its parent reaped it");
	claim_works(kill(target, 0));
	/* clone3 with a pid of its choice is for privileged processes; for others the above has to do. */
	bool privileged = clone_as(target) >= 0 || errno == EEXIST;
	if (privileged)
		claim_error(clone_as(target), EEXIST);
	int status = next(target);
	claim(WIFSIGNALED(status), "status %#x", status);
	claim(ask('w') == target, "its parent does not get it");
	claim_error(kill(target, 0), ESRCH);
	if (privileged)
		claim(clone_as(target) == target, "the pid is free and cannot be had: %s", strerror(errno));
	close(to_parent[1]);
	join(middle);
	return 0;
}
