/*
 * Processes and signals: wait statuses and what waitid tells, stops and continuations, SIGCHLD, who a signal came from,
 * groups, sessions and orphaned groups, and the ways to start a process.
 */
#include "observe.h"

#include <limits.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/syscall.h>
#include <sys/wait.h>

extern char **environ;

static pid_t parent;

/* Its end, whatever comes meanwhile. */
static void wait_for(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
}

static const char *who(pid_t pid)
{
	return pid == getpid()    ? "oneself"
	       : pid == parent    ? "the first"
	       : pid == getppid() ? "the parent"
	       : pid == 0         ? "nobody"
	                          : "another";
}

static void show_status(const char *label, pid_t got, pid_t child, int status)
{
	if (got < 0)
		say(label, "-1 %s", strerrorname_np(errno));
	else if (got == 0)
		say(label, "0");
	else
		say(label, "%s %04x%s", got == child ? "the child" : "another", (unsigned)status,
		    WIFSIGNALED(status) && WCOREDUMP(status) ? " with a core" : "");
}

static pid_t child_that(int how)
{
	pid_t pid = (pid_t)MUST(fork());

	if (pid)
		return pid;
	switch (how) {
	case 0:
		_exit(0);
	case 1:
		_exit(77);
	case 2:
		exit(0x1234);
	case 3:
		raise(SIGTERM);
		break;
	case 4:
		raise(SIGKILL);
		break;
	case 5:
		abort();
	case 6:
		raise(SIGSEGV);
		break;
	case 7:
		*(volatile int *)8 = 1;
		break;
	case 8:
		__builtin_trap();
	case 9:
		raise(SIGUSR1);
		break;
	case 10:
		raise(SIGRTMAX);
		break;
	case 11:
		syscall(SYS_exit, 5);
		break;
	case 12:
		syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGHUP);
		break;
	case 13:
		alarm(0);
		setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {0, 1000}}, NULL);
		for (;;)
			pause();
	case 14: {
		struct rlimit limit = {0, 0};

		setrlimit(RLIMIT_FSIZE, &limit);
		int fd = open("big", O_CREAT | O_WRONLY, 0600);

		(void)!write(fd, "x", 1);
		_exit(9);
	}
	default:
		break;
	}
	_exit(99);
}

static void statuses(void)
{
	section("wait statuses");
	for (int how = 0; how <= 14; how++) {
		char label[64];
		int status = 0;
		siginfo_t info;

		snprintf(label, sizeof(label), "end %d", how);
		pid_t child = child_that(how);

		memset(&info, 0, sizeof(info));
		result(label, waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT));
		say(label, "code %d status %d signal %d pid %s uid %s", info.si_code, info.si_status, info.si_signo,
		    info.si_pid == child ? "the child" : "another", info.si_uid == getuid() ? "own" : "another's");
		show_status(label, waitpid(child, &status, 0), child, status);
		show_status(label, waitpid(child, &status, 0), child, status);
	}
	unlink("big");
	int status = 0;

	ROW(waitpid(-1, &status, WNOHANG));
	ROW(waitpid(0, &status, WNOHANG));
	ROW(waitpid(1, &status, WNOHANG));
	ROW(waitpid(getpid(), &status, WNOHANG));
	ROW(waitpid(-12345, &status, WNOHANG));
	ROW(waitpid(-1, &status, 0x40000));
	ROW(waitid(P_ALL, 0, NULL, WEXITED | WNOHANG));
	ROW(waitid(P_ALL, 0, NULL, 0));
	ROW(waitid(77, 0, NULL, WEXITED));
	ROW(waitid(P_PIDFD, 0, NULL, WEXITED));
	pid_t child = child_that(1);
	struct rusage usage;

	memset(&usage, 0xff, sizeof(usage));
	show_status("wait4", wait4(child, &status, 0, &usage), child, status);
	say("usage", "%ld %ld %ld", usage.ru_nsignals, usage.ru_nswap, usage.ru_msgsnd);
	child = child_that(1);
	int pidfd = (int)MUST(syscall(SYS_pidfd_open, child, 0));
	siginfo_t info = {0};

	ROW(waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED));
	say("by pidfd", "%d %d", info.si_code, info.si_status);
	ROW(syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0));
	close(pidfd);
	ROW(kill(child, 0));
	ROW(syscall(SYS_pidfd_open, child, 0));
	/* one that has ended, and that nobody has waited for */
	child = child_that(1);
	ROW(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT));
	ROW(kill(child, 0));
	ROW(kill(child, SIGTERM));
	ROW(kill(child, 65));
	ROW(syscall(SYS_tkill, child, SIGTERM));
	ROW(syscall(SYS_tgkill, child, child, SIGTERM));
	ROW(getpgid(child) == getpgrp());
	ROW(getsid(child) == getsid(0));
	ROW(setpgid(child, child));
	ROW(getpgid(child) == child);
	pidfd = (int)ROW(syscall(SYS_pidfd_open, child, 0));
	ROW(fcntl(pidfd, F_GETFD));
	ROW(syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0));
	close(pidfd);
	pidfd = (int)ROW(syscall(SYS_pidfd_open, child, O_NONBLOCK));
	ROW(fcntl(pidfd, F_GETFL));
	close(pidfd);
	/* a pipeline whose first process has ended */
	pid_t second = (pid_t)MUST(fork());

	if (!second)
		for (;;)
			pause();
	ROW(setpgid(second, child));
	ROW(getpgid(second) == child);
	ROW(kill(-child, 0));
	ROW(kill(-child, SIGTERM));
	show_status("the second", waitpid(second, &status, 0), second, status);
	show_status("the first", waitpid(child, &status, 0), child, status);
	ROW(syscall(SYS_pidfd_open, getpid(), 0) > 2);
	ROW(syscall(SYS_pidfd_open, -1, 0));
	/* there is no group of this number negated: kill_something_info and f_setown say so themselves */
	ROW(kill(INT_MIN, 0));
	ROW(kill(INT_MIN, SIGTERM));
	ROW(fcntl(0, F_SETOWN, INT_MIN));
	ROW(syscall(SYS_pidfd_open, getpid(), 0x40));
	close(3);
}

