/* Children: wait statuses and what waitid tells, stops and continuations, SIGCHLD. */
#include "processes.h"

#include <limits.h>
#include <sys/resource.h>
#include <sys/time.h>

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
		siginfo_t info;

		snprintf(label, sizeof(label), "end %d", how);
		pid_t child = child_that(how);

		memset(&info, 0, sizeof(info));
		result(label, waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT));
		say(label, "code %d status %d signal %d pid %s uid %s", info.si_code, info.si_status, info.si_signo,
		    info.si_pid == child ? "the child" : "another", info.si_uid == getuid() ? "own" : "another's");
		show_wait(label, child, 0);
		show_wait(label, child, 0);
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
	pid_t got = wait4(child, &status, 0, &usage);

	show_status("wait4", got, child, status);
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
	show_wait("the second", second, 0);
	show_wait("the first", child, 0);
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
	show_wait("without WUNTRACED", child, WNOHANG);
	show_wait("first stop", child, WUNTRACED);
	show_wait("told once", child, WUNTRACED | WNOHANG);
	ROW(kill(child, SIGCONT));
	show_wait("continued", child, WCONTINUED);
	MUST(write(go[1], "x", 1));
	ROW(waitid(P_PID, (id_t)child, &info, WSTOPPED | WNOWAIT));
	say("second stop", "code %d status %d", info.si_code, info.si_status);
	ROW(waitid(P_PID, (id_t)child, &info, WSTOPPED));
	ROW(kill(child, SIGTERM));
	show_wait("a signal to the stopped", child, WNOHANG);
	ROW(kill(child, SIGCONT));
	ROW(waitid(P_PID, (id_t)child, &info, WCONTINUED | WEXITED | WNOWAIT));
	show_wait("its end", child, 0);
	close(go[0]), close(go[1]);
	/* stopped from outside, killed while stopped */
	child = (pid_t)MUST(fork());
	if (!child)
		for (;;)
			pause();
	ROW(kill(child, SIGSTOP));
	show_wait("stopped", child, WUNTRACED);
	ROW(kill(child, SIGSTOP));
	show_wait("stopped again", child, WUNTRACED | WNOHANG);
	ROW(kill(child, SIGCONT));
	show_wait("continued", child, WCONTINUED);
	ROW(kill(child, SIGSTOP));
	show_wait("stopped", child, WUNTRACED);
	ROW(kill(child, SIGKILL));
	show_wait("killed while stopped", child, 0);
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
	show_wait("SA_NOCLDWAIT", child, 0);
	wait_count(1);
	say("and the signal", "count %d", chld_count);
	signal(SIGCHLD, SIG_IGN);
	child = child_that(0);
	show_wait("ignored", child, 0);
	ROW(waitpid(-1, &status, 0));
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

int main(void)
{
	settle();
	statuses();
	stops();
	children();
	return 0;
}
