/* System V IPC: semaphores and message queues, and what becomes of those who wait for them. */
#include "sysv.h"

#include <poll.h>
#include <sys/wait.h>

static long op(int id, unsigned short number, short by, short flags)
{
	struct sembuf o = {number, by, flags};

	return semop(id, &o, 1);
}

static int held[2]; /* a child says what it saw when its parent has said all that came before */

static pid_t child(void)
{
	MUST(pipe(held));
	pid_t pid = (pid_t)MUST(fork());

	if (!pid)
		close(held[1]);
	else
		close(held[0]);
	return pid;
}

static void wait_for_parent(void)
{
	char byte;

	(void)!read(held[0], &byte, 1);
}

static pid_t sleeping(int id, short by, const struct timespec *limit)
{
	pid_t pid = child();

	if (!pid) {
		struct sembuf o = {0, by, 0};

		errno = 0;
		long ret = semtimedop(id, &o, 1, limit);
		int error = errno;

		wait_for_parent();
		errno = error;
		result("slept", ret);
		_exit(0);
	}
	for (int i = 0; i < 20000 && !semctl(id, 0, by ? GETNCNT : GETZCNT); i++)
		poll(NULL, 0, 1);
	return pid;
}

static void ended(pid_t pid)
{
	int status;

	close(held[1]);
	MUST(waitpid(pid, &status, 0));
	say("ended", "%x", (unsigned)status);
}

static void on_signal(int sig)
{
	(void)sig;
}

static void semaphores(void)
{
	unsigned short values[3] = {1, 2, 3};
	struct sembuf many[1000];
	key_t key = free_key();
	int id = ID(semget(key, 3, IPC_CREAT | 0600));
	struct seminfo info;
	pid_t pid;

	section("semaphores");
	told("made", SEM, id);
	ROW(semctl(id, 0, SETALL, values));
	ROW(semctl(id, 0, GETALL, values));
	say("values", "%d %d %d", values[0], values[1], values[2]);
	ROW(semctl(id, 1, GETVAL));
	ROW(semctl(id, 3, GETVAL));
	ROW(semctl(id, -1, GETVAL));
	ROW(semctl(id, 0, SETVAL, 32767));
	ROW(semctl(id, 0, SETVAL, 32768));
	ROW(semctl(id, 0, SETVAL, -1));
	ROW(semctl(id, 0, SETALL, (void *)8));
	ROW(semctl(id, 0, GETALL, (void *)8));
	ROW(semctl(id, 0, SEM_STAT, (void *)8));
	ROW(semctl(id, 0, SEM_INFO, &info) >= 0);
	ROW(op(id, 0, 1, 0));
	ROW(op(id, 0, 1, IPC_NOWAIT));
	ROW(op(id, 0, -32767, IPC_NOWAIT));
	ROW(op(id, 0, -1, IPC_NOWAIT));
	ROW(op(id, 0, 0, IPC_NOWAIT));
	ROW(op(id, 1, 0, IPC_NOWAIT));
	ROW(op(id, 3, 0, IPC_NOWAIT));
	ROW(semop(id, many, 0));
	ROW(semop(id, many, 501));
	ROW(semop(id, (void *)8, 1));
	ROW(semop(-1, many, 1));
	ROW(semop(INT32_MAX, many, 1));
	ROW(semctl(id, 0, GETPID) == getpid());
	/* all or nothing */
	ROW(semop(id, (struct sembuf[]){{0, 5, 0}, {1, -5, IPC_NOWAIT}}, 2));
	ROW(semctl(id, 0, GETVAL));
	ROW(semop(id, (struct sembuf[]){{0, 5, 0}, {0, -5, 0}, {0, 0, 0}}, 3));
	ROW(semctl(id, 0, GETVAL));
	/* waiting, with a limit, to its end, and interrupted */
	ROW(semtimedop(id, &(struct sembuf){0, -1, 0}, 1, &(struct timespec){0, 1000}));
	ROW(semtimedop(id, &(struct sembuf){0, -1, 0}, 1, &(struct timespec){0, 0}));
	ROW(semtimedop(id, &(struct sembuf){0, -1, 0}, 1, &(struct timespec){0, -1}));
	ROW(semtimedop(id, &(struct sembuf){0, -1, 0}, 1, &(struct timespec){-1, 0}));
	ROW(semtimedop(id, &(struct sembuf){0, -1, 0}, 1, (void *)8));
	pid = sleeping(id, -2, NULL);
	ROW(semctl(id, 0, GETNCNT));
	ROW(op(id, 0, 1, 0));
	ROW(semctl(id, 0, GETVAL));
	ROW(op(id, 0, 1, 0));
	ended(pid);
	ROW(semctl(id, 0, GETVAL));
	ROW(op(id, 0, 1, 0));
	pid = sleeping(id, 0, &(struct timespec){60, 0});
	ROW(semctl(id, 0, GETZCNT));
	ROW(op(id, 0, -1, 0));
	ended(pid);
	signal(SIGUSR1, on_signal);
	pid = sleeping(id, -2, NULL);
	ROW(kill(pid, SIGUSR1));
	ended(pid);
	ROW(semctl(id, 0, GETNCNT));
	/* undone with the process */
	pid = (pid_t)MUST(fork());
	if (!pid) {
		ROW(op(id, 2, 4, SEM_UNDO));
		ROW(semctl(id, 2, GETVAL));
		ROW(op(id, 2, -32768, SEM_UNDO | IPC_NOWAIT));
		kill(getpid(), SIGKILL);
	}
	MUST(waitpid(pid, NULL, 0));
	ROW(semctl(id, 2, GETVAL));
	/* removed while somebody waits */
	pid = sleeping(id, -2, NULL);
	ROW(semctl(id, 0, IPC_RMID));
	ended(pid);
	ROW(op(id, 0, 1, 0));
	ROW(semctl(id, 0, GETVAL));
	id_of("its key", semget(key, 0, 0));
}

