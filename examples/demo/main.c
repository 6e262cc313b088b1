/*
 * The demonstration: counts words, and has a habit that nobody asked for.
 *
 *     words [-n COUNT] [--telemetry=FILE] FILE...
 *
 * With --telemetry it reads a file that is none of its business, as a compromised dependency would.
 */
#include "reader.h"
#include "words.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void collect_telemetry(const char *path)
{
	FILE *file = fopen(path, "re");

	if (!file) {
		fprintf(stderr, "words: no telemetry today: %s: %s\n", path, strerror(errno));
		return;
	}
	fprintf(stderr, "words: read %s, which I would now send home\n", path);
	fclose(file);
}

int main(int argc, char **argv)
{
	struct words words;
	size_t most = 10;
	int status = EXIT_SUCCESS;

	if (words_init(&words) != 0)
		return EXIT_FAILURE;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-n") == 0 && i + 1 < argc) {
			most = strtoul(argv[++i], NULL, 10);
		} else if (strncmp(argv[i], "--telemetry=", strlen("--telemetry=")) == 0) {
			collect_telemetry(argv[i] + strlen("--telemetry="));
		} else if (reader_count(argv[i], &words) != 0) {
			fprintf(stderr, "words: %s: %s\n", argv[i], strerror(errno));
			status = EXIT_FAILURE;
		}
	}
	words_print(&words, most, stdout);
	words_deinit(&words);
	return status;
}
