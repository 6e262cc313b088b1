/* Calls that name processes, their limits and their credentials: only processes of the target exist. */
#include "rewriters/errno.h"
#include "rewriters/kernel.h"
#include "rewriters/rewriter.h"

static void outsider(struct cw_ctx *c)
{
	cw_refuse(c,
	          c->call.nr == 62 || c->call.nr == 200 || c->call.nr == 234 || c->call.nr == 129 || c->call.nr == 297
	                  ? CW_KIND_SIGNAL
	                  : CW_KIND_PROCESS,
	          ESRCH);
}

/* One that has ended, and is still to be waited for, exists: what is said of it rests on a descriptor of it. */
static void ended(struct cw_ctx *c, int pid)
{
	const uint64_t *a = c->call.arg;
	int nr = c->call.nr, pidfd;
	int sig = (int)(uint32_t)(nr == 234 || nr == 297 ? a[2] : a[1]);

	if (nr == 434 && ((uint32_t)a[1] & ~04000u)) /* PIDFD_NONBLOCK */
		return cw_fail(c, EINVAL);
	pidfd = c->ops->ended(c, pid, nr == 434 ? (uint32_t)a[1] : 0);
	if (pidfd < 0)
		return outsider(c);
	switch (nr) {
	case 62: /* kill, tkill, tgkill, and with information: nothing comes of a signal to it */
	case 129:
	case 200:
	case 234:
	case 297:
		cw_answer(c, sig < 0 || sig > 64 ? -EINVAL : 0);
		break;
	case 121: /* getpgid, getsid */
	case 124:
		cw_answer(c, c->ops->group_of(c, pidfd, pid, nr == 124));
		break;
	case 434: /* pidfd_open */
		c->place[0].fd = pidfd;
		pidfd = -1;
		cw_perform(c, CW_OP_DELIVER);
		c->plan.arg[0] = K_O_CLOEXEC;
		c->plan.arg[1] = 0;
		break;
	default:
		outsider(c);
		break;
	}
	if (pidfd >= 0)
		c->ops->close(c, pidfd);
}

/* A traced pid is not reused while its tracer withholds reaping (ARCHITECTURE.md, rule 18): the call itself may follow. */
void cw_rw_pid(struct cw_ctx *c)
{
	int pid = (int)(uint32_t)c->call.arg[0], second = (int)(uint32_t)c->call.arg[1];
	bool two = c->call.nr == 234 || c->call.nr == 297; /* tgkill, rt_tgsigqueueinfo */

	if (pid < 0 || (two && (pid == 0 || second <= 0)))
		return cw_pass(c); /* the kernel's own EINVAL or ESRCH: no such process can be */
	if (c->call.nr != 109 && pid && !c->ops->member(c, pid))
		return ended(c, pid);
	/* setpgid: the kernel lets it be done to one's own children only */
	if (c->call.nr == 109 && pid && !c->ops->member(c, pid)) {
		int pidfd = c->ops->ended(c, pid, 0);

		if (pidfd < 0)
			return outsider(c);
		c->ops->close(c, pidfd);
	}
	if (two && !c->ops->member(c, second))
		return outsider(c);
	if (c->call.nr == 109 && second >= 0) {
		int moved = pid ? pid : c->call.tgid;
		uint64_t join[2] = {(uint64_t)moved, (uint64_t)(second ? second : moved)};

		if (c->ops->call(c, CW_SERVICE_JOIN, join))
			return cw_refuse(c, CW_KIND_PROCESS, EPERM); /* a foreign group: setpgid(2) */
	}
	cw_pass(c);
}

void cw_rw_kill(struct cw_ctx *c)
{
	int pid = (int)(uint32_t)c->call.arg[0];

	if (pid > 0) {
		if (!c->ops->member(c, pid))
			return ended(c, pid);
		return cw_pass(c);
	}
	if (pid == INT32_MIN)
		return cw_pass(c); /* the kernel's own ESRCH: there is no group of the negated number */
	/* to a group or to all: Landlock's scope lets the kernel reach members alone */
	if (!c->ops->fact(c, CW_FACT_SCOPED))
		return cw_refuse(c, CW_KIND_SIGNAL, EPERM);
	if (pid < -1 && !c->ops->member_group(c, -pid))
		return outsider(c);
	cw_pass(c);
}

