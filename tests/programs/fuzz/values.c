/* Arguments: of every role of the table, valid ones, ones at a boundary, and hostile ones. */
#include "fuzz.h"
#include "values.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "rewriters/pad.h"

/* --- numbers --- */

uint64_t number(struct me *m)
{
	static const uint64_t odd[] = {
		0,
		1,
		2,
		3,
		7,
		8,
		16,
		24,
		31,
		32,
		63,
		64,
		100,
		255,
		256,
		1000,
		4095,
		4096,
		4097,
		65535,
		65536,
		1 << 20,
		1 << 30,
		INT32_MAX,
		0x80000000,
		UINT32_MAX,
		(uint64_t)1 << 32,
		(uint64_t)1 << 46,
		(uint64_t)1 << 47,
		INT64_MAX,
		(uint64_t)INT64_MIN,
		UINT64_MAX,
		(uint64_t)-2,
		(uint64_t)-100,
	};

	if (one_in(m, 8))
		return rnd(m);
	return PICK(m, odd) + (one_in(m, 8) ? below(m, 3) - 1u : 0);
}

uint64_t bits(struct me *m)
{
	/* flags of all calls: each call knows some of them */
	static const uint64_t known[] = {
		O_WRONLY,
		O_RDWR,
		O_CREAT,
		O_EXCL,
		O_NOCTTY,
		O_TRUNC,
		O_APPEND,
		O_NONBLOCK,
		O_DSYNC,
		O_DIRECTORY,
		O_NOFOLLOW,
		O_CLOEXEC,
		O_PATH,
		O_TMPFILE,
		AT_SYMLINK_NOFOLLOW,
		AT_REMOVEDIR,
		AT_SYMLINK_FOLLOW,
		AT_EMPTY_PATH,
		AT_NO_AUTOMOUNT,
		0x200 /* AT_EACCESS */,
		MAP_SHARED,
		MAP_PRIVATE,
		MAP_ANONYMOUS,
		MAP_FIXED,
		0x100000 /* MAP_FIXED_NOREPLACE */,
		MAP_GROWSDOWN,
		MAP_POPULATE,
		MAP_NORESERVE,
		MREMAP_MAYMOVE,
		MREMAP_FIXED,
		CLONE_FILES,
		CLONE_FS,
		CLONE_NEWNS,
		CLONE_NEWUSER,
		MSG_DONTWAIT,
		MSG_NOSIGNAL,
		MSG_PEEK,
		0x80 /* FUTEX_PRIVATE */,
		01000 /* IPC_CREAT */,
		02000,
	};
	uint64_t v = 0;

	if (one_in(m, 3))
		return 0;
	if (one_in(m, 12))
		return rnd(m);
	for (unsigned n = 1 + below(m, 3); n; n--)
		v |= one_in(m, 6) ? UINT64_C(1) << below(m, 33) : PICK(m, known);
	return v;
}

uint64_t descriptor(struct me *m)
{
	uint64_t fd;

	switch (below(m, 16)) {
	default:
		fd = below(m, 40);
		break;
	case 10:
		fd = below(m, 3);
		break;
	case 11:
	case 12:
		/* the capability range, and a little around it */
		fd = (uint64_t)world->fd_limit - 2 + below(m, 220);
		break;
	case 13:
		fd = (uint64_t)(int64_t)AT_FDCWD;
		break;
	case 14:
		fd = number(m);
		break;
	}
	if (one_in(m, 16)) /* the kernel takes 32 bits of it */
		fd = (uint32_t)fd | rnd(m) << 32;
	return fd;
}

/* --- memory --- */

char *arena_room(struct me *m, size_t size)
{
	return arena + (below(m, (unsigned)(ARENA - size)) & ~7u);
}

