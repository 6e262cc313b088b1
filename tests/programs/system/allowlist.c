/* A program that puts itself behind a filter which kills for every number that is not on its list, and then looks about. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PASS(nr) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static struct sock_filter list[] = {
	/* as natively, the accumulator is zero at first */
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	PASS(SYS_read),
	PASS(SYS_write),
	PASS(SYS_openat),
	PASS(SYS_close),
	PASS(SYS_newfstatat),
	PASS(SYS_readlink),
	PASS(SYS_access),
	PASS(SYS_chdir),
	PASS(SYS_getcwd),
	PASS(SYS_mkdir),
	PASS(SYS_unlink),
	PASS(SYS_execve),
	PASS(SYS_exit_group),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
};

static int install(int by)
{
	struct sock_fprog p = {sizeof(list) / sizeof(list[0]), list};

	return by ? (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &p)
	          : prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p);
}

static void say(const char *what, long ret)
{
	char line[128];
	int n = snprintf(line, sizeof(line), "%s: %ld %s\n", what, ret < 0 ? ret : ret > 0,
	                 ret < 0 ? strerrorname_np(errno) : "");

	(void)!syscall(SYS_write, 1, line, n);
}

static void look_about(void)
{
	char *const argv[] = {"absent", NULL};
	char text[64];
	struct stat st;
	int fd = (int)syscall(SYS_openat, AT_FDCWD, "box/file", O_RDONLY, 0);

	say("open", fd);
	say("read", read(fd, text, sizeof(text)));
	say("fstat", syscall(SYS_newfstatat, fd, "", &st, AT_EMPTY_PATH));
	say("fstat of a pipe", syscall(SYS_newfstatat, 0, "", &st, AT_EMPTY_PATH));
	say("stat", syscall(SYS_newfstatat, AT_FDCWD, "box/file", &st, 0));
	say("open what is absent", syscall(SYS_openat, AT_FDCWD, "box/absent", O_RDONLY, 0));
	say("create", syscall(SYS_openat, AT_FDCWD, "box/new", O_RDWR | O_CREAT | O_EXCL, 0600));
	say("unlink", syscall(SYS_unlink, "box/new"));
	say("readlink", syscall(SYS_readlink, "box/link", text, sizeof(text)));
	say("access", syscall(SYS_access, "box/file", R_OK));
	say("mkdir", syscall(SYS_mkdir, "box/dir", 0700));
	say("chdir", syscall(SYS_chdir, "box/dir"));
	say("getcwd", syscall(SYS_getcwd, text, sizeof(text)));
	say("execve of what is absent", execve("absent", argv, NULL));
}

int main(void)
{
	int status;

	setvbuf(stdout, NULL, _IONBF, 0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	for (int by = 0; by < 2; by++) {
		if (!fork()) {
			say("filter", install(by));
			look_about();
			_exit(0);
		}
		wait(&status);
		printf("ended with %#x\n", status);
		rmdir("box/dir");
		if (!fork()) {
			say("filter", install(by));
			syscall(SYS_getppid); /* not on the list */
			_exit(0);
		}
		wait(&status);
		printf("ended with %#x\n", status);
	}
	say("no filter", syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, 8));
	struct sock_fprog none = {0, list}, long_one = {5000, list}, nowhere = {3, (void *)8};

	say("an empty filter", syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &none));
	say("a long filter", syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &long_one));
	say("a filter that is not there", syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &nowhere));
	return 0;
}
