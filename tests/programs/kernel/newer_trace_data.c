/* Of two filters that both say RET_TRACE, the newer one's data is what the tracer gets: it decides nothing (rule 5). */
#include "../common/bpf.h"
#include "tracer.h"

static void body(void)
{
	need(install_for(SYS_getppid, SECCOMP_RET_TRACE | 1, 0), "seccomp");
	need(install_for(SYS_getppid, SECCOMP_RET_TRACE | 2, 0), "seccomp");
	syscall(SYS_getppid);
}

int main(void)
{
	pid_t child = trace(body, PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL);
	unsigned long data = 0;

	claim_event(child, PTRACE_EVENT_SECCOMP);
	need(ptrace(PTRACE_GETEVENTMSG, child, 0, &data), "PTRACE_GETEVENTMSG");
	claim(data == 2, "the data is %lu", data);
	go_on(child, 0);
	claim_ended(child);
	return 0;
}
