/* `watch DIRECTORY FILE [remove]`: watches both, changes both, and prints what it was told, in order. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

static void show(int fd)
{
	char buf[4096] __attribute__((aligned(8)));
	ssize_t n = read(fd, buf, sizeof(buf));

	for (char *at = buf; n > 0 && at < buf + n;) {
		struct inotify_event *e = (void *)at;

		printf("wd %d mask %x name %s\n", e->wd, e->mask, e->len ? e->name : "-");
		at += sizeof(*e) + e->len;
	}
}

static int watch(int fd, const char *path, unsigned mask)
{
	int wd = inotify_add_watch(fd, path, mask);

	printf("%s %x: %d %s\n", path, mask, wd, wd < 0 ? strerror(errno) : "");
	return wd;
}

int main(int argc, char **argv)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), file;
	char path[256];

	if (argc < 3 || fd < 0)
		return 2;
	watch(fd, argv[1], IN_CREATE | IN_DELETE | IN_ONLYDIR);
	watch(fd, argv[2], IN_MODIFY | IN_ATTRIB);
	watch(fd, argv[2], IN_ONLYDIR | IN_CREATE);
	watch(fd, "absent", IN_CREATE);
	watch(fd, ".", IN_CREATE);
	watch(fd, "link", IN_ATTRIB);
	snprintf(path, sizeof(path), "%s/new", argv[1]);
	file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	close(file);
	unlink(path);
	file = open(argv[2], O_WRONLY | O_APPEND | O_CLOEXEC);
	if (file < 0 || write(file, "x", 1) != 1 || fchmod(file, 0600))
		return 3;
	close(file);
	show(fd);
	watch(file, "f", IN_ATTRIB);
	watch(1, "f", IN_ATTRIB);
	if (argc < 4)
		return 0;
	/* nobody else holds what is removed: this is told at once */
	snprintf(path, sizeof(path), "%s/f", argv[1]);
	watch(fd, path, IN_DELETE_SELF);
	watch(fd, argv[1], IN_DELETE_SELF);
	unlink(path);
	rmdir(argv[1]);
	watch(fd, "fifo", IN_ATTRIB);
	watch(fd, "link", IN_DONT_FOLLOW | IN_DELETE_SELF);
	chmod("fifo", 0640);
	unlink("link");
	chmod("f", 0);
	watch(fd, "f", IN_ATTRIB);
	show(fd);
	return 0;
}
