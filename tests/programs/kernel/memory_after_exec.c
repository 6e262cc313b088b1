/* A descriptor of /proc/PID/mem from before an exec reads nothing after it; process_vm_readv knows no such trap. */
#include "tracer.h"

#include <sys/uio.h>

static const char word[] = "a word that stands in the program's file";

static void body(void)
{
	raise(SIGUSR1);
	need(execl("/proc/self/exe", "again", "again", NULL), "execl");
}

int main(int argc, char **argv)
{
	char path[32], text[sizeof(word)];

	(void)argv;
	if (argc > 1)
		return 0;
	pid_t child = trace(body, PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL);
	claim(WSTOPSIG(next(child)) == SIGUSR1, "no stop for the signal");
	snprintf(path, sizeof(path), "/proc/%d/mem", child);
	int fd = (int)need(open(path, O_RDONLY | O_CLOEXEC), path);
	claim(pread(fd, text, sizeof(text), (off_t)(uintptr_t)word) == sizeof(text), "before: %s", strerror(errno));
	go_on(child, 0);
	claim_event(child, PTRACE_EVENT_EXEC);
	/* The stack is there in any program. */
	unsigned long long top = registers(child).rsp;
	ssize_t n = pread(fd, text, 8, (off_t)top);
	claim(n == 0, "the old descriptor gives %zd", n);
	struct iovec local = {text, 8}, remote = {(void *)(uintptr_t)top, 8};
	claim(process_vm_readv(child, &local, 1, &remote, 1, 0) == 8, "process_vm_readv: %s", strerror(errno));
	go_on(child, 0);
	claim_ended(child);
	return 0;
}
