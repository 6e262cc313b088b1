/* Calls that wait for a process, a message, an event or a time, and are interrupted. */
#include "interrupted.h"

#include <limits.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>

static int queue, semaphores, epoll_fd;
static mqd_t mq, mq_full;
static struct message {
	long type;
	char text[4];
} message = {1, "abc"};

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

static const struct call calls[] = {
	{"waitpid", nothing, plant_grandchild, wait_for_it, reap, write_pipe, empty_pipe, 0},
	{"waitid", nothing, plant_grandchild, wait_for_id, reap, write_pipe, empty_pipe, 0},
	{"waitpid for stops", nothing, plant_grandchild, wait_for_stop, reap, write_pipe, empty_pipe, 0},
	{"semop", nothing, nothing, wait_semaphore, nothing, post, zero, 0},
	{"semtimedop", nothing, nothing, wait_semaphore_within, nothing, post, zero, 0},
	{"msgrcv", nothing, nothing, receive_queue, nothing, send_queue, empty_queue, 0},
	{"mq_receive", nothing, nothing, receive_mq, nothing, send_mq, empty_mq, 0},
	{"mq_timedreceive", nothing, nothing, receive_mq_within, nothing, send_mq, empty_mq, 0},
	{"mq_send", fill_mq, nothing, send_full_mq, nothing, take_full_mq, nothing, 0},
	{"poll", nothing, nothing, poll_pipe, nothing, write_pipe, empty_pipe, 0},
	{"ppoll", nothing, nothing, ppoll_pipe, nothing, write_pipe, empty_pipe, 0},
	{"select", nothing, nothing, select_pipe, nothing, write_pipe, empty_pipe, 0},
	{"epoll_wait", nothing, nothing, epoll_pipe, nothing, write_pipe, empty_pipe, 0},
	{"futex", futex_reset, nothing, futex_wait, nothing, futex_wake, nothing, 0},
	{"nanosleep", nothing, nothing, sleep_short, nothing, nothing, nothing, UNTIL_SIGNAL},
	{"sigtimedwait", nothing, nothing, wait_signal, nothing, signal_it, nothing, 0},
	{"pause", nothing, nothing, pause_, nothing, nothing, nothing, UNTIL_SIGNAL},
	{"sigsuspend", nothing, nothing, suspend, nothing, nothing, nothing, UNTIL_SIGNAL},
};

int main(void)
{
	struct mq_attr attr = {.mq_maxmsg = 2, .mq_msgsize = 8};
	char name[64];

	begin();
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
	interrupt_each(calls, COUNT(calls));
	msgctl(queue, IPC_RMID, NULL);
	semctl(semaphores, 0, IPC_RMID);
	return 0;
}
