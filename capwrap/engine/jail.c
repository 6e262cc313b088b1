/*
 * What the child does between fork and exec: it closes the jail around itself, in this order, and executes COMMAND.
 *
 * It is our own code, but runs in a copy of a process that may have threads: raw system calls only.
 */
#include "capwrap/engine/jail.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *const steps[CW_STEP_EXEC] = {
	[CW_STEP_PRIVS] = "cannot set no_new_privs",
	[CW_STEP_ROOT] = "cannot drop capabilities",
	[CW_STEP_LIMIT] = "cannot set a resource limit",
	[CW_STEP_INHERIT] = "cannot choose which descriptors are inherited",
	[CW_STEP_CAPS] = "cannot install the capabilities",
	[CW_STEP_PAD] = "cannot map the pad; is its address taken (a sanitizer, an unusual loader)?",
	[CW_STEP_LANDLOCK] = "landlock_restrict_self failed",
	[CW_STEP_SECCOMP] = "the seccomp program was not accepted",
	[CW_STEP_LISTENER] = "cannot hand over the seccomp listener",
	[CW_STEP_CWD] = "cannot enter the starting directory",
	[CW_STEP_STDIO] = "cannot set up the standard streams",
};

const char *cw_jail_step(int step)
{
	return steps[step];
}

static long raw(long nr, long a, long b, long c, long d, long f, long g)
{
	return syscall(nr, a, b, c, d, f, g);
}

static _Noreturn void fail(struct cw_child *ch, int step)
{
	struct cw_report r = {step, errno};

	(void)raw(SYS_write, ch->sock, (long)&r, sizeof(r), 0, 0, 0);
	_exit(125);
}

static bool set_limit(int resource, uint64_t value)
{
	struct {
		uint64_t soft, hard;
	} lim, old;

	if (raw(SYS_prlimit64, 0, resource, 0, (long)&old, 0, 0))
		return false;
	lim.soft = lim.hard = value < old.hard ? value : old.hard;
	return !raw(SYS_prlimit64, 0, resource, (long)&lim, 0, 0, 0);
}

static bool drop_caps(void)
{
	/* all but what files need: capwrap(7) */
	const uint32_t keep = 1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_FOWNER | 1u << CAP_FSETID |
	                      1u << CAP_SETUID | 1u << CAP_SETGID;
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2];

	if (raw(SYS_capget, (long)&h, (long)d, 0, 0, 0, 0))
		return false;
	/* an ordinary user has none; what it may have inherited goes too */
	(void)raw(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0, 0);
	/* EPERM: who may not drop any cannot be given any either, with no_new_privs; EINVAL: beyond the last one */
	for (int i = 0; i < 64; i++)
		if ((i >= 32 || !(keep >> i & 1)) && raw(SYS_prctl, PR_CAPBSET_DROP, i, 0, 0, 0, 0))
			break;
	d[0].effective &= keep;
	d[0].permitted &= keep;
	d[0].inheritable = 0;
	d[1].effective = d[1].permitted = d[1].inheritable = 0;
	return !raw(SYS_capset, (long)&h, (long)d, 0, 0, 0, 0);
}

/* Out of the range's way: a source must not be overwritten before it was put in its place. */
static bool lift(struct cw_engine *e, int *fd)
{
	int end = e->cap_base + e->cap_end;

	if (*fd < e->cap_base || *fd >= end)
		return true;
	*fd = (int)raw(SYS_fcntl, *fd, F_DUPFD_CLOEXEC, end, 0, 0, 0);
	return *fd >= 0;
}

/* Everything above 2 that is not passed on purpose goes with the exec, but for the capabilities, which come after this. */
static bool inherit_passed_only(const struct cw_engine *e)
{
	const struct cw_run *run = e->run;

	if (raw(SYS_close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC, 0, 0, 0))
		return false;
	for (size_t i = 0; i < run->n_pass_fds; i++)
		if (raw(SYS_fcntl, run->pass_fds[i], F_SETFD, 0, 0, 0, 0))
			return false;
	for (int i = 0; i < e->n_jobserver; i++)
		if (raw(SYS_fcntl, e->jobserver[i], F_SETFD, 0, 0, 0, 0))
			return false;
	return true;
}

