/* Makes one IPC object of each kind, says which, and waits for its standard input to end. It removes none of them. */
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <unistd.h>

int main(void)
{
	char byte;
	mqd_t queue = mq_open("/objects-of-a-test", O_RDWR | O_CREAT, 0600, NULL);

	/* many more segments, removed at once: what is not there any more takes no room */
	for (int i = 0; i < 10000; i++) {
		int id = shmget(IPC_PRIVATE, 4096, 0600);

		if (id < 0 || shmctl(id, IPC_RMID, NULL))
			return 2;
	}
	printf("shm %d sem %d msg %d queue %d\n", shmget(IPC_PRIVATE, 4096, 0600), semget(IPC_PRIVATE, 1, 0600),
	       msgget(IPC_PRIVATE, 0600), (int)queue);
	fflush(stdout);
	return (int)read(0, &byte, 1);
}
