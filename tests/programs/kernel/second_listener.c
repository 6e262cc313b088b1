/* As long as somebody holds the listener of a task, it gets no second one; once it is closed, it does (rule 9). */
#include "../common/bpf.h"
#include "fact.h"

int main(void)
{
	long first = install_for(SYS_getppid, SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER);

	if (first < 0)
		lacks("SECCOMP_FILTER_FLAG_NEW_LISTENER: %s", strerror(errno));
	claim_error(install_for(SYS_getpgrp, SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER), EBUSY);
	claim_works(syscall(SYS_getpgrp));
	close((int)first);
	claim_error(syscall(SYS_getppid), ENOSYS);
	claim_works(install_for(SYS_getpgrp, SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER));
	return 0;
}