/* An address for an object of this size: mostly one that is good. */
uint64_t address(struct me *m, size_t size, const void *content)
{
	if (one_in(m, 10)) {
		const uint64_t bad[] = {
			0,
			1,
			(uint64_t)arena + ARENA,
			(uint64_t)arena + ARENA - 1,
			(uint64_t)arena + ARENA - size + 1,
			UINT64_C(0xffff800000000000),
			UINT64_C(0x800000000000) - size / 2,
			UINT64_MAX - 4095,
			(uint64_t)playground + below(m, PLAYGROUND),
			CW_PAD_STUB,
			CW_PAD_HOW_RO + 32u * below(m, 256) + below(m, 2) * below(m, 32),
			CW_PAD_HOW_RW + 32u * below(m, 1024),
			CW_PAD_IN4 + 32u * below(m, 256),
			CW_PAD_ABSTRACT + 128u * below(m, 256),
			CW_PAD_MSGHDR + 64u * below(m, 1984),
			CW_PAD_SLOT + 1024u * below(m, 4096) + CW_PAD_SLOT_DATA,
			CW_PAD_SLOT + 1024u * below(m, 16),
			CW_PAD_CONTROL + 8u * below(m, 4096),
			CW_PAD_RESULT + 8u * below(m, 4096),
			CW_PAD_BASE - size / 2,
			CW_PAD_END - size / 2,
			CW_PAD_FDPATH + 32u * below(m, 16),
		};

		return PICK(m, bad);
	}
	/* the last that fits: what is read beyond it is not mapped */
	char *at = one_in(m, 8) ? arena + ARENA - size : arena_room(m, size);

	if (content)
		memcpy(at, content, size);
	return (uint64_t)at;
}

static uint64_t mapped(struct me *m)
{
	switch (below(m, 6)) {
	case 0:
		return CW_PAD_BASE - 0x10000 + 4096u * below(m, (CW_PAD_END - CW_PAD_BASE + 0x20000) / 4096);
	case 1:
		return number(m);
	case 2:
		return 0;
	default:
		return (uint64_t)playground + 4096u * below(m, PLAYGROUND / 4096) + (one_in(m, 8) ? below(m, 4096) : 0);
	}
}

static uint64_t mapped_size(struct me *m)
{
	if (one_in(m, 16))
		return number(m);
	/* from where the playground lies, and from below the pad, to it and over it */
	return one_in(m, 8) ? 0x10000 + 4096u * below(m, 1200) : 4096u * below(m, 16) + below(m, 2) * below(m, 4096);
}

/* --- processes --- */

int process(struct me *m)
{
	switch (below(m, 10)) {
	case 0:
	case 1:
		return world->victim;
	case 2:
		return world->supervisor;
	case 3:
		return -world->victim;
	case 4:
		return one_in(m, 4) ? world->main_pid : world->absent;
	case 5:
		return one_in(m, 8) ? -1 : 0;
	case 6:
		return world->worker[below(m, WORKERS)].pid;
	case 7:
		return (int)RAW(SYS_gettid);
	default:
		return (int)RAW(SYS_getpid);
	}
}

/* Whom it might reach decides: whoever is not of this test gets, were it to get anything, what is ignored. */
static uint64_t signal_for(struct me *m, int pid)
{
	static const int quiet[] = {0, SIGURG, SIGWINCH, SIGCONT, SIGCHLD};
	bool outside = pid == world->victim || pid == world->supervisor, ours = pid == (int)RAW(SYS_getpid) && !m->tame;

	for (int i = 0; i < WORKERS; i++)
		ours |= pid > 0 && pid == world->worker[i].pid;
	if (outside ? !one_in(m, 4) : ours && one_in(m, 3))
		return below(m, 66);
	return (uint64_t)PICK(m, quiet);
}

/* --- the rest --- */

static uint64_t command(struct me *m)
{
	static const uint64_t known[] = {
		F_DUPFD,     F_GETFD,         F_SETFD,    F_GETFL,      F_SETFL,     F_SETLK,    F_SETOWN,   F_SETSIG,
		F_SETOWN_EX, F_DUPFD_CLOEXEC, F_NOTIFY,   F_SETPIPE_SZ, F_ADD_SEALS, F_SETLEASE, 0x5401,     0x5412,
		0x541b,      0x5421,          0x5450,     0x5451,       0x5452,      0x8901,     0x8902,     0x40086602,
		0x80086601,  0x40049409,      0x4020940d, 0x80045430,   0x5441,      0x541c,     0xc0045877, 0x40045431,
	};

	return one_in(m, 3) ? below(m, 80) : one_in(m, 10) ? number(m) : PICK(m, known);
}

static uint64_t identifier(struct me *m)
{
	switch (below(m, 4)) {
	case 0:
		return (uint64_t)(int64_t)world->ids[below(m, 3)];
	case 1:
		return number(m);
	default:
		return below(m, 64);
	}
}

static uint64_t queue_name(struct me *m)
{
	static const char *const attributes[] = {
		"user.fuzz", "user.token", "security.capability", "system.posix_acl_access", "trusted.x", ""};

	if (one_in(m, 12))
		return address(m, 8, NULL);
	return (uint64_t)strcpy(arena_room(m, 64), one_in(m, 3)   ? world->queue
	                                           : one_in(m, 3) ? "fuzz-own"
	                                                          : PICK(m, attributes));
}

