/*
 * Fuzzes the rewriters: a file system, a policy, and one call of the target are made from the input, the call's rewriter is
 * run, and its plan is held against what the policy permits.
 *
 * What is asserted of every plan: it names nothing that was not granted, or not for this; where the kernel would take a
 * rewritten call leads nowhere else either; a name that moves shows nothing that was hidden; what points somewhere points
 * into what was copied; descriptors are used while they are open, and none is left open.
 */
#include "tests/fuzz/call.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define X(name) void cw_rw_##name(struct cw_ctx *c);
CW_HANDLERS(X)
#undef X

static cw_rewriter *const rewriters[] = {NULL,
#define X(name) cw_rw_##name,
                                         CW_HANDLERS(X)
#undef X
};

/* The whole situation, for who reads a crash. */
static void say(const char *what)
{
	char path[2000];

	for (int i = 0; i < world.n; i++) {
		host_path(i, path);
		fprintf(stderr, "inode %d %s mode %o dev %d %s\n", i, path, world.inodes[i].mode,
		        (int)world.inodes[i].dev, is_type(i, K_S_IFLNK) ? world.inodes[i].text : "");
	}
	for (uint32_t i = 0; i < space.image.n_nodes; i++) {
		const struct cw_node *n = &space.nodes[i];

		rule_path(space.of[i], path);
		fprintf(stderr, "node %u %s kind %u rights %#lx flags %u host %s link %s\n", i, path, n->kind,
		        (long)n->rights, n->flags, cw_str(&space.image, n->host), cw_str(&space.image, n->link));
	}
	for (uint32_t i = 0; i < space.image.n_globs; i++)
		fprintf(stderr, "glob %s\n", cw_str(&space.image, space.globs[i].pattern));
	fprintf(stderr, "call %d %s(%#lx, %#lx, %#lx, %#lx, %#lx, %#lx), paths \"%s\", \"%s\"\n", ctx.call.nr,
	        cw_syscalls[ctx.call.nr].name, (long)ctx.call.arg[0], (long)ctx.call.arg[1], (long)ctx.call.arg[2],
	        (long)ctx.call.arg[3], (long)ctx.call.arg[4], (long)ctx.call.arg[5], ctx.path, ctx.path2);
	for (int i = 0; i < 2; i++)
		fprintf(stderr, "place %d kind %d path \"%s\" name \"%s\" fd %d parent %d rights %#lx\n", i,
		        (int)ctx.place[i].kind, ctx.place[i].path, ctx.place[i].name, ctx.place[i].fd,
		        ctx.place[i].parent, (long)ctx.place[i].rights);
	fprintf(stderr, "does not hold: %s\n", what);
}

#define HOLDS(condition, ...)                                                                                          \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			say(#condition);                                                                               \
			BROKEN(__VA_ARGS__);                                                                           \
		}                                                                                                      \
	} while (0)

static const char *called(int inode)
{
	static char path[1200];

	if (inode < 0 || inode >= INODES)
		return "nothing";
	host_path(inode, path);
	return path;
}

static uint64_t needs_of(uint64_t flags)
{
	if (flags & K_O_PATH)
		return CW_RIGHT_LOOKUP;
	return ((flags & K_O_ACCMODE) == K_O_WRONLY ? 0 : CW_RIGHT_READ) | (flags & K_O_ACCMODE ? CW_RIGHT_WRITE : 0) |
	       (flags & K_O_TRUNC ? CW_RIGHT_FTRUNCATE : 0) | (flags & K_O_TMPFILE_BIT ? CW_RIGHT_CREATE : 0);
}

/* The place is what its path says, with the rights that hold there. */
static void check_place(const struct cw_place *p)
{
	int inode = p->fd < 0 ? -1 : inode_of(p->fd);

	HOLDS(memchr(p->path, 0, sizeof(p->path)) && memchr(p->name, 0, sizeof(p->name)), "a place without an end");
	if (p->kind != CW_PLACE_HOST && p->kind != CW_PLACE_LINK)
		return;
	if (p->parent >= 0) {
		int found = child_of(inode_of(p->parent), p->name, strlen(p->name));

		HOLDS(!strchr(p->name, '/') && strcmp(p->name, ".") && strcmp(p->name, "..") && p->name[0],
		      "the name \"%s\"", p->name);
		if (inode >= 0 && inode < INODES)
			HOLDS(found == inode, "the directory of %s has another %s", called(inode), p->name);
	}
	if (inode < 0 || inode >= INODES || p->path[0] != '/')
		return;
	for (int i = 0; i < space.n_seen; i++)
		if (space.seen[i].inode == inode && !strcmp(space.seen[i].path, p->path) &&
		    space.seen[i].rights == p->rights)
			return;
	HOLDS(!visible(inode) && !p->rights, "%s is taken for %s, with rights %#lx", called(inode), p->path,
	      (long)p->rights);
}

