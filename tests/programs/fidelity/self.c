/*
 * What a program is told of itself: /proc/self, the auxiliary vector and its arguments, names, limits, timers; and what of it
 * an exec keeps. It executes itself, from a second thread too.
 */
#include "observe.h"

#include <dirent.h>
#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

static char text[65536];

static ssize_t slurp(const char *path)
{
	int fd = open(path, O_RDONLY);
	ssize_t n = 0, got = -1;

	while (fd >= 0 && (got = read(fd, text + n, sizeof(text) - 1 - (size_t)n)) > 0)
		n += got;
	if (fd >= 0)
		close(fd);
	text[n] = 0;
	return fd < 0 || got < 0 ? -1 : n;
}

static void shown(const char *path)
{
	ssize_t n = slurp(path);

	for (ssize_t i = 0; i < n; i++)
		if (!text[i] || text[i] == '\n')
			text[i] = '|';
	say(path, "%zd %.200s", n, n < 0 ? strerrorname_np(errno) : text);
}

static void link_of(const char *path)
{
	ssize_t n = readlink(path, text, sizeof(text) - 1);

	text[n < 0 ? 0 : n] = 0;
	say(path, "%s", n < 0 ? strerrorname_np(errno) : text);
}

static void status_lines(void)
{
	static const char *const fields[] = {"Name",   "Umask",  "State",       "Ngid",         "Uid",
	                                     "Gid",    "FDSize", "Groups",      "Threads",      "SigQ",
	                                     "SigPnd", "ShdPnd", "SigBlk",      "SigIgn",       "SigCgt",
	                                     "CapInh", "CapAmb", "CoreDumping", "Cpus_allowed", "Mems_allowed"};

	MUST(slurp("/proc/self/status"));
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		char *colon = strchr(line, ':');

		if (!colon)
			continue;
		*colon = 0;
		for (size_t i = 0; i < COUNT(fields); i++)
			if (!strcmp(line, fields[i]) && strcmp(line, "FDSize") && strcmp(line, "SigQ"))
				say(line, "%s", colon + 1);
	}
}

static void stat_fields(void)
{
	int field = 3;

	MUST(slurp("/proc/self/stat"));
	char *p = strrchr(text, ')');

	*p = 0;
	say("stat name", "%s", strchr(text, '('));
	for (p = strtok(p + 2, " "); p; p = strtok(NULL, " "), field++) {
		char label[20];
		/* state, priority, nice, threads, signals, exit signal; all else is numbers of chance */
		bool told = field == 3 || (field >= 18 && field <= 20) || (field >= 31 && field <= 34) || field == 38 ||
		            field == 40 || field == 41 || field == 52;

		snprintf(label, sizeof(label), "stat %d", field);
		if (told)
			say(label, "%s", p);
	}
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static void descriptors(const char *path)
{
	int numbers[64], n = 0;
	DIR *d = opendir(path);
	struct dirent *e;
	char line[300] = "";

	while (d && (e = readdir(d)) && n < 64)
		if (e->d_name[0] != '.')
			numbers[n++] = atoi(e->d_name);
	if (d)
		closedir(d);
	qsort(numbers, (size_t)n, sizeof(numbers[0]), by_number);
	for (int i = 0; i < n; i++)
		snprintf(line + strlen(line), sizeof(line) - strlen(line), " %d", numbers[i]);
	say(path, "%s", d ? line : strerrorname_np(errno));
}

static void maps(void)
{
	char seen[4096] = "";

	MUST(slurp("/proc/self/maps"));
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		char *path = strchr(line, '/');

		if (!path || strstr(seen, path) || strlen(seen) + strlen(path) + 2 > sizeof(seen))
			continue;
		strcat(strcat(seen, path), " ");
	}
	say("mapped files", "%s", seen);
}

static int object(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size, (void)arg;
	say("loaded", "%s", info->dlpi_name);
	return 0;
}

