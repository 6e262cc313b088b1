/* Landlock in two calls: a ruleset with one rule, and the calling thread under it. */
#ifndef LANDLOCK_H
#define LANDLOCK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A ruleset that handles `handled`; -1 with errno where the kernel has no Landlock or knows no such right. */
static inline int landlock_ruleset(uint64_t handled)
{
	const struct landlock_ruleset_attr attr = {.handled_access_fs = handled};

	return (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
}

/* Permits `access` at `path` and beneath it. */
static inline int landlock_permit(int ruleset, const char *path, uint64_t access)
{
	struct landlock_path_beneath_attr rule = {.allowed_access = access,
	                                          .parent_fd = open(path, O_PATH | O_CLOEXEC)};

	if (rule.parent_fd < 0)
		return -1;
	long result = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	close(rule.parent_fd);
	return (int)result;
}

static inline int landlock_enter(int ruleset)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return (int)syscall(SYS_landlock_restrict_self, ruleset, 0);
}

#endif
