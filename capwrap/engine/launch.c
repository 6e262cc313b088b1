/* The launch: the target's environment, its place and its number range, the fork, and what the child is handed over. */
#include "capwrap/engine/jail.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sock_filter *relocated(struct cw_engine *e)
{
	struct sock_filter *f = calloc(e->im.n_insns, sizeof(*f));
	const int value[] = {[CW_RELOC_CAP_RO] = e->cap_base,
	                     [CW_RELOC_CAP_RW] = e->cap_base + e->cap_rw,
	                     [CW_RELOC_CAP_AUX] = e->cap_base + e->cap_aux,
	                     [CW_RELOC_CAP_END] = e->cap_base + e->cap_end};

	if (!f)
		return NULL;
	for (uint32_t i = 0; i < e->im.n_insns; i++)
		f[i] = (struct sock_filter){e->im.insns[i].code, e->im.insns[i].jt, e->im.insns[i].jf,
		                            e->im.insns[i].k};
	for (uint32_t i = 0; i < e->im.n_relocs; i++)
		f[e->im.relocs[i].index].k += (uint32_t)value[e->im.relocs[i].kind];
	/* where only ptrace can read the target, calls stop that would wait for an answer */
	for (uint32_t i = 0; i < e->im.n_insns && !e->answers; i++)
		if (f[i].code == (BPF_RET | BPF_K) && f[i].k == (SECCOMP_RET_USER_NOTIF | CW_RET_ANSWER))
			f[i].k = SECCOMP_RET_TRACE;
	return f;
}

/* fnmatch, which converts both to wide characters first, is asked from the first special character on, if there is one. */
static bool matches(const char *rule, const char *name)
{
	while (*rule && *rule == *name && !strchr("*?[\\", *rule)) {
		rule++;
		name++;
	}
	return *rule && strchr("*?[\\", *rule) ? !fnmatch(rule, name, 0) : *rule == *name;
}

static bool passes(const struct cw_image *im, const char *entry)
{
	const char *eq = strchr(entry, '=');
	char name[256];
	size_t n = eq ? (size_t)(eq - entry) : 0;

	if (!eq || !n || n >= sizeof(name))
		return false;
	memcpy(name, entry, n);
	name[n] = 0;
	for (uint32_t i = 0; i < im->n_envs; i++)
		if (im->envs[i].mode == CW_ENV_PASS && matches(cw_str(im, im->envs[i].text), name))
			return true;
	return false;
}

/* The caller's variables that the policy passes, and those that it sets. */
static char **environment(struct cw_engine *e)
{
	size_t n = 0, have = 0;

	while (e->run->envp && e->run->envp[n])
		n++;
	char **env = calloc(n + e->im.n_envs + 1, sizeof(char *));

	if (!env)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (passes(&e->im, e->run->envp[i]))
			env[have++] = (char *)(uintptr_t)e->run->envp[i];
	for (uint32_t i = 0; i < e->im.n_envs; i++) {
		const char *set = cw_str(&e->im, e->im.envs[i].text);
		const char *eq = strchr(set, '=');

		if (e->im.envs[i].mode != CW_ENV_SET || !eq)
			continue;
		size_t k = 0;

		while (k < have && strncmp(env[k], set, (size_t)(eq - set) + 1))
			k++;
		env[k] = (char *)(uintptr_t)set;
		if (k == have)
			have++;
	}
	return env;
}

/* COMMAND itself where it has a slash, else each directory of the target's PATH: execvp(3). */
static char **candidates(const char *command, char **env)
{
	const char *path = "/bin:/usr/bin";
	size_t n = 2;

	for (char **v = env; *v; v++)
		if (!strncmp(*v, "PATH=", 5))
			path = *v + 5;
	for (const char *s = path; *s; s++)
		n += *s == ':';
	char **out = calloc(n + 1, sizeof(char *));

	if (!out)
		return NULL;
	if (strchr(command, '/') || !*command) {
		out[0] = strdup(command);
		return out;
	}
	for (size_t i = 0; i < n - 1; i++) {
		const char *end = strchr(path, ':');
		size_t len = end ? (size_t)(end - path) : strlen(path);

		if (asprintf(&out[i], "%.*s%s%s", (int)len, path, len ? "/" : "", command) < 0) {
			while (i--)
				free(out[i]);
			free(out);
			return NULL;
		}
		path += len + 1;
	}
	return out;
}

