/*
 * Signals that are ignored while a process waits, in one call after another. A helper sends them once the process sleeps,
 * and again, and then one that is handled, which ends the call: with EINTR, and after the handler ran. A call that ended
 * before that was woken by a signal that it does not know of.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LONG 1000 /* seconds that nobody waits for */
#define ROUNDS 5

static struct shared {
	atomic_int called; /* one more than the index of the call that is being made */
	atomic_int ended;
} * shared;

static volatile sig_atomic_t handled;
static int pipes[2], epoll_fd, listening, connected[2], locked, watch, signals, semaphore, queue;
static mqd_t posix_queue;
static aio_context_t aio;
static pid_t helper;
static const struct timespec long_time = {.tv_sec = LONG};
static sigset_t none, some; /* `some` holds a signal that is never sent */

static void on_signal(int sig)
{
	(void)sig;
	handled++;
}

static long do_epoll_wait(void)
{
	struct epoll_event e;
	return syscall(SYS_epoll_wait, epoll_fd, &e, 1, -1);
}

static long do_epoll_wait_timeout(void)
{
	struct epoll_event e;
	return syscall(SYS_epoll_wait, epoll_fd, &e, 1, LONG * 1000);
}

static long do_epoll_pwait(void)
{
	struct epoll_event e;
	return syscall(SYS_epoll_pwait, epoll_fd, &e, 1, LONG * 1000, &none, 8);
}

static long do_epoll_pwait2(void)
{
	struct epoll_event e;
	return syscall(SYS_epoll_pwait2, epoll_fd, &e, 1, &long_time, &none, 8);
}

static long do_poll(void)
{
	struct pollfd p = {.fd = pipes[0], .events = POLLIN};
	return syscall(SYS_poll, &p, 1, LONG * 1000);
}

static long do_ppoll(void)
{
	struct pollfd p = {.fd = pipes[0], .events = POLLIN};
	struct timespec time = long_time;
	return syscall(SYS_ppoll, &p, 1, &time, &none, 8);
}

static long do_select(void)
{
	struct timeval time = {.tv_sec = LONG};
	fd_set set;
	FD_ZERO(&set);
	FD_SET(pipes[0], &set);
	return syscall(SYS_select, pipes[0] + 1, &set, NULL, NULL, &time);
}

static long do_pselect(void)
{
	fd_set set;
	FD_ZERO(&set);
	FD_SET(pipes[0], &set);
	return pselect(pipes[0] + 1, &set, NULL, NULL, &long_time, &none);
}

static long do_nanosleep(void)
{
	return nanosleep(&long_time, NULL);
}

static long do_pause(void)
{
	return pause();
}

static long do_sigsuspend(void)
{
	return sigsuspend(&none);
}

static long do_sigtimedwait(void)
{
	return sigtimedwait(&some, NULL, &long_time);
}

static long do_sigwaitinfo(void)
{
	return sigwaitinfo(&some, NULL);
}

static long do_futex(void)
{
	static int word;
	return syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static long do_futex_timeout(void)
{
	static int word;
	return syscall(SYS_futex, &word, FUTEX_WAIT, 0, &long_time, NULL, 0);
}

static long do_semop(void)
{
	struct sembuf take = {.sem_op = -1};
	return semop(semaphore, &take, 1);
}

static long do_semtimedop(void)
{
	struct sembuf take = {.sem_op = -1};
	return semtimedop(semaphore, &take, 1, &long_time);
}

static long do_msgrcv(void)
{
	char text[64];
	return msgrcv(queue, text, 16, 0, 0);
}

static long do_mq_receive(void)
{
	char text[64];
	return mq_receive(posix_queue, text, sizeof(text), NULL);
}

static long do_mq_timedreceive(void)
{
	char text[64];
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += LONG;
	return mq_timedreceive(posix_queue, text, sizeof(text), NULL, &until);
}

static long do_read_pipe(void)
{
	char byte;
	return read(pipes[0], &byte, 1);
}

static long do_accept(void)
{
	return accept(listening, NULL, NULL);
}

static long do_recv(void)
{
	char byte;
	return recv(connected[0], &byte, 1, 0);
}

static long do_recvmmsg(void)
{
	char byte;
	struct iovec part = {&byte, 1};
	struct mmsghdr message = {.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1}};
	struct timespec time = long_time;
	return recvmmsg(connected[0], &message, 1, 0, &time);
}

static long do_flock(void)
{
	return flock(locked, LOCK_EX);
}

static long do_wait4(void)
{
	return wait4(helper, NULL, 0, NULL);
}

static long do_inotify(void)
{
	char text[256];
	return read(watch, text, sizeof(text));
}

static long do_signalfd(void)
{
	struct signalfd_siginfo info;
	return read(signals, &info, sizeof(info));
}

static long do_io_getevents(void)
{
	struct io_event done;
	struct timespec time = long_time;
	return syscall(SYS_io_getevents, aio, 1, 1, &done, &time);
}

static long do_open_fifo(void)
{
	return open("fifo", O_RDONLY);
}

