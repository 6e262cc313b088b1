/*
 * A call that a tracer edited at its RET_TRACE stop is judged again, but not if the new call is RET_TRACE as well: then it
 * simply runs (rule 5).
 */
#include "../common/bpf.h"
#include "tracer.h"

static pid_t group;

static void body(void)
{
	group = getpgrp();
	need(install_for(SYS_getuid, SECCOMP_RET_ERRNO | 77, 0), "seccomp");
	need(install_for(SYS_getpgrp, SECCOMP_RET_TRACE, 0), "seccomp");
	need(install_for(SYS_getppid, SECCOMP_RET_TRACE, 0), "seccomp");
	long judged = syscall(SYS_getppid);
	claim(judged < 0 && errno == 77, "getuid in place of getppid: %ld", judged);
	long unjudged = syscall(SYS_getppid);
	claim(unjudged == group, "getpgrp in place of getppid: %s", outcome(unjudged));
}

int main(void)
{
	const long instead[] = {SYS_getuid, SYS_getpgrp};
	pid_t child = trace(body, PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL);

	for (size_t i = 0; i < ARRAY_SIZE(instead); i++) {
		claim_event(child, PTRACE_EVENT_SECCOMP);
		struct user_regs_struct regs = registers(child);
		regs.orig_rax = (unsigned long long)instead[i];
		need(ptrace(PTRACE_SETREGS, child, 0, &regs), "PTRACE_SETREGS");
		go_on(child, 0);
	}
	/* A second stop for the edited call would come before the end. */
	claim_ended(child);
	return 0;
}
