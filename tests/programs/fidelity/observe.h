/*
 * What the programs of this room share. Each prints what it observes, one line `label TAB value` an observation, written at
 * once and free of chance: run natively and confined, the lines have to be the same. Labels are told apart by a section.
 */
#ifndef OBSERVE_H
#define OBSERVE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define UNUSED __attribute__((unused))

static const char *current_section = "";

static UNUSED void section(const char *name)
{
	current_section = name;
}

static UNUSED void put(const char *label, const char *value)
{
	char line[8192];
	int n = snprintf(line, sizeof(line), "%s%s%s\t%s\n", current_section, *current_section ? " | " : "", label,
	                 value);

	if (n >= (int)sizeof(line))
		n = sizeof(line) - 1;
	for (int done = 0; done < n;) {
		ssize_t w = write(1, line + done, (size_t)(n - done));

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			_exit(3);
		done += (int)w;
	}
}

__attribute__((format(printf, 2, 3))) static UNUSED void say(const char *label, const char *format, ...)
{
	char value[4096];
	va_list args;

	va_start(args, format);
	vsnprintf(value, sizeof(value), format, args);
	va_end(args);
	put(label, value);
}

/* The result of a call, with the error that it set. */
static UNUSED long result(const char *label, long ret)
{
	int error = errno;

	if (ret == -1)
		say(label, "-1 %s", error ? strerrorname_np(error) : "without an error");
	else
		say(label, "%ld", ret);
	errno = error;
	return ret;
}

/* An observation whose label is the call itself, as it stands in the source. */
#define ROW(call) (errno = 0, result(#call, (long)(call)))

/* What only prepares: where it fails there is nothing to observe. */
static UNUSED long prepared(const char *what, int line, long ret)
{
	if (ret == -1) {
		fprintf(stderr, "line %d: %s: %s\n", line, what, strerror(errno));
		printf("could not be prepared: line %d\n", line);
		exit(2);
	}
	return ret;
}
#define MUST(call) prepared(#call, __LINE__, (long)(call))

static UNUSED void write_file(const char *path, const char *text, mode_t mode)
{
	(void)unlink(path);
	int fd = (int)MUST(open(path, O_CREAT | O_EXCL | O_WRONLY, 0600));

	MUST(write(fd, text, strlen(text)));
	MUST(fchmod(fd, mode));
	close(fd);
}

#endif
