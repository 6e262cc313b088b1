/*
 * SECCOMP_IOCTL_NOTIF_ADDFD hands over no O_PATH descriptor (EBADF), and with the SEND flag the number that an open file
 * got is the call's result (rule 9).
 */
#include "listener.h"
#include "../../../rewriters/pad.h"

static void body(void)
{
	be_notified_of(CW_NR_DELIVER, 0);
	long fd = syscall(CW_NR_DELIVER);
	claim(fd >= 0 && fcntl((int)fd, F_GETFD) == FD_CLOEXEC, "the call gave %s", outcome(fd));
	_exit((int)fd);
}

int main(void)
{
	open_pair();
	pid_t child = trace(body, PTRACE_O_EXITKILL);
	int listener = take_listener();
	struct seccomp_notif request = receive(listener);
	struct seccomp_notif_addfd add = {
		.id = request.id,
		.flags = SECCOMP_ADDFD_FLAG_SEND,
		.srcfd = (uint32_t)need(open(".", O_PATH | O_CLOEXEC), "."),
		.newfd_flags = O_CLOEXEC,
	};

	claim_error(ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add), EBADF);
	add.srcfd = (uint32_t)need(open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), ".");
	int got = ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add);
	if (got < 0 && errno == EINVAL)
		lacks("SECCOMP_ADDFD_FLAG_SEND (Linux 5.14)");
	claim_works(got);
	/* Answered in the same step: the request is gone. */
	claim_error(answer(listener, request.id, 0, 0, 0), ENOENT);
	int status = next(child);
	claim(WIFEXITED(status) && WEXITSTATUS(status) == got, "ADDFD says %d, the call gave status %#x", got, status);
	return 0;
}
