/*
 * POSIX message queues, shared memory and named semaphores: names, modes, limits, times, notification, and what becomes of
 * those that are used when their name goes. Names hold the process's number, since natively they are the whole machine's.
 */
#include "observe.h"

#include <limits.h>
#include <mqueue.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define OTHER 12345 /* another user */

static char name[100], longest[300];

static const char *named(const char *what)
{
	static char made[4][300];
	static int next;
	char *to = made[next++ % 4];

	snprintf(to, sizeof(made[0]), "%s-%s", name, what);
	return to;
}

static void attributes(const char *label, mqd_t q)
{
	struct mq_attr a;

	if (mq_getattr(q, &a))
		say(label, "-1 %s", strerrorname_np(errno));
	else
		say(label, "flags %lo, %ld of %ld bytes, %ld there", a.mq_flags, a.mq_maxmsg, a.mq_msgsize,
		    a.mq_curmsgs);
}

static void file_of(const char *label, int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		say(label, "-1 %s", strerrorname_np(errno));
	else
		say(label, "mode %o size %ld links %ld uid %s gid %s", st.st_mode, (long)st.st_size, (long)st.st_nlink,
		    st.st_uid == geteuid() ? "own" : "other", st.st_gid == getegid() ? "own" : "other");
	char link[400], path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(path, link, sizeof(link) - 1);

	link[n < 0 ? 0 : n] = 0;
	/* the number of the process is one of chance */
	say(label, "%s", strrchr(link, '-') ? strrchr(link, '-') : link);
	say(label, "access mode %o, close on exec %d", fcntl(fd, F_GETFL) & O_ACCMODE, fcntl(fd, F_GETFD));
}

static void names_of_queues(void)
{
	char text[400];
	static const size_t lengths[] = {1, 199, 200, 201, 230, 254, 255, 256, 300};

	section("names of queues");
	/* the library takes the first slash away, the kernel has the rest */
	ROW(mq_open("without-a-slash", O_RDWR));
	ROW(mq_open("", O_RDWR));
	ROW(mq_open("/", O_RDWR));
	ROW(mq_open("//", O_RDWR | O_CREAT, 0600, NULL));
	ROW(mq_open("/a/b", O_RDWR | O_CREAT, 0600, NULL));
	ROW(mq_open("/.", O_RDWR));
	ROW(mq_open("/..", O_RDWR | O_CREAT, 0600, NULL));
	ROW(mq_unlink("/."));
	ROW(mq_unlink("/.."));
	ROW(mq_unlink("/"));
	ROW(mq_unlink("/a/b"));
	ROW(syscall(SYS_mq_open, NULL, O_RDWR, 0, NULL));
	ROW(syscall(SYS_mq_open, 8L, O_RDWR, 0, NULL));
	ROW(syscall(SYS_mq_unlink, 8L));
	for (size_t i = 0; i < COUNT(lengths); i++) {
		snprintf(text, sizeof(text), "%.*s", (int)lengths[i] + 1, longest);
		memset(text + strlen(text), 'l', lengths[i] + 1 - strlen(text));
		text[lengths[i] + 1] = 0;
		if (lengths[i] == 1)
			continue;
		mqd_t q = mq_open(text, O_RDWR | O_CREAT | O_EXCL, 0600, NULL);

		say("a long name", "%zu: %s", lengths[i], q < 0 ? strerrorname_np(errno) : "made");
		if (q >= 0)
			close(q);
	}
	for (size_t i = 1; i < COUNT(lengths); i++) {
		snprintf(text, sizeof(text), "%.*s", (int)lengths[i] + 1, longest);
		memset(text + strlen(text), 'l', lengths[i] + 1 - strlen(text));
		text[lengths[i] + 1] = 0;
		result("a long name is removed", mq_unlink(text));
	}
}

