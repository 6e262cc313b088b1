/*
 * The host of the rewriters as a model: their operations on the world, and a target with memory and descriptors. Memory
 * that is read twice has another content the second time, as a hostile thread would have it.
 */
#ifndef HOST_H
#define HOST_H

#include "tests/fuzz/space.h"

#define MEMORY 0x10000 /* address of the target's memory */
#define MEMORY_SIZE 0x8000
#define MEMBER 1234

static struct {
	uint8_t first[MEMORY_SIZE], then[MEMORY_SIZE];
	bool read[MEMORY_SIZE];
	uint64_t used;
} memory;

/* The target's descriptors: an inode, or one of these. */
enum { CLOSED = -1, PIPE = -2, SOCKET = -3 };

static struct {
	int fds[8];
	int cwd;
	uint32_t flags; /* of every descriptor */
	unsigned which; /* of several virtual paths, the one that is reported */
	bool scoped;
	struct k_open_how hows[4];
	bool writable[4];
	int n_hows;
	uint64_t published[4];
	size_t addr_len[4];
	int n_addrs;
} target;

/* --- the host's operations --- */

static int op_read(struct cw_ctx *c, void *dst, struct tptr src, size_t n)
{
	uint8_t *to = dst;

	(void)c;
	if (fails_now())
		return -EFAULT;
	if (src.a < MEMORY || src.a > MEMORY + MEMORY_SIZE || n > MEMORY + MEMORY_SIZE - src.a)
		return -EFAULT;
	for (size_t i = 0; i < n; i++) {
		uint64_t at = src.a - MEMORY + i;

		to[i] = memory.read[at] ? memory.then[at] : memory.first[at];
		memory.read[at] = true;
	}
	return 0;
}

static int op_read_string(struct cw_ctx *c, char *dst, size_t size, struct tptr src)
{
	for (size_t i = 0; i < size; i++) {
		int err = op_read(c, dst + i, (struct tptr){src.a + i}, 1);

		if (err)
			return err;
		if (!dst[i])
			return (int)i;
	}
	return -ENAMETOOLONG;
}

/* The inode behind a descriptor of the target, or one of the kinds above. */
static int behind(int fd)
{
	if (fd == K_AT_FDCWD)
		return target.cwd;
	return fd >= 0 && fd < 8 ? target.fds[fd] : CLOSED;
}

static int say_path(int inode, char *dst, size_t size)
{
	const char *path = virtual_path(inode, target.which);

	if (!path)
		return -ENOENT;
	if (strlen(path) >= size)
		return -ENAMETOOLONG;
	strcpy(dst, path);
	return (int)strlen(path);
}

static int op_dir_path(struct cw_ctx *c, int fd, char *dst, size_t size)
{
	int inode = behind(fd);

	(void)c;
	if (fails_now())
		return -world.fail_with;
	if (inode < 0)
		return inode == CLOSED ? -EBADF : -ENOTDIR;
	return say_path(inode, dst, size);
}

/* A directory has a name here as long as it is there. */
static bool op_removed(struct cw_ctx *c, int fd)
{
	(void)c;
	return behind(fd) >= 0 && target.which & 2;
}

static int op_hold_fd(struct cw_ctx *c, int fd)
{
	int inode = behind(fd);

	(void)c;
	if (fails_now())
		return -world.fail_with;
	return inode == CLOSED ? -EBADF : open_handle(inode < 0 ? INODES - inode : inode);
}

static int op_held_path(struct cw_ctx *c, int held, char *dst, size_t size)
{
	int inode = inode_of(held);

	(void)c;
	if (fails_now())
		return -world.fail_with;
	return inode >= INODES ? -ENODATA : say_path(inode, dst, size);
}

static int op_fd_flags(struct cw_ctx *c, int fd, int held)
{
	(void)c;
	(void)held;
	return fd < 0 || behind(fd) == CLOSED ? -EBADF : (int)target.flags;
}

static int op_node_dir(struct cw_ctx *c, uint32_t node)
{
	(void)c;
	if (node >= space.image.n_nodes)
		BROKEN("node %u", node);
	const struct rule *r = &space.rules[space.of[node]];
	if ((r->kind != CW_NODE_DIR && r->kind != CW_NODE_PRIVATE) || fails_now())
		return -ENOENT;
	return FIRST_LASTING + r->inode;
}

