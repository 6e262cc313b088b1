/*
 * `survivor FILE [MODE]`: leaves a process behind that holds FILE open until it is killed, and ends (or, with "stay",
 * waits). Nothing about it is left to the parent: two forks, a session of its own, no inherited descriptors.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int ready[2];
	char byte;

	if (argc < 2 || pipe(ready))
		return 2;
	pid_t child = fork();
	if (!child) {
		if (fork())
			_exit(0);
		setsid();
		for (int sig = 1; sig < 32; sig++)
			signal(sig, SIG_IGN);
		prctl(PR_SET_PDEATHSIG, 0);
		int fd = open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
		if (fd < 0 || write(fd, ".", 1) != 1 || write(ready[1], ".", 1) != 1)
			_exit(2);
		close(ready[0]);
		close(ready[1]);
		for (int i = 0; i < 3; i++)
			close(i);
		for (;;)
			pause();
	}
	close(ready[1]);
	waitpid(child, NULL, 0);
	/* Not before the survivor lives. */
	if (read(ready[0], &byte, 1) != 1)
		return 2;
	if (write(1, "left\n", 5) != 5)
		return 2;
	if (argc > 2 && !strcmp(argv[2], "stay"))
		pause();
	return 0;
}
