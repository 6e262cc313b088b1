/* Resource limits of the target: as the kernel has them, and RLIMIT_NOFILE as the target sees it, without the capabilities. */
#include "capwrap/engine/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* prlimit(2) needs CAP_SYS_RESOURCE where the ids are not the same, and root in a container has none; /proc asks for nothing. */
bool cw_limit_of(int tid, int resource, uint64_t *soft)
{
	static const char *const names[RLIM_NLIMITS] = {
		[RLIMIT_FSIZE] = "Max file size", [RLIMIT_NOFILE] = "Max open files"};
	struct rlimit limit;
	char path[48], line[256], text[32];
	bool found = false;

	if (!prlimit(tid, (enum __rlimit_resource)resource, NULL, &limit)) {
		*soft = limit.rlim_cur;
		return true;
	}
	snprintf(path, sizeof(path), "/proc/%d/limits", tid);
	FILE *f = fopen(path, "re");

	while (f && !found && fgets(line, sizeof(line), f)) {
		size_t len = strlen(names[resource]);

		if (strncmp(line, names[resource], len) != 0 || sscanf(line + len, " %31s", text) != 1)
			continue;
		found = true;
		*soft = strcmp(text, "unlimited") != 0 ? strtoull(text, NULL, 10) : RLIM_INFINITY;
	}
	if (f)
		fclose(f);
	return found;
}

int64_t cw_limit_service(struct cw_ctx *c, const uint64_t *arg)
{
	struct cw_engine *e = container(c);
	struct cw_task *t = cw_task_find(e, (int)arg[0]);
	struct {
		uint64_t soft, hard;
	} real;
	uint64_t base = (uint64_t)e->cap_base, end = base + (uint64_t)e->cap_end;

	if (!t || !t->proc)
		return -ESRCH;
	if (!cw_may_limit(e, t->proc))
		return -EPERM;
	uint64_t *seen = t->proc->nofile;

	if (!t->proc->nofile_set) {
		seen[0] = e->nofile_soft;
		seen[1] = e->nofile_hard;
	}
	if (!arg[2]) {
		c->scratch64[0] = seen[0];
		c->scratch64[1] = seen[1];
		return 0;
	}
	uint64_t soft = c->scratch64[0], hard = c->scratch64[1];

	if (soft > hard)
		return -EINVAL;
	/* who asks is root if its files are: setfsuid(2) tells, and -1 changes nothing */
	if (hard > seen[1] && ((uid_t)setfsuid((uid_t)-1) != 0 || hard > e->nofile_hard))
		return -EPERM;
	/* below the capabilities as it is; above them as many more; they themselves must keep their numbers */
	real.soft = soft <= base ? soft : soft + (e->nofile_shifted ? (uint64_t)e->cap_end : 0);
	if (soft == base)
		real.soft = end;
	real.hard = hard < end ? end : hard + (e->nofile_shifted ? (uint64_t)e->cap_end : 0);
	if (real.hard > e->features.nofile_hard)
		real.hard = e->features.nofile_hard;
	if (real.soft > real.hard)
		real.soft = real.hard;
	if (syscall(SYS_prlimit64, t->proc->pid, 7, &real, NULL))
		return -errno;
	t->proc->nofile_set = true;
	seen[0] = soft;
	seen[1] = hard;
	return 0;
}
