/* What must not have been got: the secret, an error other than the jail's, a number of the capability range, a changed pad. */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rewriters/pad.h"

#define REPORTS 40 /* descriptor of the report, which main keeps; the others' copies may be long gone */

static void show(char *to, size_t size, const struct call *c)
{
	int n = snprintf(to, size, "%s %#llx(", c->row ? c->row->name : "unknown", (unsigned long long)c->nr);

	for (int i = 0; i < (c->row ? c->row->count : 6) && n > 0 && (size_t)n < size; i++) {
		int role = c->row ? c->row->roles[i] : ROLE_unused;
		uint64_t at = c->arg[i];

		if ((role == ROLE_path || role == ROLE_path2) && at >= (uint64_t)arena && at < (uint64_t)arena + ARENA)
			n += snprintf(to + n, size - (size_t)n, "\"%.*s\", ", (int)((uint64_t)arena + ARENA - at),
			              (char *)at);
		else
			n += snprintf(to + n, size - (size_t)n, "%#llx, ", (unsigned long long)at);
	}
	if (n > 0 && (size_t)n < size)
		snprintf(to + n, size - (size_t)n, ") = %lld", (long long)c->result);
}

void report(struct me *m, const char *what, const char *format, ...)
{
	static char told[8][16]; /* each detector once */
	char text[6000];

	for (int i = 0; i < 8; i++) {
		if (!strcmp(told[i], what))
			return;
		if (!told[i][0]) {
			snprintf(told[i], sizeof(told[i]), "%s", what);
			break;
		}
	}
	int n = snprintf(text, sizeof(text), "\nFOUND %s: ", what);
	va_list ap;

	va_start(ap, format);
	n += vsnprintf(text + n, 1000, format, ap);
	va_end(ap);
	for (uint64_t i = m->made > REMEMBERED ? m->made - REMEMBERED : 0;
	     i < m->made && (size_t)n + 500 < sizeof(text); i++) {
		n += snprintf(text + n, sizeof(text) - (size_t)n, "\n  ");
		show(text + n, 400, &m->last[i % REMEMBERED]);
		n += (int)strlen(text + n);
	}
	n += snprintf(text + n, sizeof(text) - (size_t)n, "\n");
	/* main says it, if this memory is main's; and we do, in case that it is not */
	if (!__atomic_exchange_n(&world->found, 1, __ATOMIC_SEQ_CST))
		snprintf(world->text, sizeof(world->text), "%s", text);
	for (int fd = REPORTS; fd < REPORTS + 4; fd++)
		if (RAW(SYS_write, fd, text, n) == n)
			break;
}

/* Compared by complements, a byte at a time: the secret is put together nowhere. */
static bool holds(const uint8_t *at, const uint8_t *complement, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (at[i] + complement[i] != 0xff)
			return false;
	return true;
}

static void scan(struct me *m, const char *whence, const volatile void *memory, size_t n)
{
	const uint8_t *at = (const uint8_t *)memory;

	for (size_t i = 0; i + STAMP <= n; i++) {
		if (at[i] + world->canary[0] == 0xff && i + CANARY <= n && holds(at + i, world->canary, CANARY)) {
			report(m, "read", "%s: the secret, %.4s", whence,
			       i + CANARY + 4 <= n ? (const char *)at + i + CANARY : "?");
			return;
		}
		if (at[i] + world->stamp[0] == 0xff && holds(at + i, world->stamp, STAMP)) {
			report(m, "read", "%s: the time stamp of a secret file", whence);
			return;
		}
	}
}

/* What a descriptor lets one see of what it is open on. */
void look_at_fd(struct me *m, int fd)
{
	char text[4096];
	struct stat st;
	int64_t n;

	memset(&st, 0, sizeof(st));
	if (!RAW(SYS_fstat, fd, &st)) {
		scan(m, "fstat", &st, sizeof(st));
		if (S_ISREG(st.st_mode) && (n = RAW(SYS_pread64, fd, text, sizeof(text), 0)) > 0)
			scan(m, "pread", text, (size_t)n);
		if (S_ISDIR(st.st_mode) && (n = RAW(SYS_getdents64, fd, text, sizeof(text))) > 0)
			scan(m, "getdents64", text, (size_t)n);
	}
	memset(text, 0, 300);
	if (RAW(SYS_flistxattr, fd, text, sizeof(text)) > 0)
		scan(m, "flistxattr", text, 300);
	if (RAW(SYS_fgetxattr, fd, "user.token", text, sizeof(text)) > 0)
		scan(m, "fgetxattr", text, 300);
	if (RAW(SYS_readlinkat, fd, "", text, sizeof(text)) > 0)
		scan(m, "readlinkat", text, 300);
}

