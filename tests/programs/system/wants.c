/* Opens each file of its arguments, and goes on where it may not unless its first argument is "stop". Tells what came of it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int stops = argc > 1 && !strcmp(argv[1], "stop");

	for (int i = 2; i < argc; i++) {
		int fd = open(argv[i], O_RDONLY | O_CLOEXEC);

		printf("%s: %s\n", argv[i], fd < 0 ? strerror(errno) : "opened");
		if (fd >= 0)
			close(fd);
		else if (stops)
			return 1;
	}
	return 0;
}
