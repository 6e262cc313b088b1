/* A little of everything that a supervisor does for its target, and between all of it a look for the way out. */
#include "attack.h"

#include <pthread.h>
#include <sys/ipc.h>
#include <sys/shm.h>

/* By its size the test knows the segment (test_victim.py). */
#define SEGMENT 12289

static void look_out(void)
{
	int fd = open(in_base("secret/file"), O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		judge_read(fd, "secret/file");
}

/* In capability form, answered, performed, delivered, refused; whatever a run that was killed left there. */
static void calls(const char *made, const char *moved)
{
	struct stat st;
	char text[64];

	look_out();
	int fd = open(in_base("other/file"), O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		(void)!read(fd, text, sizeof(text));
		close(fd);
	}
	fd = open(in_base("carved/file"), O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	(void)!stat(in_base("ro/file"), &st);
	(void)!access(in_base("secret"), F_OK);
	(void)!mkdir(in_base(made), 0700);
	(void)!rename(in_base(made), in_base(moved));
	(void)!chmod(in_base(moved), 0755);
	(void)!rmdir(in_base(moved));
	(void)!chdir(in_base("carved"));
	(void)!chdir(in_base("work"));
	look_out();
}

static void *in_a_thread(void *arg)
{
	calls("work/t", "work/u");
	return arg;
}

static void again(void)
{
	calls("work/e", "work/f");
	held("executed");
}

static void everything(void)
{
	pthread_t thread;
	pid_t children[3];
	size_t n = 0;
	const char *self[] = {argument(0), "again", in_base(""), "0", NULL};

	calls("work/m", "work/n");
	/* an object that outlives its processes, and a stop in the caller's group: for each, the supervisor has a process */
	(void)!shmget(IPC_PRIVATE, SEGMENT, 0600);
	if (!pthread_create(&thread, NULL, in_a_thread, NULL))
		pthread_join(thread, NULL);
	children[n++] = fork();
	if (!children[0]) {
		raise(SIGSTOP);
		calls("work/c", "work/d");
		_exit(0);
	}
	(void)waitpid(children[0], NULL, WUNTRACED);
	kill(children[0], SIGCONT);
	children[n++] = vfork();
	if (!children[1]) {
		execv(self[0], (char **)(uintptr_t)self);
		_exit(127);
	}
	/* One that outlives its parent, and does not end by itself. */
	children[n++] = fork();
	if (!children[2]) {
		if (!fork())
			for (;;)
				pause();
		_exit(0);
	}
	while (n)
		(void)waitpid(children[--n], NULL, 0);
	held("everything");
}

const struct attack attacks[] = {
	{"everything", everything},
	{"again", again},
	{NULL, NULL},
};
