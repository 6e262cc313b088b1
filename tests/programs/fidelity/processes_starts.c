/* The ways to start a process: posix_spawn, system, vfork, clone and its flags, and exec by a thread. */
#include "processes.h"

#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <sys/mman.h>

extern char **environ;

static int shared_value;

static int in_clone(void *arg)
{
	shared_value = 5;
	return (int)(long)arg;
}

static void *exec_in_thread(void *arg)
{
	(void)arg;
	execl("/bin/sh", "sh", "-c", "echo pid $$ | grep -c pid >/dev/null; exit 21", (char *)NULL);
	return NULL;
}

static void *waits(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return NULL;
}

/* What ends with another signal than SIGCHLD tells of it by that one. */
static void on_usr1(int sig)
{
	(void)sig;
}

static void starts(void)
{
	pid_t pid;

	section("starting");
	signal(SIGUSR1, on_usr1);
	char *argv[] = {"sh", "-c", "exit 11", NULL};
	posix_spawnattr_t attr;
	posix_spawn_file_actions_t actions;

	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 9, "file", O_CREAT | O_WRONLY, 0600);
	ROW(posix_spawn(&pid, "/bin/sh", &actions, &attr, argv, environ));
	show_wait("posix_spawn", pid, 0);
	ROW(access("file", F_OK));
	unlink("file");
	ROW(posix_spawn(&pid, "/bin/absent", NULL, NULL, argv, environ));
	ROW(posix_spawnp(&pid, "absent-program", NULL, NULL, argv, environ));
	ROW(posix_spawnp(&pid, "sh", NULL, NULL, argv, environ));
	show_wait("posix_spawnp", pid, 0);
	say("system", "%04x", (unsigned)system("exit 12"));
	say("system of a killed", "%04x", (unsigned)system("kill -9 $$"));
	/* vfork: the child is first, on the parent's memory */
	static volatile int value;

	pid = vfork();
	if (!pid) {
		value = 3;
		_exit(13);
	}
	say("vfork", "the child has set %d", value);
	show_wait("vfork", pid, 0);
	pid = vfork();
	if (!pid) {
		execl("/bin/sh", "sh", "-c", "exit 14", (char *)NULL);
		_exit(1);
	}
	show_wait("vfork and exec", pid, 0);
	char *stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	pid = clone(in_clone, stack + 65536, SIGCHLD, (void *)15L);
	show_wait("clone", pid, 0);
	say("its memory", "%d", shared_value);
	pid = clone(in_clone, stack + 65536, CLONE_VM | SIGCHLD, (void *)16L);
	show_wait("clone with CLONE_VM", pid, 0);
	say("its memory", "%d", shared_value);
	pid = clone(in_clone, stack + 65536, CLONE_VM | CLONE_VFORK | SIGUSR1, (void *)17L);
	show_wait("another signal than SIGCHLD", pid, WNOHANG);
	show_wait("and __WALL", pid, __WALL);
	pid = clone(in_clone, stack + 65536, CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_SIGHAND | SIGCHLD, (void *)18L);
	show_wait("clone that shares", pid, 0);
	int pidfd = -1;

	pid = clone(in_clone, stack + 65536, CLONE_PIDFD | SIGCHLD, (void *)19L, &pidfd);
	say("CLONE_PIDFD", "%s", pidfd >= 0 ? "gives one" : "gives none");
	show_wait("CLONE_PIDFD", pid, 0);
	close(pidfd);
	ROW(clone(in_clone, stack + 65536, CLONE_SIGHAND | SIGCHLD, NULL));
	ROW(clone(in_clone, stack + 65536, CLONE_THREAD | SIGCHLD, NULL));
	pid = clone(in_clone, stack + 65536, CLONE_PARENT | SIGCHLD, (void *)20L);
	say("CLONE_PARENT", "%s", pid > 0 ? "made" : strerrorname_np(errno));
	show_wait("is no child of one's own", pid, 0);
	munmap(stack, 65536);
	/* a thread executes: the process goes on under its number */
	pid = (pid_t)MUST(fork());
	if (!pid) {
		pthread_t thread[3];

		pthread_create(&thread[0], NULL, waits, NULL);
		pthread_create(&thread[1], NULL, waits, NULL);
		pthread_create(&thread[2], NULL, exec_in_thread, NULL);
		for (;;)
			pause();
	}
	show_wait("exec by a thread", pid, 0);
	/* the first thread ends, another goes on */
	pid = (pid_t)MUST(fork());
	if (!pid) {
		pthread_t thread;

		pthread_create(&thread, NULL, exec_in_thread, NULL);
		syscall(SYS_exit, 0);
	}
	show_wait("exec by the last thread", pid, 0);
	ROW(unshare(CLONE_FILES));
	ROW(unshare(CLONE_FS));
	ROW(unshare(0));
}

int main(void)
{
	settle();
	starts();
	return 0;
}