static int op_name_dir(struct cw_ctx *c, uint32_t node)
{
	char path[1200];

	(void)c;
	if (node >= space.image.n_nodes)
		BROKEN("node %u", node);
	snprintf(path, sizeof(path), "%s", space.rules[space.of[node]].host);
	char *slash = strrchr(path, '/');
	if (!slash)
		BROKEN("node %u has no host path", node);
	slash[slash == path] = 0;
	struct found f = look_up(0, path, K_RESOLVE_NO_SYMLINKS, K_O_DIRECTORY);
	return f.inode < 0 || fails_now() ? -ENOENT : open_handle(f.inode);
}

static int op_cap_fd(struct cw_ctx *c, uint32_t node)
{
	(void)c;
	for (int i = 0; i < space.n_caps; i++)
		if (space.caps[i] == (int)node)
			return FIRST_CAP + i;
	return -ENOENT;
}

static int op_open(struct cw_ctx *c, int dir, const char *path, uint64_t flags, uint64_t resolve)
{
	(void)c;
	if (dir < 0)
		return dir;
	int start = inode_of(dir);
	/* the way up from a directory that was removed is looked up to be asked for its path, and for nothing else */
	bool up = !strcmp(path, "..") && flags == (K_O_PATH | K_O_DIRECTORY) && !resolve;
	if (!up && (!(flags & K_O_PATH) || !(resolve & K_RESOLVE_NO_MAGICLINKS) ||
	            !(resolve & (K_RESOLVE_BENEATH | K_RESOLVE_IN_ROOT))))
		BROKEN("a lookup with flags %#lx, resolve %#lx", (long)flags, (long)resolve);
	if (start >= INODES)
		return -ENOTDIR;
	if (fails_now())
		return -world.fail_with;
	struct found f = look_up(start, path, resolve, flags);
	return f.inode < 0 ? f.inode : open_handle(f.inode);
}

static int op_stat(struct cw_ctx *c, int fd, uint32_t *mode, uint64_t *dev, uint64_t *ino)
{
	int inode = inode_of(fd);

	(void)c;
	if (fails_now())
		return -world.fail_with;
	*mode = inode < INODES ? world.inodes[inode].mode : inode - INODES == -SOCKET ? K_S_IFSOCK : K_S_IFIFO;
	*dev = inode < INODES ? world.inodes[inode].dev : 7;
	*ino = (uint64_t)inode + 100;
	return 0;
}

static int op_readlink(struct cw_ctx *c, int fd, char *dst, size_t size)
{
	int inode = inode_of(fd);

	(void)c;
	if (inode >= INODES || !is_type(inode, K_S_IFLNK))
		return -ENOENT;
	if (fails_now())
		return -world.fail_with;
	size_t n = world.inodes[inode].length < size - 1 ? world.inodes[inode].length : size - 1;
	memcpy(dst, world.inodes[inode].text, n);
	dst[n] = 0;
	return (int)n;
}

static int op_pread(struct cw_ctx *c, int fd, void *dst, size_t n, uint64_t off)
{
	int inode = inode_of(fd);

	(void)c;
	if (inode >= INODES || !is_type(inode, K_S_IFREG) || fails_now())
		return -EIO;
	if (!permitted(inode, CW_RIGHT_FEXECVE))
		BROKEN("%s is read, which may not be executed", world.inodes[inode].name);
	uint64_t length = world.inodes[inode].length;
	size_t have = off >= length ? 0 : length - off < n ? (size_t)(length - off) : n;
	memcpy(dst, world.inodes[inode].text + (have ? off : 0), have);
	return (int)have;
}

static int op_access(struct cw_ctx *c, int fd, int mode)
{
	int inode = inode_of(fd);

	(void)c;
	return inode < INODES && (world.inodes[inode].mode & (uint32_t)mode * 0111) ? 0 : -EACCES;
}

static void op_close(struct cw_ctx *c, int fd)
{
	(void)c;
	close_handle(fd);
}

static int op_sticky(struct cw_ctx *c, int dir, int fd, bool create)
{
	(void)c;
	(void)dir;
	(void)create;
	return fd & 8 ? -EACCES : 0;
}

static bool op_special_dev(struct cw_ctx *c, uint64_t dev)
{
	(void)c;
	return dev == SPECIAL_DEV;
}