static void stops(void)
{
	int status = 0;
	siginfo_t info = {0};
	int go[2];

	section("stops");
	MUST(pipe(go));
	pid_t child = (pid_t)MUST(fork());

	if (!child) {
		char byte;

		raise(SIGSTOP);
		(void)!read(go[0], &byte, 1);
		raise(SIGTSTP);
		_exit(3);
	}
	show_status("without WUNTRACED", waitpid(child, &status, WNOHANG), child, status);
	show_status("first stop", waitpid(child, &status, WUNTRACED), child, status);
	show_status("told once", waitpid(child, &status, WUNTRACED | WNOHANG), child, status);
	ROW(kill(child, SIGCONT));
	show_status("continued", waitpid(child, &status, WCONTINUED), child, status);
	MUST(write(go[1], "x", 1));
	ROW(waitid(P_PID, (id_t)child, &info, WSTOPPED | WNOWAIT));
	say("second stop", "code %d status %d", info.si_code, info.si_status);
	ROW(waitid(P_PID, (id_t)child, &info, WSTOPPED));
	ROW(kill(child, SIGTERM));
	show_status("a signal to the stopped", waitpid(child, &status, WNOHANG), child, status);
	ROW(kill(child, SIGCONT));
	ROW(waitid(P_PID, (id_t)child, &info, WCONTINUED | WEXITED | WNOWAIT));
	show_status("its end", waitpid(child, &status, 0), child, status);
	close(go[0]), close(go[1]);
	/* stopped from outside, killed while stopped */
	child = (pid_t)MUST(fork());
	if (!child)
		for (;;)
			pause();
	ROW(kill(child, SIGSTOP));
	show_status("stopped", waitpid(child, &status, WUNTRACED), child, status);
	ROW(kill(child, SIGSTOP));
	show_status("stopped again", waitpid(child, &status, WUNTRACED | WNOHANG), child, status);
	ROW(kill(child, SIGCONT));
	show_status("continued", waitpid(child, &status, WCONTINUED), child, status);
	ROW(kill(child, SIGSTOP));
	show_status("stopped", waitpid(child, &status, WUNTRACED), child, status);
	ROW(kill(child, SIGKILL));
	show_status("killed while stopped", waitpid(child, &status, 0), child, status);
}

/* --- SIGCHLD --- */

static volatile int chld_count, chld_code, chld_status, chld_pid;

