/* Reaching processes outside the target: the victim, the supervisor, the caller's group. */
#include "attack.h"

#include <dirent.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

static void proc_of_victim(void)
{
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/%s", victim(), argument(0));
	judge(lstat(path, &st), path);
}

static void path_through_victim(void)
{
	char path[512];

	snprintf(path, sizeof(path), "/proc/%d/%s%s/secret/file", victim(), argument(0),
	         strcmp(argument(0), "cwd") ? in_base("") : "");
	judge_read(open(path, O_RDONLY), path);
}

static void proc_lists_victim(void)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;

	if (!dir)
		refused("/proc");
	while ((entry = readdir(dir)))
		if (atoi(entry->d_name) == victim())
			escaped("/proc lists %d", victim());
	held("ENOENT /proc does not list it");
}

static void do_kill(void)
{
	judge(kill(victim(), SIGKILL), "kill");
}

static void do_kill_probe(void)
{
	judge(kill(victim(), 0), "kill 0");
}

static void do_kill_upper_half(void)
{
	judge(syscall(SYS_kill, 0x500000000ul | (unsigned)victim(), SIGKILL), "kill");
}

static void do_kill_group(void)
{
	judge(kill(-victim(), SIGKILL), "kill group");
}

static void do_kill_init(void)
{
	judge(kill(1, 0), "kill 1");
}

static void do_tkill(void)
{
	judge(syscall(SYS_tkill, victim(), SIGKILL), "tkill");
}

static void do_tgkill(void)
{
	judge(syscall(SYS_tgkill, victim(), victim(), SIGKILL), "tgkill");
}

static void do_sigqueue(void)
{
	siginfo_t info = {.si_signo = SIGTERM, .si_code = SI_QUEUE};

	judge(syscall(SYS_rt_sigqueueinfo, victim(), SIGTERM, &info), "rt_sigqueueinfo");
}

static void do_tgsigqueue(void)
{
	siginfo_t info = {.si_signo = SIGTERM, .si_code = SI_QUEUE};

	judge(syscall(SYS_rt_tgsigqueueinfo, victim(), victim(), SIGTERM, &info), "rt_tgsigqueueinfo");
}

static void do_pidfd_open(void)
{
	int fd = must(syscall(SYS_pidfd_open, victim(), 0), "pidfd_open");

	judge(syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0), "pidfd_send_signal");
}

static void do_pidfd_from_proc(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d", victim());
	int fd = must(open(path, O_RDONLY | O_DIRECTORY), path);
	judge(syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0), "pidfd_send_signal");
}

static void do_getpgid(void)
{
	judge(getpgid(victim()), "getpgid");
}

static void do_getsid(void)
{
	judge(getsid(victim()), "getsid");
}

static void do_robust_list(void)
{
	void *head;
	size_t len;

	judge(syscall(SYS_get_robust_list, victim(), &head, &len), "get_robust_list");
}

static void do_migrate_pages(void)
{
	unsigned long node = 1;

	judge(syscall(SYS_migrate_pages, victim(), 2, &node, &node), "migrate_pages");
}

static void do_move_pages(void)
{
	judge(syscall(SYS_move_pages, victim(), 0, NULL, NULL, NULL, 0), "move_pages");
}

static void do_process_mrelease(void)
{
	int fd = must(syscall(SYS_pidfd_open, victim(), 0), "pidfd_open");

	/* EINVAL: it is not dying, but it was reached. */
	if (syscall(448, fd, 0) < 0 && errno != EINVAL)
		refused("process_mrelease");
	escaped("process_mrelease reached it");
}

static void do_setown(void)
{
	int pipes[2];

	need(pipe(pipes), "pipe");
	must(fcntl(pipes[0], F_SETOWN, victim()), "F_SETOWN");
	if (fcntl(pipes[0], F_GETOWN) != victim())
		held("ESRCH the owner is somebody else");
	must(fcntl(pipes[0], F_SETSIG, SIGKILL), "F_SETSIG");
	must(fcntl(pipes[0], F_SETFL, O_ASYNC | O_NONBLOCK), "O_ASYNC");
	judge(write(pipes[1], "x", 1), "write");
}

