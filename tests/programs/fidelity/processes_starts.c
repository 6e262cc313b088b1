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
	int status = 0;
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
	show_status("posix_spawn", waitpid(pid, &status, 0), pid, status);
	ROW(access("file", F_OK));
	unlink("file");
	ROW(posix_spawn(&pid, "/bin/absent", NULL, NULL, argv, environ));
	ROW(posix_spawnp(&pid, "absent-program", NULL, NULL, argv, environ));
	ROW(posix_spawnp(&pid, "sh", NULL, NULL, argv, environ));
	show_status("posix_spawnp", waitpid(pid, &status, 0), pid, status);
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
	show_status("vfork", waitpid(pid, &status, 0), pid, status);
	pid = vfork();
	if (!pid) {
		execl("/bin/sh", "sh", "-c", "exit 14", (char *)NULL);
		_exit(1);
	}
	show_status("vfork and exec", waitpid(pid, &status, 0), pid, status);
	char *stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	pid = clone(in_clone, stack + 65536, SIGCHLD, (void *)15L);
	show_status("clone", waitpid(pid, &status, 0), pid, status);
	say("its memory", "%d", shared_value);
	pid = clone(in_clone, stack + 65536, CLONE_VM | SIGCHLD, (void *)16L);
	show_status("clone with CLONE_VM", waitpid(pid, &status, 0), pid, status);
	say("its memory", "%d", shared_value);
	pid = clone(in_clone, stack + 65536, CLONE_VM | CLONE_VFORK | SIGUSR1, (void *)17L);
	show_status("another signal than SIGCHLD", waitpid(pid, &status, WNOHANG), pid, status);
	show_status("and __WALL", waitpid(pid, &status, __WALL), pid, status);
	pid = clone(in_clone, stack + 65536, CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_SIGHAND | SIGCHLD, (void *)18L);
	show_status("clone that shares", waitpid(pid, &status, 0), pid, status);
	int pidfd = -1;

	pid = clone(in_clone, stack + 65536, CLONE_PIDFD | SIGCHLD, (void *)19L, &pidfd);
	say("CLONE_PIDFD", "%s", pidfd >= 0 ? "gives one" : "gives none");
	show_status("CLONE_PIDFD", waitpid(pid, &status, 0), pid, status);
	close(pidfd);
	ROW(clone(in_clone, stack + 65536, CLONE_SIGHAND | SIGCHLD, NULL));
	ROW(clone(in_clone, stack + 65536, CLONE_THREAD | SIGCHLD, NULL));
	pid = clone(in_clone, stack + 65536, CLONE_PARENT | SIGCHLD, (void *)20L);
	say("CLONE_PARENT", "%s", pid > 0 ? "made" : strerrorname_np(errno));
	show_status("is no child of one's own", waitpid(pid, &status, 0), pid, status);
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
	show_status("exec by a thread", waitpid(pid, &status, 0), pid, status);
	/* the first thread ends, another goes on */
	pid = (pid_t)MUST(fork());
	if (!pid) {
		pthread_t thread;

		pthread_create(&thread, NULL, exec_in_thread, NULL);
		syscall(SYS_exit, 0);
	}
	show_status("exec by the last thread", waitpid(pid, &status, 0), pid, status);
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
