/*
 * The same as in flips.c for the calls that change something, each by its path or its second one. What came about outside is
 * seen natively by the program itself, and confined by the test. flip.h has the arguments.
 */
#include "flip.h"

#include <mqueue.h>
#include <stddef.h>
#include <sys/xattr.h>

static int came_about(const char *outside)
{
	return !access(outside, F_OK);
}

static void race_rename_to(void)
{
	const char *own = in_base("work/file"), *inside = granted_path("new"), *outside = in_base("secret/new");

	for (const char *path = flipping("new"); done < rounds; done++) {
		if (rename(own, path))
			continue;
		if (came_about(outside))
			FOUND("after %ld rounds: renamed to outside", done);
		rename(inside, own);
	}
	none();
}

static void race_mkdir(void)
{
	const char *inside = granted_path("new"), *outside = in_base("secret/new");

	for (const char *path = flipping("new"); done < rounds; done++) {
		mkdir(path, 0700);
		if (came_about(outside))
			FOUND("after %ld rounds: made outside", done);
		rmdir(inside);
	}
	none();
}

static void race_mkfifo(void)
{
	const char *inside = granted_path("new"), *outside = in_base("secret/new");

	for (const char *path = flipping("new"); done < rounds; done++) {
		mkfifo(path, 0700);
		if (came_about(outside))
			FOUND("after %ld rounds: made outside", done);
		unlink(inside);
	}
	none();
}

static void race_symlink(void)
{
	const char *inside = granted_path("new"), *outside = in_base("secret/new");
	struct stat st;

	for (const char *path = flipping("new"); done < rounds; done++) {
		(void)!symlink("nowhere", path);
		if (!lstat(outside, &st))
			FOUND("after %ld rounds: made outside", done);
		unlink(inside);
	}
	none();
}

static void race_create(void)
{
	const char *inside = granted_path("new"), *outside = in_base("secret/new");

	for (const char *path = flipping("new"); done < rounds; done++) {
		close(open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
		if (came_about(outside))
			FOUND("after %ld rounds: made outside", done);
		unlink(inside);
	}
	none();
}

static void race_chmod(void)
{
	const char *outside = in_base("secret/file");
	struct stat st;

	for (const char *path = flipping("file"); done < rounds; done++) {
		chmod(path, 0604);
		if (!stat(outside, &st) && (st.st_mode & 0777) == 0604)
			FOUND("after %ld rounds: its mode was changed", done);
	}
	none();
}

static void race_utime(void)
{
	const struct timespec times[2] = {{.tv_sec = 77}, {.tv_sec = 77}};
	const char *outside = in_base("secret/file");
	struct stat st;

	for (const char *path = flipping("file"); done < rounds; done++) {
		utimensat(AT_FDCWD, path, times, 0);
		if (!stat(outside, &st) && st.st_mtime == 77)
			FOUND("after %ld rounds: its time was changed", done);
	}
	none();
}

static void race_truncate(void)
{
	const char *outside = in_base("secret/file");
	struct stat st;

	for (const char *path = flipping("file"); done < rounds; done++) {
		(void)!truncate(path, 5);
		if (!stat(outside, &st) && st.st_size == 5)
			FOUND("after %ld rounds: it was cut", done);
	}
	none();
}

static void race_setxattr(void)
{
	const char *outside = in_base("secret/file");
	char text[4];

	for (const char *path = flipping("file"); done < rounds; done++) {
		setxattr(path, "user.raced", "x", 1, 0);
		if (getxattr(outside, "user.raced", text, sizeof(text)) > 0)
			FOUND("after %ld rounds: it got an attribute", done);
	}
	none();
}

static void race_bind(void)
{
	const char *inside = in_base("carved/sock"), *outside = in_base("secret/sock");

	const struct sockaddr_un *address = flipping_address();

	for (; done < rounds; done++) {
		int fd = need(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
		(void)!bind(fd, (void *)address, sizeof(*address));
		if (came_about(outside))
			FOUND("after %ld rounds: bound outside", done);
		unlink(inside);
		close(fd);
	}
	none();
}

/* ARG 2: the name of a queue outside, behind its slash; the own one has the same with its first letters written over. */
static void race_queue(void)
{
	char own[64];
	struct mq_attr attr = {.mq_maxmsg = 1, .mq_msgsize = 8};

	snprintf(own, sizeof(own), "/carved%s", argument(2) + 7);
	make_page();
	names[1] = argument(2) + 1;
	changing = page + 1;
	strcpy(page, own);
	int fd = (int)need(mq_open(own, O_RDWR | O_CREAT, 0600, &attr), "mq_open");
	begin(flip_name);
	for (; done < rounds; done++) {
		int other = mq_open(page, O_RDONLY);
		if (other < 0)
			continue;
		if (!mq_getattr(other, &attr) && attr.mq_msgsize != 8)
			FOUND("after %ld rounds: a queue of size %ld", done, attr.mq_msgsize);
		close(other);
	}
	close(fd);
	mq_unlink(own);
	none();
}

const struct attack attacks[] = {
	{"rename-to", race_rename_to}, {"mkdir", race_mkdir}, {"mkfifo", race_mkfifo}, {"symlink", race_symlink},
	{"create", race_create},       {"chmod", race_chmod}, {"utime", race_utime},   {"truncate", race_truncate},
	{"setxattr", race_setxattr},   {"bind", race_bind},   {"queue", race_queue},   {0},
};