/* The file at a place may be used so. */
static void check_use(const struct cw_place *p, uint64_t needs)
{
	if (p->fd < 0) {
		HOLDS(p->kind != CW_PLACE_HOST, "what does not exist is used");
		return;
	}
	int inode = inode_of(p->fd);

	/* of what has no name, the descriptor is all that there is */
	HOLDS(inode >= INODES || permitted(inode, needs), "%s is used with rights %#lx", called(inode), (long)needs);
}

/* A descriptor of the target's may be asked about, whatever it is. */
static void check_look(const struct cw_place *p, uint64_t needs)
{
	int inode = p->fd < 0 ? -1 : inode_of(p->fd);

	for (int i = 0; inode >= 0 && i < 8; i++)
		if (inode == target.fds[i] || inode == target.cwd)
			return;
	check_use(p, needs);
}

/* Of a descriptor that lies in no grant the answer tells no more than the descriptor itself can do. */
static void check_access(const struct cw_place *p, uint64_t asked)
{
	check_look(p, CW_RIGHT_FSTAT);
	if (!asked || p->kind != CW_PLACE_HOST || !is_type(inode_of(p->fd) % INODES, K_S_IFREG))
		return;
	if (p->by_fd && !p->rights && !(target.flags & K_O_PATH) && !(asked & ~needs_of(target.flags & K_O_ACCMODE)))
		return;
	check_use(p, asked);
}

static void check_new(const struct cw_place *p, uint64_t needs)
{
	HOLDS(p->kind == CW_PLACE_HOST && p->parent >= 0 && p->fd < 0, "a new name, and no place for it");
	HOLDS(may_make(inode_of(p->parent), p->name, needs), "%s is made in %s with rights %#lx", p->name,
	      called(inode_of(p->parent)), (long)needs);
}

/* What the kernel would do with an openat2 in capability form. */
static void check_openat2(void)
{
	const struct cw_plan *plan = &ctx.plan;
	uint64_t cap = plan->arg[0] - FIRST_CAP;
	int how = -1;

	HOLDS(cap < (uint64_t)space.n_caps, "number %ld is no capability", (long)plan->arg[0]);
	HOLDS(plan->slot_arg == 1 && plan->arg[3] == 24 && plan->retry, "openat2 in another form");
	const struct cw_node *node = &space.nodes[space.caps[cap]];
	for (int i = 0; i < target.n_hows; i++)
		if (plan->arg[2] ==
		    (target.writable[i] ? CW_PAD_HOW_RW : CW_PAD_HOW_RO) + (uint64_t)i * CW_PAD_HOW_STRIDE)
			how = i;
	HOLDS(how >= 0, "%#lx is no how", (long)plan->arg[2]);
	HOLDS(!target.writable[how] || node->rights & CW_RIGHT_WRITE, "a writable how on a read-only capability");
	const char *path = plan->bytes;
	HOLDS(plan->len == strlen(path) + 1, "a path of %u bytes in the slot", plan->len);
	uint64_t flags = target.hows[how].flags;
	if ((flags & (K_O_CREAT | K_O_EXCL)) == (K_O_CREAT | K_O_EXCL))
		flags |= K_O_NOFOLLOW;
	struct found f = look_up(space.rules[space.of[space.caps[cap]]].inode, path, K_RESOLVE_BENEATH, flags);
	if (f.inode >= 0)
		HOLDS(permitted(f.inode, needs_of(flags)), "\"%s\" opens %s with rights %#lx", path, called(f.inode),
		      (long)needs_of(flags));
	else if (f.parent >= 0 && (flags & K_O_CREAT))
		HOLDS(may_make(f.parent, f.name, needs_of(flags) | CW_RIGHT_CREATE), "\"%s\" makes %s in %s", path,
		      f.name, called(f.parent));
}

/* An address in the pad, of a region that is for this. */
static void check_address(uint64_t at, uint64_t len, bool bind)
{
	for (int i = 0; i < target.n_addrs; i++)
		if (target.published[i] == at && target.addr_len[i] == len) {
			bool second = (at >= CW_PAD_IN4 + (CW_PAD_IN4_END - CW_PAD_IN4) / 2 && at < CW_PAD_IN4_END) ||
			              (at >= CW_PAD_IN6 + (CW_PAD_IN6_END - CW_PAD_IN6) / 2 && at < CW_PAD_IN6_END);
			HOLDS(at >= CW_PAD_ABSTRACT || second == bind, "the address is published for something else");
			return;
		}
	HOLDS(false, "%#lx with length %ld was not published", (long)at, (long)len);
}

