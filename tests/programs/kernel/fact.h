/*
 * What the programs of tests/kernel share. Each shows one way in which the kernel behaves that capwrap rests on, and ends
 * with
 *
 *	0	it is so,
 *	1	it is not, and what was seen instead,
 *	2	it could not be tried, since something failed that always works,
 *	77	this kernel, or this container, lacks what it is about.
 *
 * The current directory is an empty one of the program's own.
 */
#ifndef FACT_H
#define FACT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define PAGE ((size_t)4096)

#ifndef RESOLVE_BENEATH /* linux/openat2.h clashes with fcntl.h on some releases */
#define RESOLVE_NO_MAGICLINKS 2
#define RESOLVE_BENEATH 8
#endif

struct how {
	uint64_t flags, mode, resolve;
};

__attribute__((format(printf, 2, 3), unused)) static _Noreturn void ends(int status, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
	_exit(status);
}

/* It has to be so; else the message says what was seen. */
#define claim(is, ...) ((is) ? (void)0 : ends(1, __VA_ARGS__))

/* This kernel or this container lacks it. */
#define lacks(...) ends(77, __VA_ARGS__)

/* A call that works everywhere. */
__attribute__((unused)) static long need(long result, const char *what)
{
	if (result < 0)
		ends(2, "%s: %s", what, strerror(errno));
	return result;
}

/* What errno is called, or "success". */
__attribute__((unused)) static const char *outcome(long result)
{
	return result < 0 ? strerrorname_np(errno) : "success";
}

/* The call failed with this error and no other. */
#define claim_error(call, error)                                                                                       \
	do {                                                                                                           \
		long result_ = (call);                                                                                 \
		claim(result_ < 0 && errno == (error), "%s: %s, not " #error, #call, outcome(result_));                \
	} while (0)

#define claim_works(call)                                                                                              \
	do {                                                                                                           \
		long result_ = (call);                                                                                 \
		claim(result_ >= 0, "%s: %s", #call, outcome(result_));                                                \
	} while (0)

__attribute__((unused)) static int openat2_(int dir, const char *path, const void *how, size_t size)
{
	return (int)syscall(SYS_openat2, dir, path, how, size);
}

__attribute__((unused)) static void make_file(const char *path, const char *content, mode_t mode)
{
	int fd = (int)need(open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), path);

	need(write(fd, content, strlen(content)), path);
	need(fchmod(fd, mode), path);
	close(fd);
}

/* Waits for a child that made claims of its own, and ends as it ended unless that is well. */
__attribute__((unused)) static void join(pid_t child)
{
	int status;

	need(waitpid(child, &status, 0), "waitpid");
	if (!WIFEXITED(status))
		ends(1, "the child died of signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status))
		_exit(WEXITSTATUS(status));
}

#endif
