/* Small files of /proc, which are read at once: what they say is of one moment. */
#include "capwrap/engine/internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool cw_read_text(const char *path, char *dst, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, dst, size - 1);

	if (fd >= 0)
		close(fd);
	dst[n > 0 ? n : 0] = 0;
	return n > 0;
}

const char *cw_read_stat(int pid, char *dst, size_t size)
{
	char path[48];

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	/* the name may hold anything, line ends and brackets too */
	const char *end = cw_read_text(path, dst, size) ? strrchr(dst, ')') : NULL;

	return end ? end + 1 : NULL;
}
