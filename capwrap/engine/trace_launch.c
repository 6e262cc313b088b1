/* How a trace begins: what the rewriters may ask, the environment, the seccomp program that refuses nothing. */
#include "capwrap/engine/jail.h"
#include "capwrap/engine/trace.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- what the rewriters ask --- */

int cw_trace_link(int tid, int fd, char *dst, size_t size)
{
	char path[48];

	if (fd == AT_FDCWD)
		snprintf(path, sizeof(path), "/proc/%d/cwd", tid);
	else
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", tid, fd);
	ssize_t n = readlink(path, dst, size - 1);

	if (n < 0 || (size_t)n == size - 1)
		return n < 0 ? -errno : -ENAMETOOLONG;
	dst[n] = 0;
	return (int)n;
}

/* Where a run would not have come to, a name has its meaning on the host, so that the record says what was meant. */
static int op_dir_path(struct cw_ctx *c, int fd, char *dst, size_t size)
{
	int n = cw_host_ops.dir_path(c, fd, dst, size);

	if (n != -ENOENT || cw_host_ops.removed(c, fd))
		return n;
	int len = cw_trace_link(c->call.tid, fd, dst, size);

	return len > 0 && dst[0] == '/' ? len : n;
}

static uint64_t op_publish_how(struct cw_ctx *c, bool writable, uint64_t flags, uint64_t mode)
{
	(void)c;
	(void)writable;
	(void)flags;
	(void)mode;
	return 0;
}

static uint64_t op_publish_addr(struct cw_ctx *c, uint64_t region, const void *addr, size_t len)
{
	(void)c;
	(void)addr;
	(void)len;
	return region;
}

/* Books of what the supervisor does in the target's place are not kept, and nothing is made. */
static int64_t op_call(struct cw_ctx *c, int what, const uint64_t *arg)
{
	switch (what) {
	case CW_SERVICE_IPC_GET:
		return cw_ipc_would_get(container(c), arg);
	case CW_SERVICE_CREDS: /* a lookup is made with them */
	case CW_SERVICE_REAL:
	case CW_SERVICE_REACH:
	case CW_SERVICE_IPC_OWN:
	case CW_SERVICE_IPC_GONE:
		return cw_host_ops.call(c, what, arg);
	case CW_SERVICE_MQ_OPEN: /* its own queues are not refused it; there is no descriptor to hand over */
	case CW_SERVICE_MADE:
		return -ENOENT;
	default:
		return 0;
	}
}

/* --- the launch --- */

int cw_trace_make(struct cw_engine *e)
{
	e->ops = cw_host_ops;
	e->ops.dir_path = op_dir_path;
	e->ops.publish_how = op_publish_how;
	e->ops.publish_addr = op_publish_addr;
	e->ops.call = op_call;
	e->ctx.ops = &e->ops;
	if (cw_grants_open(e))
		return -1;
	cw_grants_let_go(e);
	/* no capabilities: every lookup is walked, and no number is capwrap's */
	for (uint32_t i = 0; i < e->im.n_nodes; i++)
		e->node_cap[i] = -1;
	e->cap_base = INT_MAX;
	e->cap_rw = e->cap_aux = e->cap_end = e->n_caps = 0;
	e->scoped = e->features.landlock_abi >= 6;
	e->make_sock = e->features.landlock_abi >= 1;
	return 0;
}

/* A directory that a run makes, empty, stands for the host's own: what the program itself puts there is found again. */
int cw_trace_private(struct cw_engine *e, uint32_t node)
{
	char path[CW_PATH_MAX], real[PATH_MAX];

	if (cw_node_path(&e->im, node, path, sizeof(path)) < 0)
		return cw_failed(e, "the name of a private directory is too long");
	e->node_real[node] = strdup(realpath(path, real) ? real : path);
	return e->node_real[node] ? 0 : cw_failed(e, "out of memory");
}

int cw_trace_prepare(struct cw_engine *e, struct cw_child *ch)
{
	size_t n = 0;

	while (e->run->envp && e->run->envp[n])
		n++;
	ch->envp = calloc(n + 1, sizeof(char *));
	if (!ch->envp)
		return cw_failed(e, "out of memory");
	for (size_t i = 0; i < n; i++)
		ch->envp[i] = (char *)(uintptr_t)e->run->envp[i];
	if (!e->run->chdir)
		return 0;
	ch->cwd = open(e->run->chdir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return ch->cwd < 0 ? cw_failed(e, "--chdir %s: %s", e->run->chdir, strerror(errno)) : 0;
}

/* The numbers of the stub, of which the listener's is one, are to the host what they are without capwrap: ENOSYS. */
void cw_trace_program(struct sock_filter *f, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (f[i].code != (BPF_RET | BPF_K))
			continue;
		switch (f[i].k & SECCOMP_RET_ACTION_FULL) {
		case SECCOMP_RET_TRACE:
			f[i].k = SECCOMP_RET_TRACE | RET_JUDGE;
			break;
		case SECCOMP_RET_ERRNO:
			f[i].k = SECCOMP_RET_TRACE | RET_REFUSE | (f[i].k & SECCOMP_RET_DATA);
			break;
		default:
			f[i].k = SECCOMP_RET_ALLOW;
			break;
		}
	}
}