static void opening(void)
{
	static const int flags[] = {0,
	                            O_WRONLY,
	                            O_RDWR,
	                            O_ACCMODE,
	                            O_CREAT,
	                            O_CREAT | O_EXCL,
	                            O_EXCL,
	                            O_RDWR | O_NONBLOCK,
	                            O_RDWR | O_CLOEXEC,
	                            O_RDWR | O_TRUNC,
	                            O_RDWR | O_APPEND | O_DIRECTORY | O_NOFOLLOW,
	                            O_PATH,
	                            1 << 28};
	static const struct mq_attr attrs[] = {
		{.mq_maxmsg = 0, .mq_msgsize = 10},
		{.mq_maxmsg = 10, .mq_msgsize = 0},
		{.mq_maxmsg = -1, .mq_msgsize = 10},
		{.mq_maxmsg = 10, .mq_msgsize = -1},
		{.mq_maxmsg = 11, .mq_msgsize = 10},
		{.mq_maxmsg = 65537, .mq_msgsize = 1},
		{.mq_maxmsg = 1, .mq_msgsize = 8193},
		{.mq_maxmsg = 1, .mq_msgsize = 16777217},
		{.mq_maxmsg = 10, .mq_msgsize = 8192},
		{.mq_maxmsg = 2, .mq_msgsize = 16, .mq_flags = O_NONBLOCK},
		{.mq_maxmsg = 2, .mq_msgsize = 16, .mq_flags = -1, .mq_curmsgs = 7},
	};
	char label[80];
	const char *own = named("opening");
	mqd_t q;

	section("queues");
	for (int there = 0; there < 2; there++) {
		for (size_t i = 0; i < COUNT(flags); i++) {
			snprintf(label, sizeof(label), "%s, open %x", there ? "there" : "absent", (unsigned)flags[i]);
			q = mq_open(own, flags[i], 0600, NULL);
			result(label, q);
			if (q >= 0) {
				file_of(label, q);
				attributes(label, q);
				mq_close(q);
			}
			if (!there)
				mq_unlink(own);
		}
		if (!there)
			mq_close((int)MUST(mq_open(own, O_CREAT | O_EXCL, 0600, NULL)));
	}
	mq_unlink(own);
	for (size_t i = 0; i < COUNT(attrs); i++) {
		snprintf(label, sizeof(label), "attributes %zu", i);
		q = mq_open(own, O_RDWR | O_CREAT, 0600, &attrs[i]);
		result(label, q);
		attributes(label, q);
		if (q >= 0)
			mq_close(q);
		mq_unlink(own);
	}
	ROW(mq_open(own, O_RDWR | O_CREAT, 0600, (struct mq_attr *)8));
	ROW(mq_open(own, O_RDWR, 0600, (struct mq_attr *)8));
	ROW(mq_unlink(own));
	umask(027);
	static const int modes[] = {0, 0777, 0666, 07777, 0100644};

	for (size_t i = 0; i < COUNT(modes); i++) {
		snprintf(label, sizeof(label), "mode %o", modes[i]);
		q = (int)result(label, mq_open(own, O_RDWR | O_CREAT, modes[i], NULL));
		if (q >= 0) {
			file_of(label, q);
			mq_close(q);
		}
		mq_unlink(own);
	}
	umask(0);
	struct rlimit limit = {0, RLIM_INFINITY}, was;

	MUST(getrlimit(RLIMIT_NOFILE, &was));
	limit = was;
	limit.rlim_cur = 3;
	MUST(setrlimit(RLIMIT_NOFILE, &limit));
	ROW(mq_open(own, O_RDWR | O_CREAT, 0600, NULL));
	MUST(setrlimit(RLIMIT_NOFILE, &was));
	ROW(mq_unlink(own));
}

static void rights(bool become)
{
	static const int modes[] = {0, 0400, 0200, 0600, 0060, 0006, 0666};
	static const int wanted[] = {O_RDONLY, O_WRONLY, O_RDWR, O_CREAT | O_RDWR, O_CREAT | O_EXCL | O_RDWR};
	char label[80];
	const char *own = named("rights");

	section(become ? "queues of another user" : "own queues");
	for (size_t i = 0; i < COUNT(modes); i++) {
		int status;

		mq_close((int)MUST(mq_open(own, O_RDWR | O_CREAT | O_EXCL, modes[i], NULL)));
		pid_t pid = (pid_t)MUST(fork());

		if (!pid) {
			if (become) {
				MUST(setresgid(OTHER, OTHER, OTHER));
				MUST(setresuid(OTHER, OTHER, OTHER));
			}
			for (size_t k = 0; k < COUNT(wanted); k++) {
				snprintf(label, sizeof(label), "mode %o, open %o", modes[i], wanted[k]);
				mqd_t q = (int)result(label, mq_open(own, wanted[k], 0600, NULL));

				if (q >= 0) {
					file_of(label, q);
					snprintf(label, sizeof(label), "mode %o, open %o: chmod", modes[i], wanted[k]);
					result(label, fchmod(q, 0640));
					result(label, fchown(q, (uid_t)-1, getegid()));
					result(label, fchmod(q, (mode_t)modes[i]));
					close(q);
				}
			}
			snprintf(label, sizeof(label), "mode %o, unlink", modes[i]);
			result(label, mq_unlink(own));
			mqd_t q = mq_open(named("new"), O_RDWR | O_CREAT | O_EXCL, 0600, NULL);

			file_of("its own", q);
			result("its own", mq_unlink(named("new")));
			_exit(0);
		}
		MUST(waitpid(pid, &status, 0));
		say("ended", "%x", (unsigned)status);
		mq_unlink(own);
	}
}

static int signals, code, value;