/* Capabilities at their numbers. */
static bool install_caps(struct cw_child *ch)
{
	struct cw_engine *e = ch->e;
	struct {
		uint64_t soft, hard;
	} lim;
	uint64_t end = (uint64_t)e->cap_base + (uint64_t)e->cap_end;

	if (raw(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)&lim, 0, 0))
		return false;
	if (lim.soft < end) {
		lim.soft = end;
		if (lim.hard < end)
			lim.hard = end;
		if (raw(SYS_prlimit64, 0, RLIMIT_NOFILE, (long)&lim, 0, 0, 0))
			return false;
	}
	/* for a moment above the range: room for what is lifted */
	struct {
		uint64_t soft, hard;
	} high = {lim.hard, lim.hard};

	(void)raw(SYS_prlimit64, 0, RLIMIT_NOFILE, (long)&high, 0, 0, 0);
	if (!lift(e, &ch->sock) || !lift(e, &ch->cwd) || !lift(e, &e->ruleset))
		return false;
	for (int i = 0; i < e->cap_end; i++)
		if (!lift(e, &e->cap_src[i]))
			return false;
	for (int i = 0; i < e->cap_end; i++)
		if (raw(SYS_dup3, e->cap_src[i], e->cap_base + i, 0, 0, 0, 0) < 0)
			return false;
	if (e->nofile_shifted)
		lim.soft = end;
	return !raw(SYS_prlimit64, 0, RLIMIT_NOFILE, (long)&lim, 0, 0, 0);
}

/* The listener takes the lowest free number: under a low limit, there may be none among what only the exec will close. */
static void make_room(const struct cw_child *ch)
{
	const struct cw_run *run = ch->e->run;

	for (int fd = 3; fd < ch->e->cap_base; fd++) {
		bool kept = fd == ch->sock;

		for (size_t i = 0; i < run->n_pass_fds; i++)
			kept |= fd == run->pass_fds[i];
		for (int i = 0; i < ch->e->n_jobserver; i++)
			kept |= fd == ch->e->jobserver[i];
		if (!kept) {
			(void)raw(SYS_close, fd, 0, 0, 0, 0, 0);
			return;
		}
	}
}

