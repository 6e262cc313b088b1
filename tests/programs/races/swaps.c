/*
 * What a name or a number stands for changes while a call is made: directories swapped with symlinks, moved up, and
 * descriptors replaced. ARG 0: how many rounds. Two threads attack.
 */
#include "attack.h"

#include <pthread.h>
#include <sched.h>

#define ATTACKERS 2
#define CHANGING 50 /* a descriptor that nothing else uses */

static long rounds, done;
static int ends[2]; /* what CHANGING is by turns */
static int under_way;

static void begin(void *(*attacker)(void *))
{
	pthread_t thread;

	rounds = atol(argument(0));
	for (int i = 0; i < ATTACKERS; i++)
		if (pthread_create(&thread, NULL, attacker, NULL))
			untried("pthread_create");
	while (__atomic_load_n(&under_way, __ATOMIC_SEQ_CST) < ATTACKERS)
		sched_yield();
}

static void rest(unsigned i)
{
	/* Odd: either state is left standing. */
	if (i % 7 == 0)
		sched_yield();
}

static _Noreturn void none(void)
{
	held("none in %ld rounds", done);
}

static void look(int fd, const char *expected)
{
	char text[128] = "";

	if (fd < 0)
		return;
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	close(fd);
	if (n > 0 && strncmp(text, expected, strlen(expected)))
		escaped("after %ld rounds: %.*s", done, (int)n, text);
}

static void put(const char *path, const char *text)
{
	int fd = need(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666), path);

	need(write(fd, text, strlen(text)), "write");
	close(fd);
}

static void swap_for_ever(const char *a, const char *b)
{
	__atomic_fetch_add(&under_way, 1, __ATOMIC_SEQ_CST);
	for (unsigned i = 0;; i++) {
		syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 2);
		rest(i);
	}
}

static void *exchange(void *unused)
{
	(void)unused;
	swap_for_ever(in_base("work/real"), in_base("work/false"));
	return NULL;
}

static void *exchange_partly(void *unused)
{
	(void)unused;
	swap_for_ever(in_base("partly/real"), in_base("partly/false"));
	return NULL;
}

static void make_pair(void)
{
	need(mkdir(in_base("work/real"), 0777), "mkdir");
	put(in_base("work/real/file"), "granted\n");
	need(symlink("../secret", in_base("work/false")), "symlink");
}

static void swapped_open(void)
{
	make_pair();
	begin(exchange);
	for (const char *path = in_base("work/real/file"); done < rounds; done++)
		look(open(path, O_RDONLY | O_CLOEXEC), "granted");
	none();
}

static void swapped_stat(void)
{
	struct stat st;

	make_pair();
	begin(exchange);
	for (const char *path = in_base("work/real/file"); done < rounds; done++)
		if (!stat(path, &st) && st.st_size != 8)
			escaped("after %ld rounds: size %ld", done, (long)st.st_size);
	none();
}

static void swapped_create(void)
{
	make_pair();
	begin(exchange);
	for (const char *path = in_base("work/real/planted"); done < rounds; done++) {
		int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
		if (fd >= 0 && !access(in_base("secret/planted"), F_OK))
			escaped("after %ld rounds: planted", done);
		close(fd);
		unlink(path);
	}
	none();
}

static void swapped_chmod(void)
{
	struct stat st;

	make_pair();
	begin(exchange);
	for (const char *path = in_base("work/real/file"); done < rounds; done++) {
		chmod(path, 0700 | (unsigned)(done & 077));
		if (!stat(in_base("secret/file"), &st) && (st.st_mode & 0700) == 0700)
			escaped("after %ld rounds: mode %o", done, st.st_mode);
	}
	none();
}

static void swapped_unlink(void)
{
	int seen = !access(in_base("secret/file"), F_OK);

	make_pair();
	begin(exchange);
	for (const char *path = in_base("work/real/file"); done < rounds; done++) {
		if (unlink(path))
			continue;
		if (seen && access(in_base("secret/file"), F_OK))
			escaped("after %ld rounds: unlinked", done);
		close(open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666));
	}
	none();
}

/* The path of an open file, by which it is known what may be done with it, leads into a grant of more for a moment. */
static void swapped_fchmod(void)
{
	const char *path = in_base("partly/real/file");
	int fd = need(open(path, O_RDONLY | O_CLOEXEC), path);
	struct stat st;

	begin(exchange_partly);
	for (; done < rounds; done++) {
		fchmod(fd, 0707);
		if (!fstat(fd, &st) && (st.st_mode & 0777) == 0707)
			escaped("after %ld rounds: mode %o", done, st.st_mode);
	}
	none();
}

/* work/x/y goes up to work/y and back: from there, `..` twice is one level further than from here. */
static void *move(void *unused)
{
	const char *deep = in_base("work/x/y"), *high = in_base("work/y");

	(void)unused;
	__atomic_fetch_add(&under_way, 1, __ATOMIC_SEQ_CST);
	for (unsigned i = 0;; i++) {
		rename(deep, high);
		rest(i);
		rename(high, deep);
	}
	return NULL;
}

static void make_deep(void)
{
	need(mkdir(in_base("work/x"), 0777), "mkdir");
	need(mkdir(in_base("work/x/y"), 0777), "mkdir");
}

static void moved_cwd(void)
{
	make_deep();
	need(chdir(in_base("work/x/y")), "chdir");
	begin(move);
	for (; done < rounds; done++)
		look(open("../../secret/file", O_RDONLY | O_CLOEXEC), "granted");
	none();
}

