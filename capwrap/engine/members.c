/* Which processes and process groups are the target's, those too that have ended and that nobody has waited for. */
#include "capwrap/engine/internal.h"

#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

bool cw_member(struct cw_ctx *c, int pid)
{
	return pid > 0 && cw_task_find(container(c), pid);
}

static bool same_process(int pidfd)
{
	return !syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) || errno == EPERM;
}

/* Its tracer has reaped it, and so it is in no book any more; its pid is taken until its parent has. */
int cw_member_ended(struct cw_ctx *c, int pid, uint32_t flags)
{
	char text[512], state = 0;
	int ppid = 0, pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, flags) : -1;

	if (pidfd < 0)
		return -ESRCH;
	const char *rest = cw_read_stat(pid, text, sizeof(text));

	/* asked of it in between: what was read was said of the process that the descriptor stands for */
	if (!rest || sscanf(rest, " %c %d", &state, &ppid) != 2 || state != 'Z' || !cw_proc_find(container(c), ppid) ||
	    !same_process(pidfd)) {
		close(pidfd);
		return -ESRCH;
	}
	return pidfd;
}

int cw_group_of(struct cw_ctx *c, int pidfd, int pid, bool session)
{
	int group = session ? getsid(pid) : getpgid(pid);

	(void)c;
	return group >= 0 && same_process(pidfd) ? group : -ESRCH;
}

bool cw_member_group(struct cw_ctx *c, int pgid)
{
	struct cw_engine *e = container(c);

	for (int i = 0; i < CW_HASH; i++)
		for (struct cw_proc *p = e->procs[i]; p; p = p->next)
			if (getpgid(p->pid) == pgid)
				return true;
	/* the first process of a pipeline may have ended before the others were put into its group */
	int leader = cw_member_ended(c, pgid, 0);
	bool is = leader >= 0 && cw_group_of(c, leader, pgid, false) == pgid;

	if (leader >= 0)
		close(leader);
	return is;
}