static void on_signal(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)context;
	signals++;
	code = info->si_code;
	value = info->si_value.sival_int;
}

static void using(void)
{
	struct mq_attr a = {.mq_maxmsg = 2, .mq_msgsize = 16};
	const char *own = named("using");
	mqd_t q = (int)MUST(mq_open(own, O_RDWR | O_CREAT | O_EXCL, 0600, &a)), reader, writer;
	struct timespec past = {0, 0};
	char text[32] = "";
	unsigned priority;
	struct pollfd p = {q, POLLIN | POLLOUT, 0};

	section("using a queue");
	reader = (int)MUST(mq_open(own, O_RDONLY | O_NONBLOCK));
	writer = (int)MUST(mq_open(own, O_WRONLY | O_NONBLOCK));
	ROW(mq_send(q, "first", 6, 1));
	ROW(mq_send(q, "urgent", 7, 9));
	ROW(mq_send(writer, "third", 6, 0));
	ROW(mq_timedsend(q, "third", 6, 0, &past));
	ROW(mq_timedsend(q, "third", 6, 0, &(struct timespec){0, -1}));
	ROW(mq_timedsend(q, "third", 6, 0, &(struct timespec){0, 1000000000}));
	ROW(mq_timedsend(q, "third", 6, 0, (void *)8));
	ROW(poll(&p, 1, 0));
	say("poll", "%x", (unsigned)p.revents);
	ROW(mq_send(reader, "x", 1, 0));
	ROW(mq_receive(writer, text, 16, NULL));
	ROW(mq_send(q, text, 17, 0));
	ROW(mq_send(q, text, 1, 32768));
	ROW(mq_send(q, (void *)8, 4, 0));
	ROW(mq_send(-1, text, 1, 0));
	ROW(mq_send(0, text, 1, 0));
	ROW(mq_receive(q, text, 15, NULL));
	attributes("full", q);
	ROW(read(q, text, sizeof(text) - 1));
	say("read", "%s", text);
	memset(text, 0, sizeof(text));
	ROW(pread(q, text, 10, 0));
	ROW(write(q, text, 1));
	ROW(lseek(q, 0, SEEK_SET));
	ROW(ftruncate(q, 0));
	ROW(mq_receive(q, text, 16, &priority));
	say("received", "%s %u", text, priority);
	ROW(mq_receive(q, text, 16, (unsigned *)8));
	ROW(mq_receive(reader, text, 16, NULL));
	ROW(mq_timedreceive(q, text, 16, NULL, &past));
	ROW(poll(&p, 1, 0));
	say("poll", "%x", (unsigned)p.revents);
	a.mq_flags = O_NONBLOCK;
	a.mq_maxmsg = 1000;
	ROW(mq_setattr(q, &a, NULL));
	attributes("set", q);
	a.mq_flags = O_NONBLOCK | O_APPEND;
	ROW(mq_setattr(q, &a, NULL));
	ROW(mq_receive(q, text, 16, NULL));
	ROW(mq_getattr(0, &a));
	ROW(fcntl(q, F_GETFL) & O_NONBLOCK);

	section("notification");
	struct sigaction act = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 77};

	sigaction(SIGUSR1, &act, NULL);
	ROW(mq_notify(q, &event));
	ROW(mq_notify(writer, &event));
	if (!fork()) {
		ROW(mq_notify(q, &event));
		ROW(mq_notify(q, NULL));
		_exit(0);
	}
	wait(NULL);
	ROW(mq_send(q, "told", 5, 3));
	say("told", "%d times, code %d, value %d", signals, code, value);
	ROW(mq_send(q, "told", 5, 3));
	say("told", "%d times", signals);
	ROW(mq_notify(q, &event));
	ROW(mq_receive(q, text, 16, NULL));
	ROW(mq_receive(q, text, 16, NULL));
	ROW(mq_send(q, "again", 6, 3));
	say("told", "%d times", signals);
	event.sigev_notify = SIGEV_NONE;
	ROW(mq_notify(q, &event));
	ROW(mq_notify(q, &event));
	ROW(mq_notify(q, NULL));
	ROW(mq_notify(q, NULL));
	event.sigev_notify = 77;
	ROW(mq_notify(q, &event));
	event.sigev_notify = SIGEV_SIGNAL;
	event.sigev_signo = 100;
	ROW(mq_notify(q, &event));
	ROW(mq_notify(0, NULL));
	ROW(mq_notify(-1, NULL));

	section("a queue without a name");
	ROW(mq_unlink(own));
	ROW(mq_unlink(own));
	file_of("its file", q);
	ROW(mq_open(own, O_RDWR));
	ROW(mq_receive(q, text, 16, NULL));
	say("received", "%s", text);
	mqd_t other = (int)ROW(mq_open(own, O_RDWR | O_CREAT, 0600, NULL));

	attributes("of the same name", other);
	ROW(mq_send(q, "one", 4, 0));
	attributes("of the same name", other);
	ROW(mq_close(q));
	ROW(mq_close(q));
	ROW(mq_close(other));
	ROW(mq_unlink(own));
}

