/*
 * execve(2), execveat(2): an exec of a capability.
 *
 * The kernel looks the program, its `#!` interpreter and PT_INTERP up again in the host's root. So every one of them is
 * found here in the namespace first, the path stands in the thread's slot of the pad where nobody can change it, and at
 * the exec stop, before the first instruction, what was mapped is compared with what was found (ARCHITECTURE.md, rule 12).
 */
#include "rewriters/errno.h"
#include "rewriters/kernel.h"
#include "rewriters/rewriter.h"

#define HEAD CW_SCRIPT_HEAD
#define PHDRS 128 /* more program headers than any program has */

static uint64_t le(const unsigned char *p, int n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | p[n];
	return v;
}

/* The program at `which` may be executed: a regular file with the right and the mode bit. */
static int runnable(struct cw_ctx *c, int which)
{
	struct cw_place *p = &c->place[which];

	if (p->kind != CW_PLACE_HOST || (p->mode & K_S_IFMT) != K_S_IFREG)
		return -EACCES;
	int err = cw_need(c, which, CW_RIGHT_FEXECVE);

	if (err) {
		c->rec.kind = CW_KIND_EXEC;
		return err;
	}
	return c->ops->access(c, p->fd, 1);
}

/* PT_INTERP of the ELF program in place `which`, found in the namespace, into c->exec. */
static int elf(struct cw_ctx *c, int which, const unsigned char *head)
{
	struct cw_place *p = &c->place[which];
	uint64_t phoff = le(head + 32, 8), phentsize = le(head + 54, 2), phnum = le(head + 56, 2);
	unsigned char ph[56];

	if (head[4] != 2 || le(head + 18, 2) != 62) {
		c->rec.kind = CW_KIND_EXEC; /* 32-bit and foreign programs are not run */
		return -ENOEXEC;
	}
	if ((le(head + 16, 2) != 2 && le(head + 16, 2) != 3) || phentsize != 56 || !phnum || phnum > PHDRS)
		return -ENOEXEC;
	c->exec.exe_dev = p->dev;
	c->exec.exe_ino = p->ino;
	for (uint64_t i = 0; i < phnum; i++) {
		int n = c->ops->pread(c, p->fd, ph, sizeof(ph), phoff + i * 56);

		if (n != (int)sizeof(ph))
			return -ENOEXEC;
		if (le(ph, 4) != 3) /* PT_INTERP */
			continue;
		uint64_t size = le(ph + 32, 8);

		if (size < 2 || size > CW_PATH_MAX)
			return -ENOEXEC;
		n = c->ops->pread(c, p->fd, c->path2, (size_t)size, le(ph + 8, 8));
		if (n != (int)size || c->path2[size - 1])
			return -ENOEXEC;
		struct cw_place *interp = &c->place[1 - which];

		cw_place_drop(c, interp);
		int err = c->ops->dir_path(c, K_AT_FDCWD, c->base, sizeof(c->base));

		if (err < 0 && c->path2[0] != '/')
			return err;
		cw_copy(c->whole2, c->path2, (size_t)size);
		err = cw_walk(c, interp, c->base, c->path2, 0);
		if (!err)
			err = runnable(c, 1 - which);
		if (err) {
			c->rec.needs |= CW_RIGHT_FEXECVE;
			return err;
		}
		/* the kernel takes the path as it stands, in the host's root: it must lead to the same file there */
		if (c->ops->exec_string(c, interp, c->path2, c->bytes, CW_PATH_MAX) != 0) {
			c->rec.kind = CW_KIND_EXEC;
			return -EACCES;
		}
		c->exec.interp_dev = interp->dev;
		c->exec.interp_ino = interp->ino;
		c->exec.interp_fd = interp->fd;
		interp->fd = -1;
		return 0;
	}
	return 0;
}

/* `#!` as load_script in fs/binfmt_script.c takes it: interpreter and at most one argument. Lengths within `head`. */
static int hash_bang(char *head, int n, char **arg)
{
	char *end = head + n, *s = head + 2, *nl = head;

	while (nl < end && *nl != '\n')
		nl++;
	if (nl == end) {
		/* cut off: fine only if the interpreter's name itself is whole */
		char *q = s;

		while (q < end && (*q == ' ' || *q == '\t'))
			q++;
		while (q < end && *q && *q != ' ' && *q != '\t')
			q++;
		if (q == end && n == HEAD)
			return -ENOEXEC;
		nl = n == HEAD ? end - 1 : end;
	}
	while (nl > s && (nl[-1] == ' ' || nl[-1] == '\t'))
		nl--;
	*nl = 0;
	while (*s == ' ' || *s == '\t')
		s++;
	if (!*s) /* without a newline the kernel opens "", which is the current directory */
		return nl == end ? -EACCES : -ENOEXEC;
	char *name = s;

	while (*s && *s != ' ' && *s != '\t')
		s++;
	*arg = NULL;
	if (*s) {
		*s++ = 0;
		while (*s == ' ' || *s == '\t')
			s++;
		if (*s)
			*arg = s;
	}
	return (int)(name - head);
}

static void put_in_front(struct cw_exec *x, const char *word)
{
	uint32_t n = (uint32_t)cw_strlen(word) + 1;

	if (n > sizeof(x->text) - x->words_len) /* a head holds no more than its own bytes */
		return;
	for (uint32_t i = x->words_len; i; i--)
		x->text[i - 1 + n] = x->text[i - 1];
	cw_copy(x->text, word, n);
	x->words_len += n;
	x->words++;
}

