/*
 * Calls that wait, and what comes to one meanwhile: a signal that is caught, with and without SA_RESTART, that is ignored,
 * whose handler does not return, and a stop. One process waits in the call, its parent sees it asleep, interrupts it, and
 * lets the call succeed in the end.
 */
#include "observe.h"

#include <limits.h>
#include <linux/futex.h>
#include <linux/openat2.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#define TIMES 3

static volatile struct shared {
	int entered, ended, handled;
	int futex;
	int beside; /* another thread, that does nothing */
} * shared;
static int pipe_[2], full[2], pair[2], listener, queue, semaphores, lock_fd, epoll_fd;
static mqd_t mq, mq_full;
static pid_t sleeper;
static sigjmp_buf out;
static char bytes[65536];
static struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "listening"};
static struct message {
	long type;
	char text[4];
} message = {1, "abc"};

static void enter(void)
{
	shared->entered = 1;
}

/* --- what waits, and what lets it go --- */

static long open_reader(void)
{
	return open("fifo", O_RDONLY) < 0 ? -1 : 0;
}

static long open_writer(void)
{
	return open("fifo", O_WRONLY) < 0 ? -1 : 0;
}

static long open_by_link(void)
{
	return open("d/../d/link", O_RDONLY | O_CLOEXEC) < 0 ? -1 : 0;
}

static long open_how(void)
{
	struct open_how how = {.flags = O_WRONLY, .resolve = RESOLVE_BENEATH};

	return syscall(SYS_openat2, AT_FDCWD, "fifo", &how, sizeof(how)) < 0 ? -1 : 0;
}

static void other_end_writes(void)
{
	int fd = (int)MUST(open("fifo", O_WRONLY));

	close(fd);
}

static void other_end_reads(void)
{
	int fd = (int)MUST(open("fifo", O_RDONLY));

	close(fd);
}

static long open_leased(void)
{
	int fd = open("leased", O_RDWR);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? -1 : 0;
}

static long truncate_leased(void)
{
	return truncate("leased", 3);
}

static int lease_fd;

static void take_lease(void)
{
	lease_fd = (int)MUST(open("leased", O_RDONLY));
	signal(SIGIO, SIG_IGN);
	MUST(fcntl(lease_fd, F_SETLEASE, F_RDLCK));
}

static void give_up_lease(void)
{
	MUST(fcntl(lease_fd, F_SETLEASE, F_UNLCK));
	close(lease_fd);
}

static long read_pipe(void)
{
	return read(pipe_[0], bytes, 1);
}

static void write_pipe(void)
{
	MUST(write(pipe_[1], "x", 1));
}

static void empty_pipe(void)
{
	MUST(read(pipe_[0], bytes, 1));
}

static long splice_pipe(void)
{
	return splice(pipe_[0], NULL, full[1], NULL, 1, 0);
}

static long write_full(void)
{
	return write(full[1], bytes, 4096);
}

static void read_full(void)
{
	MUST(read(full[0], bytes, sizeof(bytes)));
}

static void fill(void)
{
	MUST(fcntl(full[1], F_SETFL, O_NONBLOCK));
	while (write(full[1], bytes, sizeof(bytes)) > 0)
		;
	MUST(fcntl(full[1], F_SETFL, 0));
}

static void drain(void)
{
	MUST(fcntl(full[0], F_SETFL, O_NONBLOCK));
	while (read(full[0], bytes, sizeof(bytes)) > 0)
		;
	MUST(fcntl(full[0], F_SETFL, 0));
}

static void listen_full(void)
{
	(void)unlink(address.sun_path);
	listener = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	MUST(bind(listener, (struct sockaddr *)&address, sizeof(address)));
	MUST(listen(listener, 0));
	int fd = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));

	MUST(connect(fd, (struct sockaddr *)&address, sizeof(address)));
	close(fd);
}

static void listen_idle(void)
{
	(void)unlink(address.sun_path);
	listener = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	MUST(bind(listener, (struct sockaddr *)&address, sizeof(address)));
	MUST(listen(listener, 5));
}

static void accept_one(void)
{
	int fd = (int)MUST(accept(listener, NULL, NULL));

	close(fd);
}

static void stop_listening(void)
{
	close(listener);
}

