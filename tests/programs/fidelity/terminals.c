/* A terminal of one's own: pairs, the controlling one, foreground and background, stops, hang-ups, sizes and modes. */
#include "processes.h"

#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>

static volatile sig_atomic_t seen[65];

static void note(int sig)
{
	seen[sig] = 1;
}

static void handle(int sig, void (*handler)(int))
{
	MUST(sigaction(sig, &(struct sigaction){.sa_handler = handler}, NULL));
}

static void show_signals(const char *label)
{
	static const int asked[] = {SIGHUP, SIGINT, SIGQUIT, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH, SIGIO};
	char text[256] = "";

	for (size_t i = 0; i < COUNT(asked); i++)
		if (seen[asked[i]]) {
			strcat(strcat(text, " "), sigabbrev_np(asked[i]));
			seen[asked[i]] = 0;
		}
	put(label, text);
}

/* What has come, or "nothing" after a time in which it would have. */
static void show_input(const char *label, int fd)
{
	char text[256];
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (poll(&p, 1, 5000) < 1) {
		put(label, "nothing");
		return;
	}
	ssize_t n = read(fd, text, sizeof(text) - 1);
	char shown[1024] = "", *at = shown;

	if (n < 0) {
		say(label, "-1 %s", strerrorname_np(errno));
		return;
	}
	for (ssize_t i = 0; i < n; i++)
		at += sprintf(at, text[i] < ' ' ? "\\x%02x" : "%c", text[i]);
	say(label, "%zd %s", n, shown);
}

/* The name of a terminal without its number, which depends on what else there is. */
static const char *kind_of(const char *name)
{
	if (!name)
		return strerrorname_np(errno);
	return !strncmp(name, "/dev/pts/", 9) && name[9] >= '0' && name[9] <= '9' ? "/dev/pts/N" : name;
}

static void modes(int fd)
{
	struct termios t;
	struct winsize w = {0};

	if (tcgetattr(fd, &t))
		say("modes", "%s", strerrorname_np(errno));
	else
		say("modes", "%o %o %o %o %d %d", t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag, t.c_cc[VINTR],
		    t.c_cc[VMIN]);
	ROW(ioctl(fd, TIOCGWINSZ, &w));
	say("size", "%d %d", w.ws_row, w.ws_col);
}

static int openpt(int *slave)
{
	int master = (int)ROW(posix_openpt(O_RDWR | O_NOCTTY));
	struct stat st;

	ROW(grantpt(master));
	ROW(unlockpt(master));
	const char *name = ptsname(master);

	say("ptsname", "%s", kind_of(name));
	*slave = (int)ROW(open(name, O_RDWR | O_NOCTTY));
	ROW(fstat(*slave, &st));
	say("slave", "mode %o of %s", st.st_mode, st.st_uid == getuid() ? "its user" : "another");
	say("ttyname", "%s", kind_of(ttyname(*slave)));
	say("ttyname of the master", "%s", kind_of(ttyname(master)));
	ROW(isatty(*slave));
	ROW(isatty(master));
	return master;
}

static void without(void)
{
	section("without one");
	ROW(open("/dev/tty", O_RDWR));
	ROW(tcgetpgrp(0) == -1);
	ROW(tcgetsid(0) == -1);
	say("ctermid", "%s", ctermid(NULL));
	ROW(ioctl(1, TIOCNOTTY));
}

