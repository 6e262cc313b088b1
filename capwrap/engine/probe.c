/* What this kernel and container offer: each thing is tried, not guessed from a version. */
#include "capwrap/engine/internal.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SECCOMP_ADDFD_FLAG_SEND
#define SECCOMP_ADDFD_FLAG_SEND (1UL << 1)
#endif

static int have(long ret)
{
	return ret >= 0 ? 1 : -errno;
}

static int read_int(const char *path, int missing)
{
	FILE *f = fopen(path, "re");
	int v = missing;

	if (f && fscanf(f, "%d", &v) != 1)
		v = missing;
	if (f)
		fclose(f);
	return v;
}

static int probe_openat2(void)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH};
	int dir = open("/", O_PATH | O_CLOEXEC), fd = (int)syscall(SYS_openat2, dir, ".", &how, sizeof(how)),
	    ret = have(fd);

	if (fd >= 0)
		close(fd);
	if (dir >= 0)
		close(dir);
	return ret;
}

static int probe_mseal(void)
{
	void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ret;

	if (page == MAP_FAILED)
		return -errno;
	/* with a flag that does not exist: EINVAL where the call does, and nothing is sealed */
	ret = syscall(462, page, 4096, ~0UL) && errno != EINVAL ? -errno : 1;
	munmap(page, 4096);
	return ret;
}

static int probe_noexec_seal(void)
{
	int fd = memfd_create("capwrap-probe", MFD_CLOEXEC | 8u), ret = have(fd);

	if (fd >= 0)
		close(fd);
	return ret;
}

static int probe_procmap(void)
{
	/* struct procmap_query of linux/fs.h, Linux 6.11: its size and the flags, then results */
	uint64_t q[13] = {sizeof(q), 0x10, 0};
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = have(ioctl(fd, (unsigned long)_IOWR('f', 17, uint64_t[13]), q));
	close(fd);
	return ret;
}

/* A call that exists fails with EBADF or EINVAL for nonsense, one that does not with ENOSYS. */
static int probe_call(long nr)
{
	errno = 0;
	(void)syscall(nr, -1, NULL, 0, 0, NULL, 0);
	return errno == ENOSYS ? -ENOSYS : 1;
}

/* Of a descriptor that the child has from us. */
static int probe_getfd(int pid, int fd)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), got = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0),
	    ret = have(got);

	if (got >= 0)
		close(got);
	if (pidfd >= 0)
		close(pidfd);
	return ret;
}

static void probe_child(struct cw_features *f)
{
	int status, word = 42, got = 0, fd = eventfd(0, EFD_CLOEXEC), self = getpid();
	int pid = (int)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	if (pid < 0) {
		f->ptrace = -errno;
		goto out;
	}
	if (!pid) {
		/* where we are killed before it is traced, nothing else ends it */
		if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) || syscall(SYS_getppid) != self)
			_exit(1);
		for (;;)
			syscall(SYS_pause);
	}
	f->ptrace = ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_EXITKILL) ? -errno : 1;
	if (f->ptrace > 0) {
		struct iovec to = {&got, sizeof(got)}, from = {&word, sizeof(word)};

		f->process_vm =
			process_vm_readv(pid, &to, 1, &from, 1, 0) == (ssize_t)sizeof(got) && got == 42 ? 1 : -errno;
		f->pidfd_getfd = probe_getfd(pid, fd);
	}
	kill(pid, SIGKILL);
	while (waitpid(pid, &status, __WALL) < 0 && errno == EINTR) {
	}
out:
	if (fd >= 0)
		close(fd);
}

static int probe_listener(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {1, &allow};
	struct seccomp_notif_addfd unasked = {.flags = SECCOMP_ADDFD_FLAG_SEND};
	int fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);

	if (fd < 0)
		return -errno;
	/* Nothing waits for an answer: ENOENT, where the flag is known; EINVAL before Linux 5.14. */
	unasked.srcfd = (uint32_t)fd;
	return ioctl(fd, SECCOMP_IOCTL_NOTIF_ADDFD, &unasked) && errno != ENOENT ? -errno : 1;
}

/* What leaves its mark on the process that tries it. */
static void probe_in_child(struct cw_features *f)
{
	int *found = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), status;
	int pid;

	if (found == MAP_FAILED) {
		f->unshare_fs = f->seccomp_user_notif = -errno;
		return;
	}
	found[0] = found[1] = -ECHILD; /* where it dies of the attempt */
	pid = (int)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (!pid) {
		found[0] = have(unshare(CLONE_FS));
		found[1] = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? -errno : probe_listener();
		_exit(0);
	}
	while (pid > 0 && waitpid(pid, &status, __WALL) < 0 && errno == EINTR) {
	}
	f->unshare_fs = pid < 0 ? -EAGAIN : found[0];
	if (f->seccomp_user_notif > 0)
		f->seccomp_user_notif = pid < 0 ? -EAGAIN : found[1];
	munmap(found, 4096);
}

static int status_field(const char *name)
{
	char line[256];
	FILE *f = fopen("/proc/self/status", "re");
	int v = 0;
	size_t n = strlen(name);

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, n) && line[n] == ':')
			v = atoi(line + n + 1);
	if (f)
		fclose(f);
	return v;
}

int cw_landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return abi > 0 ? (int)abi : 0;
}

/* What every run needs to know; the rest of the probes are for doctor. */
int cw_probe_ptrace(void)
{
	struct cw_features f;

	memset(&f, 0, sizeof(f));
	probe_child(&f);
	return f.ptrace;
}

void cw_probe_run(struct cw_features *f)
{
	struct rlimit lim = {0, 0};
	struct seccomp_notif_sizes sizes;
	uint32_t action = SECCOMP_RET_TRACE;

	memset(f, 0, sizeof(*f));
	f->landlock_abi = cw_landlock_abi();
	f->seccomp_trace = !syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action);
	action = SECCOMP_RET_USER_NOTIF;
	f->seccomp_user_notif = !syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) &&
	                        !syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes);
	f->openat2 = probe_openat2();
	f->vdso_gadget = cw_vdso_gadget() >= 0;
	getrlimit(RLIMIT_NOFILE, &lim);
	f->nofile_soft = lim.rlim_cur;
	f->nofile_hard = lim.rlim_max;
}

void cw_probe(struct cw_features *f)
{
	struct utsname u;
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2];

	cw_probe_run(f);
	f->yama_scope = read_int("/proc/sys/kernel/yama/ptrace_scope", -1);
	probe_child(f);
	f->mseal = probe_mseal();
	f->memfd_noexec_seal = probe_noexec_seal();
	f->procmap_query = probe_procmap();
	f->fchmodat2 = probe_call(452);
	probe_in_child(f);
	memset(d, 0, sizeof(d));
	(void)syscall(SYS_capget, &h, d);
	f->cap_sys_ptrace = (int)(d[0].effective >> CAP_SYS_PTRACE & 1);
	f->cap_sys_resource = (int)(d[0].effective >> CAP_SYS_RESOURCE & 1);
	f->no_new_privs = status_field("NoNewPrivs");
	f->seccomp_filters = status_field("Seccomp_filters");
	if (!uname(&u))
		snprintf(f->release, sizeof(f->release), "%.64s", u.release);
}
