/*
 * `calls fuzz SEED BASE NAME=VALUE...`: random calls until the time is up; what was found goes to descriptor 40.
 * `calls detect SEED BASE NAME=VALUE...`: what each detector is for, made once, natively. It touches what the test made, and
 * nothing else of the machine.
 * `calls leaf SEED BASE END_NS`: what an exec of it by itself does: a few calls.
 */
#include "fuzz.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "rewriters/pad.h"

#define REPORT 40
#define APART ((size_t)16 << 20)
#define PATIENCE_MS 100 /* a worker that has made no call for so long waits for something that will not come */

struct world *world;
char *arena, *playground;

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

bool over(void)
{
	return world->found || now() >= world->end_ns;
}

/* Made by the special ways alone, or never: what ends the maker, and what keeps the whole machine busy. */
static bool unusual(int nr)
{
	switch (nr) {
	case SYS_exit:
	case SYS_exit_group:
	case SYS_fork:
	case SYS_vfork:
	case SYS_clone:
	case SYS_rt_sigreturn:
	case SYS_sync:
	case SYS_syncfs:
		return true;
	default:
		return false;
	}
}

static const struct row *pick_row(struct me *m)
{
	for (;;) {
		const struct row *r = &PICK(m, rows);

		if (unusual(r->nr) && !(r->nr == SYS_rt_sigreturn && m->depth && one_in(m, 20)))
			continue;
		/* the calls that stop are what this is about */
		if (r->kind == KIND_TRACE || r->kind == KIND_NOTIFY ||
		    one_in(m, r->kind == KIND_CHECK  ? 2
		              : r->kind == KIND_PASS ? 4
		                                     : 12))
			return r;
	}
}

static uint64_t unknown_number(struct me *m)
{
	for (;;) {
		uint64_t nr = one_in(m, 2)   ? below(m, 600)
		              : one_in(m, 2) ? 0x40000000 + below(m, 600)
		                             : rnd(m) & 0xffffffff;
		bool known = false;

		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
			known |= (uint32_t)rows[i].nr == (uint32_t)nr;
		if (!known && (uint32_t)nr != UINT32_MAX)
			return nr;
	}
}

void random_call(struct me *m)
{
	struct call *c = &m->last[m->made % REMEMBERED];

	memset(c, 0, sizeof(*c));
	if (one_in(m, 100)) {
		c->nr = unknown_number(m);
		for (int i = 0; i < 6; i++)
			c->arg[i] = rnd(m);
	} else {
		c->row = pick_row(m);
		c->nr = (uint64_t)c->row->nr;
		for (int i = 0; i < c->row->count; i++)
			c->arg[i] = value(m, c, i);
		if (one_in(m, 50)) /* the kernel takes 32 bits of it */
			c->nr |= rnd(m) << 32;
	}
	c->result = RAW(c->nr, c->arg[0], c->arg[1], c->arg[2], c->arg[3], c->arg[4], c->arg[5]);
	m->made++;
	__atomic_fetch_add(&world->results[c->result < 0], 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&world->calls, 1, __ATOMIC_RELAXED);
	if (m->worker >= 0)
		__atomic_fetch_add(&world->worker[m->worker].calls, 1, __ATOMIC_RELAXED);
	look_at_result(m, c);
}

void random_calls(struct me *m, unsigned n)
{
	while (n-- && !over()) {
		if (one_in(m, 24))
			special(m);
		else
			random_call(m);
	}
}

static int work(struct me *m)
{
	interrupt(m, 3000);
	while (!over()) {
		random_calls(m, 64);
		if (one_in(m, 16))
			flip_paths(m);
	}
	return 0;
}

static int compare(struct me *m)
{
	m->tame = true;
	compare_twins(m);
	return 0;
}

/* --- what must be found, where nothing holds it back --- */

static void made(struct me *m, int nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
	struct call *call = &m->last[m->made++ % REMEMBERED];

	*call = (struct call){.nr = (uint64_t)nr, .arg = {a, b, c, d, e}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].nr == nr)
			call->row = &rows[i];
	call->result = RAW(nr, a, b, c, d, e, 0);
	look_at_result(m, call);
}

static uint64_t beneath(const char *name)
{
	char *at = arena + 4096;

	snprintf(at, 4096, "%s/%s", world->base, name);
	return (uint64_t)at;
}

static void detect(struct me *m)
{
	uint64_t renamed = (uint64_t)strcpy(arena + 16384, (char *)beneath("secret/renamed"));
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)world->tcp_port)};
	int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	made(m, SYS_open, beneath("secret/file"), O_RDONLY, 0, 0, 0);
	made(m, SYS_rename, beneath("secret/dir"), renamed, 0, 0, 0);
	made(m, SYS_kill, (uint64_t)world->victim, SIGUSR1, 0, 0, 0);
	made(m, SYS_connect, (uint64_t)sock, (uint64_t)&to, sizeof(to), 0, 0);
	made(m, SYS_msgrcv, (uint64_t)world->ids[1], (uint64_t)(arena + 32768), 64, 0, 04000 /* IPC_NOWAIT */);
	/* always refused, by an error that the kernel does not give it */
	made(m, SYS_name_to_handle_at, (uint64_t)AT_FDCWD, beneath("inside/file"), 0, 0, 0);
	compare_files(m);
}

/* --- main, which makes no random call --- */

