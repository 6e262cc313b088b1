/* System V objects and POSIX queues of somebody else. ARG 0: the id, the key or the name. */
#include "attack.h"

#include <mqueue.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

static int id(void)
{
	return atoi(argument(0));
}

static void shm_attach(void)
{
	const char *p = shmat(id(), NULL, SHM_RDONLY);

	if (p == (void *)-1)
		refused("shmat");
	escaped("%s", p);
}

static void shm_by_key(void)
{
	const char *p = shmat(must(shmget((key_t)atoi(argument(1)), 0, 0), "shmget"), NULL, SHM_RDONLY);

	if (p == (void *)-1)
		refused("shmat");
	escaped("%s", p);
}

static void shm_stat(void)
{
	struct shmid_ds ds;

	judge(shmctl(id(), IPC_STAT, &ds), "IPC_STAT");
}

static void shm_stat_by_index(void)
{
	struct shmid_ds ds;

	for (int i = 0; i < 64; i++)
		if (shmctl(i, SHM_STAT_ANY, &ds) >= 0 || shmctl(i, SHM_STAT, &ds) >= 0)
			escaped("SHM_STAT of index %d", i);
	refused("SHM_STAT");
}

static void shm_remove(void)
{
	judge(shmctl(id(), IPC_RMID, NULL), "IPC_RMID");
}

static void shm_lock(void)
{
	judge(shmctl(id(), SHM_LOCK, NULL), "SHM_LOCK");
}

static void sem_operate(void)
{
	struct sembuf op = {.sem_op = 1};

	judge(semop(id(), &op, 1), "semop");
}

static void sem_timed(void)
{
	struct sembuf op = {.sem_op = 1};
	struct timespec soon = {.tv_nsec = 1};

	judge(semtimedop(id(), &op, 1, &soon), "semtimedop");
}

static void sem_value(void)
{
	judge(semctl(id(), 0, GETVAL), "GETVAL");
}

static void sem_remove(void)
{
	judge(semctl(id(), 0, IPC_RMID), "IPC_RMID");
}

static void sem_by_key(void)
{
	judge(semget((key_t)atoi(argument(1)), 0, 0), "semget");
}

static void msg_receive(void)
{
	struct {
		long type;
		char text[128];
	} m = {0};

	must(msgrcv(id(), &m, sizeof(m.text) - 1, 0, IPC_NOWAIT), "msgrcv");
	escaped("%s", m.text);
}

/* A queue of one's own, which is removed, and whose number somebody else's has by now. No other one is left meanwhile. */
static void msg_number_again(void)
{
	struct {
		long type;
		char text[64];
	} m = {0};
	int first = need(msgget(IPC_PRIVATE, 0600), "msgget");

	need(msgctl(first, IPC_RMID, NULL), "IPC_RMID");
	for (int i = 0; i < 200; i++) {
		int next = need(msgget(IPC_PRIVATE, 0600), "msgget");

		need(msgctl(next, IPC_RMID, NULL), "IPC_RMID");
		if (msgrcv(next, &m, sizeof(m.text) - 1, 0, IPC_NOWAIT) != -1)
			untried("a queue that is not there");
	}
	tell("removed", first);
	await("taken");
	must(msgrcv(first, &m, sizeof(m.text) - 1, 0, IPC_NOWAIT), "msgrcv");
	escaped("%s", m.text);
}

static void msg_send(void)
{
	struct {
		long type;
		char text[8];
	} m = {1, "x"};

	judge(msgsnd(id(), &m, sizeof(m.text), IPC_NOWAIT), "msgsnd");
}

static void msg_remove(void)
{
	judge(msgctl(id(), IPC_RMID, NULL), "IPC_RMID");
}

static void msg_by_key(void)
{
	judge(msgget((key_t)atoi(argument(1)), 0), "msgget");
}

/* How many there are, beside one's own. */
static void msg_count(void)
{
	int own = need(msgget(IPC_PRIVATE, 0600), "msgget");
	struct msginfo info = {0};
	int told = msgctl(own, MSG_INFO, (struct msqid_ds *)(void *)&info), err = errno;

	msgctl(own, IPC_RMID, NULL);
	errno = err;
	must(told, "MSG_INFO");
	escaped("%d queues", info.msgpool);
}

static void sem_count(void)
{
	int own = need(semget(IPC_PRIVATE, 1, 0600), "semget");
	struct seminfo info = {0};
	int told = semctl(own, 0, IPC_INFO, &info), err = errno;

	semctl(own, 0, IPC_RMID);
	errno = err;
	must(told, "IPC_INFO");
	escaped("up to index %d", told);
}

static void queue_open(void)
{
	judge(mq_open(argument(0), O_RDWR | O_NONBLOCK), "mq_open");
}

static void queue_unlink(void)
{
	judge(mq_unlink(argument(0)), "mq_unlink");
}

/* Keeps the objects until its standard input ends: the outsider's part. Prints their ids. */
static void keep(void)
{
	int shm = need(shmget((key_t)atoi(argument(1)), 4096, IPC_CREAT | IPC_EXCL | 0666), "shmget");
	int sem = need(semget((key_t)atoi(argument(1)), 1, IPC_CREAT | IPC_EXCL | 0666), "semget");
	int msg = need(msgget((key_t)atoi(argument(1)), IPC_CREAT | IPC_EXCL | 0666), "msgget");
	struct {
		long type;
		char text[64];
	} m = {1, ""};
	char *memory = shmat(shm, NULL, 0), byte;
	struct mq_attr attr = {.mq_maxmsg = 4, .mq_msgsize = 64};

	if (memory == (void *)-1)
		untried("shmat: %s", strerror(errno));
	strncpy(m.text, argument(2), sizeof(m.text) - 1);
	strcpy(memory, m.text);
	need(msgsnd(msg, &m, sizeof(m.text), 0), "msgsnd");
	need(mq_open(argument(0), O_CREAT | O_EXCL | O_RDWR, 0666, &attr), "mq_open");
	printf("%d %d %d\n", shm, sem, msg);
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	shmctl(shm, IPC_RMID, NULL);
	semctl(sem, 0, IPC_RMID);
	msgctl(msg, IPC_RMID, NULL);
	mq_unlink(argument(0));
	_exit(0);
}

const struct attack attacks[] = {
	{"shm-attach", shm_attach},
	{"shm-by-key", shm_by_key},
	{"shm-stat", shm_stat},
	{"shm-stat-by-index", shm_stat_by_index},
	{"shm-remove", shm_remove},
	{"shm-lock", shm_lock},
	{"sem-operate", sem_operate},
	{"sem-timed", sem_timed},
	{"sem-value", sem_value},
	{"sem-remove", sem_remove},
	{"sem-by-key", sem_by_key},
	{"msg-receive", msg_receive},
	{"msg-number-again", msg_number_again},
	{"msg-send", msg_send},
	{"msg-remove", msg_remove},
	{"msg-by-key", msg_by_key},
	{"msg-count", msg_count},
	{"sem-count", sem_count},
	{"queue-open", queue_open},
	{"queue-unlink", queue_unlink},
	{"keep", keep},
	{0},
};
