/* Descriptors: the lowest free number, duplicates and their flags, ranges, limits, and what /proc lists of them. */
#include "observe.h"

#include <dirent.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* What /proc lists, and what is open: without the one that the listing itself takes. */
static void open_now(const char *label)
{
	char text[2000] = "", proc[2000] = "", name[16];
	int numbers[100];
	size_t count = 0;

	for (int fd = 0; fd < 300; fd++)
		if (fcntl(fd, F_GETFD) >= 0) {
			snprintf(name, sizeof(name), " %d", fd);
			strcat(text, name);
		}
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.' && count < COUNT(numbers))
			numbers[count++] = atoi(e->d_name);
	if (d)
		closedir(d);
	qsort(numbers, count, sizeof(numbers[0]), by_number);
	for (size_t i = 0; i < count; i++) {
		snprintf(name, sizeof(name), " %d", numbers[i]);
		strcat(proc, name);
	}
	say(label, "%s, /proc%s", text, proc);
}

static void lowest(void)
{
	int fds[12], ends[2];

	section("the lowest number");
	open_now("at first");
	for (size_t i = 0; i < COUNT(fds); i++)
		fds[i] = (int)ROW(open("file", O_RDONLY));
	close(fds[3]), close(fds[7]), close(fds[1]);
	open_now("with holes");
	ROW(open("file", O_RDONLY));
	ROW(open("../absent/..", O_RDONLY));
	ROW(dup(0));
	close(fds[1]);
	ROW(open(".", O_RDONLY | O_DIRECTORY));
	close(fds[1]);
	ROW(open("/dev/null", O_RDWR));
	close(fds[1]);
	ROW(open("/proc/self/stat", O_RDONLY));
	close(fds[1]);
	ROW(open("/proc/self/fd", O_RDONLY));
	close(fds[1]);
	ROW(open("/", O_RDONLY));
	close(fds[1]);
	ROW(socket(AF_UNIX, SOCK_STREAM, 0));
	close(fds[1]);
	ROW(epoll_create1(0));
	close(fds[1]);
	ROW(memfd_create("m", 0));
	close(fds[1]);
	ROW(eventfd(0, 0));
	close(fds[1]);
	ROW(timerfd_create(CLOCK_MONOTONIC, 0));
	close(fds[1]);
	ROW(inotify_init1(0));
	close(fds[1]);
	sigset_t set;

	sigemptyset(&set);
	ROW(signalfd(-1, &set, 0));
	close(fds[1]);
	ROW(syscall(SYS_pidfd_open, getpid(), 0));
	close(fds[1]);
	ROW(fcntl(0, F_DUPFD, 0));
	close(fds[1]);
	ROW(fcntl(0, F_DUPFD, 200));
	ROW(fcntl(0, F_DUPFD_CLOEXEC, 200));
	ROW(fcntl(0, F_DUPFD, -1));
	ROW(fcntl(0, F_DUPFD, 1 << 30));
	ROW(pipe(ends));
	say("pipe", "%d %d", ends[0], ends[1]);
	close(ends[0]), close(ends[1]);
	open_now("at last");
	for (int fd = 3; fd < 300; fd++)
		close(fd);
	open_now("all closed");
	ROW(close(3));
	ROW(close(-1));
	ROW(close(1 << 20));
	ROW(open("file", O_RDONLY));
	close(3);
	/* without 0 and 1, they are the lowest */
	int keep = dup(1), status;
	pid_t pid = (pid_t)MUST(fork());

	if (!pid) {
		close(0);
		int got = open("file", O_RDONLY);

		close(1);
		int next = open("file", O_RDONLY);

		dup2(keep, 1);
		say("without 0 and 1", "%d %d", got, next);
		_exit(0);
	}
	MUST(waitpid(pid, &status, 0));
	close(keep);
}

static void duplicates(void)
{
	int fd = (int)MUST(open("file", O_RDWR | O_APPEND | O_CLOEXEC));

	section("duplicates");
	ROW(dup2(fd, fd));
	ROW(dup2(fd, 20));
	ROW(fcntl(20, F_GETFD));
	ROW(dup2(99, 21));
	ROW(dup2(99, 99));
	ROW(dup2(fd, -1));
	ROW(dup2(fd, 1 << 29));
	ROW(dup3(fd, fd, 0));
	ROW(dup3(fd, 21, O_CLOEXEC));
	ROW(fcntl(21, F_GETFD));
	ROW(dup3(fd, 22, O_NONBLOCK));
	ROW(fcntl(fd, F_GETFL));
	ROW(fcntl(20, F_SETFL, O_NONBLOCK));
	ROW(fcntl(fd, F_GETFL));
	ROW(fcntl(fd, F_SETFL, O_RDONLY | O_CREAT | O_TRUNC | O_DIRECT));
	ROW(fcntl(fd, F_GETFL));
	ROW(fcntl(fd, F_SETFL, O_APPEND | O_NOATIME));
	ROW(fcntl(fd, F_SETFD, 0));
	ROW(fcntl(fd, F_GETFD));
	ROW(fcntl(fd, F_SETFD, 0xff));
	ROW(fcntl(fd, F_GETFD));
	ROW(fcntl(99, F_GETFD));
	ROW(fcntl(fd, 9999));
	ROW(fcntl(fd, F_GETOWN));
	ROW(fcntl(fd, F_GETSIG));
	ROW(fcntl(fd, F_GETPIPE_SZ));
	ROW(fcntl(fd, F_GET_SEALS));
	ROW(ioctl(fd, FIONCLEX));
	ROW(fcntl(fd, F_GETFD));
	ROW(ioctl(fd, FIOCLEX));
	ROW(fcntl(fd, F_GETFD));
	ROW(lseek(20, 2, SEEK_SET));
	ROW(lseek(fd, 0, SEEK_CUR));
	int again = open("/proc/self/fd/20", O_RDONLY);

	say("opened anew", "%d offset %ld flags %o", again, (long)lseek(again, 0, SEEK_CUR),
	    (unsigned)fcntl(again, F_GETFL));
	close(again);
	close(fd), close(20), close(21);

	section("ranges");
	for (int i = 3; i < 20; i++)
		MUST(dup2(0, i));
	ROW(syscall(SYS_close_range, 10, 12, 0));
	open_now("10 to 12 closed");
	ROW(syscall(SYS_close_range, 5, 6, CLOSE_RANGE_CLOEXEC));
	ROW(fcntl(5, F_GETFD));
	ROW(fcntl(4, F_GETFD));
	ROW(syscall(SYS_close_range, 8, 7, 0));
	ROW(syscall(SYS_close_range, 8, 9, 64));
	ROW(syscall(SYS_close_range, 15, ~0u, CLOSE_RANGE_CLOEXEC));
	ROW(fcntl(16, F_GETFD));
	ROW(syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_UNSHARE));
	open_now("all closed");
	ROW(syscall(SYS_close_range, 100000, ~0u, 0));
	for (int i = 3; i < 6; i++)
		MUST(dup2(0, i));
	closefrom(4);
	open_now("closefrom 4");
	close(3);
}