static void limits(void)
{
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		struct rlimit l;
		char label[20];

		/* no core files at all, and of the descriptors as many as can be had: what is left depends on the caller's */
		if (i == RLIMIT_CORE || i == RLIMIT_NOFILE)
			continue;
		MUST(getrlimit((enum __rlimit_resource)i, &l));
		snprintf(label, sizeof(label), "limit %d", i);
		say(label, "%lx %lx", (unsigned long)l.rlim_cur, (unsigned long)l.rlim_max);
	}
	/* of the descriptors, /proc and getrlimit have to say the same */
	struct rlimit l;
	unsigned long soft = 0;

	MUST(getrlimit(RLIMIT_NOFILE, &l));
	MUST(slurp("/proc/self/limits"));
	char *at = strstr(text, "Max open files");

	if (at)
		(void)sscanf(at + 14, "%lu", &soft);
	say("limits in /proc", "%s", soft == l.rlim_cur ? "the same" : "others");
}

static void vector(char **argv)
{
	static const unsigned long told[] = {AT_PAGESZ, AT_CLKTCK, AT_FLAGS,      AT_UID,   AT_EUID,
	                                     AT_GID,    AT_EGID,   AT_SECURE,     AT_HWCAP, AT_HWCAP2,
	                                     AT_PHENT,  AT_PHNUM,  AT_MINSIGSTKSZ};

	for (size_t i = 0; i < COUNT(told); i++) {
		char label[20];

		snprintf(label, sizeof(label), "auxv %lu", told[i]);
		say(label, "%lx", getauxval(told[i]));
	}
	say("AT_EXECFN", "%s", (const char *)getauxval(AT_EXECFN));
	say("AT_PLATFORM", "%s", (const char *)getauxval(AT_PLATFORM));
	say("vdso", "%s", getauxval(AT_SYSINFO_EHDR) ? "is there" : "is not there");
	say("random", "%s", getauxval(AT_RANDOM) ? "is there" : "is not there");
	for (int i = 0; argv[i]; i++)
		say("argument", "%s", argv[i]);
}

static void show(char **argv)
{
	char name[17] = "";
	struct itimerval timer;
	sigset_t set;
	timer_t id = 0;
	int signal_ = 0;

	vector(argv);
	shown("/proc/self/comm");
	shown("/proc/self/cmdline");
	shown("/proc/thread-self/comm");
	shown("/proc/self/oom_score_adj");
	shown("/proc/self/personality");
	shown("/proc/self/coredump_filter");
	shown("/proc/self/environ-absent");
	link_of("/proc/self/exe");
	link_of("/proc/self/cwd");
	link_of("/proc/self/root");
	descriptors("/proc/self/fd");
	descriptors("/proc/self/fdinfo");
	status_lines();
	stat_fields();
	maps();
	dl_iterate_phdr(object, NULL);
	limits();
	ROW(prctl(PR_GET_NAME, name, 0, 0, 0));
	say("name", "%s", name);
	ROW(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
	ROW(prctl(PR_GET_PDEATHSIG, &signal_, 0, 0, 0));
	ROW(prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0));
	ROW(prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0));
	ROW(prctl(PR_GET_CHILD_SUBREAPER, &signal_, 0, 0, 0));
	ROW(getitimer(ITIMER_REAL, &timer));
	say("timer", "%s", timer.it_value.tv_sec > 500 ? "runs" : "does not run");
	ROW(timer_gettime(id, &(struct itimerspec){0}));
	ROW(sigprocmask(SIG_SETMASK, NULL, &set));
	say("blocked", "%d", sigismember(&set, SIGUSR2));
	ROW(sigpending(&set));
	say("pending", "%d", sigismember(&set, SIGUSR2));
	struct sigaction act;

	ROW(sigaction(SIGUSR1, NULL, &act));
	say("USR1", "%s", act.sa_handler == SIG_IGN ? "ignored" : act.sa_handler == SIG_DFL ? "default" : "caught");
	ROW(sigaction(SIGHUP, NULL, &act));
	say("HUP", "%s", act.sa_handler == SIG_IGN ? "ignored" : act.sa_handler == SIG_DFL ? "default" : "caught");
	ROW(getpriority(PRIO_PROCESS, 0));
	say("threads", "%s", syscall(SYS_gettid) == getpid() ? "the leader" : "another");
}

