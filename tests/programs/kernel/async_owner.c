/* O_ASYNC on a terminal makes its foreground group the owner of the signals, without any F_SETOWN (rule 14). */
#include "fact.h"

#include <sys/ioctl.h>
#include <termios.h>

static int pipes[2];

/* Of a group of its own, in the background: input signals the leader in the foreground, by the signal of its choice. */
static void outsider(void)
{
	need(setpgid(0, 0), "setpgid");
	int tty = (int)need(open("/dev/tty", O_RDWR | O_CLOEXEC), "/dev/tty");
	need(fcntl(tty, F_SETSIG, SIGUSR1), "F_SETSIG");
	need(fcntl(tty, F_SETFL, O_ASYNC), "F_SETFL");
	int owner = fcntl(tty, F_GETOWN);
	claim(owner == -getppid(), "the owner is %d, the foreground %d", owner, getppid());
	need(write(pipes[1], "x", 1), "write");
	pause();
}

static void leader(const char *name)
{
	struct timespec limit = {.tv_sec = 20};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	need(sigprocmask(SIG_BLOCK, &set, NULL), "sigprocmask");
	need(setsid(), "setsid");
	int tty = (int)need(open(name, O_RDWR), name);
	need(ioctl(tty, TIOCSCTTY, 0), "TIOCSCTTY");
	pid_t child = (pid_t)need(fork(), "fork");
	if (!child)
		outsider();
	claim(sigtimedwait(&set, NULL, &limit) == SIGUSR1, "no signal came");
	kill(child, SIGKILL);
	_exit(0);
}

int main(void)
{
	int master = (int)need(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), "posix_openpt");
	char byte;

	need(grantpt(master), "grantpt");
	need(unlockpt(master), "unlockpt");
	need(pipe2(pipes, O_CLOEXEC), "pipe2");
	pid_t child = (pid_t)need(fork(), "fork");
	if (!child)
		leader(ptsname(master));
	close(pipes[1]);
	if (read(pipes[0], &byte, 1) == 1)
		need(write(master, "\n", 1), "write");
	join(child);
	return 0;
}