static void on_chld(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)context;
	chld_count++;
	chld_code = info->si_code;
	chld_status = info->si_status;
	chld_pid = info->si_pid;
}

static void wait_count(int count)
{
	for (int i = 0; i < 2000 && chld_count < count; i++)
		usleep(1000);
}

static void children(void)
{
	struct sigaction act = {.sa_sigaction = on_chld, .sa_flags = SA_SIGINFO | SA_RESTART};
	int status = 0;

	section("SIGCHLD");
	sigaction(SIGCHLD, &act, NULL);
	pid_t child = child_that(1);

	wait_count(1);
	say("an exit", "count %d code %d status %d by %s", chld_count, chld_code, chld_status,
	    chld_pid == child ? "the child" : "another");
	waitpid(child, &status, 0);
	chld_count = 0;
	int go[2];

	MUST(pipe(go));
	child = (pid_t)MUST(fork());
	if (!child) {
		char c;

		raise(SIGSTOP);
		/* an end that came before the handler ran would be one signal with the continuing */
		read(go[0], &c, 1);
		_exit(4);
	}
	wait_count(1);
	say("a stop", "count %d code %d status %d", chld_count, chld_code, chld_status);
	kill(child, SIGCONT);
	wait_count(2);
	say("continued", "count %d code %d status %d", chld_count, chld_code, chld_status);
	MUST(write(go[1], "", 1));
	wait_count(3);
	say("ended", "count %d code %d status %d", chld_count, chld_code, chld_status);
	close(go[0]), close(go[1]);
	waitpid(child, &status, 0);
	act.sa_flags |= SA_NOCLDSTOP;
	sigaction(SIGCHLD, &act, NULL);
	chld_count = 0;
	child = (pid_t)MUST(fork());
	if (!child) {
		raise(SIGSTOP);
		_exit(4);
	}
	waitpid(child, &status, WUNTRACED);
	say("SA_NOCLDSTOP", "count %d", chld_count);
	kill(child, SIGCONT);
	waitpid(child, &status, 0);
	wait_count(1);
	say("its end", "count %d code %d", chld_count, chld_code);
	/* nobody waits */
	act.sa_flags = SA_SIGINFO | SA_NOCLDWAIT;
	sigaction(SIGCHLD, &act, NULL);
	chld_count = 0;
	child = child_that(0);
	show_status("SA_NOCLDWAIT", waitpid(child, &status, 0), child, status);
	wait_count(1);
	say("and the signal", "count %d", chld_count);
	signal(SIGCHLD, SIG_IGN);
	child = child_that(0);
	show_status("ignored", waitpid(child, &status, 0), child, status);
	show_status("ignored, any", waitpid(-1, &status, 0), child, status);
	signal(SIGCHLD, SIG_DFL);
	/* blocked: seen as pending */
	sigset_t set, pending;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	child = child_that(0);
	waitpid(child, &status, 0);
	sigpending(&pending);
	say("blocked", "%s", sigismember(&pending, SIGCHLD) ? "pending" : "not pending");
	child = child_that(1);
	siginfo_t info = {0};

	ROW(sigwaitinfo(&set, &info));
	say("taken", "code %d", info.si_code);
	waitpid(child, &status, 0);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* --- who a signal came from --- */

static siginfo_t got;
static volatile int got_count;

static void on_any(int sig, siginfo_t *info, void *context)
{
	(void)context;
	got = *info;
	got.si_signo = sig;
	got_count++;
}

static void show_got(const char *label)
{
	for (int i = 0; i < 2000 && !got_count; i++)
		usleep(1000);
	say(label, "%d times, signal %d code %d from %s uid %s value %d", got_count, got.si_signo, got.si_code,
	    who(got.si_pid), got.si_uid == getuid() ? "own" : "another's",
	    got.si_code == SI_QUEUE ? got.si_value.sival_int : 0);
	got_count = 0;
}

static void *in_thread(void *arg)
{
	(void)arg;
	syscall(SYS_tgkill, getpid(), getpid(), SIGUSR1);
	return NULL;
}

static void senders(void)
{
	struct sigaction act = {.sa_sigaction = on_any, .sa_flags = SA_SIGINFO};
	int status;
	pthread_t thread;

	section("signals");
	sigaction(SIGUSR1, &act, NULL);
	sigaction(SIGRTMIN, &act, NULL);
	sigaction(SIGSEGV, &act, NULL);
	ROW(kill(getpid(), SIGUSR1));
	show_got("kill of oneself");
	ROW(raise(SIGUSR1));
	show_got("raise");
	ROW(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 42}));
	show_got("sigqueue");
	pthread_create(&thread, NULL, in_thread, NULL);
	pthread_join(thread, NULL);
	show_got("tgkill by a thread");
	pid_t child = (pid_t)MUST(fork());

	if (!child) {
		ROW(kill(parent, SIGUSR1));
		_exit(0);
	}
	wait_for(child);
	say("kill by the child", "%d times, code %d from %s", got_count, got.si_code,
	    got.si_pid == child ? "the child" : "another");
	got_count = 0;
	child = (pid_t)MUST(fork());
	if (!child) {
		siginfo_t info = {.si_signo = SIGRTMIN, .si_code = SI_QUEUE, .si_pid = 4711};

		info.si_value.sival_int = 7;
		ROW(syscall(SYS_rt_sigqueueinfo, parent, SIGRTMIN, &info));
		info.si_code = SI_USER;
		ROW(syscall(SYS_rt_sigqueueinfo, parent, SIGRTMIN, &info));
		_exit(0);
	}
	wait_for(child);
	say("made by the child", "%d times, code %d pid %d", got_count, got.si_code, got.si_pid);
	got_count = 0;
	/* realtime signals queue, others do not */
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < 5; i++) {
		kill(getpid(), SIGUSR1);
		sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i});
	}
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	say("blocked and sent five times", "%d", got_count);
	got_count = 0;
	ROW(kill(getpid(), 0));
	ROW(kill(getpid(), 65));
	ROW(kill(getpid(), -1));
	ROW(kill(0x3fffffff, 0));
	ROW(syscall(SYS_tkill, syscall(SYS_gettid), 0));
	ROW(syscall(SYS_tkill, -1, 0));
	ROW(syscall(SYS_tgkill, getpid(), -1, 0));
	ROW(syscall(SYS_tgkill, -1, getpid(), 0));
	ROW(syscall(SYS_tgkill, getpid(), 0x3fffffff, 0));
	pid_t first = (pid_t)MUST(fork());

	if (!first) {
		setpgid(0, 0);
		for (;;)
			pause();
	}
	setpgid(first, first);
	ROW(kill(-first, 0));
	ROW(killpg(first, SIGTERM));
	show_status("killed by group", waitpid(first, &status, 0), first, status);
	ROW(kill(-first, 0));
	ROW(killpg(1 << 28, SIGUSR1));
	/* an alternate stack, and what a handler may change */
	stack_t alternate = {.ss_sp = malloc(1 << 16), .ss_size = 1 << 16}, old;

	ROW(sigaltstack(&alternate, &old));
	say("before", "flags %d", old.ss_flags);
	ROW(sigaltstack(NULL, &old));
	say("after", "flags %d size %zu", old.ss_flags, old.ss_size);
}