static void limits(void)
{
	struct rlimit limit;
	int fds[300], count = 0;

	section("limits");
	MUST(getrlimit(RLIMIT_NOFILE, &limit));
	struct rlimit was = limit;

	say("the limit", "%ld %ld", (long)limit.rlim_cur, (long)limit.rlim_max);
	say("sysconf", "%ld", sysconf(_SC_OPEN_MAX));
	ROW(dup2(0, (int)limit.rlim_cur));
	ROW(dup2(0, (int)limit.rlim_cur - 1));
	close((int)limit.rlim_cur - 1);
	ROW(fcntl(0, F_DUPFD, (int)limit.rlim_cur));
	ROW(fcntl(0, F_DUPFD, (int)limit.rlim_cur - 1));
	close((int)limit.rlim_cur - 1);
	limit.rlim_cur = 30;
	ROW(setrlimit(RLIMIT_NOFILE, &limit));
	MUST(getrlimit(RLIMIT_NOFILE, &limit));
	say("lowered", "%ld %ld", (long)limit.rlim_cur, (long)limit.rlim_max);
	while (count < (int)COUNT(fds) && (fds[count] = open("file", O_RDONLY)) >= 0)
		count++;
	say("opened until", "%d %s", count, strerrorname_np(errno));
	ROW(open("file", O_RDONLY));
	ROW(open("/proc/self/stat", O_RDONLY));
	ROW(open("/dev/null", O_RDONLY));
	ROW(open(".", O_RDONLY));
	ROW(open("new", O_CREAT | O_WRONLY, 0600));
	ROW(access("new", F_OK));
	unlink("new");
	ROW(socket(AF_UNIX, SOCK_STREAM, 0));
	ROW(dup(0));
	ROW(dup2(0, 30));
	ROW(dup2(0, 29));
	ROW(fcntl(0, F_DUPFD, 0));
	struct stat st;

	ROW(stat("file", &st));
	ROW(chdir("."));
	ROW(access("/proc/self/fd", R_OK));
	while (count--)
		close(fds[count]);
	limit.rlim_cur = 5000;
	limit.rlim_max = was.rlim_max;
	ROW(setrlimit(RLIMIT_NOFILE, &limit));
	ROW(dup2(0, 4999));
	ROW(dup2(0, 4500));
	ROW(fcntl(0, F_DUPFD, 4600));
	ROW(fcntl(4999, F_GETFD));
	close(4999), close(4500), close(4600);
	/* as valgrind does, to keep its own descriptors away from its client's */
	limit.rlim_cur = was.rlim_cur + 12;
	ROW(setrlimit(RLIMIT_NOFILE, &limit));
	int reserved = fcntl(0, F_DUPFD, (int)was.rlim_cur), next = fcntl(0, F_DUPFD_CLOEXEC, (int)was.rlim_cur);

	say("F_DUPFD above the former limit", "%d", reserved >= (int)was.rlim_cur);
	say("and again", "%d %d", next == reserved + 1, fcntl(next, F_GETFD));
	close(reserved), close(next);
	ROW(fcntl(0, F_DUPFD, (int)limit.rlim_cur));
	ROW(fcntl(99, F_DUPFD, (int)was.rlim_cur));
	ROW(fcntl(99, F_DUPFD, (int)limit.rlim_cur));
	limit.rlim_cur = limit.rlim_max + 1;
	ROW(setrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = 0;
	ROW(setrlimit(RLIMIT_NOFILE, &limit));
	ROW(open("file", O_RDONLY));
	ROW(stat("file", &st));
	ROW(access("file", R_OK));
	ROW(setrlimit(RLIMIT_NOFILE, &was));
	ROW(open("file", O_RDONLY));
	close(3);
}

static void inherited(void)
{
	int status;

	section("inherited by a child");
	MUST(dup2((int)MUST(open("file", O_RDONLY)), 10));
	close(3);
	MUST(fcntl(10, F_SETFD, 0));
	MUST(dup3(10, 11, O_CLOEXEC));
	pid_t pid = (pid_t)MUST(fork());

	if (!pid) {
		execl("./fds", "fds", "child", (char *)NULL);
		_exit(127);
	}
	MUST(waitpid(pid, &status, 0));
	close(10), close(11);
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1) {
		open_now("an executed program");
		return 0;
	}
	write_file("file", "0123456789", 0644);
	lowest();
	duplicates();
	limits();
	inherited();
	return 0;
}