static void pairs(int master, int slave)
{
	int n = 0;

	section("a pair");
	modes(slave);
	ROW(tcgetsid(slave));
	ROW(tcgetpgrp(slave));
	ROW(write(master, "typed\n", 6));
	show_input("the line", slave);
	show_input("its echo", master);
	ROW(write(slave, "said\n", 5));
	show_input("what was said", master);
	ROW(ioctl(master, TIOCSWINSZ, &(struct winsize){30, 100, 0, 0}));
	modes(slave);
	struct termios raw;

	ROW(tcgetattr(slave, &raw));
	cfmakeraw(&raw);
	ROW(tcsetattr(slave, TCSANOW, &raw));
	modes(slave);
	ROW(write(master, "\x03x", 2));
	show_input("raw", slave);
	raw.c_lflag |= ICANON | ISIG;
	raw.c_cc[VINTR] = 3;
	raw.c_cc[VEOF] = 4;
	ROW(tcsetattr(slave, TCSADRAIN, &raw));
	ROW(tcflush(slave, TCIFLUSH));
	ROW(write(master, "kept\x04", 5));
	MUST(poll(&(struct pollfd){.fd = slave, .events = POLLIN}, 1, 5000));
	ROW(ioctl(slave, FIONREAD, &n));
	say("to read", "%d", n);
	show_input("canonical", slave);
	ROW(tcflow(slave, TCOOFF));
	ROW(tcflow(slave, TCOON));
	ROW(tcdrain(slave));
	ROW(tcsendbreak(slave, 0));
	ROW(ioctl(master, TIOCPKT, &(int){1}));
	ROW(ioctl(slave, TIOCEXCL));
	ROW(ioctl(slave, TIOCNXCL));
	ROW(ioctl(master, TIOCGPTN, &n));
	int peer = (int)ROW(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY));

	say("the peer", "%s", kind_of(ttyname(peer)));
	close(peer);
	ROW(ioctl(slave, TIOCGSERIAL, &n));
	ROW(ioctl(slave, 0x5499, &n));
}

/* A child of a session with a terminal, in a group of its own; what it did comes through a pipe of wait statuses. */
static pid_t in_a_group(int slave, void (*body)(int slave))
{
	int go[2];
	char byte;

	MUST(pipe(go));
	pid_t child = (pid_t)MUST(fork());

	if (!child) {
		close(go[1]);
		(void)!read(go[0], &byte, 1);
		body(slave);
		_exit(0);
	}
	MUST(setpgid(child, child));
	close(go[0]);
	close(go[1]);
	return child;
}

static void reads(int slave)
{
	char text[64];

	_exit(read(slave, text, sizeof(text)) > 0 ? 21 : errno);
}

static void writes(int slave)
{
	_exit(write(slave, "from behind\n", 12) == 12 ? 22 : errno);
}

static void sets(int slave)
{
	struct termios t;

	(void)tcgetattr(slave, &t);
	_exit(tcsetattr(slave, TCSANOW, &t) ? errno : 23);
}

static void takes(int slave)
{
	_exit(tcsetpgrp(slave, getpgrp()) ? errno : 24);
}

static void takes_blocked(int slave)
{
	handle(SIGTTOU, SIG_IGN);
	_exit(tcsetpgrp(slave, getpgrp()) ? errno : 25);
}

static void reads_ignoring(int slave)
{
	char byte;

	handle(SIGTTIN, SIG_IGN);
	_exit(read(slave, &byte, 1) < 0 && errno == EIO ? 26 : 27);
}

static void interrupted(int slave)
{
	char byte;

	handle(SIGINT, note);
	/* else it may be stopped for reading in the background */
	while (tcgetpgrp(slave) != getpgrp())
		usleep(1000);
	_exit(read(slave, &byte, 1) < 0 && errno == EINTR && seen[SIGINT] ? 28 : 29);
}

/* What a background job did: it stops, is brought to the foreground, and goes on. */
static void background(const char *label, int slave, void (*body)(int))
{
	pid_t child = in_a_group(slave, body);

	section(label);
	show_wait("at first", child, WUNTRACED);
	if (kill(child, 0))
		return;
	ROW(tcsetpgrp(slave, child));
	ROW(tcgetpgrp(slave) == child);
	ROW(kill(-child, SIGCONT));
	show_wait("in the foreground", child, WUNTRACED);
	handle(SIGTTOU, SIG_IGN);
	ROW(tcsetpgrp(slave, getpgrp()));
	handle(SIGTTOU, SIG_DFL);
}

