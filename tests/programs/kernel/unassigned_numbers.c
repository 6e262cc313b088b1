/* Numbers that have no call reach the seccomp program, a tracer and a listener like others; without them: ENOSYS (rule 9). */
#include "listener.h"
#include "../../../rewriters/pad.h"

static void body(void)
{
	claim_error(syscall(CW_NR_DELIVER), ENOSYS);
	claim_error(syscall(CW_NR_RETRY), ENOSYS);
	claim_error(syscall(CW_NR_DONE), ENOSYS);
	need(install_for(CW_NR_DONE, SECCOMP_RET_ERRNO | 77, 0), "seccomp");
	claim_error(syscall(CW_NR_DONE), 77);
	need(install_for(CW_NR_RETRY, SECCOMP_RET_TRACE, 0), "seccomp");
	claim(syscall(CW_NR_RETRY) == 5, "the tracer's answer is not the result");
	be_notified_of(CW_NR_DELIVER, 0);
	claim(syscall(CW_NR_DELIVER) == 6, "the listener's answer is not the result");
}

int main(void)
{
	open_pair();
	pid_t child = trace(body, PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL);

	claim_event(child, PTRACE_EVENT_SECCOMP);
	struct user_regs_struct regs = registers(child);
	claim(regs.orig_rax == CW_NR_RETRY, "the tracer is told of call %lld", regs.orig_rax);
	regs.orig_rax = UINT64_MAX;
	regs.rax = 5;
	need(ptrace(PTRACE_SETREGS, child, 0, &regs), "PTRACE_SETREGS");
	go_on(child, 0);
	int listener = take_listener();
	struct seccomp_notif request = receive(listener);
	claim(request.data.nr == CW_NR_DELIVER, "the listener is told of call %d", request.data.nr);
	need(answer(listener, request.id, 6, 0, 0), "SECCOMP_IOCTL_NOTIF_SEND");
	claim_ended(child);
	return 0;
}