static struct found found_on_host(const char *path)
{
	return look_up(path[0] == '/' ? 0 : target.cwd, path, 0, 0);
}

/* What the kernel would run: every file on the way may be executed, and the last are those of the plan. */
static void check_exec(void)
{
	char path[PATHS], line[257];
	const char *bytes = ctx.plan.bytes;

	HOLDS(ctx.plan.nr == 59 && ctx.plan.slot_arg == 0 && ctx.plan.len && !bytes[ctx.plan.len - 1], "no path");
	int strings = 0;
	for (uint32_t i = 0; i < ctx.plan.len; i++)
		strings += !bytes[i];
	HOLDS(strings == (ctx.plan.ret ? ctx.plan.ret : 1), "%d strings in place of %ld", strings, (long)ctx.plan.ret);
	snprintf(path, sizeof(path), "%s", bytes);
	for (int depth = 0; depth < 6; depth++) {
		struct found f = found_on_host(path);

		if (f.inode < 0 || !is_type(f.inode, K_S_IFREG))
			return; /* it fails */
		HOLDS(permitted(f.inode, CW_RIGHT_FEXECVE), "%s is executed", called(f.inode));
		const struct inode *file = &world.inodes[f.inode];
		if (file->length >= 64 && !memcmp(file->text, "\177ELF", 4)) {
			HOLDS(ctx.exec.exe_ino == (uint64_t)f.inode + 100, "%s is not what was planned",
			      called(f.inode));
			if (file->text[64] != 3)
				return;
			f = found_on_host(file->text + 120);
			if (f.inode < 0)
				return;
			HOLDS(ctx.exec.interp_ino == (uint64_t)f.inode + 100 && permitted(f.inode, CW_RIGHT_FEXECVE),
			      "the loader %s", called(f.inode));
			return;
		}
		if (file->length < 2 || memcmp(file->text, "#!", 2))
			return;
		memset(line, 0, sizeof(line));
		memcpy(line, file->text, file->length < 256 ? file->length : 256);
		line[strcspn(line, "\n")] = 0;
		const char *from = line + 2 + strspn(line + 2, " \t");
		snprintf(path, sizeof(path), "%.*s", (int)strcspn(from, " \t"), from);
	}
}

/* After a move, nothing is to be seen that was hidden. */
static void check_rename(void)
{
	static bool before[INODES];
	const struct cw_place *from = &ctx.place[0], *to = &ctx.place[1];
	int moved = inode_of(from->fd), into = inode_of(to->parent), other = to->fd < 0 ? -1 : inode_of(to->fd);
	int from_directory = inode_of(from->parent);

	for (int i = 0; i < world.n; i++)
		before[i] = visible(i);
	for (int up = into; up; up = world.inodes[up].parent)
		if (up == moved)
			return; /* EINVAL */
	for (int up = from_directory; up && other >= 0; up = world.inodes[up].parent)
		if (up == other)
			return; /* EINVAL, or ENOTEMPTY */
	if (other >= 0 && !(ctx.plan.arg[0] & K_RENAME_EXCHANGE)) {
		for (int i = 1; i < world.n; i++)
			if (world.inodes[i].parent == other)
				return;          /* ENOTEMPTY */
		world.inodes[other].name[0] = 0; /* gone */
	} else if (other >= 0) {
		world.inodes[other].parent = from_directory;
		strcpy(world.inodes[other].name, from->name);
	}
	world.inodes[moved].parent = into;
	strcpy(world.inodes[moved].name, to->name);
	for (int i = 1; i < space.n; i++)
		if (space.rules[i].kind == CW_NODE_NAME)
			space.rules[i].inode =
				look_up(0, space.rules[i].host, K_RESOLVE_NO_SYMLINKS, K_O_NOFOLLOW).inode;
	survey_all();
	for (int i = 0; i < world.n; i++)
		HOLDS(before[i] || !visible(i), "the move shows %s", called(i));
}