static long connect_full(void)
{
	int fd = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	long ret = connect(fd, (struct sockaddr *)&address, sizeof(address));
	int error = errno;

	close(fd);
	errno = error;
	return ret;
}

static long accept_idle(void)
{
	return accept(listener, NULL, NULL) < 0 ? -1 : 0;
}

static void connect_to_it(void)
{
	int fd = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));

	MUST(connect(fd, (struct sockaddr *)&address, sizeof(address)));
	close(fd);
}

static long receive(void)
{
	return recv(pair[0], bytes, 1, 0);
}

static long receive_message(void)
{
	struct iovec iov = {bytes, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	return recvmsg(pair[0], &m, 0);
}

static long receive_within(void)
{
	struct timeval minute = {60, 0}, none = {0, 0};

	MUST(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &minute, sizeof(minute)));
	long ret = recv(pair[0], bytes, 1, 0);
	int error = errno;

	MUST(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none)));
	errno = error;
	return ret;
}

static void send_byte(void)
{
	MUST(send(pair[1], "x", 1, 0));
}

static void take_byte(void)
{
	(void)recv(pair[0], bytes, 1, MSG_DONTWAIT);
}

static void flock_it(void)
{
	lock_fd = (int)MUST(open("locked", O_RDWR));
	MUST(flock(lock_fd, LOCK_EX));
}

static long flock_waits(void)
{
	close(lock_fd);
	int fd = (int)MUST(open("locked", O_RDWR));
	long ret = flock(fd, LOCK_SH);
	int error = errno;

	close(fd);
	errno = error;
	return ret;
}

static void lock_it(void)
{
	lock_fd = (int)MUST(open("locked", O_RDWR));
	MUST(fcntl(lock_fd, F_SETLK, &(struct flock){.l_type = F_WRLCK}));
}

static void unlock(void)
{
	close(lock_fd);
}

static long lock_waits(void)
{
	close(lock_fd);
	int fd = (int)MUST(open("locked", O_RDWR));
	long ret = fcntl(fd, F_SETLKW, &(struct flock){.l_type = F_WRLCK});
	int error = errno;

	close(fd);
	errno = error;
	return ret;
}

static long lock_of_description_waits(void)
{
	close(lock_fd);
	int fd = (int)MUST(open("locked", O_RDWR));
	long ret = fcntl(fd, F_OFD_SETLKW, &(struct flock){.l_type = F_WRLCK});
	int error = errno;

	close(fd);
	errno = error;
	return ret;
}

static pid_t grandchild;

/* a child of the one that sleeps: it ends when it is told by the pipe */
static void plant_grandchild(void)
{
	grandchild = (pid_t)MUST(fork());
	if (!grandchild) {
		char byte;

		signal(SIGUSR1, SIG_DFL);
		(void)!read(pipe_[0], &byte, 1);
		_exit(5);
	}
}

static long wait_for_it(void)
{
	int status;
	pid_t pid = waitpid(grandchild, &status, 0);

	return pid < 0 ? -1 : status;
}

static long wait_for_id(void)
{
	siginfo_t info;

	return waitid(P_PID, (id_t)grandchild, &info, WEXITED) < 0 ? -1 : info.si_status;
}

static long wait_for_stop(void)
{
	int status;

	return waitpid(grandchild, &status, WUNTRACED | WCONTINUED) < 0 ? -1 : status;
}

static void reap(void)
{
	if (grandchild > 0) {
		kill(grandchild, SIGKILL);
		waitpid(grandchild, NULL, 0);
	}
	grandchild = 0;
}

static void post(void)
{
	MUST(semop(semaphores, &(struct sembuf){0, 1, 0}, 1));
}

static void zero(void)
{
	MUST(semctl(semaphores, 0, SETVAL, 0));
}

static long wait_semaphore(void)
{
	return semop(semaphores, &(struct sembuf){0, -1, 0}, 1);
}

static long wait_semaphore_within(void)
{
	return semtimedop(semaphores, &(struct sembuf){0, -1, 0}, 1, &(struct timespec){60, 0});
}

static long receive_queue(void)
{
	return msgrcv(queue, &message, sizeof(message.text), 0, 0);
}

static void send_queue(void)
{
	MUST(msgsnd(queue, &message, sizeof(message.text), 0));
}

