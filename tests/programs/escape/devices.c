/* Devices, terminals, asynchronous signals, core files and what /proc and /sys would let one write. */
#include "attack.h"

#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <termios.h>

static void node(mode_t type, unsigned major_number, unsigned minor_number)
{
	const char *path = in_base("work/node");

	must(mknod(path, type | 0600, makedev(major_number, minor_number)), "mknod");
	judge(open(path, O_RDONLY | O_NONBLOCK), "the node opens");
}

static void node_char(void)
{
	node(S_IFCHR, 1, 5);
}

static void node_block(void)
{
	const char *path = in_base("work/node");

	judge(mknod(path, S_IFBLK | 0600, makedev(7, 0)), "mknod");
}

static void node_by_descriptor(void)
{
	int dir = need(open(in_base("work"), O_PATH | O_DIRECTORY), "open work");

	judge(mknodat(dir, "node", S_IFCHR | 0600, makedev(1, 5)), "mknodat");
}

/* The file type is in the lower half of the register. */
static void node_upper_half(void)
{
	int dir = need(open(in_base("work"), O_PATH | O_DIRECTORY), "open work");

	judge(syscall(SYS_mknodat, dir, "node", 0x100000000ul | S_IFCHR | 0600, makedev(1, 5)), "mknodat");
}

static void open_device(void)
{
	judge(open(argument(0), O_RDONLY | O_NONBLOCK | O_NOCTTY), argument(0));
}

static void open_for_writing(void)
{
	judge(open(argument(0), O_WRONLY | O_NONBLOCK | O_NOCTTY), argument(0));
}

/* Descriptor 0 is the caller's terminal, our controlling one. */
static void terminal_input(void)
{
	/* A key that the shell outside would read as typed. */
	judge(ioctl(0, TIOCSTI, "x"), "TIOCSTI");
}

static void terminal_input_upper_half(void)
{
	judge(syscall(SYS_ioctl, 0, 0x100000000ul | TIOCSTI, "x"), "TIOCSTI");
}

static void terminal_linux(void)
{
	char subcode = 6;

	/* ENOTTY on a terminal that is no console: natively nothing happens either. */
	judge(ioctl(0, TIOCLINUX, &subcode), "TIOCLINUX");
}

static void terminal_discipline(void)
{
	int discipline = 0;

	judge(ioctl(0, TIOCSETD, &discipline), "TIOCSETD");
}

static void terminal_steal(void)
{
	judge(ioctl(0, TIOCSCTTY, 1), "TIOCSCTTY");
}

/*
 * Input on a terminal signals its foreground group, with a signal of the asker's choice and nobody named. The caller's
 * pipeline and the supervisor are in that group: the test looks who died once the input has been read.
 */
static _Noreturn void wait_for_input(void)
{
	char byte;

	/* What was typed before does not count. */
	need(tcflush(0, TCIFLUSH), "tcflush");
	if (read(0, &byte, 1) != 1)
		untried("no input: %s", strerror(errno));
	held("EPERM the test tells");
}

static void terminal_async(void)
{
	signal(SIGUSR1, SIG_IGN);
	fcntl(0, F_SETSIG, SIGUSR1);
	fcntl(0, F_SETFL, O_ASYNC);
	wait_for_input();
}

static void terminal_fioasync(void)
{
	int on = 1;

	signal(SIGUSR1, SIG_IGN);
	fcntl(0, F_SETSIG, SIGUSR1);
	ioctl(0, FIOASYNC, &on);
	wait_for_input();
}

static void terminal_async_owned(void)
{
	signal(SIGUSR1, SIG_IGN);
	fcntl(0, F_SETOWN, -getpgrp());
	fcntl(0, F_SETSIG, SIGUSR1);
	fcntl(0, F_SETFL, O_ASYNC);
	wait_for_input();
}

/* A terminal of one's own, closed: its number is given to the next who asks for one, and that is somebody else. */
static void terminal_reused(void)
{
	unsigned number;
	char path[32];
	int master = must(open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC), "/dev/ptmx");

	need(ioctl(master, TIOCGPTN, &number), "TIOCGPTN");
	snprintf(path, sizeof(path), "/dev/pts/%u", number);
	if (access(path, F_OK))
		untried("%s: %s", path, strerror(errno));
	close(master);
	tell("closed", number);
	await("reused");
	judge_read(open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC), path);
}

static void strange_ioctl(void)
{
	unsigned long request = strtoul(argument(0), NULL, 0);
	static char memory[4096];
	int fd = need(open(argument(1), O_RDONLY), argument(1));

	if (ioctl(fd, request, memory) < 0 && (errno == ENOTTY || errno == EPERM))
		refused(argument(0));
	escaped("%s reached the file system: %s", argument(0), strerror(errno));
}

/* The kernel writes a core file without looking at any grant. ARG 0: the directory it is to be in. */
static void core_file(void)
{
	const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};

	if (setrlimit(RLIMIT_CORE, &all) && errno != EPERM)
		untried("setrlimit: %s", strerror(errno));
	pid_t child = need(fork(), "fork");
	if (!child) {
		if (chdir(argument(0)))
			_exit(9);
		abort();
	}
	int status = reap(child);
	if (WIFSIGNALED(status) && WCOREDUMP(status))
		escaped("a core file was written");
	held("EPERM no core file");
}

static void core_file_limit(void)
{
	const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};

	judge(syscall(SYS_prlimit64, getpid(), RLIMIT_CORE, &all, NULL), "RLIMIT_CORE");
}

/* A directory that the launcher keeps for itself is none of the target's business; neither are /proc's other rooms. */
static void read_proc(void)
{
	judge_read(open(argument(0), O_RDONLY), argument(0));
}

const struct attack attacks[] = {
	{"node-char", node_char},
	{"node-block", node_block},
	{"node-by-descriptor", node_by_descriptor},
	{"node-upper-half", node_upper_half},
	{"open-device", open_device},
	{"open-for-writing", open_for_writing},
	{"terminal-input", terminal_input},
	{"terminal-input-upper-half", terminal_input_upper_half},
	{"terminal-linux", terminal_linux},
	{"terminal-discipline", terminal_discipline},
	{"terminal-steal", terminal_steal},
	{"terminal-async", terminal_async},
	{"terminal-fioasync", terminal_fioasync},
	{"terminal-async-owned", terminal_async_owned},
	{"terminal-reused", terminal_reused},
	{"strange-ioctl", strange_ioctl},
	{"core-file", core_file},
	{"core-file-limit", core_file_limit},
	{"read-proc", read_proc},
	{0},
};