/* Where the target starts: its directory in the namespace, opened; "/" where the caller's own is not granted. */
static int start_dir(struct cw_engine *e)
{
	char host[CW_PATH_MAX], path[CW_PATH_MAX];
	struct cw_place *p = &e->ctx.place[0];
	int fd = -1;

	if (e->run->chdir) {
		int err = cw_walk(&e->ctx, p, "/", e->run->chdir, 0);

		if (!err && (p->mode & S_IFMT) != S_IFDIR)
			err = -ENOTDIR;
		if (err) {
			cw_place_drop(&e->ctx, p);
			return cw_failed(e, "--chdir %s: %s%s", e->run->chdir, strerror(-err),
			                 err == -ENOENT ? ". Is it granted?" : "");
		}
		snprintf(path, sizeof(path), "%s", p->path);
	} else {
		if (!getcwd(host, sizeof(host)) || cw_reverse(e, host, path, sizeof(path)) < 0 ||
		    cw_walk(&e->ctx, p, "/", path, 0) || (p->mode & S_IFMT) != S_IFDIR) {
			cw_place_drop(&e->ctx, p);
			if (cw_walk(&e->ctx, p, "/", "/", 0)) {
				cw_place_drop(&e->ctx, p);
				return cw_failed(e, "cannot find the root of the namespace");
			}
		}
		snprintf(path, sizeof(path), "%s", p->path);
	}
	if (p->kind == CW_PLACE_HOST && p->fd >= 0) {
		fd = p->fd;
		p->fd = -1;
	} else {
		int v = cw_view_for(e, path);

		fd = v < 0 ? -1 : fcntl(cw_view_fd(e, v), F_DUPFD_CLOEXEC, 3);
	}
	cw_place_drop(&e->ctx, p);
	e->ctx.rec.kind = CW_KIND_NONE;
	return fd < 0 ? cw_failed(e, "cannot open the starting directory %s", path) : fd;
}

/* CAP_SYS_RESOURCE: root of a container has it seldom. */
static bool may_raise(void)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2] = {{0, 0, 0}, {0, 0, 0}};

	return !syscall(SYS_capget, &h, d) && (d[0].effective >> CAP_SYS_RESOURCE & 1);
}

#define LEAST_DESCRIPTORS 16 /* for COMMAND: less is not what its caller meant */

static int choose_range(struct cw_engine *e)
{
	struct rlimit lim = {0, 0};

	getrlimit(RLIMIT_NOFILE, &lim);
	uint64_t soft = lim.rlim_cur, hard = lim.rlim_max, files = e->im.h->limits[CW_LIMIT_FILES],
		 n = (uint64_t)e->cap_end;

	if (files < soft)
		soft = files;
	if (files < hard)
		hard = files;
	e->features.nofile_hard = lim.rlim_max;
	e->nofile_shifted = soft <= CW_FD_TABLE;
	/* root may raise the hard limit; where nobody can, the target sees that much less */
	if (e->nofile_shifted && soft + n > lim.rlim_max && !may_raise()) {
		soft = lim.rlim_max > n ? lim.rlim_max - n : 0;
		if (hard > soft)
			hard = soft;
		if (soft < LEAST_DESCRIPTORS)
			return cw_failed(
				e,
				"at most %llu descriptors may be open here (the hard limit of RLIMIT_NOFILE, which "
				"cannot be raised), and the capabilities take %llu of them: raise the limit, as with "
				"ulimit -n 1024, or grant fewer directories",
				(unsigned long long)lim.rlim_max, (unsigned long long)n);
	}
	e->cap_base = e->nofile_shifted ? (int)soft : CW_FD_TABLE;
	e->nofile_soft = soft;
	e->nofile_hard = hard;
	if (e->features.nofile_hard < (uint64_t)e->cap_base + n)
		e->features.nofile_hard = (uint64_t)e->cap_base + n;
	return 0;
}

static void remember_ttys(struct cw_engine *e)
{
	for (int i = 0; i < 3; i++) {
		struct stat st;

		if (!fstat(e->run->stdio[i] >= 0 ? e->run->stdio[i] : i, &st) && S_ISCHR(st.st_mode) &&
		    major(st.st_rdev) == 136) /* UNIX98_PTY_SLAVE_MAJOR */
			cw_terminal_add(e, (int)minor(st.st_rdev), &st);
	}
}