static _Noreturn void in_a_session(int master, int slave)
{
	int other;
	char byte;

	section("a session");
	ROW(setsid() == getpid());
	ROW(open("/dev/tty", O_RDWR));
	ROW(ioctl(slave, TIOCSCTTY, 0));
	ROW(ioctl(slave, TIOCSCTTY, 0));
	ROW(tcgetsid(slave) == getpid());
	ROW(tcgetpgrp(slave) == getpid());
	int own = (int)ROW(open("/dev/tty", O_RDWR));

	say("ttyname", "%s", kind_of(ttyname(own)));
	ROW(tcgetpgrp(own) == getpid());
	ROW(tcsetpgrp(own, getppid()));
	ROW(tcsetpgrp(own, 99999999));
	handle(SIGWINCH, note);
	ROW(ioctl(master, TIOCSWINSZ, &(struct winsize){40, 90, 0, 0}));
	show_signals("a new size");
	handle(SIGINT, note);
	handle(SIGQUIT, note);
	handle(SIGTSTP, note);
	struct termios t;

	MUST(tcgetattr(slave, &t));
	t.c_lflag |= ISIG | ICANON;
	t.c_cc[VINTR] = 3;
	t.c_cc[VQUIT] = 28;
	t.c_cc[VSUSP] = 26;
	ROW(tcsetattr(slave, TCSANOW, &t));
	ROW(write(master, "\x03\x1c\x1a", 3));
	/* what is typed is read in by a worker of the kernel's */
	for (int i = 0; i < 5000 && !(seen[SIGINT] && seen[SIGQUIT] && seen[SIGTSTP]); i++)
		usleep(1000);
	show_signals("typed");
	handle(SIGTSTP, SIG_DFL);
	ROW(write(master, "given\n", 6));
	background("a background reader", slave, reads);
	background("a background writer", slave, writes);
	t.c_lflag |= TOSTOP;
	MUST(tcsetattr(slave, TCSANOW, &t));
	background("a background writer that is stopped", slave, writes);
	background("who sets modes", slave, sets);
	background("who takes the terminal", slave, takes);
	background("who takes it and ignores the signal", slave, takes_blocked);
	background("who reads and ignores the signal", slave, reads_ignoring);
	section("in the foreground");
	pid_t child = in_a_group(slave, interrupted);

	handle(SIGTTOU, SIG_IGN);
	ROW(tcsetpgrp(slave, child));
	/* typed again until it was read in: the child may not wait yet */
	int status = 0;

	while (waitpid(child, &status, WNOHANG) == 0) {
		MUST(write(master, "\x03", 1));
		usleep(1000);
	}
	show_status("interrupted", child, child, status);
	ROW(tcsetpgrp(slave, getpgrp()));
	section("a second one");
	ROW(openpty(&other, &status, NULL, NULL, NULL));
	ROW(ioctl(status, TIOCSCTTY, 0));
	ROW(ioctl(status, TIOCSCTTY, 1));
	close(status);
	close(other);
	section("the end");
	handle(SIGHUP, note);
	handle(SIGCONT, note);
	ROW(close(master));
	show_signals("nobody holds the master here");
	ROW(read(slave, &byte, 0));
	ROW(ioctl(slave, TIOCNOTTY));
	show_signals("given up");
	ROW(open("/dev/tty", O_RDWR));
	_exit(7);
}

static void hangup(void)
{
	int master, slave;
	char byte;

	section("a hang-up");
	MUST(openpty(&master, &slave, NULL, NULL, NULL));
	pid_t child = (pid_t)MUST(fork());

	if (!child) {
		MUST(close(master));
		MUST(setsid());
		MUST(ioctl(slave, TIOCSCTTY, 0));
		/* lets the other side go, which ends the session's leader by SIGHUP */
		MUST(write(slave, "r", 1));
		for (;;)
			pause();
	}
	close(slave);
	MUST(read(master, &byte, 1));
	ROW(close(master));
	show_wait("the leader", child, 0);
	MUST(openpty(&master, &slave, NULL, NULL, NULL));
	ROW(close(master));
	ROW(read(slave, &byte, 1));
	ROW(write(slave, "x", 1));
	ROW(tcgetsid(slave));
	close(slave);
	MUST(openpty(&master, &slave, NULL, NULL, NULL));
	ROW(close(slave));
	ROW(read(master, &byte, 1));
	close(master);
}

int main(void)
{
	int slave, status;

	settle();
	pid_t child = (pid_t)MUST(fork());

	if (child) {
		MUST(waitpid(child, &status, 0));
		section("");
		say("the session's leader", "%04x", (unsigned)status);
		return 0;
	}
	MUST(setsid());
	without();
	section("how a pair is made");
	int master = openpt(&slave);

	pairs(master, slave);
	hangup();
	child = (pid_t)MUST(fork());
	if (!child)
		in_a_session(master, slave);
	MUST(waitpid(child, &status, 0));
	section("");
	say("the leader of the session with a terminal", "%04x", (unsigned)status);
	return 0;
}