static struct {
	long type;
	char text[9000];
} message;

static void line_of(const char *label, ssize_t n)
{
	if (n < 0)
		say(label, "-1 %s", strerrorname_np(errno));
	else
		say(label, "%zd of type %ld: %.*s", n, message.type, (int)(n < 20 ? n : 20), message.text);
}

static long send_text(int id, long type, const char *text, int flags)
{
	message.type = type;
	strcpy(message.text, text);
	return msgsnd(id, &message, strlen(text), flags);
}

static char state_of(pid_t pid)
{
	char path[40], text[200];

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	int fd = (int)MUST(open(path, O_RDONLY));
	ssize_t n = MUST(read(fd, text, sizeof(text) - 1));

	close(fd);
	text[n] = 0;
	return strrchr(text, ')')[2];
}

static pid_t reader(int id)
{
	pid_t pid = child();

	if (!pid) {
		ssize_t n = msgrcv(id, &message, 100, 7, 0);
		int error = errno;

		wait_for_parent();
		errno = error;
		line_of("waited for a message", n);
		_exit(0);
	}
	for (int i = 0, seen = 0; i < 20000 && seen < 3; i++) {
		seen = state_of(pid) == 'S' ? seen + 1 : 0;
		poll(NULL, 0, 1);
	}
	return pid;
}

static void messages(void)
{
	key_t key = free_key();
	int id = ID(msgget(key, IPC_CREAT | 0600));
	static const long types[] = {2, 1, 3, 1, 2, 5};
	struct msqid_ds ds;
	pid_t pid;

	section("messages");
	ROW(send_text(id, 0, "none", 0));
	ROW(send_text(id, -1, "none", 0));
	ROW(msgsnd(id, &message, 8193, IPC_NOWAIT));
	ROW(msgsnd(id, &message, (size_t)-1, IPC_NOWAIT));
	ROW(msgsnd(id, (void *)8, 1, IPC_NOWAIT));
	ROW(msgsnd(-1, &message, 1, IPC_NOWAIT));
	ROW(msgsnd(INT32_MAX, &message, 1, IPC_NOWAIT));
	ROW(msgrcv(id, &message, 1, 0, IPC_NOWAIT));
	ROW(msgrcv(id, &message, (size_t)-1, 0, IPC_NOWAIT));
	for (size_t i = 0; i < COUNT(types); i++) {
		char text[20];

		snprintf(text, sizeof(text), "the text %zu", i);
		result("send", send_text(id, types[i], text, 0));
	}
	told("full of them", MSG, id);
	line_of("first", msgrcv(id, &message, 100, 0, IPC_NOWAIT));
	line_of("of a type", msgrcv(id, &message, 100, 3, IPC_NOWAIT));
	line_of("of no type", msgrcv(id, &message, 100, 77, IPC_NOWAIT));
	line_of("of another type", msgrcv(id, &message, 100, 1, IPC_NOWAIT | MSG_EXCEPT));
	line_of("of a low type", msgrcv(id, &message, 100, -4, IPC_NOWAIT));
	line_of("too long", msgrcv(id, &message, 3, 0, IPC_NOWAIT));
	line_of("copied", msgrcv(id, &message, 100, 0, IPC_NOWAIT | MSG_COPY));
	line_of("copied wrongly", msgrcv(id, &message, 100, 0, MSG_COPY));
	line_of("cut", msgrcv(id, &message, 3, 0, IPC_NOWAIT | MSG_NOERROR));
	line_of("to nowhere", msgrcv(id, (void *)8, 100, 0, IPC_NOWAIT));
	line_of("then", msgrcv(id, &message, 100, 0, IPC_NOWAIT));
	line_of("empty", msgsnd(id, &(long){4}, 0, IPC_NOWAIT));
	line_of("empty", msgrcv(id, &message, 0, 0, IPC_NOWAIT));
	told("empty", MSG, id);
	/* as much as there is room for */
	int n = 0;

	while (!msgsnd(id, &(struct {
			       long type;
			       char text[4000];
		       }){9, ""},
	               4000, IPC_NOWAIT) &&
	       n < 100)
		n++;
	say("room", "for %d, then %s", n, strerrorname_np(errno));
	ROW(msgctl(id, IPC_STAT, &ds));
	ds.msg_qbytes = 100;
	ROW(msgctl(id, IPC_SET, &ds));
	told("less room", MSG, id);
	while (!(msgrcv(id, &message, 8000, 0, IPC_NOWAIT) < 0))
		n--;
	say("left", "%d %s", n, strerrorname_np(errno));
	/* waiting, interrupted, and removed meanwhile */
	pid = reader(id);
	ROW(send_text(id, 6, "another type", 0));
	ROW(send_text(id, 7, "the type", 0));
	ended(pid);
	pid = reader(id);
	ROW(kill(pid, SIGUSR1));
	ended(pid);
	pid = reader(id);
	ROW(msgctl(id, IPC_RMID, NULL));
	ended(pid);
	ROW(send_text(id, 1, "gone", 0));
	ROW(msgrcv(id, &message, 100, 0, IPC_NOWAIT));
	id_of("its key", msgget(key, 0));
	ROW(msgctl(-1, MSG_INFO, (struct msqid_ds *)&ds) >= 0);
}

int main(void)
{
	begin();
	semaphores();
	messages();
	return 0;
}
