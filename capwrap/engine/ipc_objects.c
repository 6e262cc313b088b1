/*
 * System V and POSIX IPC objects: made by the supervisor for the target, kept in a book, removed with the target. Nothing else
 * removes them, so the book is shared with a process of ours that does where the supervisor was killed. No file holds it: a
 * target that was granted the directory of that file could write the objects of others into it.
 */
#include "capwrap/engine/internal.h"

#include <fcntl.h>
#include <limits.h>
#include <mqueue.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

enum kind { SHM, SEM, MSG };

static int get(uint64_t kind, const uint64_t *arg, int flags)
{
	key_t key = (key_t)arg[1];

	switch (kind) {
	case SHM:
		return shmget(key, (size_t)arg[2], flags);
	case SEM:
		return semget(key, (int)arg[2], flags);
	default:
		return msgget(key, flags);
	}
}

#define MAX_OBJECTS 8192
#define MAX_QUEUES 1024

struct cw_ipc_book {
	int n_objects, n_queues;
	int made; /* how many objects since those that are no more were dropped */
	struct {
		int kind, id;
		unsigned uid; /* who made it, and may remove it */
		bool going;   /* the target was about to remove it */
	} object[MAX_OBJECTS];
	char queue[MAX_QUEUES][300];
};

static void remove_object(int kind, int id, unsigned uid)
{
	unsigned own = geteuid();

	/* the raw call: glibc's would change every thread */
	if (uid != own)
		(void)syscall(SYS_setresuid, -1, uid, -1);
	if (kind == SHM)
		(void)syscall(SYS_shmctl, id, IPC_RMID, NULL);
	else if (kind == SEM)
		(void)syscall(SYS_semctl, id, 0, IPC_RMID, NULL);
	else
		(void)syscall(SYS_msgctl, id, IPC_RMID, NULL);
	if (uid != own)
		(void)syscall(SYS_setresuid, -1, own, -1);
}

static bool exists(int kind, int id)
{
	struct shmid_ds shm;
	struct semid_ds sem;
	struct msqid_ds msg;
	int ret = kind == SHM   ? shmctl(id, IPC_STAT, &shm)
	          : kind == SEM ? semctl(id, 0, IPC_STAT, &sem)
	                        : msgctl(id, IPC_STAT, &msg);

	return !ret || (errno != EINVAL && errno != EIDRM);
}

static void remove_all(const struct cw_ipc_book *b)
{
	for (int i = 0; i < b->n_queues; i++)
		(void)syscall(SYS_mq_unlink, b->queue[i]);
	for (int i = 0; i < b->n_objects; i++)
		remove_object(b->object[i].kind, b->object[i].id, b->object[i].uid);
}

/* In the keeper's process. */
static void keep(void *arg)
{
	/* nobody who ends the whole job ends this */
	if (syscall(SYS_setsid) < 0)
		return;
	cw_helper_ready();
	cw_helper_wait(-1);
	remove_all(arg);
}

