/*
 * The capability descriptors, as the attacks on them see them: numbers.
 *
 * ARG 0 "standin" is the native half, which has no capabilities: descriptors 900 and 901 stand in for them.
 */
#ifndef CAPABILITIES_H
#define CAPABILITIES_H

#include "attack.h"

#define LAST 2304 /* beyond the table that the harness allows, raised by all capabilities */
#define STANDIN 900

static const char *outside[4];

static inline int standing_in(void)
{
	return has_argument(0) && !strcmp(argument(0), "standin");
}

static inline void prepare(void)
{
	outside[0] = in_base("secret/file");
	outside[1] = "../secret/file";
	char *up;
	if (asprintf(&up, "../../../../../../../../../../../..%s", outside[0]) < 0)
		untried("out of memory");
	outside[2] = up;
	if (!standing_in())
		return;
	int dir = need(open(in_base("work"), O_PATH | O_DIRECTORY), "open work");
	need(dup2(dir, STANDIN), "dup2");
	need(dup2(dir, STANDIN + 1), "dup2");
	close(dir);
}

/* This program anew, as its attack `after-exec`. */
static inline _Noreturn void again(void)
{
	char *const argv[] = {program_invocation_name,
	                      (char *)"after-exec",
	                      (char *)in_base(""),
	                      (char *)"0",
	                      standing_in() ? (char *)"was" : NULL,
	                      NULL};
	char *const envp[] = {NULL};

	execve(program_invocation_name, argv, envp);
	untried("exec %s: %s", program_invocation_name, strerror(errno));
}

/* Do the capabilities do as before? HELD if so: that is all that a confined program can tell. */
static inline _Noreturn void judge_intact(const char *what)
{
	if (standing_in()) {
		struct stat a, b;
		if (stat(in_base("work"), &a) || fstat(STANDIN, &b) || a.st_ino != b.st_ino ||
		    !(fcntl(STANDIN, F_GETFL) & O_PATH) || fcntl(STANDIN, F_GETFD))
			escaped("%s hurt it", what);
		held("intact %s", what);
	}
	static const char *const files[] = {"work/file", "other/file", "ro/file", "carved/file", "names/granted"};
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		char byte;
		int fd = open(in_base(files[i]), O_RDONLY | O_CLOEXEC);
		if (fd < 0 || read(fd, &byte, 1) != 1)
			escaped("after %s, %s: %s", what, files[i], strerror(errno));
		close(fd);
	}
	int fd = open(in_base("other/made"), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0)
		escaped("after %s, nothing can be made: %s", what, strerror(errno));
	held("intact %s", what);
}

#endif
