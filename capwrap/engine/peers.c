/*
 * What one process of the target may do to another, where the supervisor does it in its place and could do it to all: a
 * program may have given up its ids in some of its processes, or have closed one to the others.
 */
#include "capwrap/engine/internal.h"

#include <stdio.h>

enum which_id { REAL, EFFECTIVE, SAVED, FS };

/* Uid: and Gid: of /proc/PID/status, four of each. */
static bool read_ids(int tid, unsigned uid[4], unsigned gid[4])
{
	char path[48], line[256];
	int found = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	FILE *f = fopen(path, "re");

	while (f && found < 2 && fgets(line, sizeof(line), f)) {
		found += sscanf(line, "Uid: %u %u %u %u", uid, uid + 1, uid + 2, uid + 3) == 4;
		found += sscanf(line, "Gid: %u %u %u %u", gid, gid + 1, gid + 2, gid + 3) == 4;
	}
	if (f)
		fclose(f);
	return found == 2;
}

/* Has the calling thread the ids of that process? Who has no privilege over others needs them all. */
static bool same_ids(struct cw_engine *e, const struct cw_proc *other, enum which_id as)
{
	unsigned uid[4], gid[4], its_uid[4], its_gid[4];

	if (!e->current->proc->creds && !other->creds)
		return true; /* nobody changed any */
	if (!read_ids(e->current->tid, uid, gid) || !read_ids(other->pid, its_uid, its_gid))
		return false;
	for (enum which_id i = REAL; i <= SAVED; i++)
		if (uid[as] != its_uid[i] || gid[as] != its_gid[i])
			return false;
	return true;
}

bool cw_may_look_into(struct cw_engine *e, int pid)
{
	const struct cw_proc *other = cw_proc_find(e, pid);

	if (!other || other == e->current->proc)
		return other;
	return !other->undumpable && same_ids(e, other, FS); /* ptrace_may_access in kernel/ptrace.c */
}

bool cw_may_limit(struct cw_engine *e, const struct cw_proc *other)
{
	return other == e->current->proc || same_ids(e, other, REAL); /* check_prlimit_permission in kernel/sys.c */
}
