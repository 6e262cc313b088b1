/* Signals, and whom they reach: who one came from, groups, sessions, orphaned groups and orphans. */
#include "processes.h"

#include <pthread.h>
#include <sys/prctl.h>

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
	show_wait("killed by group", first, 0);
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
	show_wait("and its end", child, 0);

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

int main(void)
{
	settle();
	parent = getpid();
	senders();
	groups();
	return 0;
}