static void clocks(void)
{
	static const clockid_t all[] = {
		CLOCK_REALTIME,          CLOCK_MONOTONIC,       CLOCK_BOOTTIME, CLOCK_PROCESS_CPUTIME_ID,
		CLOCK_THREAD_CPUTIME_ID, CLOCK_REALTIME_COARSE, CLOCK_TAI,      77};
	struct timespec t;

	section("clocks");
	for (size_t i = 0; i < COUNT(all); i++) {
		char label[20];

		snprintf(label, sizeof(label), "clock %d", all[i]);
		errno = 0;
		result(label, clock_gettime(all[i], &t));
		errno = 0;
		result(label, clock_getres(all[i], &t));
		say(label, "%ld.%09ld", (long)t.tv_sec, t.tv_nsec);
	}
	ROW(clock_settime(CLOCK_MONOTONIC, &t));
	ROW(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &t, NULL));
	ROW(nanosleep(&(struct timespec){0, 1000000000}, NULL));
	ROW(alarm(100));
	ROW(alarm(0));
}

static void die(int limit, int sig)
{
	struct rlimit l = {(rlim_t)limit, (rlim_t)limit};
	int status;
	pid_t pid = (pid_t)MUST(fork());

	if (!pid) {
		(void)setrlimit(RLIMIT_CORE, &l);
		raise(sig);
		_exit(1);
	}
	MUST(waitpid(pid, &status, 0));
	say("ended by a signal", "%d core limit %d: %04x", sig, limit, (unsigned)status & ~0x80u);
}

static void caught(int sig)
{
	(void)sig;
}

static void *from_thread(void *arg)
{
	char *argv[] = {"another name", "last", "with  spaces", "", NULL};

	(void)arg;
	execv("/proc/self/exe", argv);
	result("exec", -1);
	_exit(5);
}

int main(int argc, char **argv)
{
	pthread_t thread;

	if (argc == 1) {
		section("at first");
		show(argv);
		clocks();
		section("ends");
		die(0, SIGSEGV);
		die(0, SIGTERM);
		die(1, SIGABRT);
		struct itimerval timer = {{0, 0}, {1000, 0}};
		struct sigevent event = {.sigev_notify = SIGEV_NONE};
		timer_t id;
		sigset_t set;

		section("before an exec");
		umask(027);
		ROW(prctl(PR_SET_NAME, "renamed", 0, 0, 0));
		shown("/proc/self/comm");
		ROW(setitimer(ITIMER_REAL, &timer, NULL));
		ROW(timer_create(CLOCK_MONOTONIC, &event, &id));
		sigemptyset(&set);
		sigaddset(&set, SIGUSR2);
		ROW(sigprocmask(SIG_BLOCK, &set, NULL));
		ROW(raise(SIGUSR2));
		signal(SIGUSR1, SIG_IGN);
		signal(SIGHUP, caught);
		ROW(fcntl(1, F_DUPFD, 10));
		ROW(fcntl(1, F_DUPFD_CLOEXEC, 11));
		ROW(nice(3));
		ROW(prctl(PR_SET_PDEATHSIG, SIGUSR1, 0, 0, 0));
		ROW(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
		ROW(prctl(PR_SET_TIMERSLACK, 12345, 0, 0, 0));
		execv("./self", (char *[]){"renamed argument", "second", NULL});
		result("exec", -1);
		return 1;
	}
	section(argv[1]);
	show(argv);
	if (!strcmp(argv[1], "second")) {
		MUST(pthread_create(&thread, NULL, from_thread, NULL) ? -1 : 0);
		pthread_join(thread, NULL);
	}
	return 0;
}
