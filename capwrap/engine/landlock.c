/* The Landlock ruleset from the same grants: it stands behind capability form, and it is what an exec rests on. */
#include "capwrap/engine/internal.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* linux/landlock.h of newer kernels than the headers may be; numbers are the kernel's ABI */
#define FS_EXECUTE CW_LL_EXECUTE
#define FS_WRITE_FILE (1u << 1)
#define FS_READ_FILE CW_LL_READ_FILE
#define FS_READ_DIR (1u << 3)
#define FS_REMOVE_DIR (1u << 4)
#define FS_REMOVE_FILE (1u << 5)
#define FS_MAKE_CHAR (1u << 6)
#define FS_MAKE_DIR (1u << 7)
#define FS_MAKE_REG (1u << 8)
#define FS_MAKE_SOCK CW_LL_MAKE_SOCK
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

/* A file or a socket that is granted by name: the file itself where it is there and stays, else its directory. */
static int add_name(struct cw_engine *e, uint32_t i, uint64_t *held, uint64_t *in_directory)
{
	const struct cw_node *n = &e->im.nodes[i];
	int dir = cw_host_ops.name_dir(&e->ctx, i), file, err;
	char path[CW_PATH_MAX];

	if (dir < 0)
		return 0;
	memcpy(path, cw_str(&e->im, n->host), n->host.len + 1);
	file = n->rights & CW_RIGHT_WRITE ? -1 : open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (file >= 0) {
		held[i] = FS_EXECUTE | FS_READ_FILE;
		err = add_path(e, file, held[i]);
		close(file);
	} else {
		in_directory[i] = access_of(n->rights & (CW_RIGHT_FEXECVE | CW_RIGHT_BINDAT));
		e->coarse_exec |= in_directory[i] & FS_EXECUTE;
		err = add_path(e, dir, in_directory[i]);
	}
	close(dir);
	return err;
}

static int add_directory(struct cw_engine *e, uint32_t i, uint64_t *held)
{
	uint64_t access = access_of(e->im.nodes[i].rights);
	int fd;

	/* where a call can only be decided by the supervisor, the target opens nothing itself */
	if (e->node_cap[i] < 0) {
		access &= FS_MAKE_SOCK | FS_IOCTL_DEV | (access & FS_EXECUTE ? FS_EXECUTE | FS_READ_FILE : 0);
		e->coarse_exec |= access & FS_EXECUTE;
	}
	fd = access ? cw_node_dir(e, i) : -1;
	if (fd < 0)
		return 0; /* nothing to grant, or an optional one that is not there */
	held[i] = access;
	return add_path(e, fd, access);
}

static int add_nodes(struct cw_engine *e)
{
	uint64_t *held = calloc(e->im.n_nodes, sizeof(*held)), *in_directory = calloc(e->im.n_nodes, sizeof(*held));
	int err = 0;

	if (!held || !in_directory) {
		free(held);
		free(in_directory);
		return cw_failed(e, "out of memory");
	}
	for (uint32_t i = 0; !err && i < e->im.n_nodes; i++) {
		const struct cw_node *n = &e->im.nodes[i];

		if (n->kind == CW_NODE_DIR || n->kind == CW_NODE_PRIVATE)
			err = add_directory(e, i, held);
		else if (n->kind == CW_NODE_NAME && (n->rights & (CW_RIGHT_FEXECVE | CW_RIGHT_BINDAT)))
			err = add_name(e, i, held, in_directory);
	}
	/* for the record's first line, which not every run has */
	if (!err && (e->run->flags & CW_RUN_RECORD_ACCESS))
		cw_coarse_places(e, held, in_directory);
	free(held);
	free(in_directory);
	return err;
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
		e->coarse_exec = true;
		if (!(e->run->flags & CW_RUN_BEST_EFFORT))
			return cw_failed(e, "this kernel offers no Landlock, which execs rest on (Linux 5.13, enabled "
			                    "at boot: lsm=landlock,...). "
			                    "--best-effort runs without: then only the exec stop and the seccomp "
			                    "program hold the line");
		cw_coarse(e, "", "there is no Landlock at all");
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
	if (add_nodes(e))
		return -1;
	uint64_t tcp = 0;

	for (uint32_t i = 0; attr.net && i < e->im.n_addrs; i++) {
		const struct cw_addr *a = &e->im.addrs[i];
		struct {
			uint64_t access, port;
		} rule = {a->op == CW_ADDR_BIND ? NET_BIND_TCP : NET_CONNECT_TCP, a->port};

		if ((attr.net & rule.access) &&
		    syscall(SYS_landlock_add_rule, e->ruleset, 2 /* LANDLOCK_RULE_NET_PORT */, &rule, 0))
			return cw_failed(e, "landlock_add_rule for port %u: %s", a->port, strerror(errno));
		tcp |= attr.net & rule.access;
	}
	if (tcp)
		cw_coarse(e, "", "Landlock holds the ports of TCP, and no addresses");
	if (abi < 6)
		cw_coarse(e, "", "Landlock holds no signals and no abstract sockets before Linux 6.12");
	return 0;
}