static void empty_queue(void)
{
	(void)msgrcv(queue, &message, sizeof(message.text), 0, IPC_NOWAIT);
}

static long receive_mq(void)
{
	return mq_receive(mq, bytes, sizeof(bytes), NULL);
}

static long receive_mq_within(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 60;
	return mq_timedreceive(mq, bytes, sizeof(bytes), NULL, &until);
}

static void send_mq(void)
{
	MUST(mq_send(mq, "x", 1, 0));
}

static void empty_mq(void)
{
	struct timespec past = {0, 0};

	(void)mq_timedreceive(mq, bytes, sizeof(bytes), NULL, &past);
}

static long send_full_mq(void)
{
	return mq_send(mq_full, "x", 1, 0);
}

static void take_full_mq(void)
{
	MUST(mq_receive(mq_full, bytes, sizeof(bytes), NULL));
}

static void fill_mq(void)
{
	struct timespec past = {0, 0};

	while (!mq_timedsend(mq_full, "x", 1, 0, &past))
		;
}

static long poll_pipe(void)
{
	return poll(&(struct pollfd){pipe_[0], POLLIN, 0}, 1, 60000);
}

static long ppoll_pipe(void)
{
	return ppoll(&(struct pollfd){pipe_[0], POLLIN, 0}, 1, &(struct timespec){60, 0}, NULL);
}

static long select_pipe(void)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(pipe_[0], &set);
	return select(pipe_[0] + 1, &set, NULL, NULL, NULL);
}

static long epoll_pipe(void)
{
	struct epoll_event event;

	return epoll_wait(epoll_fd, &event, 1, 60000);
}