static struct cw_ipc_book *map_book(struct cw_engine *e)
{
	if (!e->ipc) {
		void *made = mmap(NULL, sizeof(*e->ipc), PROT_READ | PROT_WRITE,
		                  MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (made == MAP_FAILED)
			return NULL;
		e->ipc = made;
	}
	return e->ipc;
}

/* The book, with somebody who keeps it; NULL where there can be none, and then no object is made. */
static struct cw_ipc_book *book(struct cw_engine *e)
{
	if (!map_book(e))
		return NULL;
	if (cw_helper_lives(&e->ipc_keeper))
		return e->ipc;
	cw_helper_end(&e->ipc_keeper);
	return cw_helper_start(e, &e->ipc_keeper, "capwrap-ipc", keep, e->ipc) ? e->ipc : NULL;
}

static int find(const struct cw_engine *e, uint64_t kind, int id)
{
	for (int i = 0; e->ipc && i < e->ipc->n_objects; i++)
		if (e->ipc->object[i].kind == (int)kind && e->ipc->object[i].id == id)
			return i;
	return -1;
}

/* Whether the target removed what it was about to, the kernel knows: who has become another user may not. */
static int own(const struct cw_engine *e, uint64_t kind, int id)
{
	int i = find(e, kind, id);

	if (i < 0 || !e->ipc->object[i].going || exists((int)kind, id))
		return i;
	e->ipc->object[i] = e->ipc->object[e->ipc->n_objects - 1];
	e->ipc->n_objects--;
	return -1;
}

/* What the target has removed: an id that stays in the book could one day be somebody else's (ipc/util.c counts them round). */
static void drop_removed(struct cw_ipc_book *b)
{
	int n = 0;

	for (int i = 0; i < b->n_objects; i++)
		if (exists(b->object[i].kind, b->object[i].id))
			b->object[n++] = b->object[i];
	b->n_objects = n;
	b->made = 0;
}

/*
 * Room for one more. By how many were made, not by how many there are: a target that removes what it makes has few, and could
 * have the numbers come round (some millions of objects) to one that it removed long ago, for somebody else to be given.
 */
static bool make_room(struct cw_ipc_book *b)
{
	if (b->made++ >= b->n_objects + 64 || b->n_objects == MAX_OBJECTS)
		drop_removed(b);
	return b->n_objects < MAX_OBJECTS;
}

static int64_t make(struct cw_engine *e, uint64_t kind, const uint64_t *arg, int flags)
{
	struct cw_ipc_book *b = book(e);

	if (!b || !make_room(b))
		return -ENOSPC;
	struct cw_caller was = cw_caller(e);
	int id = get(kind, arg, flags), err = errno;

	b->object[b->n_objects].uid = geteuid();
	cw_caller_end(e, was);
	if (id < 0)
		return -err;
	b->object[b->n_objects].kind = (int)kind;
	b->object[b->n_objects].id = id;
	b->object[b->n_objects].going = false;
	b->n_objects++;
	return id;
}

/* The object that a key leads to; no permission is asked for. */
static int look_up(uint64_t kind, uint64_t key)
{
	const uint64_t look[4] = {kind, key, 0, 0};

	return get(kind, look, 0);
}

/* Of an object of the target: what the kernel says. -EAGAIN: it is not what it was any more. */
static int64_t get_own(struct cw_engine *e, uint64_t kind, const uint64_t *arg, int id)
{
	int flags = (int)arg[3];

	if (flags & IPC_CREAT && flags & IPC_EXCL)
		return -EEXIST;
	struct cw_caller was = cw_caller(e);
	int got = get(kind, arg, flags & ~IPC_CREAT), err = errno;

	cw_caller_end(e, was);
	if (got < 0)
		return err == ENOENT ? -EAGAIN : -err;
	return got == id ? id : -EAGAIN;
}

static int64_t ipc_get(struct cw_engine *e, const uint64_t *arg)
{
	uint64_t kind = arg[0];
	int flags = (int)arg[3];
	bool create = flags & IPC_CREAT;

	if ((key_t)arg[1] == IPC_PRIVATE)
		return make(e, kind, arg, flags | IPC_CREAT);
	for (int tries = 0; tries < 16; tries++) {
		int id = look_up(kind, arg[1]);

		if (id >= 0 && own(e, kind, id) < 0)
			return create ? CW_IPC_FOREIGN : -ENOENT;
		if (id < 0 && errno == EACCES) /* a security module's word */
			return create ? CW_IPC_FOREIGN : -ENOENT;
		if (id < 0 && !create && get(kind, arg, flags) < 0)
			return errno == EACCES ? -ENOENT : -errno;
		if (id < 0 && !create)
			continue;
		int64_t got = id < 0 ? make(e, kind, arg, flags | IPC_EXCL) : get_own(e, kind, arg, id);

		if (got != -EAGAIN && (id >= 0 || got != -EEXIST))
			return got;
	}
	return create ? CW_IPC_FOREIGN : -ENOENT;
}

/* What a run would answer, without making anything. */
int64_t cw_ipc_would_get(struct cw_engine *e, const uint64_t *arg)
{
	int id = (key_t)arg[1] == IPC_PRIVATE ? -1 : look_up(arg[0], arg[1]);

	if (id < 0 && ((key_t)arg[1] == IPC_PRIVATE || errno != EACCES))
		return 0;
	if (id >= 0 && own(e, arg[0], id) >= 0)
		return 0;
	return (int)arg[3] & IPC_CREAT ? CW_IPC_FOREIGN : -ENOENT;
}

/* By the target itself, in a trace: it stays when the trace is over, and the book needs no keeper. */
void cw_ipc_was_made(struct cw_engine *e, int nr, int id)
{
	int kind = nr == SYS_shmget ? SHM : nr == SYS_semget ? SEM : MSG;
	struct cw_ipc_book *b = map_book(e);

	if (!b || own(e, (uint64_t)kind, id) >= 0 || !make_room(b))
		return;
	b->object[b->n_objects].kind = kind;
	b->object[b->n_objects].id = id;
	b->object[b->n_objects].going = false;
	b->n_objects++;
}

static int mq_prefix(const struct cw_engine *e, char dst[300])
{
	return snprintf(dst, 300, "capwrap-%d-%llu-", (int)getpid(), (unsigned long long)e->start_ns);
}

const char *cw_ipc_queue(const struct cw_engine *e, const char *path)
{
	char own[300];
	size_t n = (size_t)mq_prefix(e, own);

	if (!e->ipc || path[0] != '/' || strncmp(path + 1, own, n - 1) || (path[n] != '-' && path[n] != '+'))
		return NULL;
	return path + 1 + n;
}

/*
 * A queue of the target: under a name of this run's own, so that it can neither meet nor guess another's. What is too long
 * with that in front stands as its digest.
 */
static void mq_name(struct cw_engine *e, char dst[300])
{
	int n = mq_prefix(e, dst);
	size_t len = strlen(e->ctx.path);
	uint8_t sum[32];

	if ((size_t)n + len <= NAME_MAX) {
		memcpy(dst + n, e->ctx.path, len + 1);
		return;
	}
	cw_sha256(e->ctx.path, len, sum);
	dst[n - 1] = '+'; /* no name as it stands */
	for (size_t i = 0; i < sizeof(sum); i++)
		snprintf(dst + n + 2 * i, 3, "%02x", sum[i]);
}

static int queue(const struct cw_engine *e, const char *name)
{
	for (int i = 0; e->ipc && i < e->ipc->n_queues; i++)
		if (!strcmp(e->ipc->queue[i], name))
			return i;
	return -1;
}

static int64_t mq_service_open(struct cw_engine *e, const uint64_t *arg)
{
	char name[300];
	int flags = (int)arg[0];
	bool noted = false;

	if (cw_table_full(e, e->current->tid))
		return -EMFILE;
	mq_name(e, name);
	if ((flags & O_CREAT) && queue(e, name) < 0) {
		struct cw_ipc_book *b = book(e);

		/* before it is made: its name is ours alone */
		if (!b || b->n_queues == MAX_QUEUES)
			return -ENOSPC;
		memcpy(b->queue[b->n_queues], name, sizeof(name));
		b->n_queues++;
		noted = true;
	}
	cw_adopt(e, e->current, true); /* its umask */
	struct cw_caller was = cw_caller(e);
	long fd = syscall(SYS_mq_open, name, flags | O_CLOEXEC, (mode_t)arg[1], arg[2] ? e->ctx.bytes : NULL);
	int err = errno;

	cw_caller_end(e, was);
	if (fd >= 0)
		return fd;
	if (noted)
		e->ipc->n_queues--;
	return -err;
}

static int64_t mq_service_unlink(struct cw_engine *e)
{
	char name[300];

	mq_name(e, name);
	if (syscall(SYS_mq_unlink, name))
		return -errno;
	int i = queue(e, name);

	if (i >= 0) {
		struct cw_ipc_book *b = e->ipc;

		memcpy(b->queue[i], b->queue[b->n_queues - 1], sizeof(b->queue[i]));
		b->n_queues--;
	}
	return 0;
}

int64_t cw_ipc_service(struct cw_engine *e, int what, const uint64_t *arg)
{
	int i;

	switch (what) {
	case CW_SERVICE_IPC_GET:
		return ipc_get(e, arg);
	case CW_SERVICE_IPC_OWN:
		return own(e, arg[0], (int)arg[1]) >= 0;
	case CW_SERVICE_IPC_GONE:
		i = find(e, arg[0], (int)arg[1]);
		if (i >= 0)
			e->ipc->object[i].going = true;
		return 0;
	case CW_SERVICE_MQ_OPEN:
		return mq_service_open(e, arg);
	case CW_SERVICE_MQ_UNLINK:
		return mq_service_unlink(e);
	default:
		return -ENOSYS;
	}
}

void cw_ipc_end(struct cw_engine *e)
{
	if (!e->ipc)
		return;
	if (!cw_tracing(e)) {
		remove_all(e->ipc);
		e->ipc->n_objects = e->ipc->n_queues = 0;
		cw_helper_end(&e->ipc_keeper);
	}
	munmap(e->ipc, sizeof(*e->ipc));
}
