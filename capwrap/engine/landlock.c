/* The Landlock ruleset from the same grants: it stands behind capability form, and it is what an exec rests on. */
#include "capwrap/engine/internal.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* linux/landlock.h of newer kernels than the headers may be; numbers are the kernel's ABI */
#define FS_EXECUTE (1u << 0)
#define FS_WRITE_FILE (1u << 1)
#define FS_READ_FILE (1u << 2)
#define FS_READ_DIR (1u << 3)
#define FS_REMOVE_DIR (1u << 4)
#define FS_REMOVE_FILE (1u << 5)
#define FS_MAKE_CHAR (1u << 6)
#define FS_MAKE_DIR (1u << 7)
#define FS_MAKE_REG (1u << 8)
#define FS_MAKE_SOCK (1u << 9)
#define FS_MAKE_FIFO (1u << 10)
#define FS_MAKE_BLOCK (1u << 11)
#define FS_MAKE_SYM (1u << 12)
#define FS_REFER (1u << 13)     /* ABI 2 */
#define FS_TRUNCATE (1u << 14)  /* ABI 3 */
#define FS_IOCTL_DEV (1u << 15) /* ABI 5 */
#define NET_BIND_TCP (1u << 0)  /* ABI 4 */
#define NET_CONNECT_TCP (1u << 1)
#define SCOPE_ABSTRACT (1u << 0) /* ABI 6 */
#define SCOPE_SIGNAL (1u << 1)

struct ruleset_attr {
	uint64_t fs, net, scoped;
};

static uint64_t handled(int abi)
{
	uint64_t all = (1u << 13) - 1;

	if (abi >= 2)
		all |= FS_REFER;
	if (abi >= 3)
		all |= FS_TRUNCATE;
	if (abi >= 5)
		all |= FS_IOCTL_DEV;
	return all;
}

static uint64_t access_of(uint64_t rights)
{
	uint64_t a = 0;

	if (rights & CW_RIGHT_READ)
		a |= FS_READ_FILE | FS_READ_DIR | FS_IOCTL_DEV;
	if (rights & CW_RIGHT_FEXECVE)
		a |= FS_EXECUTE | FS_READ_FILE; /* the kernel opens a program for reading, whoever may read it */
	if (rights & CW_RIGHT_WRITE)
		a |= FS_WRITE_FILE;
	if (rights & CW_RIGHT_FTRUNCATE)
		a |= FS_TRUNCATE;
	if (rights & CW_RIGHT_CREATE)
		a |= FS_MAKE_REG;
	if (rights & CW_RIGHT_BINDAT)
		a |= FS_MAKE_SOCK;
	return a;
}

static int add_path(struct cw_engine *e, int fd, uint64_t access)
{
	struct landlock_path_beneath_attr rule = {.allowed_access = access & e->landlock_handled, .parent_fd = fd};

	if (!rule.allowed_access || !syscall(SYS_landlock_add_rule, e->ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0))
		return 0;
	return cw_failed(e, "landlock_add_rule: %s", strerror(errno));
}

static void coarse(struct cw_engine *e, const char *what)
{
	size_t have = strlen(e->res->landlock_coarse);

	if (!strstr(e->res->landlock_coarse, what))
		snprintf(e->res->landlock_coarse + have, sizeof(e->res->landlock_coarse) - have, "%s%s",
		         have ? "; " : "", what);
}

