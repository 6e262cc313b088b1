/*
 * The tree on which path calls are tried: observer.c plants it and says what became of it. It is the current directory,
 * and its parent holds nothing else but `chain` (of links) and a file `outside`.
 */
#ifndef TREE_H
#define TREE_H

#include "observe.h"

#include <limits.h>

static char tree_path[PATH_MAX];

#define NAME255                                                                                                        \
	"n255456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"         \
	"1234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"         \
	"1234567890123456789012345678901234567890123456789012345"

/* True if anything was otherwise than planted. */
static bool tree_ask(const char *label)
{
	bool changed = false;
	static char text[200000];
	size_t have = 0;

	MUST(write(0, "l", 1));
	do {
		ssize_t n = (ssize_t)MUST(read(0, text + have, sizeof(text) - 1 - have));

		if (!n)
			exit(2);
		have += (size_t)n;
		text[have] = 0;
	} while (have < 2 || strcmp(text + have - 2, "\n\n"));
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		char *value = strstr(line, ": "), whole[1024];

		if (!value) {
			if (!strcmp(line, "planted"))
				MUST(chdir(tree_path));
			continue;
		}
		*value = 0;
		snprintf(whole, sizeof(whole), "%.500s leaves %.400s", label, line);
		put(whole, value + 2);
		changed = true;
	}
	return changed;
}

static UNUSED void tree_begin(void)
{
	char place[PATH_MAX - 16];

	umask(022);
	MUST(getcwd(place, sizeof(place)) ? 0 : -1);
	snprintf(tree_path, sizeof(tree_path), "%s/tree", place);
	tree_ask("planting");
}

/* Prints what is otherwise than planted; it is planted anew then, and entered. */
static UNUSED bool tree_settle(const char *label)
{
	return tree_ask(label);
}

#endif
