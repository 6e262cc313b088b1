/*
 * A signal interrupts the wait for a listener's answer: at the signal's stop the thread has rax = -ERESTARTSYS and its call
 * number, the answer comes too late, and the call is asked about anew. With WAIT_KILLABLE_RECV (ARG "killable") a request
 * that was received is waited for.
 */
#include "listener.h"
#include "../../../rewriters/pad.h"

#define ERESTARTSYS_ 512

static unsigned flags;

static void body(void)
{
	be_notified_of(CW_NR_DELIVER, flags);
	long result = syscall(CW_NR_DELIVER);
	claim(result == 5, "the call gave %ld", result);
}

int main(int argc, char **argv)
{
	bool killable = argc > 1 && !strcmp(argv[1], "killable");

	flags = killable ? SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV : 0;
	open_pair();
	pid_t child = trace(body, PTRACE_O_EXITKILL);
	int listener = take_listener();
	struct seccomp_notif request = receive(listener);
	need(kill(child, SIGUSR1), "kill");
	if (killable)
		need(answer(listener, request.id, 5, 0, 0), "SECCOMP_IOCTL_NOTIF_SEND");
	int status = next(child);
	claim(WIFSTOPPED(status) && WSTOPSIG(status) == SIGUSR1, "status %#x", status);
	struct user_regs_struct regs = registers(child);
	if (killable) {
		claim(regs.rax == 5, "at the signal, rax is %lld", regs.rax);
		go_on(child, 0);
	} else {
		claim((int64_t)regs.rax == -ERESTARTSYS_, "at the signal, rax is %lld", regs.rax);
		claim(regs.orig_rax == CW_NR_DELIVER, "at the signal, orig_rax is %lld", regs.orig_rax);
		claim_error(answer(listener, request.id, 4, 0, 0), ENOENT);
		go_on(child, 0);
		struct seccomp_notif again = receive(listener);
		claim(again.id != request.id, "the request has the same id");
		need(answer(listener, again.id, 5, 0, 0), "SECCOMP_IOCTL_NOTIF_SEND");
	}
	claim_ended(child);
	return 0;
}
