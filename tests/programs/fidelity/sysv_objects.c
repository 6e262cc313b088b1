/* System V IPC: what makes, finds, changes and removes an object of each kind, by whom, and shared memory as it is used. */
#include "sysv.h"

#include <sys/mman.h>
#include <sys/wait.h>

#define OTHER 12345 /* another user */

static void gets_of(enum kind kind)
{
	static const struct {
		size_t size;
		int flags;
	} rows[] = {
		{1, 0},
		{0, IPC_CREAT | 0600},
		{SIZE_MAX, IPC_CREAT | 0600},
		{1000000, IPC_EXCL | 0600},
		{2, IPC_CREAT | IPC_EXCL | 0640},
		{2, IPC_CREAT | IPC_EXCL | 0640},
		{2, IPC_CREAT | 0666},
		{2, IPC_EXCL},
		{2, 0},
		{0, 0},
		{1, 0600},
		{2, 0006},
		{2, 0777},
		{3, 0},
		{5000, 0},
		{5000, IPC_CREAT},
		{5000, IPC_CREAT | IPC_EXCL},
		{2, SHM_HUGETLB},
		{2, 1 << 30},
	};
	key_t key = free_key();
	int first = -1;
	char label[80];

	section(kinds[kind]);
	for (size_t i = 0; i < COUNT(rows); i++) {
		int id = get(kind, key, rows[i].size, rows[i].flags);
		int error = errno;

		snprintf(label, sizeof(label), "get %zu, %o", rows[i].size, rows[i].flags);
		say(label, "%s", id < 0 ? strerrorname_np(error) : first < 0 || id == first ? "an id" : "another id");
		if (id >= 0 && first >= 0 && id != first)
			control(kind, id, IPC_RMID, NULL);
		else if (id >= 0)
			first = id;
	}
	told("as made", kind, first);
	int one = get(kind, IPC_PRIVATE, 1, 0), two = get(kind, IPC_PRIVATE, 1, IPC_EXCL | 0600);

	say("private", "%s", one < 0 ? strerrorname_np(errno) : one == two ? "the same" : "each another");
	told("private", kind, one);
	result("removed", control(kind, one, IPC_RMID, NULL));
	result("removed", control(kind, one, IPC_RMID, NULL));
	result("removed", control(kind, two, IPC_RMID, NULL));
	told("of what is gone", kind, two);
	result("of what never was", control(kind, INT32_MAX, IPC_RMID, NULL));
	result("of what cannot be", control(kind, -1, IPC_RMID, NULL));
	result("an unknown command", control(kind, first, 9999, NULL));
	result("stat to nowhere", control(kind, first, IPC_STAT, (void *)8));
	result("set from nowhere", control(kind, first, IPC_SET, (void *)8));
	result("about all", control(kind, first, IPC_INFO, (void *)8));
	result("removed", control(kind, first, IPC_RMID, NULL));
	id_of("the key is free", get(kind, key, 2, 0));
	first = get(kind, key, 2, IPC_CREAT | 0600);
	id_of("the key again", first);
	control(kind, first, IPC_RMID, NULL);
}

static void rights_of(enum kind kind, bool become)
{
	static const int modes[] = {0, 0400, 0200, 0600, 0060, 0006, 0666, 01777};
	char label[80];
	union {
		struct shmid_ds shm;
		struct semid_ds sem;
		struct msqid_ds msg;
	} u;

	section(become ? "another user" : "the owner");
	for (size_t i = 0; i < COUNT(modes); i++) {
		key_t key = free_key();
		int id = get(kind, key, 1, IPC_CREAT | IPC_EXCL | modes[i]), status;
		pid_t pid = (pid_t)MUST(fork());

		if (!pid) {
			if (become) {
				MUST(setresgid(OTHER, OTHER, OTHER));
				MUST(setresuid(OTHER, OTHER, OTHER));
			}
			for (size_t k = 0; k < 3; k++) {
				static const int wanted[] = {0, 0400, 0666};

				snprintf(label, sizeof(label), "%s %o: get %o", kinds[kind], modes[i], wanted[k]);
				id_of(label, get(kind, key, 1, wanted[k]));
			}
			snprintf(label, sizeof(label), "%s %o: get, create", kinds[kind], modes[i]);
			id_of(label, get(kind, key, 1, IPC_CREAT | 0600));
			snprintf(label, sizeof(label), "%s %o: get, exclusive", kinds[kind], modes[i]);
			id_of(label, get(kind, key, 1, IPC_CREAT | IPC_EXCL | 0600));
			snprintf(label, sizeof(label), "%s %o: stat", kinds[kind], modes[i]);
			told(label, kind, id);
			memset(&u, 0, sizeof(u));
			u.shm.shm_perm.mode = 0600;
			u.shm.shm_perm.uid = geteuid();
			u.shm.shm_perm.gid = getegid();
			u.msg.msg_qbytes = 100;
			snprintf(label, sizeof(label), "%s %o: read", kinds[kind], modes[i]);
			if (kind == SHM) {
				result(label, shmat(id, NULL, SHM_RDONLY) == (void *)-1 ? -1 : 0);
				snprintf(label, sizeof(label), "shm %o: write", modes[i]);
				result(label, shmat(id, NULL, 0) == (void *)-1 ? -1 : 0);
			} else if (kind == SEM) {
				result(label, semctl(id, 0, GETVAL));
				snprintf(label, sizeof(label), "sem %o: zero", modes[i]);
				result(label, semop(id, &(struct sembuf){0, 0, IPC_NOWAIT}, 1));
				snprintf(label, sizeof(label), "sem %o: write", modes[i]);
				result(label, semop(id, &(struct sembuf){0, 1, IPC_NOWAIT}, 1));
			} else {
				result(label, msgrcv(id, &u, 8, 0, IPC_NOWAIT));
				snprintf(label, sizeof(label), "msg %o: write", modes[i]);
				result(label, msgsnd(id, (long[2]){1, 2}, 8, IPC_NOWAIT));
			}
			memset(&u, 0, sizeof(u));
			u.shm.shm_perm.mode = 0600;
			u.shm.shm_perm.uid = geteuid();
			u.shm.shm_perm.gid = getegid();
			u.msg.msg_qbytes = 100;
			snprintf(label, sizeof(label), "%s %o: set", kinds[kind], modes[i]);
			result(label, control(kind, id, IPC_SET, &u));
			told(label, kind, id);
			if (kind == MSG) {
				u.msg.msg_qbytes = 1 << 30;
				snprintf(label, sizeof(label), "msg %o: set much room", modes[i]);
				result(label, control(kind, id, IPC_SET, &u));
			}
			snprintf(label, sizeof(label), "%s %o: remove", kinds[kind], modes[i]);
			result(label, control(kind, id, IPC_RMID, NULL));
			/* what it makes is its own */
			int own = get(kind, IPC_PRIVATE, 1, 0600);

			snprintf(label, sizeof(label), "%s %o: its own", kinds[kind], modes[i]);
			told(label, kind, own);
			result(label, control(kind, own, IPC_RMID, NULL));
			_exit(0);
		}
		MUST(waitpid(pid, &status, 0));
		say("ended", "%x", (unsigned)status);
		control(kind, id, IPC_RMID, NULL);
	}
}

