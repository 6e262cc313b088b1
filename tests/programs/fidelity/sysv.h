/* What the sysv_* programs share. Keys begin at the process's number, since natively they are the whole machine's. */
#ifndef SYSV_H
#define SYSV_H

#include "observe.h"

#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <time.h>

static key_t next_key;

/* A result that is a number of chance where it is none of failure. */
static long id_of(const char *label, long ret)
{
	if (ret == -1)
		say(label, "-1 %s", strerrorname_np(errno));
	else
		say(label, "an id");
	return ret;
}
#define ID(call) ((int)(errno = 0, id_of(#call, (long)(call))))

enum kind { SHM, SEM, MSG };
static UNUSED const char *const kinds[] = {"shm", "sem", "msg"};

static UNUSED int get(enum kind kind, key_t key, size_t size, int flags)
{
	return kind == SHM   ? shmget(key, size, flags)
	       : kind == SEM ? semget(key, (int)size, flags)
	                     : msgget(key, flags);
}

static UNUSED long control(enum kind kind, int id, int cmd, void *arg)
{
	return syscall(kind == SHM   ? SYS_shmctl
	               : kind == SEM ? SYS_semctl
	                             : SYS_msgctl,
	               id, kind == SEM ? 0 : cmd, kind == SEM ? (void *)(intptr_t)cmd : arg, kind == SEM ? arg : NULL);
}

/* A key that nobody has. */
static key_t free_key(void)
{
	for (;; next_key++)
		if (shmget(next_key, 0, 0) == -1 && errno == ENOENT && semget(next_key, 0, 0) == -1 &&
		    errno == ENOENT && msgget(next_key, 0) == -1 && errno == ENOENT) {
			return next_key++;
		}
}

static void told(const char *label, enum kind kind, int id)
{
	union {
		struct shmid_ds shm;
		struct semid_ds sem;
		struct msqid_ds msg;
	} u;
	time_t now = time(NULL), changed;
	struct ipc_perm *perm = &u.shm.shm_perm;

	memset(&u, 0, sizeof(u));
	if (control(kind, id, IPC_STAT, &u)) {
		say(label, "-1 %s", strerrorname_np(errno));
		return;
	}
	changed = kind == SHM ? u.shm.shm_ctime : kind == SEM ? u.sem.sem_ctime : u.msg.msg_ctime;
	say(label, "mode %o uid %s %s gid %s %s key %s changed %s", perm->mode,
	    perm->uid == geteuid() ? "own" : "other", perm->cuid == geteuid() ? "own" : "other",
	    perm->gid == getegid() ? "own" : "other", perm->cgid == getegid() ? "own" : "other",
	    perm->__key == IPC_PRIVATE ? "none" : "one",
	    changed > now - 600 && changed <= now ? "lately" : "at another time");
	if (kind == SHM) {
		say(label, "size %zu attached %lu, %s %s", u.shm.shm_segsz, (unsigned long)u.shm.shm_nattch,
		    u.shm.shm_atime ? "was attached" : "never attached",
		    u.shm.shm_dtime ? "detached" : "never detached");
		say(label, "last used by %s",
		    u.shm.shm_lpid == getpid() ? "this process"
		    : u.shm.shm_lpid           ? "another"
		                               : "nobody");
	} else if (kind == SEM) {
		say(label, "%lu semaphores, %s", (unsigned long)u.sem.sem_nsems,
		    u.sem.sem_otime ? "used" : "never used");
	} else {
		say(label, "%lu messages, %lu bytes of %lu, sender %s, receiver %s", (unsigned long)u.msg.msg_qnum,
		    (unsigned long)u.msg.__msg_cbytes, (unsigned long)u.msg.msg_qbytes,
		    u.msg.msg_lspid == getpid() ? "this process"
		    : u.msg.msg_lspid           ? "another"
		                                : "nobody",
		    u.msg.msg_lrpid == getpid() ? "this process"
		    : u.msg.msg_lrpid           ? "another"
		                                : "nobody");
	}
	if (kind == SHM)
		say("made by", "%s", u.shm.shm_cpid == getpid() ? "this process" : "another");
}

static void begin(void)
{
	next_key = 0x10000000 + getpid() * 64;
	umask(0777); /* says nothing here */
}

#endif