static void publish_constants(struct cw_engine *e)
{
	for (size_t i = 0; i < CW_PAD_DELIVERY_COUNT; i++) {
		int n = e->cap_base + e->cap_aux + CW_AUX_DELIVERY + (int)i;
		snprintf((char *)e->pad + (CW_PAD_FDPATH - CW_PAD_BASE) + i * CW_PAD_FDPATH_STRIDE,
		         CW_PAD_FDPATH_STRIDE, "/proc/self/fd/%d", n);
	}
}

/* The header with which the child sends the listener: one that lies in the pad, so that its sendmsg does not stop. */
static void publish_header(struct cw_engine *e, struct cw_child *ch)
{
	struct msghdr *m = (void *)(e->pad + (CW_PAD_MSGHDR - CW_PAD_BASE));

	ch->iov = (struct iovec){&ch->report, sizeof(ch->report)};
	ch->control.header = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
	*m = (struct msghdr){.msg_iov = &ch->iov,
	                     .msg_iovlen = 1,
	                     .msg_control = &ch->control,
	                     .msg_controllen = sizeof(ch->control.space)};
}

static int check_passed(struct cw_engine *e)
{
	for (size_t i = 0; i < e->run->n_pass_fds; i++) {
		int fd = e->run->pass_fds[i];

		if (fd >= e->cap_base && fd < e->cap_base + e->cap_end)
			return cw_failed(e, "--pass-fd %d: the number lies in the capability range, %d to %d", fd,
			                 e->cap_base, e->cap_base + e->cap_end - 1);
		if (fcntl(fd, F_GETFD) < 0)
			return cw_failed(e, "--pass-fd %d: %s", fd, strerror(errno));
	}
	return 0;
}

/* Seccomp profiles of containers deny it for every process alike; where a credential stands in the way, that is seen per call. */
static bool reads_without_stop(void)
{
	int from = 42, to = 0;
	struct iovec remote = {&from, sizeof(from)}, local = {&to, sizeof(to)};

	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)sizeof(to) && to == from;
}

static int find_command(struct cw_engine *e, struct cw_child *ch)
{
	ch->paths = ch->envp ? candidates(e->run->argv[0], ch->envp) : NULL;
	ch->argv = (char **)(uintptr_t)e->run->argv;
	return ch->program && ch->paths ? 0 : cw_failed(e, "out of memory");
}

static int prepare(struct cw_engine *e, struct cw_child *ch)
{
	if (cw_tracing(e)) {
		remember_ttys(e);
		ch->program = relocated(e);
		if (ch->program)
			cw_trace_program(ch->program, e->im.n_insns);
		return cw_trace_prepare(e, ch) ? -1 : find_command(e, ch);
	}
	if (choose_range(e))
		return -1;
	remember_ttys(e);
	publish_constants(e);
	publish_header(e, ch);
	e->cap_src[e->cap_aux + CW_AUX_PAD] = e->pad_ro;
	e->cap_src[e->cap_aux + CW_AUX_RESULT] = e->result_fd;
	/* the range has no holes: until something is delivered there, the numbers hold the pad too */
	for (int i = 0; i < CW_PAD_DELIVERY_COUNT; i++)
		e->cap_src[e->cap_aux + CW_AUX_DELIVERY + i] = e->pad_ro;
	if (check_passed(e))
		return -1;
	/* a violation's signal has to find the thread at a stop, too */
	e->answers = reads_without_stop() && e->im.h->violation == CW_VIOLATION_ERRNO;
	ch->program = relocated(e);
	ch->envp = environment(e);
	/* Sandbox is as subprocess.run, which closes what it is not told to pass */
	if (e->run->flags & CW_RUN_FOREGROUND)
		cw_find_jobserver(e, ch->envp);
	if (find_command(e, ch))
		return -1;
	ch->cwd = start_dir(e);
	return ch->cwd < 0 ? -1 : 0;
}

/* What the child said last, if anything; `listener` came with it, or is -1. */
static bool hear(int sock, struct cw_report *r, int *listener)
{
	struct iovec iov = {r, sizeof(*r)};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.space)};

	*listener = -1;
	if (recvmsg(sock, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) != (ssize_t)sizeof(*r))
		return false;
	if (CMSG_FIRSTHDR(&m))
		memcpy(listener, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	return true;
}

/* The child has ended: with the reason that it gave, or else this one. */
static int child_failed(struct cw_engine *e, int sock, const char *why)
{
	struct cw_report r;
	int none;

	if (hear(sock, &r, &none))
		return cw_failed(e, "launch: %s: %s%s", cw_jail_step(r.step), strerror(r.err),
		                 r.err == EMFILE ? "; the limit of open files (--limit files, ulimit -n) is too low"
		                                 : "");
	return cw_failed(e, "%s", why);
}

