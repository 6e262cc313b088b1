/* System V IPC and POSIX message queues: only objects that the target made exist. The host makes them and keeps the book. */
#include "rewriters/errno.h"
#include "rewriters/kernel.h"
#include "rewriters/rewriter.h"

enum kind { SHM, SEM, MSG };

void cw_rw_sysv(struct cw_ctx *c)
{
	const uint64_t *a = c->call.arg;
	int nr = c->call.nr;
	/* 29 shmget shmat shmctl; 64 semget semop semctl, 220 semtimedop; 68 msgget msgsnd msgrcv msgctl */
	uint64_t kind = nr <= 31 ? SHM : nr >= 68 && nr <= 71 ? MSG : SEM;

	if (nr == 29 || nr == 64 || nr == 68) {
		uint64_t arg[4] = {kind, a[0], kind == MSG ? 0 : a[1], (uint32_t)(kind == MSG ? a[1] : a[2])};
		int64_t id = c->ops->call(c, CW_SERVICE_IPC_GET, arg);

		if (id == CW_IPC_FOREIGN)
			return cw_refuse(c, CW_KIND_PROCESS, EACCES);
		return cw_answer(c, id);
	}
	uint64_t own[2] = {kind, (uint32_t)a[0]};
	bool control = nr == 31 || nr == 66 || nr == 71;
	uint32_t cmd = (uint32_t)(nr == 66 ? a[2] : a[1]) & ~0x100u; /* IPC_64 */

	/* IPC_INFO, and from MSG_STAT 11, SHM_STAT 13, SEM_STAT 18 on three each: of the whole machine's tables */
	uint32_t first = kind == MSG ? 11 : kind == SHM ? 13 : 18;

	if (control && (cmd == 3 || (cmd >= first && cmd < first + 3)))
		return cw_refuse(c, CW_KIND_PROCESS, EACCES);
	if (!c->ops->call(c, CW_SERVICE_IPC_OWN, own))
		return cw_refuse(c, CW_KIND_PROCESS, EINVAL);
	if (control && cmd == 0 && kind != SHM) /* IPC_RMID; a segment lives on until it is detached */
		c->ops->call(c, CW_SERVICE_IPC_GONE, own);
	cw_pass(c);
}

void cw_rw_mqueue(struct cw_ctx *c)
{
	const uint64_t *a = c->call.arg;
	int len = c->ops->read_string(c, c->path, CW_NAME_MAX + 1, (struct tptr){a[0]});
	uint64_t arg[3] = {(uint32_t)a[1], (uint32_t)a[2], a[3] != 0};

	if (len <= 0)
		return cw_fail(c, len ? -len : ENOENT);
	if (!cw_strcmp(c->path, ".") || !cw_strcmp(c->path, ".."))
		return cw_fail(c, EACCES);
	for (int i = 0; i < len; i++)
		if (c->path[i] == '/')
			return cw_fail(c, EACCES);
	if (c->call.nr == 241)
		return cw_answer(c, c->ops->call(c, CW_SERVICE_MQ_UNLINK, arg));
	if (a[3] && (a[1] & K_O_CREAT)) {
		int err = c->ops->read(c, c->bytes, (struct tptr){a[3]}, 64); /* struct mq_attr */

		if (err)
			return cw_fail(c, -err);
	} else
		arg[2] = 0;
	int64_t fd = c->ops->call(c, CW_SERVICE_MQ_OPEN, arg);

	if (fd < 0)
		return cw_fail(c, (int)-fd);
	c->place[0].fd = (int)fd;
	cw_perform(c, CW_OP_DELIVER);
	c->plan.arg[0] = K_O_CLOEXEC;
	c->plan.arg[1] = 0;
}
