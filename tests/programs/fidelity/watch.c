/* What inotify tells of each change, in a directory that is watched and of a file that is. */
#include "observe.h"

#include <sys/inotify.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

static int watcher, directory, file;

static void told(const char *label)
{
	char buffer[4096] __attribute__((aligned(8)));
	char line[4000] = "";
	ssize_t n;

	while ((n = read(watcher, buffer, sizeof(buffer))) > 0)
		for (char *p = buffer; p < buffer + n;) {
			const struct inotify_event *e = (const void *)p;

			snprintf(line + strlen(line), sizeof(line) - strlen(line), " %s:%x%s%s%s",
			         e->wd == directory ? "d"
			         : e->wd == file    ? "f"
			                            : "?",
			         e->mask, e->len ? ":" : "", e->len ? e->name : "", e->cookie ? ":moved" : "");
			p += sizeof(*e) + e->len;
		}
	say(label, "told%s", line);
}

static long opened(const char *path, int flags)
{
	int fd = open(path, flags, 0644);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? -1 : 0;
}

static long written(const char *path)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0)
		return -1;
	(void)!write(fd, "x", 1);
	ftruncate(fd, 0);
	fchmod(fd, 0640);
	close(fd);
	return 0;
}

static struct stat st;
static char text[100];

#define CALLS(X)                                                                                                       \
	X(stat("d/f", &st))                                                                                            \
	X(access("d/f", R_OK))                                                                                         \
	X(readlink("d/l", text, sizeof(text)))                                                                         \
	X(opened("d/f", O_RDONLY))                                                                                     \
	X(opened("d/f", O_WRONLY))                                                                                     \
	X(opened("d/f", O_PATH))                                                                                       \
	X(opened("d/l", O_RDONLY))                                                                                     \
	X(opened("d/f", O_WRONLY | O_TRUNC))                                                                           \
	X(opened("d/new", O_WRONLY | O_CREAT | O_EXCL))                                                                \
	X(opened("d/new", O_WRONLY | O_CREAT))                                                                         \
	X(opened("d/absent", O_RDONLY))                                                                                \
	X(opened("d", O_RDONLY | O_DIRECTORY))                                                                         \
	X(written("d/f"))                                                                                              \
	X(truncate("d/f", 3))                                                                                          \
	X(chmod("d/f", 0600))                                                                                          \
	X(chown("d/f", getuid(), getgid()))                                                                            \
	X(utimensat(AT_FDCWD, "d/f", NULL, 0))                                                                         \
	X(setxattr("d/f", "user.x", "1", 1, 0))                                                                        \
	X(link("d/f", "d/hard"))                                                                                       \
	X(unlink("d/hard"))                                                                                            \
	X(mkdir("d/s", 0755))                                                                                          \
	X(rename("d/new", "d/s/new"))                                                                                  \
	X(rename("d/s/new", "d/new"))                                                                                  \
	X(rename("d/new", "d/newer"))                                                                                  \
	X(renameat2(AT_FDCWD, "d/newer", AT_FDCWD, "d/f", RENAME_EXCHANGE))                                            \
	X(renameat2(AT_FDCWD, "d/newer", AT_FDCWD, "d/f", RENAME_NOREPLACE))                                           \
	X(rename("d/newer", "d/f"))                                                                                    \
	X(rmdir("d/s"))                                                                                                \
	X(symlink("f", "d/m"))                                                                                         \
	X(unlink("d/m"))                                                                                               \
	X(chdir("d") ? -1 : chdir(".."))                                                                               \
	X(unlink("d/f"))                                                                                               \
	X(unlink("d/l"))                                                                                               \
	X(rename("d", "e"))                                                                                            \
	X(rmdir("e"))

int main(void)
{
	umask(022);
	MUST(mkdir("d", 0755));
	write_file("d/f", "text\n", 0644);
	MUST(symlink("f", "d/l"));
	watcher = (int)ROW(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
	directory = (int)ROW(inotify_add_watch(watcher, "d", IN_ALL_EVENTS));
	told("at first");
	file = (int)ROW(inotify_add_watch(watcher, "d/f", IN_ALL_EVENTS));
	told("then");
	ROW(inotify_add_watch(watcher, "d/l", IN_ALL_EVENTS));
	ROW(inotify_add_watch(watcher, "d/../d/f", IN_ALL_EVENTS | IN_MASK_ADD));
	ROW(inotify_add_watch(watcher, "d/f", IN_ALL_EVENTS | IN_MASK_CREATE));
	ROW(inotify_add_watch(watcher, "d/f", IN_ALL_EVENTS | IN_ONLYDIR));
	ROW(inotify_add_watch(watcher, "d/f", 0));
	ROW(inotify_add_watch(watcher, "d/absent", IN_ALL_EVENTS));
	ROW(inotify_add_watch(0, "d/f", IN_ALL_EVENTS));
	told("after that");
#define TRY(call)                                                                                                      \
	do {                                                                                                           \
		ROW(call);                                                                                             \
		told(#call);                                                                                           \
	} while (0);
	CALLS(TRY)
	ROW(inotify_rm_watch(watcher, file));
	ROW(inotify_rm_watch(watcher, directory));
	told("at last");
	return 0;
}