static bool gives_fd(const struct row *r)
{
	switch (r->nr) {
	case SYS_open:
	case SYS_openat:
	case SYS_openat2:
	case SYS_creat:
	case SYS_socket:
	case SYS_accept:
	case SYS_accept4:
	case SYS_dup:
	case SYS_dup2:
	case SYS_dup3:
	case SYS_mq_open:
	case SYS_memfd_create:
	case SYS_pidfd_open:
	case SYS_epoll_create:
	case SYS_epoll_create1:
	case SYS_inotify_init:
	case SYS_inotify_init1:
	case SYS_eventfd:
	case SYS_eventfd2:
	case SYS_signalfd:
	case SYS_signalfd4:
	case SYS_timerfd_create:
	case SYS_landlock_create_ruleset:
	case CW_NR_DELIVER:
		return true;
	default:
		return false;
	}
}

void look_at_result(struct me *m, struct call *c)
{
	const struct row *r = c->row;

	if (!m->filtered) {
		if (r && r->kind == KIND_REFUSE && c->result != -r->error)
			report(m, "numbers", "%s is always refused with %d, and gave %lld", r->name, r->error,
			       (long long)c->result);
		if (!r && c->result != -ENOSYS)
			report(m, "numbers", "no such call, and it gave %lld", (long long)c->result);
	}
	if (!r)
		return;
	if (c->result >= 0 && gives_fd(r)) {
		if (c->result >= world->fd_limit)
			report(m, "descriptors", "%s gave a number of the capability range", r->name);
		look_at_fd(m, (int)c->result);
	}
	if (c->result == -EFAULT)
		return;
	for (int i = 0; i < r->count; i++) {
		uint64_t at = c->arg[i], end = (uint64_t)arena + ARENA;

		switch ((enum role)r->roles[i]) {
		case ROLE_buf:
		case ROLE_out:
		case ROLE_inout:
		case ROLE_stat:
		case ROLE_iov:
		case ROLE_arg:
		case ROLE_msghdr:
			if (at < (uint64_t)arena || at >= end)
				break;
			/* of vectors, the whole arena now and then: anywhere in it is where they point */
			if (r->roles[i] == ROLE_iov || r->roles[i] == ROLE_msghdr)
				at = one_in(m, 32) ? (uint64_t)arena : at;
			scan(m, r->name, (void *)at, at == (uint64_t)arena ? ARENA : end - at < 5000 ? end - at : 5000);
			break;
		default:
			break;
		}
	}
}

/* --- the pad --- */

uint64_t hash_stub(void)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (const uint8_t *at = (const uint8_t *)(uintptr_t)CW_PAD_STUB;
	     at < (const uint8_t *)(uintptr_t)CW_PAD_HOW_RO; at++)
		h = (h ^ *at) * UINT64_C(1099511628211);
	return h;
}

static void look_at_hows(struct me *m, uint64_t from, uint64_t to, bool writable)
{
	for (uint64_t at = from; at < to; at += CW_PAD_HOW_STRIDE) {
		const volatile uint64_t *how = (const volatile uint64_t *)(uintptr_t)at;
		uint64_t flags = how[0], resolve = how[2];

		/* free: all ones, which the kernel refuses; one that is being published shows some of its words */
		if (flags == UINT64_MAX || resolve == UINT64_MAX)
			continue;
		/* RESOLVE_NO_MAGICLINKS, RESOLVE_BENEATH */
		if ((resolve & 0x0a) != 0x0a ||
		    (!writable && (flags & (O_ACCMODE | O_CREAT | O_TRUNC) & ~(uint64_t)O_RDONLY)))
			report(m, "pad", "a how at %#llx: flags %#llx, resolve %#llx", (unsigned long long)at,
			       (unsigned long long)flags, (unsigned long long)resolve);
	}
}

void look_at_pad(struct me *m)
{
	look_at_hows(m, CW_PAD_HOW_RO, CW_PAD_HOW_RO_END, false);
	look_at_hows(m, CW_PAD_HOW_RW, CW_PAD_HOW_RW_END, true);
	if (hash_stub() != world->stub_hash)
		report(m, "pad", "the stub is another one");
}