static long futex_wait(void)
{
	return syscall(SYS_futex, &shared->futex, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static void futex_wake(void)
{
	shared->futex = 1;
	MUST(syscall(SYS_futex, &shared->futex, FUTEX_WAKE, INT_MAX, NULL, NULL, 0));
}

static void futex_reset(void)
{
	shared->futex = 0;
}

static long sleep_short(void)
{
	/* what is left is told, if it was interrupted: nearly all */
	struct timespec left = {0, 0};
	long ret = nanosleep(&(struct timespec){60, 0}, &left);
	int error = errno;

	if (ret < 0 && (left.tv_sec < 30 || left.tv_sec > 60))
		return -2;
	errno = error;
	return ret;
}

static long wait_signal(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	return sigtimedwait(&set, NULL, &(struct timespec){60, 0});
}

static void signal_it(void)
{
	MUST(kill(sleeper, SIGUSR2));
}

static long pause_(void)
{
	return pause();
}

static long suspend(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	return sigsuspend(&set);
}

static void nothing(void)
{
}

#define UNTIL_SIGNAL 1 /* nothing but a signal that is caught ends it */

static const struct call {
	const char *name;
	void (*before)(void);  /* by the parent */
	void (*planted)(void); /* by the one that then waits */
	long (*call)(void);
	void (*release)(void); /* by the parent */
	void (*after)(void);   /* by the parent */
	int flags;
} calls[] = {
	{"open a FIFO to read", nothing, nothing, open_reader, other_end_writes, nothing, 0},
	{"open a FIFO to write", nothing, nothing, open_writer, other_end_reads, nothing, 0},
	{"open a FIFO through a link", nothing, nothing, open_by_link, other_end_writes, nothing, 0},
	{"openat2 of a FIFO", nothing, nothing, open_how, other_end_reads, nothing, 0},
	{"open a leased file", take_lease, nothing, open_leased, give_up_lease, nothing, 0},
	{"truncate a leased file", take_lease, nothing, truncate_leased, give_up_lease, nothing, 0},
	{"read", nothing, nothing, read_pipe, write_pipe, nothing, 0},
	{"splice", drain, nothing, splice_pipe, write_pipe, drain, 0},
	{"write", fill, nothing, write_full, read_full, drain, 0},
	{"connect", listen_full, nothing, connect_full, accept_one, stop_listening, 0},
	{"accept", listen_idle, nothing, accept_idle, connect_to_it, stop_listening, 0},
	{"recv", nothing, nothing, receive, send_byte, take_byte, 0},
	{"recvmsg", nothing, nothing, receive_message, send_byte, take_byte, 0},
	{"recv with a timeout", nothing, nothing, receive_within, send_byte, take_byte, 0},
	{"flock", flock_it, nothing, flock_waits, unlock, nothing, 0},
	{"F_SETLKW", lock_it, nothing, lock_waits, unlock, nothing, 0},
	{"F_OFD_SETLKW", lock_it, nothing, lock_of_description_waits, unlock, nothing, 0},
	{"waitpid", nothing, plant_grandchild, wait_for_it, write_pipe, nothing, 0},
	{"waitid", nothing, plant_grandchild, wait_for_id, write_pipe, nothing, 0},
	{"waitpid for stops", nothing, plant_grandchild, wait_for_stop, write_pipe, nothing, 0},
	{"semop", nothing, nothing, wait_semaphore, post, zero, 0},
	{"semtimedop", nothing, nothing, wait_semaphore_within, post, zero, 0},
	{"msgrcv", nothing, nothing, receive_queue, send_queue, empty_queue, 0},
	{"mq_receive", nothing, nothing, receive_mq, send_mq, empty_mq, 0},
	{"mq_timedreceive", nothing, nothing, receive_mq_within, send_mq, empty_mq, 0},
	{"mq_send", fill_mq, nothing, send_full_mq, take_full_mq, nothing, 0},
	{"poll", nothing, nothing, poll_pipe, write_pipe, empty_pipe, 0},
	{"ppoll", nothing, nothing, ppoll_pipe, write_pipe, empty_pipe, 0},
	{"select", nothing, nothing, select_pipe, write_pipe, empty_pipe, 0},
	{"epoll_wait", nothing, nothing, epoll_pipe, write_pipe, empty_pipe, 0},
	{"futex", futex_reset, nothing, futex_wait, futex_wake, nothing, 0},
	{"nanosleep", nothing, nothing, sleep_short, nothing, nothing, UNTIL_SIGNAL},
	{"sigtimedwait", nothing, nothing, wait_signal, signal_it, nothing, 0},
	{"pause", nothing, nothing, pause_, nothing, nothing, UNTIL_SIGNAL},
	{"sigsuspend", nothing, nothing, suspend, nothing, nothing, UNTIL_SIGNAL},
};

enum way { CAUGHT, RESTARTED, IGNORED, LEFT, STOPPED, STOPPED_BESIDE, WAYS };
static const char *const ways[] = {
	"caught", "restarted", "ignored", "left by siglongjmp", "stopped", "stopped by another thread"};

static void on_signal(int sig)
{
	(void)sig;
	shared->handled++;
}

static void on_signal_leave(int sig)
{
	(void)sig;
	shared->handled++;
	siglongjmp(out, 1);
}

/* --- */

static _Noreturn void lost(const char *what, const char *of)
{
	fprintf(stderr, "%s: %s\n", of, what);
	kill(sleeper, SIGKILL);
	_exit(4);
}

static char state_of(pid_t pid)
{
	char path[40], text[400];

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return 0;
	text[n] = 0;
	const char *end = strrchr(text, ')');

	return end && end[1] ? end[2] : 0;
}

static void nap(void)
{
	nanosleep(&(struct timespec){0, 300000}, NULL);
}

/* True: it sleeps, twice in a row. False: its call is over. */
static bool asleep(const char *name)
{
	int seen = 0;

	for (int i = 0; i < 50000; i++) {
		if (shared->ended)
			return false;
		seen = shared->entered && state_of(sleeper) == 'S' ? seen + 1 : 0;
		if (seen == 3)
			return true;
		nap();
	}
	lost("it never slept", name);
}

static void interrupt(enum way way, const char *name)
{
	for (int i = 0; i < TIMES && asleep(name); i++) {
		int handled = shared->handled, status;

		if (way == STOPPED || way == STOPPED_BESIDE) {
			if (way == STOPPED)
				MUST(kill(sleeper, SIGSTOP));
			else
				MUST(syscall(SYS_tgkill, sleeper, shared->beside, SIGSTOP));
			MUST(waitpid(sleeper, &status, WUNTRACED));
			if (!WIFSTOPPED(status))
				lost("it did not stop", name);
			MUST(kill(sleeper, SIGCONT));
			continue;
		}
		MUST(kill(sleeper, SIGUSR1));
		for (int k = 0; way != IGNORED && shared->handled == handled; k++) {
			if (k == 50000)
				lost("the signal was not handled", name);
			nap();
		}
	}
}

static void set_up(enum way way)
{
	struct sigaction a = {.sa_handler = way == IGNORED ? SIG_IGN : way == LEFT ? on_signal_leave : on_signal};
	sigset_t set;

	a.sa_flags = way == RESTARTED ? SA_RESTART : 0;
	MUST(sigaction(SIGUSR1, &a, NULL));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
}

static void *do_nothing(void *arg)
{
	shared->beside = (int)syscall(SYS_gettid);
	for (;;)
		pause();
	return arg;
}

static void sleep_in(const struct call *c, enum way way)
{
	volatile long ret = -3;

	errno = 0;
	set_up(way);
	c->planted();
	if (way == STOPPED_BESIDE) {
		pthread_t thread;

		MUST(pthread_create(&thread, NULL, do_nothing, NULL) ? -1 : 0);
		while (!shared->beside)
			sched_yield();
	}
	if (!sigsetjmp(out, 1)) {
		enter();
		ret = c->call();
	}
	int error = errno;

	shared->ended = 1;
	reap();
	errno = error;
	if (ret == -3)
		say(c->name, "left, %d handled", shared->handled);
	else if (ret == -1)
		say(c->name, "-1 %s, %d handled", strerrorname_np(error), shared->handled);
	else
		say(c->name, "%ld, %d handled", ret, shared->handled);
	/* and what comes next is as ever */
	if (access("fifo", F_OK) || open("absent", O_RDONLY) >= 0 || errno != ENOENT)
		say(c->name, "what follows fails");
	_exit(0);
}

static void try(const struct call *c, enum way way)
{
	int status;

	shared->entered = shared->ended = shared->handled = shared->beside = 0;
	section(ways[way]);
	c->before();
	sleeper = (pid_t)MUST(fork());
	if (!sleeper)
		sleep_in(c, way);
	interrupt(way, c->name);
	if (!shared->ended && !(c->flags & UNTIL_SIGNAL)) {
		asleep(c->name);
		c->release();
	} else if (!shared->ended) {
		kill(sleeper, SIGKILL);
	} else if (c->release == give_up_lease || c->release == unlock) {
		c->release();
	} else if (c->release == accept_one) {
		accept_one();
	}
	MUST(waitpid(sleeper, &status, 0));
	/* what was let go and not taken */
	if (c->release == write_pipe) {
		MUST(fcntl(pipe_[0], F_SETFL, O_NONBLOCK));
		(void)!read(pipe_[0], bytes, sizeof(bytes));
		MUST(fcntl(pipe_[0], F_SETFL, 0));
	} else {
		c->after();
	}
	if (c->after == drain)
		drain();
	if (c->flags & UNTIL_SIGNAL && WIFSIGNALED(status))
		say(c->name, "waits on");
	else if (status)
		say(c->name, "status %04x", (unsigned)status);
}

int main(void)
{
	struct mq_attr attr = {.mq_maxmsg = 2, .mq_msgsize = 8};
	char name[64];

	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(shared == MAP_FAILED ? -1 : 0);
	MUST(mkfifo("fifo", 0644));
	MUST(mkdir("d", 0755));
	MUST(symlink("../fifo", "d/link"));
	write_file("leased", "leased\n", 0644);
	write_file("locked", "", 0644);
	MUST(pipe(pipe_));
	MUST(pipe(full));
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	queue = (int)MUST(msgget(IPC_PRIVATE, 0600));
	semaphores = (int)MUST(semget(IPC_PRIVATE, 1, 0600));
	zero();
	snprintf(name, sizeof(name), "/interrupted-%d", getpid());
	mq = (mqd_t)MUST(mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr));
	mq_unlink(name);
	mq_full = (mqd_t)MUST(mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr));
	mq_unlink(name);
	epoll_fd = (int)MUST(epoll_create1(0));
	MUST(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, pipe_[0], &(struct epoll_event){.events = EPOLLIN}));

	for (enum way way = 0; way < WAYS; way++)
		for (size_t i = 0; i < COUNT(calls); i++)
			try(&calls[i], way);
	msgctl(queue, IPC_RMID, NULL);
	semctl(semaphores, 0, IPC_RMID);
	return 0;
}