/* The child waits for this before its first call that would stop. */
static int attach(struct cw_engine *e, int sock)
{
	struct cw_proc *proc = cw_proc_add(e, e->root_pid, NULL);
	struct cw_task *t = proc ? cw_task_add(e, e->root_pid, proc) : NULL;
	char why[256];
	int status;

	if (t && !ptrace(PTRACE_SEIZE, e->root_pid, NULL,
	                 PTRACE_O_EXITKILL | PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
	                         PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD)) {
		t->launching = true;
		cw_command_is(e->root_pid);
		(void)!write(sock, "g", 1);
		return 0;
	}
	snprintf(why, sizeof(why), CW_CANNOT_TRACE, strerror(errno));
	kill(e->root_pid, SIGKILL);
	while (waitpid(e->root_pid, &status, __WALL) < 0 && errno == EINTR) {
	}
	if (t)
		cw_task_drop(e, t);
	return child_failed(e, sock, why);
}

/* A signal that somebody sent, as opposed to a mistake in what the child does. */
static bool was_sent(int sig)
{
	return sig != SIGSYS && sig != SIGSEGV && sig != SIGBUS && sig != SIGILL && sig != SIGFPE && sig != SIGTRAP &&
	       sig != SIGABRT;
}

/* The stop at the child's exec: the first that it comes to by itself, with the listener sent before. */
static int await_exec(struct cw_engine *e, int sock, int *status)
{
	for (;;) {
		struct user_regs_struct regs;
		struct cw_report r;

		if (waitpid(e->root_pid, status, __WALL | __WNOTHREAD) < 0) {
			if (errno == EINTR)
				continue;
			return cw_failed(e, "waiting for the child: %s", strerror(errno));
		}
		if (!WIFSTOPPED(*status)) {
			cw_task_drop(e, cw_task_find(e, e->root_pid));
			cw_command_is(0);
			/* as natively, between a fork and an exec */
			if (WIFSIGNALED(*status) && was_sent(WTERMSIG(*status))) {
				e->res->status = *status;
				return 1;
			}
			return child_failed(e, sock, "the child ended before COMMAND could be started");
		}
		if (*status >> 16 == PTRACE_EVENT_SECCOMP) {
			if (ptrace(PTRACE_GETREGS, e->root_pid, NULL, &regs))
				continue; /* it was killed at its stop */
			bool exec = (int)regs.orig_rax == SYS_execve;

			if (exec && cw_tracing(e))
				return 0;
			if (exec && hear(sock, &r, &e->listener) && e->listener >= 0 && !cw_listener_start(e))
				return 0;
			cw_failed(e, "launch: the child stopped at system call %d instead of COMMAND's exec",
			          (int)regs.orig_rax);
			kill(e->root_pid, SIGKILL);
		}
		ptrace(PTRACE_CONT, e->root_pid, NULL, *status >> 16 ? 0 : WSTOPSIG(*status));
	}
}

static int fork_child(struct cw_engine *e, struct cw_child *ch)
{
	int sock[2], status, none, ret;
	struct cw_report r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock))
		return cw_failed(e, "cannot make a pair of sockets: %s", strerror(errno));
	ch->sock = sock[1];
	e->root_pid = (int)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (!e->root_pid) {
		/* or the child would wait for a supervisor that was killed: it held the other end itself */
		(void)syscall(SYS_close, sock[0]);
		cw_jail_child(ch);
	}
	close(sock[1]);
	ret = e->root_pid < 0 ? cw_failed(e, "cannot fork: %s", strerror(errno)) : attach(e, sock[0]);
	if (!ret)
		ret = await_exec(e, sock[0], &status);
	if (e->pad)
		memset(e->pad + (CW_PAD_MSGHDR - CW_PAD_BASE), 0, CW_PAD_MSGHDR_STRIDE);
	if (!ret) {
		cw_supervise(e, status);
		if (hear(sock[0], &r, &none))
			e->res->exec_errno = r.err;
	}
	close(sock[0]);
	return ret;
}

int cw_launch(struct cw_engine *e)
{
	struct cw_child ch = {.e = e, .cwd = -1};
	int ret = prepare(e, &ch);

	if (!ret)
		ret = fork_child(e, &ch);
	if (ch.cwd >= 0)
		close(ch.cwd);
	for (char **p = ch.paths; p && *p; p++)
		free(*p);
	free(ch.paths);
	free(ch.envp);
	free(ch.program);
	return ret;
}
