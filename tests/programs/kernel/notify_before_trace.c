/* USER_NOTIF outranks TRACE, whichever filter is the newer: a listener hides calls from the tracer (rule 9). */
#include "listener.h"

static void body(void)
{
	const struct sock_filter both[] = {LOAD(nr), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 1, 0),
	                                   IF_NOT(SYS_getpgrp, 1), RETURN(SECCOMP_RET_USER_NOTIF),
	                                   RETURN(SECCOMP_RET_ALLOW)};

	need(install_for(SYS_getppid, SECCOMP_RET_TRACE, 0), "seccomp");
	long fd = install_program(both, ARRAY_SIZE(both), SECCOMP_FILTER_FLAG_NEW_LISTENER);
	if (fd < 0)
		lacks("SECCOMP_FILTER_FLAG_NEW_LISTENER: %s", strerror(errno));
	give_listener((int)fd);
	need(install_for(SYS_getpgrp, SECCOMP_RET_TRACE, 0), "seccomp");
	claim(syscall(SYS_getppid) > 0, "getppid: %s", strerror(errno));
	claim(syscall(SYS_getpgrp) > 0, "getpgrp: %s", strerror(errno));
}

int main(void)
{
	open_pair();
	pid_t child = trace(body, PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL);
	int listener = take_listener();

	for (int i = 0; i < 2; i++) {
		struct seccomp_notif request = receive(listener);
		need(answer(listener, request.id, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE), "CONTINUE");
	}
	/* A stop would come before the end. */
	claim_ended(child);
	return 0;
}
