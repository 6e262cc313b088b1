/*
 * Credentials: what the supervisor performs, it performs with those of the thread that asks. Read when a thread first asks for
 * something after they may have changed, since reading them costs more than most calls.
 */
#include "capwrap/engine/internal.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_GROUPS 256

struct cw_creds {
	unsigned uid, gid, euid, egid, fsuid, fsgid, umask;
	uint64_t caps, permitted;
	size_t n_groups;
	gid_t groups[MAX_GROUPS];
};

static bool read_creds(int tid, struct cw_creds *out)
{
	char path[48], text[8192];
	unsigned ids[4];

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	if (!cw_read_text(path, text, sizeof(text)))
		return false;
	const char *u = strstr(text, "\nUid:"), *g = strstr(text, "\nGid:"), *gr = strstr(text, "\nGroups:"),
		   *c = strstr(text, "\nCapEff:"), *m = strstr(text, "\nUmask:"), *all = strstr(text, "\nCapPrm:");
	unsigned long long caps, permitted;

	if (!u || !g || !gr || !c || !m || !all || sscanf(u, "\nUid: %u %u %u %u", ids, ids + 1, ids + 2, ids + 3) != 4)
		return false;
	out->uid = ids[0];
	out->euid = ids[1];
	out->fsuid = ids[3];
	if (sscanf(g, "\nGid: %u %u %u %u", ids, ids + 1, ids + 2, ids + 3) != 4 ||
	    sscanf(c, "\nCapEff: %llx", &caps) != 1 || sscanf(all, "\nCapPrm: %llx", &permitted) != 1 ||
	    sscanf(m, "\nUmask: %o", &out->umask) != 1)
		return false;
	out->gid = ids[0];
	out->egid = ids[1];
	out->fsgid = ids[3];
	out->caps = caps;
	out->permitted = permitted;
	out->n_groups = 0;
	for (const char *s = gr + 8; *s && *s != '\n' && out->n_groups < MAX_GROUPS;) {
		char *end;
		unsigned long v = strtoul(s, &end, 10);

		if (end == s)
			break;
		out->groups[out->n_groups++] = (gid_t)v;
		s = end + (*end == ' ');
	}
	return true;
}

static void effective(uint64_t caps)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2];

	if (syscall(SYS_capget, &h, d))
		return;
	d[0].effective = d[0].permitted & (uint32_t)caps;
	d[1].effective = d[1].permitted & (uint32_t)(caps >> 32);
	(void)syscall(SYS_capset, &h, d);
}

#define FILE_CAPS                                                                                                      \
	(UINT64_C(1) << CAP_CHOWN | UINT64_C(1) << CAP_DAC_OVERRIDE | UINT64_C(1) << CAP_FOWNER |                      \
	 UINT64_C(1) << CAP_FSETID | UINT64_C(1) << CAP_SETUID | UINT64_C(1) << CAP_SETGID)
#define OWN_CAPS (UINT64_C(1) << CAP_SYS_PTRACE | UINT64_C(1) << CAP_KILL | UINT64_C(1) << CAP_SYS_RESOURCE)

/*
 * Looks at the thread that asks itself, whatever credentials of it were adopted: the kernel gives /proc/PID of a process
 * that changed its ids to root (task_dump_owner in fs/proc/base.c), and what it holds open, it holds whoever it is now.
 * Returns what was in force before, for the call that ends it.
 */
bool cw_reach(struct cw_engine *e, bool on)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2];
	bool was = e->reaching;

	if (!e->creds_adopted || on == was)
		return was;
	if (on) {
		if (syscall(SYS_capget, &h, d))
			return was;
		e->reached_from = d[0].effective | (uint64_t)d[1].effective << 32;
	}
	effective(e->reached_from | (on ? UINT64_C(1) << CAP_DAC_OVERRIDE : 0));
	e->reaching = on;
	return was;
}

static bool same(const struct cw_creds *a, const struct cw_creds *b)
{
	return a->uid == b->uid && a->gid == b->gid && a->euid == b->euid && a->egid == b->egid &&
	       a->fsuid == b->fsuid && a->fsgid == b->fsgid && a->caps == b->caps && a->permitted == b->permitted &&
	       a->n_groups == b->n_groups && a->n_groups < MAX_GROUPS &&
	       !memcmp(a->groups, b->groups, a->n_groups * sizeof(a->groups[0]));
}

void cw_creds_forget(struct cw_task *t)
{
	free(t->creds);
	t->creds = NULL;
	t->creds_known = false;
}

/* Before a thread makes a call that changes its own; many make one that changes nothing (make, git, sudo-less scripts). */
void cw_creds_change(struct cw_engine *e, struct cw_task *t)
{
	if (!e->creds_ever) {
		/* the first of all: so far they are what COMMAND began with */
		e->creds_first = calloc(1, sizeof(*e->creds_first));
		if (e->creds_first && !read_creds(t->tid, e->creds_first)) {
			free(e->creds_first);
			e->creds_first = NULL;
		}
	}
	e->creds_ever = true;
	t->proc->creds = true;
	cw_creds_forget(t);
}

