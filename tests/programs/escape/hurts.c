/* The capability descriptors: closing, replacing and uncovering them by their numbers. */
#include "capabilities.h"

static void do_close(void)
{
	prepare();
	for (int fd = 3; fd < LAST; fd++)
		if (!close(fd))
			escaped("close(%d)", fd);
	judge_intact("close");
}

static void do_close_upper_half(void)
{
	prepare();
	for (int fd = 3; fd < LAST; fd++)
		if (!syscall(SYS_close, 0x100000000ul | (unsigned)fd))
			escaped("close(0x1%08x)", fd);
	judge_intact("close");
}

static void do_close_range(void)
{
	prepare();
	syscall(SYS_close_range, 3, ~0u, 0);
	judge_intact("close_range");
}

static void do_close_range_inner(void)
{
	prepare();
	for (unsigned fd = 3; fd < LAST; fd++)
		syscall(SYS_close_range, fd, fd, 0);
	judge_intact("close_range of one");
}

static void do_close_range_unshare(void)
{
	prepare();
	syscall(SYS_close_range, 3, ~0u, 2);
	judge_intact("close_range UNSHARE");
}

static void after_exec(void)
{
	if (!has_argument(0))
		judge_intact("exec");
	if (fcntl(STANDIN, F_GETFD) < 0)
		escaped("it did not survive the exec");
	held("intact exec");
}

static void do_cloexec_range(void)
{
	prepare();
	syscall(SYS_close_range, 3, ~0u, 4);
	again();
}

static void do_setfd(void)
{
	prepare();
	for (int fd = 3; fd < LAST; fd++)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	again();
}

static void do_ioctl_cloexec(void)
{
	prepare();
	for (int fd = 3; fd < LAST; fd++)
		syscall(SYS_ioctl, fd, 0x5451 /* FIOCLEX */);
	again();
}

static void replace(int (*duplicate)(int from, int to), const char *what)
{
	static char landed[LAST];
	struct rlimit limit;

	prepare();
	need(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	for (int fd = 3; fd < LAST; fd++)
		if (duplicate(0, fd) == fd)
			landed[fd] = 1;
	for (int fd = 3; fd < LAST; fd++)
		if (landed[fd])
			close(fd);
	judge_intact(what);
}

static int by_dup3(int from, int to)
{
	return dup3(from, to, O_CLOEXEC);
}

static int by_dup2_upper_half(int from, int to)
{
	return (int)syscall(SYS_dup2, from, 0x100000000ul | (unsigned)to);
}

static void do_dup2(void)
{
	replace(dup2, "dup2");
}

static void do_dup3(void)
{
	replace(by_dup3, "dup3");
}

static void do_dup2_upper_half(void)
{
	replace(by_dup2_upper_half, "dup2, upper half");
}

/* Fills the table: no number at or above the limit that is shown may ever be given out. */
static void do_fill(void)
{
	struct rlimit limit;

	prepare();
	need(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
	for (int least = 3; least < LAST; least += 61) {
		int fd;
		while ((fd = fcntl(0, F_DUPFD, least)) >= 0)
			if (standing_in() ? fd > STANDIN : fd >= (int)limit.rlim_cur)
				escaped("F_DUPFD landed on %d", fd);
	}
	syscall(SYS_close_range, 3, ~0u, 0);
	judge_intact("F_DUPFD");
}

/* What F_DUPFD put between the capabilities would be taken for one of them. */
static void do_land(void)
{
	const struct how how = {.flags = O_RDONLY};

	prepare();
	for (int least = LAST - 1; least > 3; least--) {
		int fd = fcntl(0, F_DUPFD, least);
		if (fd < 0)
			continue;
		int file = (int)syscall(SYS_openat2, fd, "file", &how, sizeof(how));
		if (file >= 0)
			judge_read(file, "openat2 from a descriptor that landed among them");
		close(fd);
	}
	judge_intact("F_DUPFD");
}

const struct attack attacks[] = {
	{"close", do_close},
	{"close-upper-half", do_close_upper_half},
	{"close-range", do_close_range},
	{"close-range-inner", do_close_range_inner},
	{"close-range-unshare", do_close_range_unshare},
	{"cloexec-range", do_cloexec_range},
	{"setfd", do_setfd},
	{"fioclex", do_ioctl_cloexec},
	{"after-exec", after_exec},
	{"dup2", do_dup2},
	{"dup3", do_dup3},
	{"dup2-upper-half", do_dup2_upper_half},
	{"fill", do_fill},
	{"land", do_land},
	{0},
};