static void memory(void)
{
	const char *own = named("memory");
	char text[400], *at;
	static const size_t lengths[] = {200, 254, 255, 256};
	int fd;

	section("shared memory");
	ROW(shm_open("", O_RDWR | O_CREAT, 0600));
	ROW(shm_open("/", O_RDWR | O_CREAT, 0600));
	ROW(shm_open("/a/b", O_RDWR | O_CREAT, 0600));
	ROW(shm_open("/.", O_RDWR, 0));
	ROW(shm_open("/..", O_RDONLY, 0));
	ROW(shm_unlink("/."));
	ROW(shm_unlink("/.."));
	ROW(shm_unlink(own));
	for (size_t i = 0; i < COUNT(lengths); i++) {
		snprintf(text, sizeof(text), "%s", longest);
		memset(text + strlen(text), 'l', lengths[i] + 1 - strlen(text));
		text[lengths[i] + 1] = 0;
		fd = (int)result("a long name", shm_open(text, O_RDWR | O_CREAT | O_EXCL, 0600));
		result("a long name", shm_unlink(text));
		close(fd);
	}
	ROW(shm_open(own, O_RDWR, 0600));
	fd = (int)ROW(shm_open(own, O_RDWR | O_CREAT | O_EXCL, 0640));
	file_of("made", fd);
	ROW(shm_open(own, O_RDWR | O_CREAT | O_EXCL, 0640));
	ROW(ftruncate(fd, 8192));
	at = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	strcpy(at, "written");
	if (!fork()) {
		int other = (int)ROW(shm_open(own, O_RDONLY, 0));
		char *there = mmap(NULL, 8192, PROT_READ, MAP_SHARED, other, 0);

		say("in a child", "%s", there);
		ROW(mmap(NULL, 8192, PROT_WRITE, MAP_SHARED, other, 0) == MAP_FAILED);
		ROW(mprotect(there, 8192, PROT_WRITE));
		_exit(0);
	}
	wait(NULL);
	ROW(shm_unlink(own));
	ROW(shm_open(own, O_RDWR, 0600));
	file_of("unlinked", fd);
	say("unlinked", "%s", at);
	close(fd);
	struct stat st;

	ROW(stat("/dev/shm", &st));
	say("the directory", "%o %s", st.st_mode, st.st_uid ? "another's" : "root's");
	ROW(access("/dev/shm", R_OK | W_OK | X_OK));
}

static void semaphores(void)
{
	const char *own = named("semaphore");
	sem_t *s, *again;
	int n;

	section("named semaphores");
	say("absent", "%s", sem_open(own, 0) == SEM_FAILED ? strerrorname_np(errno) : "there");
	say("a value", "%s", sem_open(own, O_CREAT, 0600, 0x80000000u) == SEM_FAILED ? strerrorname_np(errno) : "made");
	say("a name", "%s", sem_open("/a/b", O_CREAT, 0600, 1) == SEM_FAILED ? strerrorname_np(errno) : "made");
	s = sem_open(own, O_CREAT | O_EXCL, 0600, 1);
	say("made", "%s", s == SEM_FAILED ? strerrorname_np(errno) : "made");
	again = sem_open(own, O_CREAT, 0600, 5);
	say("again", "%s", again == s ? "the same" : "another");
	again = sem_open(own, O_CREAT | O_EXCL, 0600, 5);
	say("exclusive", "%s", again == SEM_FAILED ? strerrorname_np(errno) : "made");
	ROW(sem_wait(s));
	ROW(sem_trywait(s));
	ROW(sem_timedwait(s, &(struct timespec){0, 0}));
	if (!fork()) {
		sem_t *there = sem_open(own, 0);

		ROW(sem_post(there));
		ROW(sem_post(there));
		_exit(0);
	}
	wait(NULL);
	ROW(sem_getvalue(s, &n));
	say("value", "%d", n);
	ROW(sem_unlink(own));
	ROW(sem_unlink(own));
	ROW(sem_wait(s));
	ROW(sem_close(s));
	ROW(sem_unlink("/a/b"));
}

int main(void)
{
	snprintf(name, sizeof(name), "/fidelity-%d", (int)getpid());
	snprintf(longest, sizeof(longest), "%s-", name);
	umask(0);
	names_of_queues();
	opening();
	rights(false);
	if (!geteuid())
		rights(true);
	using();
	memory();
	semaphores();
	return 0;
}
