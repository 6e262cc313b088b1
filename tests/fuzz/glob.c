/* Fuzzes deny globs against a slow and simple matcher; the input is a pattern without its first slash, a NUL, and a path. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "rewriters/rewriter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LONGEST = 24 }; /* the simple matcher takes exponential time */

/* Without classes, whose corners the unit tests have: `?`, `*` and `**` as capwrap-policy(5) words them. */
static bool simple(const char *pattern, const char *path)
{
	if (!*pattern)
		return !*path;
	if (pattern[0] == '*') {
		bool across = pattern[1] == '*';
		const char *rest = pattern + 1 + across;

		for (;; path++) {
			if (simple(rest, path))
				return true;
			if (!*path || (*path == '/' && !across))
				return false;
		}
	}
	return *path && (pattern[0] == '?' ? *path != '/' : pattern[0] == *path) && simple(pattern + 1, path + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[4096];

	if (size < 2 || size + 2 > sizeof(text) || !memchr(data, 0, size))
		return 0;
	/* cw_image_open lets only absolute patterns pass. */
	text[0] = '/';
	memcpy(text + 1, data, size);
	text[size + 1] = '\0';
	const char *path = text + strlen(text) + 1;
	bool matched = cw_glob_match(text, path);
	if (strlen(text) < LONGEST && strlen(path) < LONGEST && !strpbrk(text, "[\\") && !strstr(text, "**") &&
	    matched != simple(text, path))
		abort();
	return 0;
}