static void moved_directory(void)
{
	make_deep();
	int dir = need(open(in_base("work/x/y"), O_RDONLY | O_DIRECTORY | O_CLOEXEC), "open");
	begin(move);
	for (; done < rounds; done++)
		look(openat(dir, "../../secret/file", O_RDONLY | O_CLOEXEC), "granted");
	none();
}

static void moved_path(void)
{
	static char path[2048] = "x/y/";

	/* A lookup that stays there for a while. */
	while (strlen(path) < sizeof(path) - 64)
		strcat(path, "./");
	strcat(path, "../../secret/file");
	make_deep();
	begin(move);
	for (; done < rounds; done++)
		look(open(path, O_RDONLY | O_CLOEXEC), "granted");
	none();
}

static void *replace(void *unused)
{
	(void)unused;
	__atomic_fetch_add(&under_way, 1, __ATOMIC_SEQ_CST);
	for (unsigned i = 0;; i++) {
		dup2(ends[i & 1], CHANGING);
		rest(i);
	}
	return NULL;
}

/* Descriptor 0 is a directory outside the grants. */
static void replaced_directories(void)
{
	ends[0] = need(open(in_base("carved"), O_RDONLY | O_DIRECTORY | O_CLOEXEC), "open");
	ends[1] = 0;
	begin(replace);
}

static void replaced_openat(void)
{
	for (replaced_directories(); done < rounds; done++)
		look(openat(CHANGING, "file", O_RDONLY | O_CLOEXEC), "carved");
	none();
}

static void replaced_fchdir(void)
{
	for (replaced_directories(); done < rounds; done++)
		if (!fchdir(CHANGING))
			look(open("file", O_RDONLY | O_CLOEXEC), "carved");
	none();
}

static void replaced_fstatat(void)
{
	struct stat st;

	for (replaced_directories(); done < rounds; done++)
		if (!fstatat(CHANGING, "file", &st, 0) && st.st_size != 7)
			escaped("after %ld rounds: size %ld", done, (long)st.st_size);
	none();
}

static void replaced_mkdirat(void)
{
	for (replaced_directories(); done < rounds; done++) {
		mkdirat(CHANGING, "new", 0777);
		if (!access(in_base("secret/new"), F_OK))
			escaped("after %ld rounds: made", done);
		unlinkat(CHANGING, "new", AT_REMOVEDIR);
	}
	none();
}

/* A file that may be changed and one that may not. */
static void replaced_files(void)
{
	ends[0] = need(open(in_base("work/file"), O_RDWR | O_CLOEXEC), "open");
	ends[1] = need(open(in_base("ro/file"), O_RDONLY | O_CLOEXEC), "open");
	begin(replace);
}

static void replaced_fchmod(void)
{
	struct stat st;

	for (replaced_files(); done < rounds; done++) {
		fchmod(CHANGING, 0707);
		if (!fstat(ends[1], &st) && (st.st_mode & 0777) == 0707)
			escaped("after %ld rounds: mode %o", done, st.st_mode);
	}
	none();
}

static void replaced_futimens(void)
{
	const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
	struct stat st;

	for (replaced_files(); done < rounds; done++) {
		futimens(CHANGING, times);
		if (!fstat(ends[1], &st) && st.st_mtim.tv_sec == 1)
			escaped("after %ld rounds: time 1", done);
	}
	none();
}

static void replaced_reopen(void)
{
	char path[32];

	replaced_files();
	for (snprintf(path, sizeof(path), "/proc/self/fd/%d", CHANGING); done < rounds; done++) {
		int fd = open(path, O_RDWR | O_CLOEXEC);
		struct stat a, b;
		if (fd >= 0 && !fstat(fd, &a) && !fstat(ends[1], &b) && a.st_ino == b.st_ino)
			escaped("after %ld rounds: writable", done);
		close(fd);
	}
	none();
}

/* Descriptor 0 is a file outside the grants, opened for reading; one's own memory is open for writing. */
static void replaced_inherited(void)
{
	char path[32];
	struct stat a, b;

	ends[0] = need(memfd_create("own", MFD_CLOEXEC), "memfd_create");
	ends[1] = 0;
	begin(replace);
	for (snprintf(path, sizeof(path), "/proc/self/fd/%d", CHANGING); done < rounds; done++) {
		int fd = open(path, O_RDWR | O_CLOEXEC);

		if (fd >= 0 && !fstat(fd, &a) && !fstat(0, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
			escaped("after %ld rounds: writable", done);
		close(fd);
	}
	none();
}

const struct attack attacks[] = {
	{"swapped-open", swapped_open},
	{"swapped-stat", swapped_stat},
	{"swapped-create", swapped_create},
	{"swapped-chmod", swapped_chmod},
	{"swapped-unlink", swapped_unlink},
	{"swapped-fchmod", swapped_fchmod},
	{"moved-cwd", moved_cwd},
	{"moved-directory", moved_directory},
	{"moved-path", moved_path},
	{"replaced-openat", replaced_openat},
	{"replaced-fchdir", replaced_fchdir},
	{"replaced-fstatat", replaced_fstatat},
	{"replaced-mkdirat", replaced_mkdirat},
	{"replaced-fchmod", replaced_fchmod},
	{"replaced-futimens", replaced_futimens},
	{"replaced-reopen", replaced_reopen},
	{"replaced-inherited", replaced_inherited},
	{0},
};
