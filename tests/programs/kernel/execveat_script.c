/* execveat of a descriptor with the empty string gives the interpreter of a script /dev/fd/N, which a descriptor that is
 * closed on exec cannot serve: ENOENT (rule 12). */
#include "fact.h"

int main(int argc, char **argv)
{
	char exe[512], text[1024], *none[] = {NULL}, *args[] = {"script", NULL};

	if (argc > 1) {
		claim(argc == 3 && !strncmp(argv[2], "/dev/fd/", 8), "the script is called %s", argv[argc - 1]);
		return 0;
	}
	ssize_t length = need(readlink("/proc/self/exe", exe, sizeof(exe) - 1), "/proc/self/exe");
	exe[length] = 0;
	if (length > 200)
		ends(2, "the path of the program is too long for a #! line: %s", exe);
	snprintf(text, sizeof(text), "#!%s show\n", exe);
	make_file("script", text, 0700);
	int fd = (int)need(open("script", O_RDONLY | O_CLOEXEC), "script");
	claim_error(execveat(fd, "", args, none, AT_EMPTY_PATH), ENOENT);
	fd = (int)need(open("script", O_RDONLY), "script");
	claim_works(execveat(fd, "", args, none, AT_EMPTY_PATH));
}
