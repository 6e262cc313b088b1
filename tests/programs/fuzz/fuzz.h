/*
 * What the parts of the call fuzzer share. `calls` (calls.c) makes random system calls, from several processes and
 * threads that share memory, and looks at what it got back for what it must not have got: see tests/races/fuzzing.py.
 *
 * Nothing here relies on the C library's idea of a thread: many of its threads and processes are made by clone(2) alone.
 */
#ifndef FUZZ_H
#define FUZZ_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The table that tests/races/fuzzing.py makes of rewriters/syscalls.tbl: enum role, rows[], and the pad's numbers. */
enum call_kind { KIND_PASS, KIND_REFUSE, KIND_CHECK, KIND_TRACE, KIND_NOTIFY };

struct row {
	int nr;
	const char *name;
	enum call_kind kind;
	int error; /* of KIND_REFUSE */
	int count; /* of roles */
	unsigned char roles[6];
};

#include "fuzz_table.h"

#define WORKERS 4
#define ARENA ((size_t)1 << 20)
#define CANARY 16  /* bytes of the secret text */
#define STAMP 12   /* bytes of the secret time stamp: tv_sec and tv_nsec as struct stat has them */
#define FLIPPED 16 /* paths whose directory other threads change all the time */

/* Shared by all processes but those that have made an exec. */
struct world {
	char base[256];
	char program[256];      /* this one, for execs */
	uint8_t canary[CANARY]; /* complements, so that the secret itself is in no memory that was not given it */
	uint8_t stamp[STAMP];
	uint64_t end_ns;
	int twins;
	int main_pid, supervisor, victim, absent;
	int tcp_port, udp_port, closed_port;
	char abstract[64], queue[64];
	int key, ids[3];
	int fd_limit; /* soft RLIMIT_NOFILE: the capability range lies there */
	uint64_t stub_hash;
	int leaf; /* it has made an exec: a few calls, then an end */
	struct {
		int pid;
		uint64_t calls;
	} worker[WORKERS];
	uint64_t calls, results[2]; /* and how many succeeded, and failed */
	int found;
	char text[8192];
};

extern struct world *world;
extern char *arena;      /* ARENA bytes, then a page that is not mapped */
extern char *playground; /* what calls about addresses may do anything to */
#define PLAYGROUND ((size_t)256 << 10)

struct call {
	const struct row *row; /* NULL: a number that the table does not know */
	uint64_t nr, arg[6];
	uint64_t length; /* of the address that the last argument was */
	int64_t result;
};

#define REMEMBERED 12

/* One thread of control. */
struct me {
	uint64_t random;
	int depth;     /* of forks */
	int worker;    /* whose counter it advances, or -1 */
	bool filtered; /* it has a seccomp filter of its own: the jail's errors may not be what it gets */
	bool tame;     /* no endings: a process that others rely on */
	uint64_t made;
	struct call last[REMEMBERED];
};

/* random.c-like helpers, inline */
static inline uint64_t rnd(struct me *m)
{
	/* xorshift64*, Vigna 2014 */
	m->random ^= m->random >> 12;
	m->random ^= m->random << 25;
	m->random ^= m->random >> 27;
	return m->random * UINT64_C(2685821657736338717);
}

static inline unsigned below(struct me *m, unsigned n)
{
	return (unsigned)((rnd(m) >> 33) % n);
}

static inline bool one_in(struct me *m, unsigned n)
{
	return !below(m, n);
}

#define PICK(m, array) ((array)[below(m, sizeof(array) / sizeof((array)[0]))])

static inline int64_t raw6(uint64_t nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	register uint64_t r10 __asm__("r10") = d;
	register uint64_t r8 __asm__("r8") = e;
	register uint64_t r9 __asm__("r9") = f;
	int64_t result;

	__asm__ volatile("syscall"
	                 : "=a"(result)
	                 : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
	                 : "rcx", "r11", "memory");
	return result;
}

#define RAW(nr, ...) RAW_(nr, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define RAW_(nr, a, b, c, d, e, f, ...)                                                                                \
	raw6((uint64_t)(nr), (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), (uint64_t)(d), (uint64_t)(e), (uint64_t)(f))

/* values.c: arguments */
uint64_t value(struct me *m, struct call *c, int index);
char *new_path(struct me *m);
char *arena_room(struct me *m, size_t size);
void flip_paths(struct me *m);
void make_flipped(struct me *m);

/* watch.c: what must not have been got */
void look_at_result(struct me *m, struct call *c);
void look_at_pad(struct me *m);
uint64_t hash_stub(void);
void look_at_fd(struct me *m, int fd);
void report(struct me *m, const char *what, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* twins.c: what is there and what is not must look the same */
void compare_twins(struct me *m);
void compare_files(struct me *m);

/* makers.c: forks, threads, execs, filters */
void special(struct me *m);
void interrupt(struct me *m,
               unsigned us); /* by SIGALRM, again and again: what waits goes on, and what is made is disturbed */
int64_t spawn(struct me *m, uint64_t flags, int (*body)(struct me *), bool wait);

/* calls.c */
void random_call(struct me *m);
void random_calls(struct me *m, unsigned n);
bool over(void);

#endif
