/* The child between fork and exec, and what the launcher hears of it. */
#ifndef CAPWRAP_ENGINE_JAIL_H
#define CAPWRAP_ENGINE_JAIL_H

#include "capwrap/engine/internal.h"

enum cw_step {
	CW_STEP_STDIO,
	CW_STEP_PRIVS,
	CW_STEP_CWD,
	CW_STEP_ROOT,
	CW_STEP_LIMIT,
	CW_STEP_INHERIT,
	CW_STEP_CAPS,
	CW_STEP_PAD,
	CW_STEP_LANDLOCK,
	CW_STEP_SECCOMP,
	CW_STEP_LISTENER,
	CW_STEP_EXEC,
};

/* What the child tells the launcher: at which step it failed, and errno. With errno 0, and the listener: it got to the exec. */
struct cw_report {
	int step;
	int err;
};

struct cw_child {
	struct cw_engine *e;
	struct sock_filter *program;
	int sock, cwd;
	char **paths; /* what execve is tried with, in this order */
	char **argv, **envp;
	/* what the message header in the pad names: the report, and the listener beside it */
	struct cw_report report;
	struct iovec iov;
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
};

_Noreturn void cw_jail_child(struct cw_child *ch);
const char *cw_jail_step(int step);

#endif
