/*
 * What is not granted does not exist: a name that is there outside and one that is not, a process, a socket, must get
 * the same answer from the same call. One thread of control, so that nothing else changes the answer in between.
 */
#include "fuzz.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

/*
 * By name beneath the base. Neither can come to be, or to be another: what leads to them is outside, denied, or a link in a
 * directory that is granted to be read only.
 */
static const char *const pairs[][2] = {
	{"secret/file", "secret/none"},
	{"secret/dir", "secret/none"},
	{"secret/dir/file", "secret/none/file"},
	{"secret/link", "secret/none"},
	{"secret/file/x", "secret/none/x"},
	{"secret", "nought"},
	{"secret/prog", "secret/none"},
	{"names/sibling", "names/none"},
	{"names/sibling/x", "names/none/x"},
	{"carved/secret/file", "carved/secret/none"},
	{"carved/secret/dir/file", "carved/secret/none/file"},
	{"carved/a.key", "carved/z.key"},
	{"carved/dir/b.key", "carved/dir/z.key"},
	{"readon/to_secret", "readon/to_none"},
	{"readon/to_secret_dir", "readon/to_nought"},
	{"readon/to_secret_dir/file", "readon/to_nought/file"},
	{"inside/../secret/file", "inside/../secret/none"},
	{"readon/up/secret/file", "readon/up/secret/none"},
	{"execut/script_secret", "execut/script_none"},
};

static bool path_role(int role)
{
	return role == ROLE_path || role == ROLE_path2;
}

static bool pid_role(int role)
{
	return role == ROLE_pid || role == ROLE_tid || role == ROLE_pgid || role == ROLE_who;
}

/* One of the twins as the argument; the length of an address goes into *length. */
static uint64_t twin(unsigned which, unsigned side, bool relative, int role, uint64_t *length)
{
	/* each side has its place, apart from where the other arguments are */
	char *at = arena + 16384 + 4096 * side;

	if (path_role(role)) {
		if (relative)
			snprintf(at, 4096, "../%s", pairs[which][side]);
		else
			snprintf(at, 4096, "%s/%s", world->base, pairs[which][side]);
		return (uint64_t)at;
	}
	if (role == ROLE_sockaddr) {
		memset(at, 0, 128);
		if (which % 3 == 0) {
			struct sockaddr_un *un = (void *)at;

			un->sun_family = AF_UNIX;
			snprintf(at + offsetof(struct sockaddr_un, sun_path), 108, "%.90s/secret/%s", world->base,
			         side ? "none" : "sock");
			*length = sizeof(*un);
		} else if (which % 3 == 1) {
			struct sockaddr_un *un = (void *)at;

			un->sun_family = AF_UNIX;
			snprintf(un->sun_path + 1, sizeof(un->sun_path) - 1, "%s%s", world->abstract,
			         side ? "-none" : "");
			*length = 3 + strlen(un->sun_path + 1);
		} else {
			struct sockaddr_in *in = (void *)at;

			in->sin_family = AF_INET;
			in->sin_port = __builtin_bswap16((uint16_t)(side ? world->closed_port : world->tcp_port));
			in->sin_addr.s_addr = __builtin_bswap32(0x7f000001);
			*length = sizeof(*in);
		}
		return (uint64_t)at;
	}
	return (uint64_t)(side ? world->absent : world->victim);
}

/* What a call may say without saying anything: a descriptor is as good as any other. */
static int64_t seen(struct me *m, const struct call *c)
{
	int64_t result = RAW(c->nr, c->arg[0], c->arg[1], c->arg[2], c->arg[3], c->arg[4], c->arg[5]);

	m->last[m->made++ % REMEMBERED] = *c;
	m->last[(m->made - 1) % REMEMBERED].result = result;
	return result >= 0 ? 0 : result;
}

static bool unfit(const struct row *r)
{
	switch (r->nr) {
	case SYS_setpgid:
	case SYS_symlink: /* the first is in the second's way */
	case SYS_symlinkat:
		return true;
	default:
		return r->kind == KIND_REFUSE;
	}
}

/* Returns to a state in which a path of both sides begins at the same place. */
static void settle(void)
{
	char home[300];

	snprintf(home, sizeof(home), "%s/inside", world->base);
	RAW(SYS_chdir, home);
	RAW(SYS_close_range, 3, 39, 0);
}

static void compare(struct me *m, struct call *c, int index, unsigned which, bool relative)
{
	const struct row *r = c->row;
	int64_t answer[2][3];
	uint64_t length = 0;
	bool differ = true;

	/* what differs once may be the machine's doing; what differs three times is not */
	for (int again = 0; again < 3 && differ; again++) {
		for (unsigned k = 0; k < 2; k++) {
			unsigned side = (k + (unsigned)again) % 2;

			c->arg[index] = twin(which, side, relative, r->roles[index], &length);
			if (r->roles[index] == ROLE_sockaddr && index + 1 < r->count)
				c->arg[index + 1] = length;
			answer[side][again] = seen(m, c);
		}
		differ = answer[0][again] != answer[1][again];
	}
	__atomic_fetch_add(&world->calls, 2, __ATOMIC_RELAXED);
	if (differ)
		report(m, "exists", "%s tells %s from %s: %lld and %lld", r->name, pairs[which][0], pairs[which][1],
		       (long long)answer[0][2], (long long)answer[1][2]);
}

/* The first pair, which natively differ. */
void compare_files(struct me *m)
{
	struct call c = {.nr = SYS_access};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].nr == SYS_access)
			c.row = &rows[i];
	compare(m, &c, 0, 0, false);
}

void compare_twins(struct me *m)
{
	while (!over()) {
		const struct row *r = &PICK(m, rows);
		struct call c = {.row = r, .nr = (uint64_t)r->nr};
		int index = -1;

		for (int i = 0; i < r->count; i++)
			if ((path_role(r->roles[i]) || pid_role(r->roles[i]) || r->roles[i] == ROLE_sockaddr) &&
			    (index < 0 || one_in(m, 2)))
				index = i;
		if (index < 0 || unfit(r))
			continue;
		settle();
		for (int i = 0; i < r->count; i++)
			c.arg[i] = value(m, &c, i);
		compare(m, &c, index, below(m, sizeof(pairs) / sizeof(pairs[0])), one_in(m, 2));
	}
}
