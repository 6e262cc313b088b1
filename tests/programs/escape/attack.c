/* main() of every attack program, and what attack.h declares. */
#include "attack.h"

#include <stdarg.h>
#include <time.h>

static int count;
static char **words;

static void say(const char *verdict, const char *format, va_list ap)
{
	char text[1024];
	int n = snprintf(text, sizeof(text), "%s ", verdict);

	vsnprintf(text + n, sizeof(text) - (size_t)n, format, ap);
	size_t len = strlen(text);
	text[len < sizeof(text) - 1 ? len++ : len - 1] = '\n';
	/* One write: children of an attack may speak too, and lines must not mix. */
	if (write(1, text, len) != (ssize_t)len)
		_exit(2);
}

void escaped(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	say("ESCAPED", format, ap);
	va_end(ap);
	_exit(0);
}

void held(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	say("HELD", format, ap);
	va_end(ap);
	_exit(1);
}

void untried(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	say("UNTRIED", format, ap);
	va_end(ap);
	_exit(2);
}

void refused(const char *what)
{
	const char *name = strerrorname_np(errno);

	held("%s %s", name ? name : "?", what);
}

void judge(long result, const char *what)
{
	if (result < 0)
		refused(what);
	escaped("%s gave %ld", what, result);
}

int must(long result, const char *what)
{
	if (result < 0)
		refused(what);
	return (int)result;
}

int need(long result, const char *what)
{
	if (result < 0)
		untried("%s: %s", what, strerror(errno));
	return (int)result;
}

void judge_read(int fd, const char *what)
{
	char text[512];

	if (fd < 0)
		refused(what);
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	if (n < 0 && errno == ESPIPE)
		n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		refused(what);
	if (n == 0)
		held("nothing to read: %s", what);
	text[n] = 0;
	escaped("%s: %s", what, text);
}

const char *slurp(const char *path)
{
	static char text[4096];
	int fd = must(open(path, O_RDONLY | O_CLOEXEC), path);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	must(n, path);
	text[n] = 0;
	close(fd);
	return text;
}

const char *in_base(const char *relative)
{
	char *path;

	if (asprintf(&path, "%s/%s", words[2], relative) < 0)
		untried("out of memory");
	return path;
}

int has_argument(int index)
{
	return index + 4 < count;
}

const char *argument(int index)
{
	if (!has_argument(index))
		untried("argument %d is missing", index);
	return words[index + 4];
}

pid_t victim(void)
{
	return atoi(words[3]);
}

int reap(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			untried("waitpid: %s", strerror(errno));
	return status;
}

static const char *in_work(const char *name)
{
	char *path;

	if (asprintf(&path, "%s/work/%s", words[2], name) < 0)
		untried("out of memory");
	return path;
}

void tell(const char *name, long number)
{
	int fd = need(open(in_work("telling"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666), "work/telling");

	if (dprintf(fd, "%ld", number) < 0)
		untried("write: %s", strerror(errno));
	close(fd);
	/* Whoever sees it sees it whole. */
	need(rename(in_work("telling"), in_work(name)), "rename");
}

void await(const char *name)
{
	const struct timespec pause = {.tv_nsec = 1000000};

	for (int waited = 0; access(in_work(name), F_OK); waited++) {
		if (waited == 60000)
			untried("nobody left work/%s", name);
		nanosleep(&pause, NULL);
	}
}

int send_fd(int socket, int fd)
{
	char byte = 'x';
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	return (int)sendmsg(socket, &msg, 0);
}

int receive_fd(int socket)
{
	char byte;
	int fd = -1;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};

	if (recvmsg(socket, &msg, MSG_CMSG_CLOEXEC) < 0)
		return -1;
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	if (!c || c->cmsg_type != SCM_RIGHTS || c->cmsg_len < CMSG_LEN(sizeof(int))) {
		errno = EBADMSG;
		return -1;
	}
	memcpy(&fd, CMSG_DATA(c), sizeof(int));
	return fd;
}

int main(int argc, char **argv)
{
	if (argc < 4)
		untried("usage: %s ATTACK BASE VICTIM [ARG]...", argv[0]);
	count = argc;
	words = argv;
	for (const struct attack *a = attacks; a->name; a++)
		if (!strcmp(a->name, argv[1]))
			a->run();
	untried("no such attack, or it did not end: %s", argv[1]);
}
