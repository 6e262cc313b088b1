/*
 * What every attack program shares: `PROGRAM ATTACK BASE VICTIM [ARG]...` tries one attack and ends with
 *
 *	0 and "ESCAPED ..."	it worked,
 *	1 and "HELD ..."	it was refused,
 *	2 and a message		it could not be tried.
 *
 * BASE holds the directories that tests/escape/harness.py lays out; VICTIM is the pid of a process outside.
 */
#ifndef ATTACK_H
#define ATTACK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

struct attack {
	const char *name;
	void (*run)(void);
};

extern const struct attack attacks[]; /* of the family; ends with a NULL name */

/* As linux/openat2.h has it; that header clashes with fcntl.h on some releases. */
struct how {
	uint64_t flags, mode, resolve;
};

_Noreturn void escaped(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void held(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void untried(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* HELD with the name of errno. */
_Noreturn void refused(const char *what);

/* The attack worked if the call did. */
_Noreturn void judge(long result, const char *what);

/* `result` where the call worked; HELD where it was refused. */
int must(long result, const char *what);

/* `result` where the call worked; not tried where it did not: for what a confined program may do as well. */
int need(long result, const char *what);

/* ESCAPED with what can be read from fd; HELD with errno where fd is -1 or gives nothing. */
_Noreturn void judge_read(int fd, const char *what);

/* The bytes of a file, from BASE; HELD where it cannot be read. */
const char *slurp(const char *path);

const char *in_base(const char *relative); /* BASE/relative; never freed */
const char *argument(int index);           /* the ARGs, from 0 */
int has_argument(int index);
pid_t victim(void);

/* Waits for the child and gives its wait status. */
int reap(pid_t child);

/* Leaves a file work/NAME with this number for the test, and waits until the test has left one: a minute at most. */
void tell(const char *name, long number);
void await(const char *name);

/* A pair of descriptors over which one descriptor is sent; -1 with errno where it was not received. */
int send_fd(int socket, int fd);
int receive_fd(int socket);

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