static const struct {
	const char *name;
	long (*make)(void);
} calls[] = {
	{"epoll_wait", do_epoll_wait},
	{"epoll_wait with a time-out", do_epoll_wait_timeout},
	{"epoll_pwait", do_epoll_pwait},
	{"epoll_pwait2", do_epoll_pwait2},
	{"poll", do_poll},
	{"ppoll", do_ppoll},
	{"select", do_select},
	{"pselect", do_pselect},
	{"nanosleep", do_nanosleep},
	{"pause", do_pause},
	{"sigsuspend", do_sigsuspend},
	{"sigtimedwait", do_sigtimedwait},
	{"sigwaitinfo", do_sigwaitinfo},
	{"futex", do_futex},
	{"futex with a time-out", do_futex_timeout},
	{"semop", do_semop},
	{"semtimedop", do_semtimedop},
	{"msgrcv", do_msgrcv},
	{"mq_receive", do_mq_receive},
	{"mq_timedreceive", do_mq_timedreceive},
	{"read of a pipe", do_read_pipe},
	{"accept with a time-out", do_accept},
	{"recv with a time-out", do_recv},
	{"recvmmsg", do_recvmmsg},
	{"flock", do_flock},
	{"wait4", do_wait4},
	{"read of an inotify descriptor", do_inotify},
	{"read of a signalfd", do_signalfd},
	{"io_getevents", do_io_getevents},
	{"open of a FIFO", do_open_fifo},
};

#define COUNT ((int)(sizeof(calls) / sizeof(calls[0])))

static void check(int ok, const char *what)
{
	if (ok)
		return;
	printf("%s: %s\n", what, strerror(errno));
	exit(2);
}

/* Until the process sleeps, or its call has ended; its state in proc_pid_stat(5). */
static char asleep(pid_t pid, int call)
{
	char path[32], text[512], *end;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	for (;;) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t length = read(fd, text, sizeof(text) - 1);

		close(fd);
		if (length <= 0)
			_exit(3);
		text[length] = 0;
		end = strrchr(text, ')');
		if (atomic_load(&shared->ended) > call)
			return 0;
		if (end && (end[2] == 'S' || end[2] == 'D'))
			return end[2];
		sched_yield();
	}
}

static _Noreturn void help(pid_t pid)
{
	static const int ignored[] = {SIGUSR1, SIGWINCH, SIGURG, SIGCHLD};

	check(!flock(open("lock", O_RDWR), LOCK_EX), "flock");
	atomic_store(&shared->called, 0);
	for (int i = 0; i < COUNT; i++) {
		while (atomic_load(&shared->called) <= i)
			sched_yield();
		/* A signal that wakes has woken when kill returns: asleep again, it has gone back to its call. */
		for (int k = 0; k < ROUNDS * 4 && asleep(pid, i); k++)
			kill(pid, ignored[k % 4]);
		if (asleep(pid, i))
			kill(pid, SIGUSR2);
		while (atomic_load(&shared->ended) <= i)
			sched_yield();
	}
	pause();
	_exit(0);
}

static void prepare(void)
{
	struct epoll_event e = {.events = EPOLLIN};
	struct sockaddr_un here = {.sun_family = AF_UNIX, .sun_path = "socket"};
	struct timeval time = {.tv_sec = LONG};
	struct mq_attr attributes = {.mq_maxmsg = 1, .mq_msgsize = 16};
	char name[32];

	sigemptyset(&none);
	sigemptyset(&some);
	sigaddset(&some, SIGRTMIN + 3);
	check(!pipe2(pipes, O_CLOEXEC), "pipe2");
	check((epoll_fd = epoll_create1(EPOLL_CLOEXEC)) >= 0, "epoll_create1");
	check(!epoll_ctl(epoll_fd, EPOLL_CTL_ADD, pipes[0], &e), "EPOLL_CTL_ADD");
	check((listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) >= 0, "socket");
	check(!bind(listening, (struct sockaddr *)&here, sizeof(here)) && !listen(listening, 1), "bind, listen");
	check(!setsockopt(listening, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)), "SO_RCVTIMEO");
	check(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, connected), "socketpair");
	check(!setsockopt(connected[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)), "SO_RCVTIMEO");
	check((locked = open("lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600)) >= 0, "lock");
	check((watch = inotify_init1(IN_CLOEXEC)) >= 0, "inotify_init1");
	check((signals = signalfd(-1, &some, SFD_CLOEXEC)) >= 0, "signalfd");
	check((semaphore = semget(IPC_PRIVATE, 1, 0600)) >= 0, "semget");
	check((queue = msgget(IPC_PRIVATE, 0600)) >= 0, "msgget");
	snprintf(name, sizeof(name), "/ignored-%d", getpid());
	check((posix_queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600, &attributes)) >= 0, "mq_open");
	check(!mq_unlink(name), "mq_unlink");
	check(!syscall(SYS_io_setup, 1, &aio), "io_setup");
	check(!mkfifo("fifo", 0600), "mkfifo");
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check(shared != MAP_FAILED, "mmap");
	sigprocmask(SIG_BLOCK, &some, NULL);
	signal(SIGUSR1, SIG_IGN);
	sigaction(SIGUSR2, &(struct sigaction){.sa_handler = on_signal}, NULL);
}

int main(void)
{
	prepare();
	atomic_store(&shared->called, -1);
	pid_t self = getpid();
	helper = fork();
	check(helper >= 0, "fork");
	if (!helper)
		help(self);
	while (atomic_load(&shared->called) < 0) /* the helper has its locks */
		sched_yield();
	for (int i = 0; i < COUNT; i++) {
		int before = handled;

		atomic_store(&shared->called, i + 1);
		errno = 0;
		long result = calls[i].make();
		int error = errno, after = handled;

		atomic_store(&shared->ended, i + 1);
		printf("%s: %ld %s, %d handled\n", calls[i].name, result, error ? strerrorname_np(error) : "",
		       after - before);
	}
	kill(helper, SIGKILL);
	semctl(semaphore, 0, IPC_RMID);
	msgctl(queue, IPC_RMID, NULL);
	return 0;
}
