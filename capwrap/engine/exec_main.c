/* capwrap-exec: one launch from a policy image, with no Python in the way. */
#include "capwrap/engine/internal.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* The refusals as they come, each object once: there is nobody to explain them. */
struct summary {
	const char *prefix;
	char *seen[256];
	int n_seen;
	unsigned long more;
};

static int show(void *ctx, const void *batch, size_t size)
{
	struct summary *s = ctx;
	const uint8_t *p = batch;

	for (size_t at = 0; at + sizeof(struct cw_event) <= size;) {
		struct cw_event v;

		memcpy(&v, p + at, sizeof(v));
		const char *path = (const char *)p + at + sizeof(v);
		const char *extra = path + v.len[0] + v.len[1] + v.len[2];

		at += v.size;
		if (v.type != CW_EVENT_REFUSAL)
			continue;
		char *line = NULL;

		if (asprintf(&line, "%s %.*s%s%.*s: %s", cw_syscalls[v.nr].name, (int)v.len[0], path,
		             v.len[3] ? " " : "", (int)v.len[3], extra, strerror((int)-v.result)) < 0)
			return -1;
		bool known = false;

		for (int i = 0; i < s->n_seen && !known; i++)
			known = !strcmp(s->seen[i], line);
		if (known || s->n_seen == 256) {
			s->more++;
			free(line);
		} else
			s->seen[s->n_seen++] = line;
	}
	return 0;
}

/* A line on standard error. Of its parts, any may hold a name. */
static void say(const char *a, const char *b, const char *c)
{
	char *line = NULL, *shown = asprintf(&line, "%s%s%s", a, b, c) < 0 ? NULL : cw_printable(line);

	fprintf(stderr, "capwrap: %s\n", shown ? shown : "out of memory");
	free(shown);
	free(line);
}

#define USAGE "usage: capwrap-exec [--chdir DIR] [--fail-on-violation] FILE.cap -- COMMAND [ARG]...\n"

static int usage(void)
{
	fputs(USAGE, stderr);
	return 125;
}

/* What stands before the image; the index of the image, or 0 where that is no use of ours. */
static int options(int argc, char **argv, char **chdir, bool *strict)
{
	int i = 1;

	for (; i < argc && argv[i][0] == '-'; i++) {
		if (!strcmp(argv[i], "--fail-on-violation"))
			*strict = true;
		else if (!strcmp(argv[i], "--chdir") && i + 1 < argc && argv[i + 1][0])
			*chdir = argv[++i];
		else
			return 0;
	}
	return argc - i >= 3 && !strcmp(argv[i + 1], "--") ? i : 0;
}

/* A directory of the namespace as an absolute path; NULL with errno set. */
static char *from_here(const char *dir)
{
	char *here = dir[0] == '/' ? strdup("") : getcwd(NULL, 0), *path = NULL;

	if (here && asprintf(&path, "%s/%s", here, dir) < 0)
		path = NULL;
	free(here);
	return path;
}

/* What may be done about a command that could not be started. */
static const char *remedy(const char *command, int err)
{
	if (err == EACCES)
		return "grant it with the right to execute";
	if (err != ENOENT && err != ENOTDIR)
		return "see capwrap inspect";
	if (command[0] != '/' && strchr(command, '/'))
		return "grant it, or where the current directory is not granted itself, start with --chdir .";
	return "grant it, with its interpreter or loader";
}

int main(int argc, char **argv)
{
	struct summary s = {.n_seen = 0};
	struct cw_result res;
	struct stat st;
	char *dir = NULL;
	bool strict = false;

	if (argc == 2 && !strcmp(argv[1], "--help")) {
		printf(USAGE "\nRun COMMAND confined by the policy image FILE.cap, which `capwrap compile` wrote.\n"
		             "See capwrap-exec(1).\n");
		return fflush(stdout) ? 125 : 0;
	}
	int at = options(argc, argv, &dir, &strict);

	if (!at)
		return usage();
	const char *file = argv[at];
	char **command = argv + at + 2;

	if (dir) {
		dir = from_here(dir);
		if (!dir) {
			say("--chdir: ", strerror(errno), "; change to a directory that exists");
			return 125;
		}
	}
#ifdef M_ARENA_MAX
	/* the threads seldom allocate at the same time: an arena for each costs more than sharing one */
	(void)mallopt(M_ARENA_MAX, 1);
#endif
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO is no image */

	if (fd < 0 || fstat(fd, &st)) {
		say(file, ": ", strerror(errno));
		return 125;
	}
	void *image = S_ISREG(st.st_mode) && st.st_size > 0
	                      ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0)
	                      : MAP_FAILED;

	if (image == MAP_FAILED) {
		say(file, ": it is no policy image", "");
		return 125;
	}
	close(fd);
	struct cw_run run = {.image = image,
	                     .image_size = (size_t)st.st_size,
	                     .argv = (const char *const *)command,
	                     .envp = (const char *const *)environ,
	                     .chdir = dir,
	                     .flags = CW_RUN_FOREGROUND | CW_RUN_PLAIN,
	                     .stdio = {-1, -1, -1},
	                     .sink = show,
	                     .sink_ctx = &s};

	cw_run(&run, &res);
	/* that nobody reads what we say costs COMMAND's status nothing */
	signal(SIGPIPE, SIG_IGN);
	free(dir);
	for (int i = 0; i < s.n_seen; i++) {
		say("refused: ", s.seen[i], "");
		free(s.seen[i]);
	}
	if (s.more)
		fprintf(stderr, "capwrap: and %lu more refusals\n", s.more);
	if (res.failed || res.message[0])
		say(res.message, "", "");
	if (res.failed)
		return 125;
	if (res.exec_errno) {
		char why[256];

		snprintf(why, sizeof(why), ": %s; %s", strerror(res.exec_errno), remedy(command[0], res.exec_errno));
		say(command[0], why, "");
		return res.exec_errno == ENOENT || res.exec_errno == ENOTDIR ? 127 : 126;
	}
	if (WIFSIGNALED(res.status)) {
		struct rlimit none = {0, 0};

		/* die as COMMAND died, without a core of our own */
		setrlimit(RLIMIT_CORE, &none);
		signal(WTERMSIG(res.status), SIG_DFL);
		raise(WTERMSIG(res.status));
		return 128 + WTERMSIG(res.status);
	}
	if (strict && !WEXITSTATUS(res.status) && res.refusals)
		return 120;
	return WEXITSTATUS(res.status);
}