static uint64_t op_publish_how(struct cw_ctx *c, bool writable, uint64_t flags, uint64_t mode)
{
	(void)c;
	if ((!writable && (flags & (K_O_ACCMODE | K_O_CREAT | K_O_TRUNC | K_O_TMPFILE_BIT))) || target.n_hows == 4 ||
	    fails_now())
		return 0;
	int i = target.n_hows++;

	target.hows[i] = (struct k_open_how){flags, mode, K_RESOLVE_BENEATH | K_RESOLVE_NO_MAGICLINKS};
	target.writable[i] = writable;
	return (writable ? CW_PAD_HOW_RW : CW_PAD_HOW_RO) + (uint64_t)i * CW_PAD_HOW_STRIDE;
}

/* Whether the policy permits the inet address for the whole run. */
static bool inet_permitted(const unsigned char *b, uint32_t family, uint32_t op)
{
	static const unsigned char one[16] = {[15] = 1};
	const unsigned char *host = b + (family == 2 ? 4 : 8);
	size_t len = family == 2 ? 4 : 16;

	if (space.header.net == CW_NET_HOST)
		return true;
	if (space.header.net == CW_NET_LOOPBACK && op == CW_ADDR_BIND &&
	    (family == 2 ? host[0] == 127 : !memcmp(host, one, 16)))
		return true;
	for (uint32_t i = 0; i < space.image.n_addrs; i++) {
		const struct cw_addr *a = &space.addrs[i];

		if (a->op == op && a->family == family && !memcmp(a->addr, host, len) &&
		    (!a->port || a->port == b[2] * 256 + b[3]))
			return true;
	}
	return false;
}

static uint64_t op_publish_addr(struct cw_ctx *c, uint64_t region, const void *addr, size_t len)
{
	const unsigned char *b = addr;
	uint32_t family = (uint32_t)(b[0] | b[1] << 8);
	const uint64_t half4 = CW_PAD_IN4 + (CW_PAD_IN4_END - CW_PAD_IN4) / 2,
		       half6 = CW_PAD_IN6 + (CW_PAD_IN6_END - CW_PAD_IN6) / 2;
	bool fine = false;

	(void)c;
	if (region == CW_PAD_ABSTRACT)
		fine = family == K_AF_UNIX && target.scoped && len > 2 && len <= CW_PAD_UN_LEN && !b[2];
	else if (region == CW_PAD_IN4 && len == 16 && family == K_AF_UNSPEC)
		fine = true; /* connect to it ends a connection */
	else if (region == CW_PAD_IN4 || region == half4)
		fine = len == 16 && family == 2 &&
		       inet_permitted(b, 2, region == half4 ? CW_ADDR_BIND : CW_ADDR_CONNECT);
	else if (region == CW_PAD_IN6 || region == half6)
		fine = len == 28 && family == 10 &&
		       inet_permitted(b, 10, region == half6 ? CW_ADDR_BIND : CW_ADDR_CONNECT);
	if (!fine)
		BROKEN("an address of family %u and %zu bytes is published at %#lx", family, len, (long)region);
	if (target.n_addrs == 4 || fails_now())
		return 0;
	int i = target.n_addrs++;

	target.published[i] = region + (uint64_t)i * (region == CW_PAD_ABSTRACT ? CW_PAD_UN_STRIDE : CW_PAD_IN_STRIDE);
	target.addr_len[i] = len;
	return target.published[i];
}

static bool op_member(struct cw_ctx *c, int pid)
{
	(void)c;
	return pid == MEMBER;
}

static bool op_member_group(struct cw_ctx *c, int pgid)
{
	(void)c;
	return pgid == MEMBER;
}

/* Nobody here has ended and is still to be waited for. */
static int op_ended(struct cw_ctx *c, int pid, uint32_t flags)
{
	(void)c;
	(void)pid;
	(void)flags;
	return -ESRCH;
}

static int op_group_of(struct cw_ctx *c, int pidfd, int pid, bool session)
{
	(void)c;
	(void)session;
	BROKEN("the group of process %d is asked of descriptor %d, which nobody gave", pid, pidfd);
	return -ESRCH;
}

