/*
 * What a tracer could change of a program without refusing it anything: who waits at a FIFO that is executed, the registers
 * and the memory of a call that makes a child nobody is to trace, numbers that are no calls.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void nothing(int sig)
{
	(void)sig;
}

/* Until a thread sleeps in an open of a FIFO: wait_for_partner in fs/fifo.c. */
static void await_open(int pid, int tid)
{
	char path[64], text[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", pid, tid);
	for (;;) {
		int fd = open(path, O_RDONLY);
		ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

		close(fd);
		text[n > 0 ? n : 0] = 0;
		if (!strncmp(text, "257 ", 4)) /* openat */
			return;
		usleep(1000);
	}
}

static void fifo(void)
{
	struct sigaction sa = {.sa_handler = nothing};
	char *argv[] = {"fifo", NULL};
	int status;

	sigaction(SIGUSR1, &sa, NULL);
	mkfifo("fifo", 0777);
	chmod("fifo", 0777);
	pid_t writer = fork();

	if (!writer)
		_exit(open("fifo", O_WRONLY) < 0 ? errno : 0);
	await_open(writer, writer);
	int ret = execve("fifo", argv, environ);

	printf("execve of a FIFO\t%d %s\n", ret, strerrorname_np(errno));
	kill(writer, SIGUSR1);
	waitpid(writer, &status, 0);
	printf("who waits at its other end\t%s\n", strerrorname_np(WEXITSTATUS(status)));
}

/* clone as it stands, since glibc keeps no register: what the first argument is behind it. */
static long clone_keeping(unsigned long flags, unsigned long *after)
{
	register long r10 __asm__("r10") = 0;
	register long r8 __asm__("r8") = 0;
	long ret;

	*after = flags;
	__asm__ volatile("syscall"
	                 : "=a"(ret), "+D"(*after)
	                 : "0"(SYS_clone), "S"(0L), "d"(0L), "r"(r10), "r"(r8)
	                 : "rcx", "r11", "memory");
	return ret;
}

/* A child that opens something, as its parent sees it end. */
static _Noreturn void child(const char *what, unsigned long long flags)
{
	printf("%s, in the child\t%llx %s\n", what, flags, open("/", O_RDONLY) < 0 ? strerrorname_np(errno) : "opened");
	fflush(stdout);
	_exit(7);
}

static void untraced(void)
{
	unsigned long after;
	int status = 0;
	long pid = clone_keeping(CLONE_UNTRACED | SIGCHLD, &after);

	if (!pid)
		child("clone", after);
	waitpid((pid_t)pid, &status, 0);
	printf("clone, in the parent\t%lx %x\n", after, status);
	fflush(stdout);

	struct clone_args args = {.flags = CLONE_UNTRACED, .exit_signal = SIGCHLD};

	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (!pid)
		child("clone3", args.flags);
	if (pid > 0)
		waitpid((pid_t)pid, &status, 0);
	printf("clone3, in the parent\t%llx %x %s\n", (unsigned long long)args.flags, status,
	       pid < 0 ? strerrorname_np(errno) : "made");
}

static void numbers(void)
{
	static const long number[] = {405, 1000, 0xffff, 0x10001, -1};

	for (size_t i = 0; i < sizeof(number) / sizeof(number[0]); i++)
		printf("call %ld\t%ld %s\n", number[i], syscall(number[i]), strerrorname_np(errno));
}

static void *execute(void *leader)
{
	char *argv[] = {"echo", "executed", NULL};

	await_open(getpid(), *(const int *)leader);
	execv("/bin/echo", argv);
	return NULL;
}

static void by_thread(void)
{
	pthread_t thread;
	int leader = gettid();

	mkfifo("fifo", 0600);
	pthread_create(&thread, NULL, execute, &leader);
	(void)!open("fifo", O_RDONLY);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} runs[] = {{"fifo", fifo}, {"untraced", untraced}, {"numbers", numbers}, {"thread", by_thread}};

	setvbuf(stdout, NULL, _IOFBF, 4096);
	alarm(60);
	for (size_t i = 0; argc == 2 && i < sizeof(runs) / sizeof(runs[0]); i++)
		if (!strcmp(argv[1], runs[i].name))
			runs[i].run();
	return 0;
}