/* NULL in *out: those that COMMAND began with, which are the supervisor's. False: unknown. */
static bool creds_of(struct cw_engine *e, struct cw_task *t, const struct cw_creds **out)
{
	if (!t->creds_known) {
		struct cw_creds *c = calloc(1, sizeof(*c));

		if (!c || !read_creds(t->tid, c)) {
			free(c);
			return false;
		}
		if (e->creds_first && same(c, e->creds_first)) {
			free(c);
			c = NULL;
		}
		free(t->creds);
		t->creds = c;
		t->creds_known = true;
	}
	*out = t->creds;
	return true;
}

static void adopt(struct cw_engine *e, const struct cw_creds *c)
{
	/* the raw calls: glibc's setgroups would change every thread */
	effective(FILE_CAPS | OWN_CAPS);
	syscall(SYS_setgroups, c->n_groups, c->groups);
	/* the real ones decide who may read its memory without CAP_SYS_PTRACE (__ptrace_may_access) */
	syscall(SYS_setresgid, c->gid, -1, -1);
	syscall(SYS_setresuid, c->uid, -1, -1);
	setfsgid(c->fsgid);
	setfsuid(c->fsuid);
	effective((c->caps & FILE_CAPS) | OWN_CAPS);
	e->creds_adopted = true;
	e->reaching = false;
}

static void adopt_umask(struct cw_engine *e, struct cw_task *t)
{
	struct cw_creds c;

	if (!read_creds(t->tid, &c))
		return;
	mode_t was = umask((mode_t)c.umask);

	if (!e->umask_set)
		e->umask_was = was;
	e->umask_set = true;
}

/* It is being killed, or we are out of memory: nobody's rights at all. */
static const struct cw_creds nobody = {
	.uid = 65534, .gid = 65534, .euid = 65534, .egid = 65534, .fsuid = 65534, .fsgid = 65534};

/* What the supervisor needs of root for itself, and what the target has: everything else would be more than the target. */
void cw_adopt(struct cw_engine *e, struct cw_task *t, bool umask_needed)
{
	if (e->privileged && t->proc && t->proc->creds && !e->creds_adopted) {
		const struct cw_creds *c = &nobody;

		if (!creds_of(e, t, &c))
			c = &nobody;
		if (c)
			adopt(e, c);
	}
	if (umask_needed)
		adopt_umask(e, t);
}

/* access(2) asks for the real user and group: access_override_creds in fs/open.c. */
void cw_adopt_real(struct cw_engine *e, struct cw_task *t)
{
	const struct cw_creds *c = &nobody;

	if (!e->creds_adopted)
		return;
	if (!creds_of(e, t, &c) || !c)
		c = &nobody;
	effective(FILE_CAPS | OWN_CAPS);
	setfsgid(c->gid);
	setfsuid(c->uid);
	effective((c->uid ? 0 : c->permitted & FILE_CAPS) | OWN_CAPS);
	e->creds_real = true;
}

static void give_back(struct cw_engine *e)
{
	effective(FILE_CAPS | OWN_CAPS);
	syscall(SYS_setresuid, e->uid, -1, -1);
	syscall(SYS_setresgid, e->gid, -1, -1);
	setfsuid(geteuid());
	setfsgid(getegid());
	effective(FILE_CAPS | OWN_CAPS);
	/* root's own supplementary groups give it nothing that DAC_OVERRIDE does not */
	syscall(SYS_setgroups, 0, NULL);
	e->creds_adopted = e->creds_real = false;
}

/* For what is our own business in the middle of a call. */
struct cw_adopted cw_as_ourselves(struct cw_engine *e)
{
	struct cw_adopted was = {e->creds_adopted, e->creds_real};

	if (was.any)
		give_back(e);
	return was;
}

void cw_as_target(struct cw_engine *e, struct cw_adopted was)
{
	if (was.any)
		cw_adopt(e, e->current, false);
	if (was.real)
		cw_adopt_real(e, e->current);
}

/*
 * The effective ids and the capabilities of the thread that asks, and none of our own: what makes an IPC object goes by these
 * (ipc/util.c, ipc/mqueue.c). Nothing else is done meanwhile.
 */
struct cw_caller cw_caller(struct cw_engine *e)
{
	struct cw_caller was = {.adopted = cw_as_ourselves(e), .euid = geteuid(), .egid = getegid()};
	const struct cw_creds *c = NULL;

	if (!e->privileged)
		return was;
	if (e->current->proc->creds && !creds_of(e, e->current, &c))
		c = &nobody;
	was.other = c;
	if (c) {
		syscall(SYS_setgroups, c->n_groups, c->groups);
		syscall(SYS_setresgid, -1, c->egid, -1);
		syscall(SYS_setresuid, -1, c->euid, -1);
	}
	effective(c ? c->caps & FILE_CAPS : FILE_CAPS);
	return was;
}

void cw_caller_end(struct cw_engine *e, struct cw_caller was)
{
	if (!e->privileged)
		return;
	effective(FILE_CAPS | OWN_CAPS);
	if (was.other) {
		syscall(SYS_setresuid, -1, was.euid, -1);
		syscall(SYS_setresgid, -1, was.egid, -1);
		effective(FILE_CAPS | OWN_CAPS);
		syscall(SYS_setgroups, 0, NULL);
	}
	cw_as_target(e, was.adopted);
}

void cw_adopt_end(struct cw_engine *e)
{
	if (e->shared_fs && e->umask_set)
		umask(e->umask_was);
	e->umask_set = false;
	if (e->creds_adopted)
		give_back(e);
}
