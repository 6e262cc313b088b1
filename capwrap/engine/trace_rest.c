/*
 * What a run would come to that is seen at no stop of a trace: the names behind the first that is refused, and what lies in the
 * host's directories where a run has empty ones.
 */
#include "capwrap/engine/internal.h"
#include "capwrap/engine/trace.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* --- what a run keeps in directories of its own --- */

static bool older(const struct cw_engine *e, const char *path)
{
	struct statx sx;

	if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BTIME, &sx) || !(sx.stx_mask & STATX_BTIME))
		return false;
	return sx.stx_btime.tv_sec < e->began.tv_sec ||
	       (sx.stx_btime.tv_sec == e->began.tv_sec && sx.stx_btime.tv_nsec < e->began.tv_nsec);
}

/* In a directory that a run has empty: was it there before the trace, or where it is to be made, the directory that is to
 * hold it? */
static bool would_be_missing(struct cw_engine *e, const struct cw_place *p, bool makes)
{
	char path[CW_PATH_MAX];

	if (!p->path[0] || p->kind != CW_PLACE_HOST || p->grant == CW_NONE ||
	    e->im.nodes[p->grant].kind != CW_NODE_PRIVATE || p->exact || p->by_fd)
		return false;
	int top = cw_node_path(&e->im, p->grant, path, sizeof(path));

	snprintf(path, sizeof(path), "%s", p->path);
	if (makes) {
		char *slash = strrchr(path, '/');

		if (top < 0 || slash - path <= top)
			return false;
		*slash = 0;
	}
	return older(e, path);
}

/* Would it come about in a run where the name itself is not there? */
static bool makes_name(const struct cw_ctx *c, int which)
{
	const uint64_t *a = c->call.arg;

	switch (c->call.nr) {
	case SYS_open:
		return a[1] & O_CREAT;
	case SYS_openat:
		return a[2] & O_CREAT;
	case SYS_creat:
		return true;
	default:
		return which || c->rec.needs & (CW_RIGHT_CREATE | CW_RIGHT_MKDIRAT | CW_RIGHT_MKFIFOAT |
		                                CW_RIGHT_MKNODAT | CW_RIGHT_SYMLINKAT | CW_RIGHT_BINDAT);
	}
}

int64_t cw_trace_private_use(struct cw_engine *e, int64_t would)
{
	struct cw_ctx *c = &e->ctx;

	/* what fails on the host as well fails alike */
	for (int i = 0; i < 2 && c->rec.kind == CW_KIND_NONE && c->plan.kind != CW_PLAN_REFUSE; i++)
		if (would_be_missing(e, &c->place[i], makes_name(c, i))) {
			c->rec.kind = CW_KIND_NOT_GRANTED;
			c->rec.grant = c->rec.grant2 = CW_NONE;
			return -ENOENT;
		}
	return would;
}

/* --- the rest of the list: what a run would have come to behind the first refusal of a call --- */

/* A further name of the same call, by its path on the host. */
static void also(struct cw_engine *e, struct cw_task *t, int nr, const char *path, unsigned walk, uint64_t needs)
{
	struct cw_ctx *c = &e->ctx;
	struct cw_place *p = &c->place[0];

	(void)cw_judge(e, t, -1, no_args);
	c->call.nr = nr;
	snprintf(c->whole, sizeof(c->whole), "%s", path);
	int err = cw_walk(c, p, "/", path, walk);

	c->rec.needs = needs;
	if (!err && (p->rights & needs) != needs) {
		c->rec.kind = needs == CW_RIGHT_FEXECVE ? CW_KIND_EXEC : CW_KIND_RIGHT_MISSING;
		err = -EACCES;
	}
	cw_place_drop(c, p);
	if (c->rec.kind != CW_KIND_NONE)
		cw_record_call(e, t, e->im.h->violation_errno ? -(int64_t)e->im.h->violation_errno : err);
}

/* PT_INTERP of a 64-bit ELF file: proc(5) calls it the loader. Its length, 0 where it has none. */
static size_t loader_of(int fd, const uint8_t *head, char *dst, size_t size)
{
	const Elf64_Ehdr *h = (const void *)head;
	Elf64_Phdr ph;

	for (unsigned i = 0; h->e_ident[EI_CLASS] == ELFCLASS64 && i < h->e_phnum && i < 128; i++) {
		if (pread(fd, &ph, sizeof(ph), (off_t)(h->e_phoff + i * sizeof(ph))) != (ssize_t)sizeof(ph))
			return 0;
		if (ph.p_type != PT_INTERP)
			continue;
		if (!ph.p_filesz || ph.p_filesz > size ||
		    pread(fd, dst, ph.p_filesz, (off_t)ph.p_offset) != (ssize_t)ph.p_filesz || dst[ph.p_filesz - 1])
			return 0;
		return ph.p_filesz - 1;
	}
	return 0;
}