void cw_rw_priority(struct cw_ctx *c)
{
	int which = (int)(uint32_t)c->call.arg[0], who = (int)(uint32_t)c->call.arg[1];
	/* PRIO_PROCESS 0, PRIO_PGRP 1, PRIO_USER 2; IOPRIO_WHO_PROCESS 1, _PGRP 2, _USER 3 */
	int process = c->call.nr == 251 || c->call.nr == 252;

	if (which == process && (who == 0 || c->ops->member(c, who)))
		return cw_pass(c);
	if (which < process || which > process + 2)
		return cw_fail(c, EINVAL);
	outsider(c);
}

/* A CPU-time clock names a process by the complement of its pid: CPUCLOCK_PID in linux/posix-timers_types.h. */
void cw_rw_clock(struct cw_ctx *c)
{
	int id = (int)(uint32_t)c->call.arg[0];
	int pid = ~(id >> 3);

	if (id >= 0 || (id & 7) == 3 /* CLOCKFD */ || pid == 0 || c->ops->member(c, pid))
		return cw_pass(c);
	cw_refuse(c, CW_KIND_PROCESS, EINVAL);
}

void cw_rw_capability(struct cw_ctx *c)
{
	uint32_t header[2];
	int err = c->ops->read(c, header, (struct tptr){c->call.arg[0]}, sizeof(header));

	if (err)
		return cw_fail(c, -err);
	if (c->call.nr == 126) { /* capset: the kernel lets a process change none but itself */
		c->ops->call(c, CW_SERVICE_CREDS, c->call.arg);
		return cw_pass(c);
	}
	int pid = (int)header[1];

	/* _LINUX_CAPABILITY_VERSION_3; for a probe of the version the kernel writes the header, and reads no pid */
	if (header[0] != 0x20080522 || !c->call.arg[1]) {
		uint32_t version = 0x20080522;

		cw_copy(c->bytes, &version, 4);
		cw_perform(c, CW_OP_BYTES);
		c->plan.bytes = c->bytes;
		c->plan.len = header[0] == version ? 0 : 4;
		c->plan.to.a = c->call.arg[0];
		c->plan.ret = header[0] == version || !c->call.arg[1] ? 0 : -EINVAL;
		return;
	}
	if (pid < 0)
		return cw_fail(c, EINVAL);
	if (pid && !c->ops->member(c, pid))
		return outsider(c);
	uint64_t arg = pid ? (uint64_t)pid : (uint64_t)c->call.tid;

	err = (int)c->ops->call(c, CW_SERVICE_CAPGET, &arg);
	if (err < 0)
		return cw_fail(c, -err);
	cw_copy(c->bytes, c->scratch64, 24);
	cw_perform(c, CW_OP_BYTES);
	c->plan.bytes = c->bytes;
	c->plan.len = 24;
	c->plan.to.a = c->call.arg[1];
	c->plan.ret = 0;
}

void cw_rw_creds(struct cw_ctx *c)
{
	c->ops->call(c, CW_SERVICE_CREDS, c->call.arg);
	cw_pass(c);
}

/* RLIMIT_NOFILE as the target sees it has no capabilities in it; other limits are the kernel's. */
void cw_rw_rlimit(struct cw_ctx *c)
{
	const uint64_t *a = c->call.arg;
	bool old = c->call.nr != 302;
	int pid = old ? 0 : (int)(uint32_t)a[0];
	uint64_t resource = (uint32_t)(old ? a[0] : a[1]);
	uint64_t set = c->call.nr == 97 ? 0 : c->call.nr == 160 ? a[1] : a[2];
	uint64_t get = c->call.nr == 97 ? a[1] : c->call.nr == 160 ? 0 : a[3];
	uint64_t before[2] = {0, 0};
	int64_t err;

	if (pid && !c->ops->member(c, pid))
		return outsider(c);
	if (resource != 7)
		return cw_pass(c);
	uint64_t arg[3] = {pid ? (uint64_t)pid : (uint64_t)c->call.tid, resource, 0};

	err = c->ops->call(c, CW_SERVICE_RLIMIT, arg);
	cw_copy(before, c->scratch64, sizeof(before));
	if (err >= 0 && set) {
		err = c->ops->read(c, c->scratch64, (struct tptr){set}, 16);
		arg[2] = 1;
		if (err >= 0)
			err = c->ops->call(c, CW_SERVICE_RLIMIT, arg);
	}
	if (err < 0)
		return cw_fail(c, (int)-err);
	if (!get)
		return cw_answer(c, 0);
	cw_copy(c->bytes, before, 16);
	cw_perform(c, CW_OP_BYTES);
	c->plan.bytes = c->bytes;
	c->plan.len = 16;
	c->plan.to.a = get;
	c->plan.ret = 0;
}

