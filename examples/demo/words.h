/* Counting words: a table that grows, and what is done with it at the end. */
#ifndef WORDS_H
#define WORDS_H

#include <stddef.h>
#include <stdio.h>

struct word {
	char *text;
	unsigned long count;
};

struct words {
	struct word *slots; /* open addressing; an empty slot has no text */
	size_t size;        /* a power of two */
	size_t used;
};

/* Returns 0, or -1 where there is no memory. */
int words_init(struct words *words);
void words_deinit(struct words *words);

/* Counts one more of a word of `length` bytes. Returns 0, or -1 where there is no memory. */
int words_count(struct words *words, const char *text, size_t length);

/* Prints the `most` most frequent words, ties in alphabetical order. The table is of no use for counting afterwards. */
void words_print(struct words *words, size_t most, FILE *out);

#endif
