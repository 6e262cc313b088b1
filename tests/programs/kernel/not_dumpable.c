/* A process that is not dumpable cannot be read by a tracer without CAP_SYS_PTRACE, not even by PTRACE_PEEKDATA. */
#include "tracer.h"

#include <sys/uio.h>

static const long word = 0x123456789abcdef;

static void body(void)
{
	raise(SIGUSR1);
	need(prctl(PR_SET_DUMPABLE, 0), "PR_SET_DUMPABLE");
	raise(SIGUSR1);
}

int main(void)
{
	char path[32];
	long copy = 0;
	struct iovec local = {&copy, sizeof(copy)}, remote = {(void *)(uintptr_t)&word, sizeof(word)};

	if (!geteuid()) {
		need(setresgid(65534, 65534, 65534), "setresgid");
		need(setresuid(65534, 65534, 65534), "setresuid");
		need(prctl(PR_SET_DUMPABLE, 1), "PR_SET_DUMPABLE");
	}
	pid_t child = trace(body, PTRACE_O_EXITKILL);
	claim(WSTOPSIG(next(child)) == SIGUSR1, "no stop for the signal");
	claim_works(process_vm_readv(child, &local, 1, &remote, 1, 0));
	claim(ptrace(PTRACE_PEEKDATA, child, &word, 0) == word, "PTRACE_PEEKDATA: %s", strerror(errno));
	go_on(child, 0);
	claim(WSTOPSIG(next(child)) == SIGUSR1, "no stop for the signal");
	claim_error(process_vm_readv(child, &local, 1, &remote, 1, 0), EPERM);
	snprintf(path, sizeof(path), "/proc/%d/mem", child);
	claim_error(open(path, O_RDONLY), EACCES);
	claim_error(ptrace(PTRACE_PEEKDATA, child, &word, 0), EIO);
	/* Its registers can be had all the same. */
	registers(child);
	go_on(child, 0);
	claim_ended(child);
	return 0;
}
