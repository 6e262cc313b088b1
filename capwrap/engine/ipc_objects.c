/* System V and POSIX IPC objects: made by the supervisor for the target, kept in a book, removed with the target. */
#include "capwrap/engine/internal.h"

#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
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

static int own(struct cw_engine *e, uint64_t kind, int id)
{
	for (int i = 0; i < e->n_ipc; i++)
		if (e->ipc[i].kind == (int)kind && e->ipc[i].id == id)
			return i;
	return -1;
}

static int64_t add(struct cw_engine *e, uint64_t kind, int id, int64_t key)
{
	void *more = realloc(e->ipc, (size_t)(e->n_ipc + 1) * sizeof(*e->ipc));

	if (!more)
		return -ENOMEM;
	e->ipc = more;
	e->ipc[e->n_ipc].kind = (int)kind;
	e->ipc[e->n_ipc].id = id;
	e->ipc[e->n_ipc].key = key;
	e->n_ipc++;
	return id;
}

static int64_t ipc_get(struct cw_engine *e, const uint64_t *arg)
{
	uint64_t kind = arg[0];
	int flags = (int)arg[3], id;

	if ((key_t)arg[1] == IPC_PRIVATE) {
		id = get(kind, arg, flags | IPC_CREAT);
		return id < 0 ? -errno : add(e, kind, id, 0);
	}
	if (flags & IPC_CREAT) {
		id = get(kind, arg, flags | IPC_EXCL);
		if (id >= 0)
			return add(e, kind, id, (int64_t)arg[1]);
		if (errno != EEXIST)
			return -errno;
	}
	id = get(kind, arg, flags & ~(IPC_CREAT | IPC_EXCL));
	if (id >= 0 && own(e, kind, id) >= 0)
		return flags & IPC_EXCL ? -EEXIST : id;
	return flags & IPC_CREAT ? -EACCES : -ENOENT;
}

/* A queue of the target: under a name of this run's own, so that it can neither meet nor guess another's. */
static void mq_name(struct cw_engine *e, char dst[300])
{
	snprintf(dst, 300, "capwrap-%d-%llu-%.200s", (int)getpid(), (unsigned long long)e->start_ns, e->ctx.path);
}

static int64_t mq_service_open(struct cw_engine *e, const uint64_t *arg)
{
	char name[300];
	int flags = (int)arg[0];

	mq_name(e, name);
	long fd = syscall(SYS_mq_open, name, flags | O_CLOEXEC, (mode_t)arg[1], arg[2] ? e->ctx.bytes : NULL);

	if (fd < 0)
		return -errno;
	for (int i = 0; i < e->n_mq; i++)
		if (!strcmp(e->mq[i], name))
			return fd;
	char **more = realloc(e->mq, (size_t)(e->n_mq + 1) * sizeof(*more));

	if (more) {
		e->mq = more;
		more[e->n_mq] = strdup(name);
		if (more[e->n_mq])
			e->n_mq++;
	}
	return fd;
}

int64_t cw_ipc_service(struct cw_engine *e, int what, const uint64_t *arg)
{
	char name[300];
	int i;

	switch (what) {
	case CW_SERVICE_IPC_GET:
		return ipc_get(e, arg);
	case CW_SERVICE_IPC_OWN:
		return own(e, arg[0], (int)arg[1]) >= 0;
	case CW_SERVICE_IPC_GONE:
		i = own(e, arg[0], (int)arg[1]);
		if (i >= 0)
			e->ipc[i] = e->ipc[--e->n_ipc];
		return 0;
	case CW_SERVICE_MQ_OPEN:
		return mq_service_open(e, arg);
	case CW_SERVICE_MQ_UNLINK:
		mq_name(e, name);
		return syscall(SYS_mq_unlink, name) ? -errno : 0;
	default:
		return -ENOSYS;
	}
}

void cw_ipc_end(struct cw_engine *e)
{
	for (int i = 0; i < e->n_ipc; i++) {
		if (e->ipc[i].kind == SHM)
			(void)shmctl(e->ipc[i].id, IPC_RMID, NULL);
		else if (e->ipc[i].kind == SEM)
			(void)semctl(e->ipc[i].id, 0, IPC_RMID);
		else
			(void)msgctl(e->ipc[i].id, IPC_RMID, NULL);
	}
	free(e->ipc);
	for (int i = 0; i < e->n_mq; i++) {
		(void)syscall(SYS_mq_unlink, e->mq[i]);
		free(e->mq[i]);
	}
	free(e->mq);
}