static void do_setown_ex(void)
{
	const struct {
		int type;
		pid_t pid;
	} owner = {1, victim()};
	int pipes[2];

	need(pipe(pipes), "pipe");
	judge(fcntl(pipes[0], F_SETOWN_EX, &owner), "F_SETOWN_EX");
}

static void do_setown_group(void)
{
	int pipes[2];

	need(pipe(pipes), "pipe");
	judge(fcntl(pipes[0], F_SETOWN, -victim()), "F_SETOWN");
}

static void do_siocspgrp(void)
{
	int pair[2], pid = victim();

	need(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
	judge(ioctl(pair[0], 0x8902, &pid), "SIOCSPGRP");
}

static void do_fiosetown(void)
{
	int pair[2], pid = victim();

	need(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
	judge(ioctl(pair[0], 0x8901, &pid), "FIOSETOWN");
}

static void do_ptrace_attach(void)
{
	judge(ptrace(PTRACE_SEIZE, victim(), 0, 0), "PTRACE_SEIZE");
}

static void do_readv(void)
{
	char byte;
	struct iovec local = {&byte, 1}, remote = {(void *)0x400000, 1};

	/* EFAULT: reached, but nothing is mapped there. */
	if (process_vm_readv(victim(), &local, 1, &remote, 1, 0) < 0 && errno != EFAULT)
		refused("process_vm_readv");
	escaped("process_vm_readv reached it");
}

static void do_kcmp(void)
{
	judge(syscall(SYS_kcmp, victim(), getpid(), 1, 0, 0), "kcmp");
}

/* SIGUSR1 to every process that can be reached. The test runs this in a pid namespace, with a victim that dies of it. */
static void everybody(void)
{
	signal(SIGUSR1, SIG_IGN);
	judge(kill(-1, SIGUSR1), "kill -1");
}

static void own_group(void)
{
	signal(SIGUSR1, SIG_IGN);
	judge(kill(0, SIGUSR1), "kill 0");
}

static void own_group_by_number(void)
{
	signal(SIGUSR1, SIG_IGN);
	judge(kill(-getpgrp(), SIGUSR1), "kill -pgrp");
}

static void parent(void)
{
	judge(kill(getppid(), SIGKILL), "kill parent");
}

const struct attack attacks[] = {
	{"proc-of-victim", proc_of_victim},
	{"path-through-victim", path_through_victim},
	{"proc-lists-victim", proc_lists_victim},
	{"kill", do_kill},
	{"kill-probe", do_kill_probe},
	{"kill-upper-half", do_kill_upper_half},
	{"kill-group", do_kill_group},
	{"kill-init", do_kill_init},
	{"tkill", do_tkill},
	{"tgkill", do_tgkill},
	{"sigqueue", do_sigqueue},
	{"tgsigqueue", do_tgsigqueue},
	{"pidfd-open", do_pidfd_open},
	{"pidfd-from-proc", do_pidfd_from_proc},
	{"getpgid", do_getpgid},
	{"getsid", do_getsid},
	{"robust-list", do_robust_list},
	{"migrate-pages", do_migrate_pages},
	{"move-pages", do_move_pages},
	{"process-mrelease", do_process_mrelease},
	{"setown", do_setown},
	{"setown-ex", do_setown_ex},
	{"setown-group", do_setown_group},
	{"siocspgrp", do_siocspgrp},
	{"fiosetown", do_fiosetown},
	{"ptrace", do_ptrace_attach},
	{"readv", do_readv},
	{"kcmp", do_kcmp},
	{"everybody", everybody},
	{"own-group", own_group},
	{"own-group-by-number", own_group_by_number},
	{"parent", parent},
	{0},
};
