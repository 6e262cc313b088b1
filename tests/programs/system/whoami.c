/* Prints what a program is told about itself. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char text[4096];
	ssize_t length = readlink("/proc/self/exe", text, sizeof(text) - 1);

	printf("argv[0] %s, %d arguments\n", argc ? argv[0] : "(none)", argc);
	printf("exe %.*s\n", (int)length, text);
	printf("execfn %s\n", (char *)getauxval(AT_EXECFN));
	prctl(PR_GET_NAME, text);
	printf("comm %s\n", text);
	printf("program_invocation_short_name %s\n", program_invocation_short_name);
	printf("secure %lu, cwd %s\n", getauxval(AT_SECURE), getcwd(text, sizeof(text)) ? text : "(none)");
	FILE *maps = fopen("/proc/self/maps", "r");
	int own = 0;
	while (maps && fgets(text, sizeof(text), maps)) {
		char *slash = strrchr(text, '/');
		own += slash && strstr(slash, program_invocation_short_name) != NULL;
	}
	printf("in the maps %d\n", own > 0);
	return 0;
}
