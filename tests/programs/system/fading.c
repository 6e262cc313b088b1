/*
 * Makes a queue and a semaphore, which a process that has become somebody else then fails to remove; who is not root removes them.
 * Says their ids, and whether they are still there.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
	int queue = msgget(IPC_PRIVATE, 0600 | IPC_CREAT), semaphore = semget(IPC_PRIVATE, 1, 0600 | IPC_CREAT), status;
	struct msqid_ds state;
	pid_t child = fork();

	if (!child) {
		int root = !geteuid();

		if (root && setuid(65534))
			_exit(9);
		_exit((msgctl(queue, IPC_RMID, NULL) != 0) + (semctl(semaphore, 0, IPC_RMID) != 0) != 2 * root);
	}
	waitpid(child, &status, 0);
	printf("%d %d\n", queue, semaphore);
	fprintf(stderr, "%x %d\n", (unsigned)status, msgctl(queue, IPC_STAT, &state));
	return queue < 0 || semaphore < 0;
}
