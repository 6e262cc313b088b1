#include "reader.h"

#include <ctype.h>
#include <stdio.h>

enum { LONGEST = 128 }; /* bytes of a word; a longer one is counted in pieces */

static int count_stream(FILE *file, struct words *words)
{
	char word[LONGEST];
	size_t length = 0;
	int byte;

	do {
		byte = getc(file);
		if (byte != EOF && (isalnum(byte) || byte == '_') && length < LONGEST) {
			word[length++] = (char)tolower(byte);
		} else if (length > 0) {
			if (words_count(words, word, length) != 0)
				return -1;
			length = 0;
		}
	} while (byte != EOF);
	return ferror(file) ? -1 : 0;
}

int reader_count(const char *path, struct words *words)
{
	FILE *file = fopen(path, "re");

	if (!file)
		return -1;
	int failed = count_stream(file, words);
	if (fclose(file) != 0)
		failed = -1;
	return failed;
}