struct disposition { /* struct sigaction as the kernel has it */
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

/*
 * The dispositions that the caller had: no handlers, and ignored what was ignored, but for the two signals that Python,
 * where it is here, ignores by itself.
 */
static void own_no_signals(const struct cw_engine *e)
{
	bool pythons = !(e->run->flags & CW_RUN_PLAIN);

	for (int i = 1; i < 65; i++) {
		struct disposition now = {.handler = SIG_DFL}, want = {.handler = SIG_DFL};

		if (e->taken >> (i - 1) & 1)
			want.handler = e->saved[i].sa_handler == SIG_IGN ? SIG_IGN : SIG_DFL;
		else if (raw(SYS_rt_sigaction, i, 0, (long)&now, 8, 0, 0) || now.handler == SIG_DFL ||
		         (now.handler == SIG_IGN && !(pythons && (i == SIGPIPE || i == SIGXFSZ))))
			continue;
		(void)raw(SYS_rt_sigaction, i, (long)&want, 0, 8, 0, 0);
	}
}

/* All that holds the target, but for the seccomp program. */
static void confine(struct cw_child *ch)
{
	struct cw_engine *e = ch->e;
	const uint64_t *lim = e->im.h->limits;

	if (raw(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0))
		fail(ch, CW_STEP_PRIVS);
	if (!drop_caps())
		fail(ch, CW_STEP_ROOT);
	if ((lim[CW_LIMIT_CPU] != UINT64_MAX && !set_limit(RLIMIT_CPU, lim[CW_LIMIT_CPU])) ||
	    (lim[CW_LIMIT_FILE_SIZE] != UINT64_MAX && !set_limit(RLIMIT_FSIZE, lim[CW_LIMIT_FILE_SIZE])) ||
	    (e->im.h->violation != CW_VIOLATION_TRAP && !set_limit(RLIMIT_CORE, 0)))
		fail(ch, CW_STEP_LIMIT);
	if (!inherit_passed_only(e))
		fail(ch, CW_STEP_INHERIT);
	if (!install_caps(ch))
		fail(ch, CW_STEP_CAPS);
	if (raw(SYS_mmap, CW_PAD_BASE, CW_PAD_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED_NOREPLACE,
	        e->cap_base + e->cap_aux + CW_AUX_PAD, 0) != CW_PAD_BASE ||
	    raw(SYS_mmap, CW_PAD_RESULT, CW_PAD_RESULT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE,
	        e->cap_base + e->cap_aux + CW_AUX_RESULT, 0) != CW_PAD_RESULT)
		fail(ch, CW_STEP_PAD);
	/* the pad counts against RLIMIT_AS: it is the policy's number that the target may use */
	if (lim[CW_LIMIT_MEMORY] != UINT64_MAX &&
	    !set_limit(RLIMIT_AS, lim[CW_LIMIT_MEMORY] + CW_PAD_SIZE + CW_PAD_RESULT_SIZE))
		fail(ch, CW_STEP_LIMIT);
	if (e->ruleset >= 0 && raw(SYS_landlock_restrict_self, e->ruleset, 0, 0, 0, 0, 0))
		fail(ch, CW_STEP_LANDLOCK);
	make_room(ch);
}

static void install_with_listener(struct cw_child *ch, const struct sock_fprog *prog)
{
	/* not WAIT_KILLABLE_RECV: a signal must reach a thread that waits for its answer, and most of all for a FIFO's other end */
	long listener =
		raw(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, (long)prog, 0, 0, 0);

	if (listener < 0)
		fail(ch, CW_STEP_SECCOMP);
	/* with a header that lies in the pad, sendmsg passes: the first call that stops is the exec, which the launcher waits for */
	memcpy(CMSG_DATA(&ch->control.header), &(int){(int)listener}, sizeof(int));
	ch->report = (struct cw_report){CW_STEP_EXEC, 0};
	if (raw(SYS_sendmsg, ch->sock, CW_PAD_MSGHDR, 0, 0, 0, 0) != sizeof(ch->report))
		fail(ch, CW_STEP_LISTENER);
}

/* In a trace. Who has no CAP_SYS_ADMIN gives up to gain privileges by an exec, and nothing else. */
static void install_to_watch(struct cw_child *ch, const struct sock_fprog *prog)
{
	if (!raw(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, (long)prog, 0, 0, 0))
		return;
	if (raw(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0))
		fail(ch, CW_STEP_PRIVS);
	if (raw(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, (long)prog, 0, 0, 0))
		fail(ch, CW_STEP_SECCOMP);
}

_Noreturn void cw_jail_child(struct cw_child *ch)
{
	struct cw_engine *e = ch->e;
	struct sock_fprog prog = {(unsigned short)e->im.n_insns, ch->program};
	char go;

	own_no_signals(e);
	raw(SYS_rt_sigprocmask, SIG_SETMASK, (long)&e->saved_mask, 0, 8, 0, 0);
	for (int i = 0; i < 3; i++)
		if (e->run->stdio[i] >= 0 && e->run->stdio[i] != i &&
		    raw(SYS_dup3, e->run->stdio[i], i, 0, 0, 0, 0) < 0)
			fail(ch, CW_STEP_STDIO);
	if (ch->cwd >= 0 && raw(SYS_fchdir, ch->cwd, 0, 0, 0, 0, 0))
		fail(ch, CW_STEP_CWD);
	if (!cw_tracing(e))
		confine(ch);
	/* from here on, calls stop: somebody must be there who goes on with them */
	if (raw(SYS_read, ch->sock, (long)&go, 1, 0, 0, 0) != 1)
		_exit(125);
	if (cw_tracing(e))
		install_to_watch(ch, &prog);
	else
		install_with_listener(ch, &prog);
	int first = ENOENT;

	for (char **p = ch->paths; *p; p++) {
		raw(SYS_execve, (long)*p, (long)ch->argv, (long)ch->envp, 0, 0, 0);
		/* as execvp(3): look on, but remember that something was found */
		if (errno != ENOENT && errno != ENOTDIR)
			first = errno;
		if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
			break;
	}
	struct cw_report r = {CW_STEP_EXEC, first};

	(void)raw(SYS_write, ch->sock, (long)&r, sizeof(r), 0, 0, 0);
	_exit(first == ENOENT ? 127 : 126);
}
