/* One call of the target, made from the fuzzer's input: its number, its arguments, and what they point to. */
#ifndef CALL_H
#define CALL_H

#include "tests/fuzz/host.h"

static struct cw_ctx ctx;

/* Room in the target's memory, with one content for the first look and another for the second. */
static uint64_t place(const void *first, const void *then, size_t n)
{
	if (n > MEMORY_SIZE - memory.used)
		return 8;
	uint64_t at = memory.used;

	memcpy(memory.first + at, first, n);
	memcpy(memory.then + at, then, n);
	memory.used += (n + 7) & ~(size_t)7;
	return MEMORY + at;
}

static uint64_t take_path(struct input *in)
{
	static char first[PATHS + 200], then[PATHS + 200];
	unsigned code = take(in);

	if (code == 0xff)
		return take(in) % 2 ? 0 : 8;
	size_t n = take_text(in, first, sizeof(first)), m = code & 1 ? take_text(in, then, sizeof(then)) : 0;
	if (!m)
		memcpy(then, first, n + 1);
	return place(first, then, (n > m ? n : m) + 1);
}

static uint64_t take_fd(struct input *in)
{
	unsigned code = take(in);
	uint64_t high = code > 240 ? UINT64_C(0x700000000) : 0;

	switch (code % 8) {
	case 0:
	case 1:
	case 2:
		return high | (uint32_t)K_AT_FDCWD;
	case 3:
		return high | (FIRST_CAP + take(in) % 8);
	case 4:
		return high | (uint32_t)take_word(in, 4);
	default:
		return high | take(in) % 8;
	}
}

static uint64_t take_sockaddr(struct input *in)
{
	unsigned char b[2][128] = {0};

	for (int i = 0; i < 2; i++) {
		static const unsigned char families[] = {K_AF_UNIX, K_AF_UNIX, K_AF_INET, K_AF_INET6, K_AF_UNSPEC, 16};
		unsigned code = take(in);

		b[i][0] = families[code % sizeof(families)];
		if (b[i][0] == K_AF_UNIX) {
			take_text(in, (char *)b[i] + 2 + (code > 200), 108);
		} else {
			b[i][3] = take(in) % 3 ? 80 : 81;
			unsigned char *host = b[i] + (b[i][0] == K_AF_INET6 ? 8 : 4);
			host[0] = (unsigned char)(take(in) % 3 ? take(in) % 4 : 127);
			host[b[i][0] == K_AF_INET6 ? 15 : 3] = (unsigned char)(take(in) % 4);
		}
	}
	return place(b[0], b[1], sizeof(b[0]));
}

static uint64_t take_flags(struct input *in)
{
	static const uint32_t usual[] = {0,
	                                 K_O_CREAT | K_O_WRONLY,
	                                 K_O_CREAT | K_O_EXCL | K_O_RDWR,
	                                 K_O_DIRECTORY,
	                                 K_O_PATH,
	                                 K_O_PATH | K_O_NOFOLLOW,
	                                 K_O_NOFOLLOW,
	                                 K_O_RDWR | K_O_TRUNC,
	                                 K_O_TMPFILE | K_O_RDWR,
	                                 K_AT_EMPTY_PATH,
	                                 K_AT_SYMLINK_NOFOLLOW,
	                                 K_AT_SYMLINK_NOFOLLOW | K_AT_EMPTY_PATH,
	                                 K_AT_REMOVEDIR,
	                                 K_AT_SYMLINK_FOLLOW,
	                                 K_RENAME_EXCHANGE,
	                                 K_RENAME_NOREPLACE,
	                                 1,
	                                 2,
	                                 3};
	unsigned code = take(in);

	return code < 200 ? usual[code % (sizeof(usual) / sizeof(usual[0]))] : take_word(in, code > 250 ? 8 : 4);
}

static uint64_t take_how(struct input *in)
{
	struct k_open_how hows[2];

	for (int i = 0; i < 2; i++) {
		hows[i] = (struct k_open_how){take_flags(in), 0, take(in) % 3 ? take(in) % 64 : 0};
		if (hows[i].flags & (K_O_CREAT | K_O_TMPFILE_BIT))
			hows[i].mode = take(in);
	}
	return place(&hows[0], &hows[1], sizeof(hows[0]));
}