/* --- groups and sessions --- */

static void groups(void)
{
	int status, ends[2];
	char byte;

	section("groups");
	ROW(getpgrp() == getpgid(0));
	ROW(getsid(0) == getsid(getpid()));
	ROW(getpgid(0x3fffffff));
	ROW(getsid(0x3fffffff));
	ROW(getpgid(-1));
	MUST(pipe(ends));
	pid_t child = (pid_t)MUST(fork());

	if (!child) {
		ROW(setpgid(0, 0));
		ROW(getpgrp() == getpid());
		ROW(setpgid(0, getppid()));
		ROW(setpgid(getppid(), 0));
		ROW(setpgid(0, -1));
		ROW(setpgid(0, 0x3fffffff));
		ROW(setsid() == getpid());
		_exit(0);
	}
	wait_for(child);
	child = (pid_t)MUST(fork());
	if (!child) {
		ROW(setsid() == getpid());
		ROW(getsid(0) == getpid());
		ROW(getpgrp() == getpid());
		ROW(setpgid(0, 0));
		ROW(open("/dev/tty", O_RDWR));
		_exit(0);
	}
	wait_for(child);
	/* a child that executed something is not its parent's to move any more */
	child = (pid_t)MUST(fork());
	if (!child) {
		execl("/bin/sleep", "sleep", "100", (char *)NULL);
		_exit(1);
	}
	for (int i = 0; i < 2000; i++) {
		char path[64], name[64] = "";

		snprintf(path, sizeof(path), "/proc/%d/comm", child);
		int fd = open(path, O_RDONLY);

		(void)!read(fd, name, sizeof(name) - 1);
		close(fd);
		if (!strcmp(name, "sleep\n"))
			break;
		usleep(1000);
	}
	ROW(setpgid(child, child));
	kill(child, SIGKILL);
	show_status("and its end", waitpid(child, &status, 0), child, status);

	/*
	 * An orphaned group: what is stopped in it gets SIGHUP and SIGCONT when the one process ends that connected it with
	 * the session.
	 */
	section("an orphaned group");
	child = (pid_t)MUST(fork());
	if (!child) {
		/* the connecting process */
		pid_t grandchild = (pid_t)MUST(fork());

		if (!grandchild) {
			struct sigaction act = {.sa_sigaction = on_any, .sa_flags = SA_SIGINFO};

			setpgid(0, 0);
			sigaction(SIGHUP, &act, NULL);
			sigaction(SIGCONT, &act, NULL);
			raise(SIGSTOP);
			say("after it was orphaned", "%d signals, the last %d", got_count, got.si_signo);
			(void)!write(ends[1], "x", 1);
			_exit(0);
		}
		setpgid(grandchild, grandchild);
		waitpid(grandchild, &status, WUNTRACED);
		_exit(0);
	}
	wait_for(child);
	close(ends[1]);
	ROW(read(ends[0], &byte, 1));
	close(ends[0]);
	/* who adopts an orphan */
	ROW(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
	MUST(pipe(ends));
	child = (pid_t)MUST(fork());
	if (!child) {
		if (!fork()) {
			close(ends[0]);
			for (int i = 0; i < 2000 && getppid() != parent; i++)
				usleep(1000);
			say("adopted by", "%s", getppid() == parent ? "the subreaper" : "another");
			_exit(6);
		}
		_exit(0);
	}
	wait_for(child);
	pid_t orphan = wait(&status);

	say("the orphan's end", "%s %04x", orphan > 0 ? "seen" : "not seen", (unsigned)status);
	prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
	close(ends[0]), close(ends[1]);
	/* the death of a parent */
	MUST(pipe(ends));
	child = (pid_t)MUST(fork());
	if (!child) {
		if (!fork()) {
			struct sigaction act = {.sa_sigaction = on_any, .sa_flags = SA_SIGINFO};

			sigaction(SIGUSR2, &act, NULL);
			prctl(PR_SET_PDEATHSIG, SIGUSR2, 0, 0, 0);
			(void)!write(ends[1], "r", 1);
			for (int i = 0; i < 2000 && !got_count; i++)
				usleep(1000);
			say("the parent's death", "%d times, signal %d", got_count, got.si_signo);
			_exit(0);
		}
		(void)!read(ends[0], &byte, 1);
		_exit(0);
	}
	wait_for(child);
	close(ends[1]);
	(void)!read(ends[0], &byte, 1);
	close(ends[0]);
}

/* --- ways to start --- */

static int shared_value;

static int in_clone(void *arg)
{
	shared_value = 5;
	return (int)(long)arg;
}

static void *exec_in_thread(void *arg)
{
	(void)arg;
	execl("/bin/sh", "sh", "-c", "echo pid $$ | grep -c pid >/dev/null; exit 21", (char *)NULL);
	return NULL;
}

static void *waits(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return NULL;
}

static void starts(void)
{
	int status = 0;
	pid_t pid;

	section("starting");
	char *argv[] = {"sh", "-c", "exit 11", NULL};
	posix_spawnattr_t attr;
	posix_spawn_file_actions_t actions;

	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 9, "file", O_CREAT | O_WRONLY, 0600);
	ROW(posix_spawn(&pid, "/bin/sh", &actions, &attr, argv, environ));
	show_status("posix_spawn", waitpid(pid, &status, 0), pid, status);
	ROW(access("file", F_OK));
	unlink("file");
	ROW(posix_spawn(&pid, "/bin/absent", NULL, NULL, argv, environ));
	ROW(posix_spawnp(&pid, "absent-program", NULL, NULL, argv, environ));
	ROW(posix_spawnp(&pid, "sh", NULL, NULL, argv, environ));
	show_status("posix_spawnp", waitpid(pid, &status, 0), pid, status);
	say("system", "%04x", (unsigned)system("exit 12"));
	say("system of a killed", "%04x", (unsigned)system("kill -9 $$"));
	/* vfork: the child is first, on the parent's memory */
	static volatile int value;

	pid = vfork();
	if (!pid) {
		value = 3;
		_exit(13);
	}
	say("vfork", "the child has set %d", value);
	show_status("vfork", waitpid(pid, &status, 0), pid, status);
	pid = vfork();
	if (!pid) {
		execl("/bin/sh", "sh", "-c", "exit 14", (char *)NULL);
		_exit(1);
	}
	show_status("vfork and exec", waitpid(pid, &status, 0), pid, status);
	char *stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	pid = clone(in_clone, stack + 65536, SIGCHLD, (void *)15L);
	show_status("clone", waitpid(pid, &status, 0), pid, status);
	say("its memory", "%d", shared_value);
	pid = clone(in_clone, stack + 65536, CLONE_VM | SIGCHLD, (void *)16L);
	show_status("clone with CLONE_VM", waitpid(pid, &status, 0), pid, status);
	say("its memory", "%d", shared_value);
	pid = clone(in_clone, stack + 65536, CLONE_VM | CLONE_VFORK | SIGUSR1, (void *)17L);
	show_status("another signal than SIGCHLD", waitpid(pid, &status, WNOHANG), pid, status);
	show_status("and __WALL", waitpid(pid, &status, __WALL), pid, status);
	pid = clone(in_clone, stack + 65536, CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_SIGHAND | SIGCHLD, (void *)18L);
	show_status("clone that shares", waitpid(pid, &status, 0), pid, status);
	int pidfd = -1;

	pid = clone(in_clone, stack + 65536, CLONE_PIDFD | SIGCHLD, (void *)19L, &pidfd);
	say("CLONE_PIDFD", "%s", pidfd >= 0 ? "gives one" : "gives none");
	show_status("CLONE_PIDFD", waitpid(pid, &status, 0), pid, status);
	close(pidfd);
	ROW(clone(in_clone, stack + 65536, CLONE_SIGHAND | SIGCHLD, NULL));
	ROW(clone(in_clone, stack + 65536, CLONE_THREAD | SIGCHLD, NULL));
	pid = clone(in_clone, stack + 65536, CLONE_PARENT | SIGCHLD, (void *)20L);
	say("CLONE_PARENT", "%s", pid > 0 ? "made" : strerrorname_np(errno));
	show_status("is no child of one's own", waitpid(pid, &status, 0), pid, status);
	munmap(stack, 65536);
	/* a thread executes: the process goes on under its number */
	pid = (pid_t)MUST(fork());
	if (!pid) {
		pthread_t thread[3];

		pthread_create(&thread[0], NULL, waits, NULL);
		pthread_create(&thread[1], NULL, waits, NULL);
		pthread_create(&thread[2], NULL, exec_in_thread, NULL);
		for (;;)
			pause();
	}
	show_status("exec by a thread", waitpid(pid, &status, 0), pid, status);
	/* the first thread ends, another goes on */
	pid = (pid_t)MUST(fork());
	if (!pid) {
		pthread_t thread;

		pthread_create(&thread, NULL, exec_in_thread, NULL);
		syscall(SYS_exit, 0);
	}
	show_status("exec by the last thread", waitpid(pid, &status, 0), pid, status);
	ROW(unshare(CLONE_FILES));
	ROW(unshare(CLONE_FS));
	ROW(unshare(0));
}

/* In a session of its own, in a group that is not the leader's and not orphaned, wherever it was started from. */
static void settle(void)
{
	for (int i = 0; i < 2; i++) {
		pid_t child = (pid_t)MUST(fork());
		int status;

		if (child) {
			MUST(waitpid(child, &status, 0));
			exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
		}
		if (i == 0)
			MUST(setsid());
		else
			MUST(setpgid(0, 0));
	}
}

int main(void)
{
	settle();
	parent = getpid();
	statuses();
	stops();
	children();
	senders();
	groups();
	starts();
	return 0;
}
