/* What stands in /proc and /dev/pts of the target: the table of its files, and the listings of its directories. */
#include "capwrap/engine/procfs.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const struct cw_proc_entry cw_proc_entries[] = {
	/* the machine, from a list; read-only */
	{"cpuinfo", CW_PROC_TOP, CW_SERVE_FILE},
	{"meminfo", CW_PROC_TOP, CW_SERVE_FILE},
	{"stat", CW_PROC_TOP, CW_SERVE_FILE},
	{"loadavg", CW_PROC_TOP, CW_SERVE_FILE},
	{"uptime", CW_PROC_TOP, CW_SERVE_FILE},
	{"version", CW_PROC_TOP, CW_SERVE_FILE},
	{"filesystems", CW_PROC_TOP, CW_SERVE_FILE},
	{"cgroups", CW_PROC_TOP, CW_SERVE_FILE}, /* which controllers the kernel has */
	{"sys", CW_PROC_TOP, CW_SERVE_DIR},
	{"self", CW_PROC_TOP, CW_SERVE_LINK},
	{"thread-self", CW_PROC_TOP, CW_SERVE_LINK},
	{"mounts", CW_PROC_TOP, CW_SERVE_LINK},
	/* a process of the target */
	{"cwd", CW_PROC_PID, CW_SERVE_LINK},
	{"exe", CW_PROC_PID, CW_SERVE_LINK},
	{"root", CW_PROC_PID, CW_SERVE_LINK},
	{"fd", CW_PROC_PID, CW_SERVE_FDS},
	{"fdinfo", CW_PROC_PID, CW_SERVE_FDS},
	{"task", CW_PROC_PID, CW_SERVE_FDS},
	{"mounts", CW_PROC_PID, CW_SERVE_MADE},
	{"mountinfo", CW_PROC_PID, CW_SERVE_MADE},
	{"mountstats", CW_PROC_PID, CW_SERVE_MADE},
	{"auxv", CW_PROC_PID, CW_SERVE_FILE},
	{"cgroup", CW_PROC_PID, CW_SERVE_FILE},
	{"cmdline", CW_PROC_PID, CW_SERVE_FILE},
	{"comm", CW_PROC_PID, CW_SERVE_WRITABLE},
	{"coredump_filter", CW_PROC_PID, CW_SERVE_WRITABLE},
	{"environ", CW_PROC_PID, CW_SERVE_FILE},
	{"io", CW_PROC_PID, CW_SERVE_FILE},
	{"limits", CW_PROC_PID, CW_SERVE_FILE},
	{"loginuid", CW_PROC_PID, CW_SERVE_FILE},
	{"maps", CW_PROC_PID, CW_SERVE_FILE},
	{"mem", CW_PROC_PID, CW_SERVE_OWN},
	{"numa_maps", CW_PROC_PID, CW_SERVE_FILE},
	{"oom_adj", CW_PROC_PID, CW_SERVE_WRITABLE},
	{"oom_score", CW_PROC_PID, CW_SERVE_FILE},
	{"oom_score_adj", CW_PROC_PID, CW_SERVE_WRITABLE},
	{"pagemap", CW_PROC_PID, CW_SERVE_FILE},
	{"personality", CW_PROC_PID, CW_SERVE_FILE},
	{"sched", CW_PROC_PID, CW_SERVE_FILE},
	{"schedstat", CW_PROC_PID, CW_SERVE_FILE},
	{"sessionid", CW_PROC_PID, CW_SERVE_FILE},
	{"setgroups", CW_PROC_PID, CW_SERVE_FILE},
	{"smaps", CW_PROC_PID, CW_SERVE_FILE},
	{"smaps_rollup", CW_PROC_PID, CW_SERVE_FILE},
	{"stat", CW_PROC_PID, CW_SERVE_FILE},
	{"statm", CW_PROC_PID, CW_SERVE_FILE},
	{"status", CW_PROC_PID, CW_SERVE_FILE},
	{"timerslack_ns", CW_PROC_PID, CW_SERVE_WRITABLE},
	{"wchan", CW_PROC_PID, CW_SERVE_FILE},
	{"children", CW_PROC_TASK, CW_SERVE_FILE},
};

#define ENTRIES (sizeof(cw_proc_entries) / sizeof(cw_proc_entries[0]))

/* What the kernel shows only to who could trace the process (fs/proc/base.c, PTRACE_MODE_READ_FSCREDS). */
bool cw_proc_is_closed(const char *name)
{
	static const char *const closed[] = {"cwd",       "exe",     "root",         "fd",      "fdinfo",
	                                     "auxv",      "environ", "io",           "maps",    "mem",
	                                     "numa_maps", "smaps",   "smaps_rollup", "pagemap", "personality"};

	for (size_t i = 0; i < sizeof(closed) / sizeof(closed[0]); i++)
		if (!strcmp(closed[i], name))
			return true;
	return false;
}

