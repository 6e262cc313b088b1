/*
 * System V IPC: what makes, finds, changes and removes an object, by whom, and what becomes of those who use or wait for it
 * then. Keys begin at the process's number, since natively they are the whole machine's.
 */
#include "observe.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define OTHER 12345 /* another user */

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
static const char *const kinds[] = {"shm", "sem", "msg"};

static int get(enum kind kind, key_t key, size_t size, int flags)
{
	return kind == SHM   ? shmget(key, size, flags)
	       : kind == SEM ? semget(key, (int)size, flags)
	                     : msgget(key, flags);
}

static long control(enum kind kind, int id, int cmd, void *arg)
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
			execl("./sysv", "sysv", "end", NULL);
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

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		return 0;
	next_key = 0x10000000 + getpid() * 64;
	umask(0777); /* says nothing here */
	for (enum kind kind = SHM; kind <= MSG; kind++) {
		gets_of(kind);
		rights_of(kind, false);
		if (!geteuid())
			rights_of(kind, true);
	}
	segments();
	semaphores();
	messages();
	return 0;
}