uint64_t value(struct me *m, struct call *c, int index)
{
	const struct row *r = c->row;
	if (one_in(m, 60) && r->roles[index] != ROLE_sig)
		return number(m);
	/* what is refused whatever it says must do no harm if it were not: no structure of it is readable */
	bool refused = r->kind == KIND_REFUSE;

	switch ((enum role)r->roles[index]) {
	case ROLE_unused:
		return rnd(m);
	case ROLE_fd:
		return descriptor(m);
	case ROLE_dirfd:
	case ROLE_dirfd2:
		return one_in(m, 3) ? descriptor(m) : (uint64_t)(int64_t)AT_FDCWD;
	case ROLE_path:
	case ROLE_path2:
		return path(m);
	case ROLE_name:
		return queue_name(m);
	case ROLE_text:
		return refused ? 0 : path(m);
	case ROLE_flags:
	case ROLE_mask:
		return bits(m);
	case ROLE_mode:
		return one_in(m, 8) ? bits(m) : below(m, 010000) | (one_in(m, 3) ? below(m, 16) << 12 : 0);
	case ROLE_prot:
		return one_in(m, 8) ? bits(m) : below(m, 8);
	case ROLE_cmd:
	case ROLE_which:
		return command(m);
	case ROLE_who:
	case ROLE_pid:
	case ROLE_tid:
	case ROLE_pgid: {
		int64_t pid = process(m);

		return one_in(m, 2) ? (uint64_t)pid : (uint32_t)pid;
	}
	case ROLE_size:
	case ROLE_len:
		return r->roles[0] == ROLE_addr ? mapped_size(m) : one_in(m, 6) ? number(m) : below(m, 5000);
	case ROLE_socklen:
		return one_in(m, 12) ? number(m) : c->length;
	case ROLE_offset:
		return one_in(m, 4) ? number(m) : 4096u * below(m, 4);
	case ROLE_count:
		return one_in(m, 8) ? number(m) : below(m, 8);
	case ROLE_buf:
	case ROLE_out:
	case ROLE_stat:
		return refused ? 0 : address(m, 4096, NULL);
	case ROLE_in:
	case ROLE_inout:
		return refused ? UINT64_MAX - 4095 : structure(m);
	case ROLE_iov:
		return refused ? 0 : vectors(m);
	case ROLE_how:
		return open_how(m);
	case ROLE_time:
		return times(m);
	case ROLE_argv:
	case ROLE_envp:
		return vector_of_strings(m);
	case ROLE_uid:
	case ROLE_gid:
		return one_in(m, 2) ? (uint64_t)-1 : one_in(m, 2) ? 0 : one_in(m, 2) ? 65534 : number(m);
	case ROLE_sig:
		return signal_for(m, (int)(index > 1 ? c->arg[1] : c->arg[0]));
	case ROLE_resource:
		return below(m, 18);
	case ROLE_clock:
		return one_in(m, 2) ? below(m, 12) : (uint64_t)(int64_t)((~process(m)) * 8 + (int)below(m, 8));
	case ROLE_family:
		return one_in(m, 8) ? below(m, 48) : PICK(m, ((const uint64_t[]){AF_UNIX, AF_UNIX, AF_INET, AF_INET6}));
	case ROLE_type:
		return (1 + below(m, 3)) | (one_in(m, 2) ? SOCK_NONBLOCK : 0) | (one_in(m, 10) ? bits(m) : 0);
	case ROLE_protocol:
		return one_in(m, 4) ? below(m, 256) : 0;
	case ROLE_level:
		return PICK(m, ((const uint64_t[]){0, 1, 6, 17, 41, 255}));
	case ROLE_sockaddr: {
		uint64_t at = socket_address(m, &c->length);

		if (!one_in(m, 6))
			return at;
		c->length = 0;
		return 0;
	}
	case ROLE_msghdr:
		return message(m);
	case ROLE_id:
		return identifier(m);
	case ROLE_key:
		return one_in(m, 3) ? (uint64_t)world->key : one_in(m, 3) ? 0 : (uint64_t)world->key + 1 + below(m, 4);
	case ROLE_dev:
		return PICK(m, ((const uint64_t[]){0, 0x103, 0x101, 0x501, 0x800}));
	case ROLE_addr:
		return mapped(m);
	case ROLE_status:
		return below(m, 256);
	case ROLE_arg:
		return one_in(m, 3)   ? structure(m)
		       : one_in(m, 3) ? descriptor(m)
		       : one_in(m, 2) ? number(m)
		                      : (uint64_t)process(m);
	}
	return 0;
}