const struct cw_proc_entry *cw_proc_entry(const char *name, size_t len, bool top, bool task)
{
	for (size_t i = 0; i < ENTRIES; i++) {
		const struct cw_proc_entry *t = &cw_proc_entries[i];

		if ((t->where == CW_PROC_TOP) != top || (t->where == CW_PROC_TASK && !task))
			continue;
		if (task && !strcmp(t->name, "task"))
			continue;
		if (!strncmp(t->name, name, len) && !t->name[len])
			return t;
	}
	return NULL;
}

int cw_proc_number(const char *s, size_t len)
{
	long v = 0;

	if (!len || len > 9 || (s[0] == '0' && len > 1))
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -1;
		v = v * 10 + (s[i] - '0');
	}
	return (int)v;
}

int cw_proc_list(struct cw_engine *e, struct cw_place *p, int (*add)(void *ctx, const char *name, uint32_t type),
                 void *ctx)
{
	char name[32];
	int err = 0;

	if (e->im.nodes[p->node].kind == CW_NODE_PTS) {
		for (size_t i = 0; !err && i < sizeof(e->terminals) / sizeof(e->terminals[0]); i++) {
			int n = e->terminals[i].number;

			if (!e->terminals[i].held || cw_terminal_find(e, n) < 0)
				continue;
			snprintf(name, sizeof(name), "%d", n);
			err = add(ctx, name, S_IFREG);
		}
		return err;
	}
	if (!p->proc_pid) {
		for (int i = 0; i < CW_HASH; i++)
			for (struct cw_proc *q = e->procs[i]; !err && q; q = q->next) {
				snprintf(name, sizeof(name), "%d", q->pid);
				err = add(ctx, name, S_IFDIR);
			}
		for (size_t i = 0; !err && i < ENTRIES; i++)
			if (cw_proc_entries[i].where == CW_PROC_TOP)
				err = add(ctx, cw_proc_entries[i].name,
				          cw_proc_entries[i].serve == CW_SERVE_LINK  ? S_IFLNK
				          : cw_proc_entries[i].serve == CW_SERVE_DIR ? S_IFDIR
				                                                     : S_IFREG);
		return err;
	}
	const char *what = p->proc_entry < ENTRIES && cw_proc_entries[p->proc_entry].serve == CW_SERVE_FDS
	                           ? cw_proc_entries[p->proc_entry].name
	                           : NULL;
	size_t base = strlen(p->path);

	/* /proc/CW_PROC_PID itself, or its thread's directory: proc_entry is no entry then */
	if (what && base > strlen(what) && strcmp(p->path + base - strlen(what), what))
		what = NULL;
	if (what && !strcmp(what, "task")) {
		for (int i = 0; i < CW_HASH; i++)
			for (struct cw_task *t = e->tasks[i]; !err && t; t = t->next)
				if (t->proc && t->proc->pid == p->proc_pid) {
					snprintf(name, sizeof(name), "%d", t->tid);
					err = add(ctx, name, S_IFDIR);
				}
		return err;
	}
	if (what) {
		char path[64];
		const struct dirent *entry;

		snprintf(path, sizeof(path), "/proc/%d/%s", p->proc_tid, what);
		DIR *d = opendir(path);

		if (!d)
			return -errno;
		while (!err && (entry = readdir(d))) {
			int fd = cw_proc_number(entry->d_name, strlen(entry->d_name));

			/* the capabilities are nobody's descriptors */
			if (fd >= 0 && !(fd >= e->cap_base && fd < e->cap_base + e->cap_end))
				err = add(ctx, entry->d_name, strcmp(what, "fd") ? S_IFREG : S_IFLNK);
		}
		closedir(d);
		/* the descriptor that the listing is about to be read from is in it, natively: the lowest free one */
		if (!err && p->proc_pid == e->ctx.call.tgid) {
			int fd = 0;

			do
				snprintf(path, sizeof(path), "/proc/%d/fd/%d", p->proc_tid, fd);
			while (!faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) && ++fd);
			snprintf(name, sizeof(name), "%d", fd);
			err = add(ctx, name, strcmp(what, "fd") ? S_IFREG : S_IFLNK);
		}
		return err;
	}
	bool task = p->proc_tid != p->proc_pid && strstr(p->path, "/task/");

	for (size_t i = 0; !err && i < ENTRIES; i++)
		if (cw_proc_entries[i].where != CW_PROC_TOP && (task || cw_proc_entries[i].where != CW_PROC_TASK) &&
		    !(task && !strcmp(cw_proc_entries[i].name, "task")))
			err = add(ctx, cw_proc_entries[i].name,
			          cw_proc_entries[i].serve == CW_SERVE_LINK  ? S_IFLNK
			          : cw_proc_entries[i].serve == CW_SERVE_FDS ? S_IFDIR
			                                                     : S_IFREG);
	return err;
}