static void keep_workers(struct me *m)
{
	uint64_t seen[WORKERS] = {0}, since[WORKERS] = {0}, t;
	int status, pid;

	while (!over()) {
		while ((pid = (int)RAW(SYS_wait4, -1, &status, WNOHANG | __WALL, 0)) > 0)
			for (int i = 0; i < WORKERS; i++)
				if (world->worker[i].pid == pid)
					world->worker[i].pid = 0;
		for (int i = 0; i < WORKERS; i++) {
			if (world->worker[i].pid <= 0) {
				m->worker = i;
				world->worker[i].pid = (int)spawn(m, SIGCHLD, work, false);
				since[i] = now();
			}
			t = now();
			if (seen[i] != world->worker[i].calls) {
				seen[i] = world->worker[i].calls;
				since[i] = t;
			} else if (t - since[i] > PATIENCE_MS * UINT64_C(1000000) && world->worker[i].pid > 0) {
				kill(world->worker[i].pid, SIGKILL);
				since[i] = t;
			}
		}
		poll(NULL, 0, 10);
	}
}

static void parse_hex(uint8_t *to, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++) {
		unsigned byte = 0;

		sscanf(text + 2 * i, "%2x", &byte);
		to[i] = (uint8_t)byte;
	}
}

static bool option(const char *text, const char *name, const char **v)
{
	size_t n = strlen(name);

	if (strncmp(text, name, n) || text[n] != '=')
		return false;
	*v = text + n + 1;
	return true;
}

static void parse(const char *text)
{
	const struct {
		const char *name;
		int *to;
	} numbers[] = {
		{"twins", &world->twins},  {"victim", &world->victim},      {"absent", &world->absent},
		{"tcp", &world->tcp_port}, {"udp", &world->udp_port},       {"key", &world->key},
		{"id0", &world->ids[0]},   {"closed", &world->closed_port}, {"id1", &world->ids[1]},
		{"id2", &world->ids[2]},
	};
	const char *v;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (option(text, numbers[i].name, &v))
			*numbers[i].to = atoi(v);
	if (option(text, "seconds", &v))
		world->end_ns = now() + (uint64_t)(atof(v) * 1e9);
	if (option(text, "abstract", &v))
		snprintf(world->abstract, sizeof(world->abstract), "%s", v);
	if (option(text, "queue", &v))
		snprintf(world->queue, sizeof(world->queue), "%s", v);
	if (option(text, "canary", &v))
		parse_hex(world->canary, CANARY, v);
	if (option(text, "stamp", &v))
		parse_hex(world->stamp, STAMP, v);
}

/*
 * Shared memory in a neighbourhood of its own, in which nothing else comes to lie: what is done to too long a range is not
 * done to the next, and what is read or written too far is not there.
 */
static void *shared(size_t size)
{
	char *at = mmap(NULL, size + 2 * APART, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED ||
	    mmap(at + APART, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		exit(2);
	return at + APART;
}

int main(int argc, char **argv)
{
	struct me me = {.worker = -1};
	struct rlimit files;

	if (argc < 4)
		return 2;
	bool leaf = strcmp(argv[1], "fuzz") != 0; /* a random exec gives it random arguments */

	world = shared(sizeof(*world));
	arena = shared(ARENA);
	playground = shared(PLAYGROUND);
	me.random = strtoull(argv[2], NULL, 10) * 2654435761u + 88172645463325252u;
	snprintf(world->base, sizeof(world->base), "%s", argv[3]);
	snprintf(world->program, sizeof(world->program), "%s", argv[0]);
	world->end_ns = now() + 1000000000;
	for (int i = 4; i < argc; i++)
		parse(argv[i]);
	getrlimit(RLIMIT_NOFILE, &files);
	world->fd_limit = (int)files.rlim_cur;
	world->main_pid = (int)getpid();
	world->supervisor = (int)getppid();
	make_flipped(&me);
	if (!strcmp(argv[1], "detect")) {
		/* unconfined: these calls and no others */
		detect(&me);
		return 0;
	}
	world->stub_hash = hash_stub();
	if (leaf) {
		/* it does not know what is secret: it looks for something that is nowhere */
		for (int i = 0; i < CANARY; i++)
			world->canary[i] = world->stamp[i % STAMP] = (uint8_t)rnd(&me);
		me.depth = 2;
		if (argc > 4)
			world->end_ns = strtoull(argv[4], NULL, 10);
		random_calls(&me, 40);
		return 0;
	}
	for (int fd = REPORT + 1; fd < REPORT + 4; fd++)
		dup2(REPORT, fd);
	/* by the call itself: the C library keeps two signals back */
	const uint64_t ignore[4] = {(uint64_t)SIG_IGN, 0, 0, 0};

	for (int sig = 1; sig < 65; sig++)
		if (sig != SIGCHLD)
			RAW(SYS_rt_sigaction, sig, ignore, 0, 8);
	if (world->twins) {
		int status;

		me.depth = 3;
		waitpid((pid_t)spawn(&me, SIGCHLD, compare, false), &status, 0);
		me.depth = 0;
	} else
		keep_workers(&me);
	if (world->found)
		(void)!write(REPORT, world->text, strlen(world->text));
	dprintf(REPORT, "\nMADE %llu calls, %llu succeeded, %llu failed\n", (unsigned long long)world->calls,
	        (unsigned long long)world->results[0], (unsigned long long)world->results[1]);
	return world->found ? 3 : 0;
}