/* A regular file, to read. To open a FIFO wakes who waits at its other end, to open a device may do anything. */
static int open_program(const char *path)
{
	int held = open(path, O_PATH | O_CLOEXEC), fd = -1;
	struct stat st;
	char link[48];

	if (held < 0)
		return -1;
	if (!fstat(held, &st) && S_ISREG(st.st_mode)) {
		cw_fd_path(held, link);
		fd = open(link, O_RDONLY | O_NOATIME | O_CLOEXEC);
		if (fd < 0 && errno == EPERM) /* it is another user's */
			fd = open(link, O_RDONLY | O_CLOEXEC);
	}
	close(held);
	return fd;
}

/* What the program at `path` needs in order to start: the interpreter of a script, the loader of an ELF file. 0: nothing. */
static size_t starts_with(const char *path, char *dst, size_t size)
{
	_Alignas(8) uint8_t head[257] = {0};
	int fd = open_program(path);
	size_t len = 0;

	if (fd < 0)
		return 0;
	ssize_t n = read(fd, head, sizeof(head) - 1);

	if (n >= (ssize_t)sizeof(Elf64_Ehdr) && !memcmp(head, ELFMAG, SELFMAG)) {
		len = loader_of(fd, head, dst, size);
	} else if (n > 2 && head[0] == '#' && head[1] == '!') {
		const char *from = (const char *)head + 2 + strspn((const char *)head + 2, " \t");

		len = strcspn(from, " \t\n");
		memcpy(dst, from, len);
		dst[len] = 0;
	}
	close(fd);
	return len && dst[0] == '/' ? len : 0;
}

static void also_of_exec(struct cw_engine *e, struct cw_task *t, int nr, const char *program)
{
	char path[CW_PATH_MAX], next[CW_PATH_MAX];

	memcpy(path, program, strlen(program) + 1);
	for (int depth = 0; depth < 6 && starts_with(path, next, sizeof(next)); depth++) {
		also(e, t, nr, next, 0, CW_RIGHT_FEXECVE);
		memcpy(path, next, sizeof(path));
	}
}

/* The second name of rename and link, where the first was refused. */
static void also_of_pair(struct cw_engine *e, struct cw_task *t, int nr, const uint64_t args[6])
{
	bool at = nr != SYS_rename && nr != SYS_link, link = nr == SYS_link || nr == SYS_linkat;
	char base[CW_PATH_MAX], path[CW_PATH_MAX], whole[CW_TEXT_MAX];

	if (cw_mem_string(e, t->tid, path, sizeof(path), args[at ? 3 : 1]) <= 0)
		return;
	if (path[0] != '/' && cw_trace_link(t->tid, at ? (int)(uint32_t)args[2] : AT_FDCWD, base, sizeof(base)) <= 0)
		return;
	if (cw_join(whole, sizeof(whole), path[0] == '/' ? "/" : base, path) > 0)
		also(e, t, nr, whole, CW_WALK_NOFOLLOW | CW_WALK_CREATE | CW_WALK_NAME,
		     link ? CW_RIGHT_LINKAT_TARGET : CW_RIGHT_RENAMEAT_TARGET);
}

void cw_trace_rest(struct cw_engine *e, struct cw_task *t, int nr, const uint64_t args[6])
{
	const struct cw_ctx *c = &e->ctx;
	enum cw_pending pending = t->pending;
	char program[CW_PATH_MAX];

	/* what has a second name was refused for that, or for both */
	if (c->whole2[0] || c->whole[0] != '/' || strlen(c->whole) >= sizeof(program))
		return;
	t->pending = CW_IDLE;
	if (nr == SYS_execve || nr == SYS_execveat) {
		memcpy(program, c->whole, strlen(c->whole) + 1);
		also_of_exec(e, t, nr, program);
	} else if (nr == SYS_rename || nr == SYS_renameat || nr == SYS_renameat2 || nr == SYS_link ||
	           nr == SYS_linkat) {
		/* it does not exist yet, and the call is about to make it */
		if (!t->record) {
			t->pending = CW_OBSERVED;
			also_of_pair(e, t, nr, args);
			cw_trace_result(e, t, 0);
		}
	}
	t->pending = pending;
}
