/*
 * A process with a filter that kills for openat2 makes siblings of its own (CLONE_PARENT), each of which opens a file. Says how
 * they ended.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIBLINGS = 100 };

int main(void)
{
	int status, ended = 0, killed = 0, failed = 0;
	pid_t child = fork();

	if (!child) {
		struct sock_filter code[] = {
			BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
			BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 437, 0, 1), /* openat2 */
			BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
			BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		};
		struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
			_exit(2);
		for (int i = 0; i < SIBLINGS; i++)
			if (!syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0))
				_exit(open("/usr/bin/env", O_RDONLY | O_CLOEXEC) < 0);
		_exit(0);
	}
	while (wait(&status) > 0) {
		ended++;
		killed += WIFSIGNALED(status);
		failed += WIFEXITED(status) && WEXITSTATUS(status);
	}
	printf("%d ended, %d killed, %d failed\n", ended, killed, failed);
	return 0;
}
