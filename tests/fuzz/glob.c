/* Fuzzes deny globs against a slow and simple matcher; the input is a pattern without its first slash, a NUL, and a path. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "rewriters/rewriter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LONGEST = 24 };

/* What the simple matcher found for the rests of a pattern and a path, by where they begin: 0 not asked yet, 1 no, 2 yes. */
static struct {
	const char *pattern, *path;
	uint8_t found[LONGEST + 1][LONGEST + 1];
} known;

/* Bytes of the character at `s`, which has one. A byte that is no part of UTF-8 (RFC 3629) is a character by itself. */
static size_t character(const char *s)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	uint8_t first = (uint8_t)*s;
	size_t n = first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf8 ? 4 : 1;
	uint32_t value = n == 1 ? first : first & (0x7fu >> n);

	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 1;
		value = value << 6 | ((uint8_t)s[i] & 0x3f);
	}
	return value < least[n] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000) ? 1 : n;
}

static bool simple(const char *pattern, const char *path, bool split);

/*
 * Without classes, whose corners the unit tests have: `?`, `*` and `**` as capwrap-policy(5) words them. With `split`,
 * a star may also end within a character.
 */
static bool matches(const char *pattern, const char *path, bool split)
{
	if (!*pattern)
		return !*path;
	if (pattern[0] == '*') {
		bool across = pattern[1] == '*';
		/* between slashes it stands for whole components, or for none */
		bool whole = across && pattern[2] == '/' && pattern[-1] == '/';
		const char *rest = pattern + 1 + across + whole, *from = path;

		for (;; path += split ? 1 : character(path)) {
			if ((!whole || path == from || path[-1] == '/') && simple(rest, path, split))
				return true;
			if (!*path || (*path == '/' && !across))
				return false;
		}
	}
	if (!*path)
		return false;
	if (pattern[0] == '?')
		return *path != '/' && simple(pattern + 1, path + character(path), split);
	return pattern[0] == *path && simple(pattern + 1, path + 1, split);
}

static bool simple(const char *pattern, const char *path, bool split)
{
	uint8_t *found = &known.found[pattern - known.pattern][path - known.path];

	if (!*found)
		*found = matches(pattern, path, split) ? 2 : 1;
	return *found == 2;
}

static bool simple_match(const char *pattern, const char *path, bool split)
{
	memset(&known, 0, sizeof(known));
	known.pattern = pattern;
	known.path = path;
	return simple(pattern, path, split);
}

static bool ascii(const char *s)
{
	while (*s && !(*s & 0x80))
		s++;
	return !*s;
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
	size_t length = strlen(path);
	bool matched = cw_glob_match(text, path);
	/* no path that is looked up ends in a slash */
	if (strlen(text) >= LONGEST || length >= LONGEST || strpbrk(text, "[\\") || (length && path[length - 1] == '/'))
		return 0;
	/* A deny may hide a little more than its characters say, since stars go by bytes. It may never hide less. */
	if (matched && !simple_match(text, path, true))
		abort();
	if (!matched && ascii(text) && simple_match(text, path, false))
		abort();
	return 0;
}