static void check_perform(void)
{
	struct cw_place *p = &ctx.place[0], *q = &ctx.place[1];
	uint64_t flags = ctx.plan.arg[0];

	check_place(p);
	check_place(q);
	switch (ctx.plan.op) {
	case CW_OP_STAT:
	case CW_OP_STATX:
		return check_look(p, CW_RIGHT_FSTAT);
	case CW_OP_ACCESS:
		return check_access(p, (flags & 4 ? CW_RIGHT_READ : 0) | (flags & 2 ? CW_RIGHT_WRITE : 0) |
		                               (flags & 1 ? CW_RIGHT_FEXECVE : 0));
	case CW_OP_READLINK:
		return check_look(p, CW_RIGHT_LOOKUP);
	case CW_OP_STATFS:
		return check_use(p, CW_RIGHT_FSTATFS);
	case CW_OP_UNLINK:
		HOLDS(p->parent >= 0 && p->fd >= 0, "nothing to remove");
		return check_use(p, CW_RIGHT_UNLINKAT);
	case CW_OP_MKDIR:
		return check_new(p, CW_RIGHT_MKDIRAT);
	case CW_OP_MKNOD:
		HOLDS((flags & K_S_IFMT) != K_S_IFCHR && (flags & K_S_IFMT) != K_S_IFBLK, "a device node is made");
		return check_new(p, (flags & K_S_IFMT) == 0 || (flags & K_S_IFMT) == K_S_IFREG ? CW_RIGHT_MKNODAT
		                                                                               : CW_RIGHT_MKFIFOAT);
	case CW_OP_SYMLINK:
		return check_new(p, CW_RIGHT_SYMLINKAT);
	case CW_OP_LINK:
		check_new(q, CW_RIGHT_LINKAT_TARGET);
		return check_use(p, CW_RIGHT_LINKAT_SOURCE | q->rights);
	case CW_OP_RENAME:
		HOLDS(p->parent >= 0 && p->fd >= 0 && q->parent >= 0, "nothing to move, or nowhere to");
		check_use(p, CW_RIGHT_RENAMEAT_SOURCE);
		if (q->fd < 0)
			check_new(q, CW_RIGHT_RENAMEAT_TARGET);
		else
			check_use(q, CW_RIGHT_RENAMEAT_TARGET);
		return check_rename();
	case CW_OP_CHMOD:
		return check_use(p, CW_RIGHT_FCHMOD);
	case CW_OP_CHOWN:
		return check_use(p, CW_RIGHT_FCHOWN);
	case CW_OP_UTIME:
		return check_use(p, CW_RIGHT_FUTIMES);
	case CW_OP_TRUNCATE:
		return check_use(p, CW_RIGHT_FTRUNCATE);
	case CW_OP_XATTR_SET:
		return check_use(p, CW_RIGHT_EXTATTR_SET);
	case CW_OP_XATTR_GET:
		return check_use(p, CW_RIGHT_EXTATTR_GET);
	case CW_OP_XATTR_LIST:
		return check_use(p, CW_RIGHT_EXTATTR_LIST);
	case CW_OP_XATTR_REMOVE:
		return check_use(p, CW_RIGHT_EXTATTR_DELETE);
	case CW_OP_OPEN:
	case CW_OP_LIST:
		if (p->kind == CW_PLACE_HOST && p->fd < 0) {
			HOLDS(flags & K_O_CREAT, "what does not exist is opened");
			return check_new(p, needs_of(flags) | CW_RIGHT_CREATE);
		}
		return check_use(p, needs_of(flags));
	case CW_OP_CHDIR:
		return check_use(p, CW_RIGHT_FCHDIR);
	case CW_OP_WATCH:
		return check_use(p, CW_RIGHT_EVENT);
	case CW_OP_CONNECT:
		return check_use(p, CW_RIGHT_CONNECTAT);
	case CW_OP_BIND:
		return check_new(p, CW_RIGHT_BINDAT);
	case CW_OP_LOOPBACK:
		HOLDS(space.header.net == CW_NET_LOOPBACK && ctx.plan.len <= 28, "a connection to this machine");
		return;
	default:
		return;
	}
}

static void check_pass(void)
{
	int pid = (int)(uint32_t)ctx.call.arg[0];

	switch (cw_syscalls[ctx.call.nr].handler) {
	case CW_HANDLER_KILL:
		/* kill(INT_MIN) is ESRCH before anything else is looked at: kill_something_info in kernel/signal.c */
		HOLDS(pid == MEMBER || pid == INT32_MIN || (pid <= 0 && target.scoped), "a signal to process %d", pid);
		return;
	case CW_HANDLER_PID:
		/* tgkill, rt_tgsigqueueinfo: no thread has such a number */
		if ((ctx.call.nr == 234 || ctx.call.nr == 297) && (int)(uint32_t)ctx.call.arg[1] <= 0)
			return;
		HOLDS(pid == MEMBER || pid <= 0, "a call on process %d", pid);
		return;
	case CW_HANDLER_PRIORITY:
	case CW_HANDLER_CAPABILITY:
	case CW_HANDLER_CREDS:
	case CW_HANDLER_CLOCK:
	case CW_HANDLER_RLIMIT:
	case CW_HANDLER_SYSV:
	case CW_HANDLER_FCNTL:
	case CW_HANDLER_PRCTL:
	case CW_HANDLER_FILTER:
	case CW_HANDLER_FORK:
	case CW_HANDLER_SOCKET_NAME:
		return;
	default:
		HOLDS(false, "memory that the target can change decides");
	}
}

