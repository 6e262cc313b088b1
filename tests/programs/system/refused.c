/* Opens the file that it is told to, in a function that a debugger can name. */
#include <fcntl.h>
#include <unistd.h>

static __attribute__((noinline)) int open_the_secret(const char *path)
{
	int fd = open(path, O_RDONLY);

	/* not the last thing that it does, or its frame would be gone */
	return fd >= 0 && close(fd) ? -1 : fd;
}

int main(int argc, char **argv)
{
	return argc < 2 || open_the_secret(argv[1]) < 0;
}
