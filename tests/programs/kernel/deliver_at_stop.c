/* At a RET_TRACE stop the call can be made into one with USER_NOTIF: it is judged again, and the listener gets it (rule 9). */
#include "listener.h"
#include "../../../rewriters/pad.h"

static void body(void)
{
	need(install_for(SYS_getppid, SECCOMP_RET_TRACE, 0), "seccomp");
	be_notified_of(CW_NR_DELIVER, 0);
	long fd = syscall(SYS_getppid);
	claim(fd >= 0 && fcntl((int)fd, F_GETFD) >= 0, "the call gave %s", outcome(fd));
}

int main(void)
{
	open_pair();
	pid_t child = trace(body, PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL);
	int listener = take_listener();

	claim_event(child, PTRACE_EVENT_SECCOMP);
	struct user_regs_struct regs = registers(child);
	regs.orig_rax = CW_NR_DELIVER;
	need(ptrace(PTRACE_SETREGS, child, 0, &regs), "PTRACE_SETREGS");
	go_on(child, 0);
	struct seccomp_notif request = receive(listener);
	claim(request.data.nr == CW_NR_DELIVER, "the listener is told of call %d", request.data.nr);
	struct seccomp_notif_addfd add = {.id = request.id, .flags = SECCOMP_ADDFD_FLAG_SEND};
	add.srcfd = (uint32_t)need(open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), ".");
	claim_works(ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add));
	claim_ended(child);
	return 0;
}