static long attached(int id)
{
	struct shmid_ds ds;

	return shmctl(id, IPC_STAT, &ds) ? -1 : (long)ds.shm_nattch;
}

static void segments(void)
{
	key_t key = free_key();
	int id = ID(shmget(key, 3 * 4096, IPC_CREAT | 0600)), status;
	char *at = shmat(id, NULL, 0), *there;

	section("segments");
	strcpy(at, "written");
	told("attached", SHM, id);
	there = shmat(id, NULL, SHM_RDONLY);
	say("a second time", "%s", there);
	result("attached", attached(id));
	result("write into what is read-only", read((int)MUST(open("/dev/zero", O_RDONLY)), there, 1));
	result("at an odd address", (long)shmat(id, there + 1, 0));
	/* a place of its own, so that nothing else is there */
	char *hole = mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	result("where something is", (long)shmat(id, hole, 0) == -1 ? -1 : 0);
	say("over something", "%d", shmat(id, hole, SHM_REMAP) == hole);
	result("over something, nowhere", (long)shmat(id, NULL, SHM_REMAP));
	munmap(hole + 65536, 65536);
	say("where nothing is", "%d", shmat(id, hole + 65536, 0) == hole + 65536);
	munmap(hole + 131072, 65536);
	say("rounded", "%d", shmat(id, hole + 131072 + 77, SHM_RND) == hole + 131072);
	result("attached", attached(id));
	ROW(shmdt(hole + 131072 + 77));
	ROW(shmdt(hole + 131072));
	ROW(shmdt(hole + 131072));
	ROW(shmdt(hole + 65536));
	ROW(shmdt(hole));
	ROW(shmdt(&status));
	ROW(shmdt(NULL));
	/* a part that is unmapped does not let go of the whole */
	ROW(munmap(there, 4096));
	result("attached", attached(id));
	ROW(munmap(there + 4096, 2 * 4096));
	result("attached", attached(id));
	pid_t pid = (pid_t)MUST(fork());

	if (!pid) {
		result("in a child", attached(id));
		say("in a child", "%s", at);
		at[0] = 'W';
		if (!fork())
			execl("./sysv_objects", "sysv_objects", "end", NULL);
		wait(&status);
		result("after an exec", attached(id));
		_exit(0);
	}
	MUST(waitpid(pid, &status, 0));
	result("after its end", attached(id));
	say("after its end", "%s", at);
	ROW(shmctl(id, SHM_LOCK, NULL));
	ROW(shmctl(id, SHM_UNLOCK, NULL));
	ROW(shmctl(id, SHM_INFO, (void *)8) >= 0);
	ROW(shmctl(id, SHM_STAT, (void *)8));
	ROW(shmctl(id, IPC_RMID, NULL));
	told("removed while attached", SHM, id);
	id_of("its key", shmget(key, 0, 0));
	there = shmat(id, NULL, 0);
	say("attached then", "%s", there == (void *)-1 ? strerrorname_np(errno) : there);
	result("attached", attached(id));
	ROW(shmdt(there));
	say("and still", "%s", at);
	ROW(shmdt(at));
	told("at last", SHM, id);
	ROW(shmctl(id, IPC_RMID, NULL));
	result("attached at last", (long)shmat(id, NULL, 0));
	id = ID(shmget(IPC_PRIVATE, 4096, SHM_NORESERVE | 0600));
	result("a removed one attached to nowhere", (long)shmat(id, (void *)16, 0));
	ROW(shmctl(id, IPC_RMID, NULL));
	ROW(shmctl(id, IPC_RMID, NULL));
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		return 0; /* executed by a child of segments() */
	begin();
	for (enum kind kind = SHM; kind <= MSG; kind++) {
		gets_of(kind);
		rights_of(kind, false);
		if (!geteuid())
			rights_of(kind, true);
	}
	segments();
	return 0;
}