/* A /proc of three names: self/cwd and self/exe, links, and self/maps, a file; 7 is what self leads to. */
static int op_proc(struct cw_ctx *c, struct cw_place *p, char *text, size_t size, bool nofollow)
{
	const char *s = text + strspn(text, "/");
	size_t n = strcspn(s, "/");
	const char *rest = s + n + strspn(s + n, "/");
	char link[700] = "", tail[PATHS];

	(void)c;
	p->kind = CW_PLACE_PROC;
	p->proc = CW_PROC_DIR;
	p->mode = K_S_IFDIR | 0555;
	if (fails_now())
		return -world.fail_with;
	if (!n)
		return 0;
	strcpy(p->path, "/proc/7");
	if (n == 4 && !memcmp(s, "self", 4)) {
		snprintf(link, sizeof(link), "/proc/7");
	} else if (n != 1 || s[0] != '7') {
		return -ENOENT;
	} else if (!*rest) {
		return 0;
	} else if (!strncmp(rest, "cwd", 3) && (!rest[3] || rest[3] == '/')) {
		if (say_path(target.cwd, link, sizeof(link)) < 0)
			return -ENOENT;
		rest += 3 + strspn(rest + 3, "/");
	} else if (!strcmp(rest, "maps")) {
		p->proc = CW_PROC_FILE;
		p->mode = K_S_IFREG | 0444;
		return 0;
	} else {
		return -ENOENT;
	}
	if (!*rest && nofollow) {
		p->proc = CW_PROC_TEXT;
		p->mode = K_S_IFLNK | 0777;
		strcpy(c->bytes, link);
		return 0;
	}
	if (strlen(link) + strlen(rest) + 2 > size || strlen(rest) >= sizeof(tail))
		return -ENAMETOOLONG;
	strcpy(tail, rest);
	snprintf(text, size, "%s%s%s", link, *tail ? "/" : "", tail);
	return 1;
}

static int op_exec_string(struct cw_ctx *c, const struct cw_place *p, const char *own, char *dst, size_t size)
{
	(void)c;
	if (p->fd < 0)
		return -EACCES;
	int inode = inode_of(p->fd);
	if (inode >= INODES)
		return -EACCES;
	if (own[0] && strlen(own) < size) {
		struct found f = look_up(own[0] == '/' ? 0 : target.cwd < 0 ? 0 : target.cwd, own, 0, 0);

		if (f.inode == inode) {
			memmove(dst, own, strlen(own) + 1);
			return 0;
		}
	}
	char path[1200];
	host_path(inode, path);
	strcpy(dst, path);
	return 1;
}

static int64_t op_fact(struct cw_ctx *c, int fact)
{
	(void)c;
	switch (fact) {
	case CW_FACT_CAP_BASE:
		return FIRST_CAP;
	case CW_FACT_CAP_END:
		return END_OF_CAPS;
	case CW_FACT_THREADS:
		return 3;
	default:
		return target.scoped;
	}
}

static int64_t op_call(struct cw_ctx *c, int what, const uint64_t *arg)
{
	(void)arg;
	memset(c->scratch64, 0, sizeof(c->scratch64));
	if (what == CW_SERVICE_IPC_OWN)
		return target.which & 1;
	if (what == CW_SERVICE_MADE)
		return -ENOENT;
	if (what == CW_SERVICE_MQ_OPEN)
		return open_handle(INODES - PIPE);
	return what == CW_SERVICE_RLIMIT && !target.scoped ? -ESRCH : 0;
}

static const struct cw_ops ops = {
	.read = op_read,
	.read_string = op_read_string,
	.dir_path = op_dir_path,
	.removed = op_removed,
	.hold_fd = op_hold_fd,
	.held_path = op_held_path,
	.fd_flags = op_fd_flags,
	.node_dir = op_node_dir,
	.name_dir = op_name_dir,
	.cap_fd = op_cap_fd,
	.open = op_open,
	.stat = op_stat,
	.readlink = op_readlink,
	.sticky = op_sticky,
	.pread = op_pread,
	.access = op_access,
	.close = op_close,
	.special_dev = op_special_dev,
	.publish_how = op_publish_how,
	.publish_addr = op_publish_addr,
	.member = op_member,
	.member_group = op_member_group,
	.ended = op_ended,
	.group_of = op_group_of,
	.proc = op_proc,
	.exec_string = op_exec_string,
	.fact = op_fact,
	.call = op_call,
};

/* An operation that the host lacks would be found only by the input that happens to need it. */
static void ops_whole(void)
{
	void (*each[sizeof(ops) / sizeof(void (*)(void))])(void);

	memcpy(each, &ops, sizeof(ops));
	for (size_t i = 0; i < sizeof(each) / sizeof(each[0]); i++)
		if (!each[i])
			BROKEN("operation %zu of struct cw_ops is missing", i);
}

#endif
