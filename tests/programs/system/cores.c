/*
 * `cores DIR...`: in each of the directories a child aborts. A line each: the signal, and whether the wait status tells of a
 * core file. Last a line with the limits of core files.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct rlimit limit;
	int status;

	for (int i = 1; i < argc; i++) {
		pid_t child = fork();

		if (!child) {
			if (chdir(argv[i]))
				_exit(1);
			abort();
		}
		if (child < 0 || waitpid(child, &status, 0) != child)
			return 1;
		printf("%s: signal %d%s\n", argv[i], WTERMSIG(status), WCOREDUMP(status) ? ", core" : "");
	}
	if (getrlimit(RLIMIT_CORE, &limit))
		return 1;
	printf("limit %lld\n", (long long)limit.rlim_cur);
	return 0;
}