/*
 * What a filter of the target's own must not judge: the numbers by which its calls are served, since no program knows them and
 * an allow-list would kill for them; and, from the stub, the use of a delivered directory in place of chdir and
 * inotify_add_watch, which the program that capwrap installed passes on nothing else. The copy then starts as natively, with
 * zero in the accumulator.
 */
#define LD(offset)                                                                                                     \
	{                                                                                                              \
		0x20, 0, 0, offset                                                                                     \
	} /* BPF_LD | BPF_W | BPF_ABS */
#define JEQ(value, yes, no)                                                                                            \
	{                                                                                                              \
		0x15, yes, no, value                                                                                   \
	} /* BPF_JMP | BPF_JEQ | BPF_K */
static const struct k_sock_filter prologue[] = {
	LD(4), /* arch: AUDIT_ARCH_X86_64 */
	JEQ(0xc000003e, 0, 11),
	LD(0), /* nr */
	JEQ(CW_NR_DELIVER, 8, 0),
	JEQ(CW_NR_RETRY, 7, 0),
	JEQ(CW_NR_DONE, 6, 0),
	JEQ(81, 1, 0),  /* fchdir */
	JEQ(254, 0, 5), /* inotify_add_watch */
	LD(12),         /* the upper half of the instruction pointer, which lies behind `syscall` */
	JEQ(0, 0, 3),
	LD(8),
	JEQ(CW_PAD_STUB + 2, 0, 1),
	{0x06, 0, 0, 0x7fff0000}, /* BPF_RET: SECCOMP_RET_ALLOW */
	{0x00, 0, 0, 0},          /* BPF_LD | BPF_IMM */
};

#define PROLOGUE (sizeof(prologue) / sizeof(prologue[0]))

/* Copied, with the prologue in front, and installed by the target from the pad, where no other thread can change it. */
static void install_filter(struct cw_ctx *c, uint64_t flags, struct tptr from)
{
	struct k_sock_fprog *made = &c->filter.head, given;
	struct k_sock_filter *insns = c->filter.insns;
	int err = c->ops->read(c, &given, from, sizeof(given));

	if (err)
		return cw_fail(c, -err);
	/* BPF_MAXINSNS, less than it by the prologue */
	if (!given.len || given.len + PROLOGUE > 4096)
		return cw_fail(c, EINVAL);
	err = c->ops->read(c, insns + PROLOGUE, (struct tptr){given.filter}, given.len * sizeof(*insns));
	if (err)
		return cw_fail(c, -err);
	cw_copy(insns, prologue, sizeof(prologue));
	cw_zero(made, sizeof(*made));
	made->len = (uint16_t)(given.len + PROLOGUE);
	c->ops->call(c, CW_SERVICE_FILTER, c->call.arg);
	cw_rewrite(c, 317 /* seccomp */, 1 /* SECCOMP_SET_MODE_FILTER */, flags, 0, 0, 0, 0);
	c->plan.slot_arg = 2;
	c->plan.self = offsetof(struct k_sock_fprog, filter);
	c->plan.bytes = made;
	c->plan.len = (uint32_t)(sizeof(*made) + made->len * sizeof(*insns));
}

void cw_rw_filter(struct cw_ctx *c)
{
	install_filter(c, (uint32_t)c->call.arg[1], (struct tptr){c->call.arg[2]});
}

void cw_rw_fork(struct cw_ctx *c)
{
	uint64_t limit = c->image->h->limits[CW_LIMIT_PROCESSES];

	if (limit != UINT64_MAX && (uint64_t)c->ops->fact(c, CW_FACT_THREADS) >= limit)
		return cw_fail(c, EAGAIN);
	cw_pass(c);
}

