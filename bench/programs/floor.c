/*
 * floor COMMAND [ARG]...: what stopping costs on this machine, and nothing else. COMMAND and all that it starts run
 * traced; a seccomp program says RET_TRACE for every call on a name, and the tracer waits and resumes. It reads no
 * memory, no registers, and decides nothing, so no supervisor that stops these calls once can be cheaper.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The calls that stop. getppid is here for the loop that measures a stop alone: nobody else calls it often. */
static const unsigned stopped[] = {
	SYS_openat,     SYS_open,     SYS_stat,       SYS_lstat, SYS_newfstatat, SYS_statx,   SYS_access, SYS_faccessat,
	SYS_faccessat2, SYS_readlink, SYS_readlinkat, SYS_mkdir, SYS_mkdirat,    SYS_rmdir,   SYS_unlink, SYS_unlinkat,
	SYS_rename,     SYS_renameat, SYS_renameat2,  SYS_chdir, SYS_execve,     SYS_getppid,
};
enum {
	N_STOPPED = sizeof(stopped) / sizeof(stopped[0]),
	OPTIONS = PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
	          PTRACE_O_TRACECLONE,
};

static int fail(const char *what)
{
	fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
	return 125;
}

static int filter(void)
{
	struct sock_filter code[N_STOPPED + 6];
	unsigned short n = 0;

	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (unsigned i = 0; i < N_STOPPED; i++)
		code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, stopped[i],
		                                         (unsigned char)(N_STOPPED - i), 0);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
	struct sock_fprog program = {.len = n, .filter = code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

/* The child: its end of the pipe is close-on-exec, so COMMAND inherits what it would inherit without us. */
static void run_traced(int go, char **argv)
{
	char byte;

	/* the tracer has seized us when it writes */
	if (read(go, &byte, 1) != 1 || filter())
		_exit(fail("the seccomp program"));
	execvp(argv[0], argv);
	_exit(fail(argv[0]));
}

/* What to resume a stopped thread with: the signal that it was to get, if it was one. */
static int signal_of(int status)
{
	return status >> 16 ? 0 : WSTOPSIG(status);
}

static int is_group_stop(int status)
{
	return status >> 16 == PTRACE_EVENT_STOP && WSTOPSIG(status) != SIGTRAP;
}

int main(int argc, char **argv)
{
	int go[2], status;

	if (argc < 2) {
		fprintf(stderr, "usage: floor COMMAND [ARG]...\n");
		return 2;
	}
	if (pipe2(go, O_CLOEXEC))
		return fail("pipe");
	pid_t command = fork(), pid;

	if (command < 0)
		return fail("fork");
	if (command == 0) {
		close(go[1]);
		run_traced(go[0], argv + 1);
	}
	if (ptrace(PTRACE_SEIZE, command, NULL, (void *)(long)OPTIONS) || write(go[1], "", 1) != 1)
		return fail("ptrace");
	close(go[0]);
	close(go[1]);
	while ((pid = waitpid(-1, &status, __WALL)) > 0) {
		if (WIFSTOPPED(status))
			(void)ptrace(is_group_stop(status) ? PTRACE_LISTEN : PTRACE_CONT, pid, NULL,
			             (void *)(long)signal_of(status));
		else if (pid == command)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	}
	return fail("waitpid");
}
