/*
 * The jobserver of a make(1) that started capwrap: a pipe whose ends it leaves open to what it takes for a make, and names in
 * MAKEFLAGS ("POSIX Jobserver Interaction" in the manual of GNU make). Where the target gets that variable, it gets the pipe.
 */
#include "capwrap/engine/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static bool take_number(const char **at, int *fd)
{
	char *end;

	errno = 0;
	long n = strtol(*at, &end, 10);

	if (errno || end == *at || n <= 2 || n > INT32_MAX)
		return false;
	*at = end;
	*fd = (int)n;
	return true;
}

/* The last that is named counts, as for make. A FIFO of make 4.4 (`fifo:PATH`) is a name, which a grant has to cover. */
static bool named(const char *flags, int fds[2])
{
	bool found = false;

	while ((flags = strstr(flags, "--jobserver-"))) {
		flags += strlen("--jobserver-");
		size_t word = strncmp(flags, "auth=", 5) ? strncmp(flags, "fds=", 4) ? 0 : 4 : 5;
		const char *at = flags + word;

		if (word)
			found = take_number(&at, &fds[0]) && *at++ == ',' && take_number(&at, &fds[1]);
	}
	return found;
}

/* An end of a pipe that an exec would leave open. */
static bool is_end(int fd, int mode, struct stat *st)
{
	return !(fcntl(fd, F_GETFD) & FD_CLOEXEC) && (fcntl(fd, F_GETFL) & O_ACCMODE) == mode && !fstat(fd, st) &&
	       S_ISFIFO(st->st_mode);
}

/*
 * make also leaves MAKEFLAGS to what is no make, with the pipe closed; then the numbers may be anything that somebody opened since.
 * The two ends of one pipe, under these very numbers, are the jobserver.
 */
void cw_find_jobserver(struct cw_engine *e, char *const *env)
{
	struct stat in, out;
	int fds[2];

	for (e->n_jobserver = 0; env && *env; env++)
		if (!strncmp(*env, "MAKEFLAGS=", 10) && named(*env, fds) && is_end(fds[0], O_RDONLY, &in) &&
		    is_end(fds[1], O_WRONLY, &out) && in.st_ino == out.st_ino && in.st_dev == out.st_dev) {
			for (int i = 0; i < 2; i++)
				if (fds[i] < e->cap_base || fds[i] >= e->cap_base + e->cap_end)
					e->jobserver[e->n_jobserver++] = fds[i];
			return;
		}
}