void cw_rw_prctl(struct cw_ctx *c)
{
	uint32_t option = (uint32_t)c->call.arg[0];
	uint64_t arg[2] = {option == 4, c->call.arg[1]};

	if (option == 22 && c->call.arg[1] == 2) /* PR_SET_SECCOMP, SECCOMP_MODE_FILTER */
		return install_filter(c, 0, (struct tptr){c->call.arg[2]});
	if (option == 22)
		return cw_pass(c);
	if (option != 3 && option != 4) /* PR_GET_DUMPABLE, PR_SET_DUMPABLE */
		return cw_refuse(c, CW_KIND_SYSCALL, EINVAL);
	if (option == 4 && arg[1] > 1)
		return cw_fail(c, EINVAL);
	cw_answer(c, c->ops->call(c, CW_SERVICE_DUMPABLE, arg));
}

void cw_rw_close_range(struct cw_ctx *c)
{
	uint64_t first = (uint32_t)c->call.arg[0], last = (uint32_t)c->call.arg[1];
	uint64_t base = (uint64_t)c->ops->fact(c, CW_FACT_CAP_BASE), end = (uint64_t)c->ops->fact(c, CW_FACT_CAP_END);
	uint64_t flags = (uint32_t)c->call.arg[2];
	bool below = first < base, above = last >= end;

	if (first > last)
		return cw_fail(c, EINVAL);
	if (below)
		cw_rewrite(c, 436, first, base - 1, flags, 0, 0, 0);
	else /* nothing has the last number of all: then the kernel looks at the flags, and takes the table apart for them */
		cw_rewrite(c, 436, above ? end : UINT32_MAX, above ? last : UINT32_MAX, flags, 0, 0, 0);
	if (below && above) {
		c->plan.then.nr = 436;
		c->plan.then.arg[0] = end;
		c->plan.then.arg[1] = last;
		c->plan.then.arg[2] = flags;
	}
}

/*
 * F_DUPFD from a number in the capability range. Below the limit that the target sees, the first number that it can have is
 * above the range; at the limit and beyond, there is none: the kernel says so, after it has looked at the descriptor.
 */
static void duplicate(struct cw_ctx *c)
{
	const uint64_t *a = c->call.arg;
	const uint64_t limit[3] = {(uint64_t)c->call.tid, 7 /* RLIMIT_NOFILE */, 0};
	int64_t err = c->ops->call(c, CW_SERVICE_RLIMIT, limit);

	if (err < 0)
		return cw_fail(c, (int)-err);
	bool room = (uint32_t)a[2] < c->scratch64[0];

	cw_rewrite(c, 72, a[0], a[1], room ? (uint64_t)c->ops->fact(c, CW_FACT_CAP_END) : INT32_MAX, 0, 0, 0);
}

void cw_rw_fcntl(struct cw_ctx *c)
{
	if ((uint32_t)c->call.arg[1] == 0 || (uint32_t)c->call.arg[1] == 1030) /* F_DUPFD, F_DUPFD_CLOEXEC */
		return duplicate(c);
	int who = (int)(uint32_t)c->call.arg[2];

	if ((uint32_t)c->call.arg[1] != 8) /* F_SETOWN */
		return cw_refuse(c, CW_KIND_PROCESS, EPERM);
	if (who == 0 || who == INT32_MIN /* the kernel's own EINVAL */ || (who > 0 && c->ops->member(c, who)))
		return cw_pass(c);
	if (who < 0 && c->ops->fact(c, CW_FACT_SCOPED) && c->ops->member_group(c, -who))
		return cw_pass(c);
	outsider(c);
}

/* FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR: nothing that may not also be refused by a file system. */
void cw_rw_ioctl(struct cw_ctx *c)
{
	static const char hex[] = "0123456789abcdef";

	cw_copy(c->rec.extra, "ioctl:0x", 8);
	for (int i = 0; i < 8; i++)
		c->rec.extra[8 + i] = hex[c->call.arg[1] >> (28 - 4 * i) & 15];
	c->rec.extra[16] = 0;
	cw_refuse(c, CW_KIND_SYSCALL, ENOTTY);
}