int cw_landlock_make(struct cw_engine *e)
{
	struct ruleset_attr attr = {0, 0, 0};
	int abi = e->features.landlock_abi;
	size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;

	e->landlock_abi = abi;
	e->ruleset = -1;
	if (abi < 6 && (e->im.h->allow & CW_ALLOW_SCOPED))
		return cw_failed(e,
		                 "the policy image leaves signals and abstract sockets to Landlock's scopes, which "
		                 "are not here (Landlock's ABI is %d; they came with 6, Linux 6.12). Compile it where "
		                 "it is run",
		                 abi);
	if (abi < 1) {
		if (!(e->run->flags & CW_RUN_BEST_EFFORT))
			return cw_failed(e, "this kernel offers no Landlock, which execs rest on (Linux 5.13, enabled "
			                    "at boot: lsm=landlock,...). "
			                    "--best-effort runs without: then only the exec stop and the seccomp "
			                    "program hold the line");
		coarse(e, "no Landlock at all");
		return 0;
	}
	/* only what the target does itself is handled: the other changes are performed by the supervisor, so none is granted */
	attr.fs = e->landlock_handled = handled(abi);
	if (abi >= 4 && e->im.h->net == CW_NET_NONE)
		attr.net = NET_BIND_TCP | NET_CONNECT_TCP;
	/* a rule names one port: where any is permitted, it cannot say so */
	for (uint32_t i = 0; i < e->im.n_addrs; i++)
		if (!e->im.addrs[i].port)
			attr.net &= e->im.addrs[i].op == CW_ADDR_BIND ? NET_CONNECT_TCP : NET_BIND_TCP;
	if (abi >= 6)
		attr.scoped = SCOPE_ABSTRACT | SCOPE_SIGNAL;
	e->scoped = abi >= 6;
	e->make_sock = true;
	e->ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (e->ruleset < 0)
		return cw_failed(e, "landlock_create_ruleset: %s", strerror(errno));
	for (uint32_t i = 0; i < e->im.n_nodes; i++) {
		const struct cw_node *n = &e->im.nodes[i];

		if (n->kind == CW_NODE_DIR || n->kind == CW_NODE_PRIVATE) {
			uint64_t access = access_of(n->rights);
			int fd;

			/* where a call can only be decided by the supervisor, the target opens nothing itself */
			if (e->node_cap[i] < 0)
				access &= FS_MAKE_SOCK | FS_IOCTL_DEV |
				          (access & FS_EXECUTE ? FS_EXECUTE | FS_READ_FILE : 0);
			if (!access)
				continue;
			fd = cw_node_dir(e, i);
			if (fd < 0)
				continue; /* an optional one that is not there */
			if (n->child_count && (access & FS_EXECUTE))
				coarse(e, "execute is held per grant of a directory, what is carved out of it by the "
				          "supervisor");
			if (add_path(e, fd, access))
				return -1;
		} else if (n->kind == CW_NODE_NAME && (n->rights & (CW_RIGHT_FEXECVE | CW_RIGHT_BINDAT))) {
			int dir = cw_host_ops.name_dir(&e->ctx, i), err;
			char path[CW_PATH_MAX];
			int file;

			if (dir < 0)
				continue;
			memcpy(path, cw_str(&e->im, n->host), n->host.len + 1);
			/* the file itself where it is there and cannot be replaced under its name, else its directory */
			file = n->rights & CW_RIGHT_WRITE ? -1 : open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
			if (file >= 0) {
				err = add_path(e, file, FS_EXECUTE | FS_READ_FILE);
				close(file);
			} else {
				coarse(e, "execute and bind by a single name are held per directory, the name by the "
				          "supervisor");
				err = add_path(e, dir, access_of(n->rights & (CW_RIGHT_FEXECVE | CW_RIGHT_BINDAT)));
			}
			close(dir);
			if (err)
				return err;
		}
	}
	for (uint32_t i = 0; attr.net && i < e->im.n_addrs; i++) {
		const struct cw_addr *a = &e->im.addrs[i];
		struct {
			uint64_t access, port;
		} rule = {a->op == CW_ADDR_BIND ? NET_BIND_TCP : NET_CONNECT_TCP, a->port};

		if ((attr.net & rule.access) &&
		    syscall(SYS_landlock_add_rule, e->ruleset, 2 /* LANDLOCK_RULE_NET_PORT */, &rule, 0))
			return cw_failed(e, "landlock_add_rule for port %u: %s", a->port, strerror(errno));
		coarse(e, "TCP is held per port, the address by the supervisor");
	}
	if (abi < 6)
		coarse(e, "signals to groups are refused, abstract sockets too: no scopes before Linux 6.12");
	return 0;
}