static uint64_t take_message(struct input *in)
{
	struct k_msghdr m[2];

	memset(m, 0, sizeof(m));
	for (int i = 0; i < 2; i++) {
		m[i].name = take(in) % 4 ? take_sockaddr(in) : take(in) % 2;
		m[i].namelen = (int32_t)(take(in) % 4 ? 16 : take_word(in, 4));
	}
	return place(&m[0], &m[1], sizeof(m[0]));
}

static uint64_t take_argument(struct input *in, unsigned role)
{
	static const unsigned char lengths[] = {16, 28, 110, 24, 3, 2, 20, 128};
	uint8_t raw[2][64];

	switch (role) {
	case CW_ROLE_FD:
	case CW_ROLE_DIRFD:
	case CW_ROLE_DIRFD2:
		return take_fd(in);
	case CW_ROLE_PATH:
	case CW_ROLE_PATH2:
	case CW_ROLE_NAME:
	case CW_ROLE_TEXT:
		return take_path(in);
	case CW_ROLE_FLAGS:
	case CW_ROLE_CMD:
	case CW_ROLE_MASK:
		return take_flags(in);
	case CW_ROLE_MODE:
		return take_word(in, 2);
	case CW_ROLE_HOW:
		return take_how(in);
	case CW_ROLE_SOCKADDR:
		return take_sockaddr(in);
	case CW_ROLE_SOCKLEN:
		return take(in) % 4 ? lengths[take(in) % sizeof(lengths)] : take_word(in, 4);
	case CW_ROLE_MSGHDR:
		return take_message(in);
	case CW_ROLE_SIZE:
	case CW_ROLE_LEN:
		return take(in) % 3 ? 24 : take_word(in, 8);
	case CW_ROLE_PID:
	case CW_ROLE_TID:
	case CW_ROLE_PGID:
	case CW_ROLE_WHO:
		return take(in) % 2 ? MEMBER : take_word(in, 8);
	case CW_ROLE_IN:
	case CW_ROLE_INOUT:
	case CW_ROLE_TIME:
	case CW_ROLE_ARGV:
		if (!(take(in) % 4))
			return 0;
		for (int i = 0; i < 128; i++)
			raw[i / 64][i % 64] = (uint8_t)take(in);
		return place(raw[0], raw[1], sizeof(raw[0]));
	default:
		return take_word(in, 1 + take(in) % 8);
	}
}

static void take_call(struct input *in)
{
	static const int intricate[] = {CW_SYS_execve,  CW_SYS_execve,    CW_SYS_execveat, CW_SYS_openat,
	                                CW_SYS_openat2, CW_SYS_renameat2, CW_SYS_linkat,   CW_SYS_sendmsg};
	unsigned skip = take(in);
	int nr = -1;

	if (skip >= 200)
		nr = intricate[skip % (sizeof(intricate) / sizeof(intricate[0]))];
	while (skip < 200 && (nr < 0 || !cw_syscalls[nr].handler || skip--))
		nr = (nr + 1) % CW_SYSCALL_MAX;
	memset(&target, 0, sizeof(target));
	memset(&memory, 0, sizeof(memory));
	for (int i = 0; i < 8; i++) {
		unsigned what = take(in);

		target.fds[i] = what > 250 ? CLOSED : what > 240 ? PIPE : what > 220 ? SOCKET : (int)what % world.n;
	}
	target.cwd = (int)(take(in) % (unsigned)world.n);
	target.flags = take(in) % 4 ? 0 : K_O_PATH;
	target.which = take(in);
	target.scoped = take(in) % 4;
	ctx.call.nr = nr;
	ctx.call.tid = ctx.call.tgid = MEMBER;
	for (int i = 0; i < 6; i++)
		ctx.call.arg[i] = take_argument(in, cw_syscalls[nr].roles[i]);
	ctx.again = (enum cw_try)(take(in) % (CW_TRY_PERFORM + 1));
	world.fail_in = take(in) % 8 ? 0 : 1 + (int)(take(in) % 32);
	static const int errors[] = {EMFILE, EAGAIN, ENOENT, EACCES, ENOMEM, ELOOP, EXDEV, EIO};
	world.fail_with = errors[take(in) % 8];
}

#endif