static void check_rewrite(void)
{
	const uint64_t *a = ctx.plan.arg;
	struct k_msghdr m;

	switch (ctx.plan.nr) {
	case 5: /* fstat of what the target named */
		HOLDS(a[0] == (uint32_t)ctx.call.arg[0], "fstat of another descriptor");
		return;
	case 42:
		return check_address(a[1], a[2], false);
	case 44:
		HOLDS(a[0] == ctx.call.arg[0], "sendto another socket");
		return check_address(a[4], a[5], false);
	case 46:
		HOLDS(ctx.plan.slot_arg == 1 && ctx.plan.len == sizeof(m), "no header");
		memcpy(&m, ctx.plan.bytes, sizeof(m));
		if (m.name)
			check_address(m.name, (uint64_t)m.namelen, false);
		return;
	case 49:
		return check_address(a[1], a[2], true);
	case 72:
		HOLDS(a[2] >= END_OF_CAPS, "F_DUPFD from a number of the capabilities");
		return;
	case 436:
		HOLDS((uint32_t)a[1] < FIRST_CAP || (uint32_t)a[0] >= END_OF_CAPS, "close_range into the capabilities");
		HOLDS(!ctx.plan.then.nr || (ctx.plan.then.nr == 436 && (uint32_t)ctx.plan.then.arg[0] >= END_OF_CAPS),
		      "a second close_range into the capabilities");
		return;
	case 437:
		return check_openat2();
	default:
		HOLDS(false, "a rewrite to call %d", ctx.plan.nr);
	}
}

static void check(void)
{
	const struct cw_plan *plan = &ctx.plan;
	const char *bytes = plan->bytes;

	HOLDS(memchr(ctx.rec.extra, 0, sizeof(ctx.rec.extra)) && memchr(ctx.whole, 0, sizeof(ctx.whole)) &&
	              memchr(ctx.whole2, 0, sizeof(ctx.whole2)),
	      "a text without an end");
	/* "." is the rewriter's own */
	if (bytes && plan->kind != CW_PLAN_REFUSE && !(plan->len == 2 && !memcmp(bytes, ".", 2)))
		HOLDS(bytes >= (char *)&ctx && bytes + plan->len <= (char *)(&ctx + 1), "bytes from elsewhere");
	switch (plan->kind) {
	case CW_PLAN_REFUSE:
		HOLDS(plan->ret < 0 && plan->ret >= -4095, "refused with %ld", (long)plan->ret);
		break;
	case CW_PLAN_PASS:
		check_pass();
		break;
	case CW_PLAN_REWRITE:
		check_rewrite();
		break;
	case CW_PLAN_EXEC:
		check_exec();
		break;
	case CW_PLAN_PERFORM:
		check_perform();
		break;
	default:
		HOLDS(false, "plan %d", (int)plan->kind);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* more than a world, a policy and a call take says nothing */
	struct input in = {data, size < 4096 ? size : 4096};

	if (size < 16)
		return 0;
	take_world(&in);
	take_space(&in);
	/* as capwrap/engine/calls.c has it */
	memset(&ctx, 0, sizeof(ctx));
	ctx.image = &space.image;
	ops_whole();
	ctx.ops = &ops;
	take_call(&in);
	ctx.plan = (struct cw_plan){.kind = CW_PLAN_REFUSE, .ret = -ENOSYS, .slot_arg = -1};
	ctx.rec.grant = ctx.rec.grant2 = CW_NONE;
	ctx.exec.interp_fd = -1;
	for (int i = 0; i < 2; i++)
		ctx.place[i].fd = ctx.place[i].parent = -1;
	rewriters[cw_syscalls[ctx.call.nr].handler](&ctx);
	check();
	cw_place_drop(&ctx, &ctx.place[0]);
	cw_place_drop(&ctx, &ctx.place[1]);
	if (ctx.exec.interp_fd >= 0)
		close_handle(ctx.exec.interp_fd);
	HOLDS(!handles_open(), "%d descriptors are left open", handles_open());
	return 0;
}