/*
 * A script that the kernel cannot be given by its own path (it lies in a mapped grant, where the host's path means
 * nothing to the interpreter): the interpreter is executed with the arguments that the kernel would have made.
 * bytes: interpreter NUL, argument NUL, script NUL, then the new argv, 8-aligned; the host relocates the first three.
 */
void cw_rw_exec(struct cw_ctx *c)
{
	const uint64_t *a = c->call.arg;
	bool at = c->call.nr == 322;
	uint64_t flags = at ? (uint32_t)a[4] : 0;
	unsigned char head[HEAD + 1];
	char own[CW_PATH_MAX];
	int err, which = 0, depth = 0;

	c->exec.interp_fd = -1;
	c->exec.words = c->exec.words_len = 0;
	if (flags & ~(uint64_t)(K_AT_SYMLINK_NOFOLLOW | K_AT_EMPTY_PATH)) {
		/* the path is copied before the flags are looked at: do_open_execat in fs/exec.c */
		err = c->ops->read_string(c, c->path, sizeof(c->path), (struct tptr){a[1]});
		return cw_fail(c, err < 0 ? -err : !err && !(flags & K_AT_EMPTY_PATH) ? ENOENT : EINVAL);
	}
	err = cw_locate(c, 0, at ? (int)(uint32_t)a[0] : K_AT_FDCWD, (struct tptr){at ? a[1] : a[0]},
	                flags & K_AT_SYMLINK_NOFOLLOW ? CW_WALK_NOFOLLOW : 0, flags & K_AT_EMPTY_PATH);
	if (!err && (c->place[0].mode & K_S_IFMT) == K_S_IFLNK)
		err = -ELOOP;
	if (!err)
		err = runnable(c, 0);
	if (err) {
		c->rec.needs |= CW_RIGHT_FEXECVE;
		return cw_fail(c, -err);
	}
	cw_copy(own, c->path, cw_strlen(c->path) + 1);
	/* what the target wrote where that is the same file for the kernel, else the host's own name for it */
	int mapped = c->ops->exec_string(c, &c->place[0], at && own[0] != '/' ? "" : own, c->bytes, CW_PATH_MAX);

	if (mapped < 0)
		return cw_fail(c, -mapped);
	cw_copy(own, c->bytes, cw_strlen(c->bytes) + 1);
	char prefix[CW_PATH_MAX];
	size_t prefix_len = 0;
	int prefix_count = 0;

	for (;;) {
		struct cw_place *p = &c->place[which];
		int n = c->ops->pread(c, p->fd, head, HEAD, 0);

		if (n < 0)
			return cw_fail(c, -n);
		if (n >= 64 && le(head, 4) == 0x464c457f) {
			err = elf(c, which, head);
			break;
		}
		if (n < 2 || head[0] != '#' || head[1] != '!') {
			err = -ENOEXEC; /* and whatever binfmt_misc would have run for it */
			break;
		}
		if (++depth > CW_SCRIPT_DEPTH) {
			err = -ELOOP;
			break;
		}
		char *arg;
		int name = hash_bang((char *)head, n, &arg);

		if (name < 0) {
			err = name;
			break;
		}
		const char *interp = (const char *)head + name;

		if (arg)
			put_in_front(&c->exec, arg);
		put_in_front(&c->exec, interp);
		struct cw_place *next = &c->place[1 - which];

		cw_place_drop(c, next);
		c->base[0] = '/';
		c->base[1] = 0;
		if (interp[0] != '/') {
			err = c->ops->dir_path(c, K_AT_FDCWD, c->base, sizeof(c->base));
			if (err < 0)
				break;
		}
		cw_copy(c->whole2, interp, cw_strlen(interp) + 1);
		err = cw_walk(c, next, c->base, interp, 0);
		if (!err)
			err = runnable(c, 1 - which);
		if (err) {
			c->rec.needs |= CW_RIGHT_FEXECVE;
			break;
		}
		if (mapped) {
			/* interpreter, its argument, the script by its name in the namespace */
			const char *script = depth == 1 ? (c->path[0] == '/' ? c->path : c->place[which].path) : NULL;
			size_t i = cw_strlen(interp) + 1, g = arg ? cw_strlen(arg) + 1 : 0,
			       s = script ? cw_strlen(script) + 1 : 0;

			if (depth > 1 || i + g + s > sizeof(prefix)) {
				c->rec.kind = CW_KIND_EXEC;
				err = -ENOEXEC;
				break;
			}
			cw_copy(prefix, interp, i);
			cw_copy(prefix + i, arg ? arg : "", g);
			cw_copy(prefix + i + g, script, s);
			prefix_len = i + g + s;
			prefix_count = arg ? 3 : 2;
		}
		err = c->ops->exec_string(c, next, interp, c->bytes, CW_PATH_MAX);
		if (err) {
			c->rec.kind = CW_KIND_EXEC; /* a mapped interpreter cannot be named in a script */
			err = -EACCES;
			break;
		}
		which = 1 - which;
	}
	if (err)
		return cw_fail(c, -err);
	cw_rewrite(c, 59, 0, a[at ? 2 : 1], a[at ? 3 : 2], 0, 0, 0);
	c->plan.kind = CW_PLAN_EXEC;
	c->plan.slot_arg = 0;
	size_t len = cw_strlen(own) + 1;

	cw_copy(c->bytes, own, len);
	if (prefix_count) {
		c->exec.words = c->exec.words_len = 0; /* the kernel meets no script */
		cw_copy(c->bytes, prefix, prefix_len);
		len = prefix_len;
	}
	c->plan.bytes = c->bytes;
	c->plan.len = (uint32_t)len;
	c->plan.ret = prefix_count;
}
