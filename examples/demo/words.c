#include "words.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_SIZE = 64 };

/* FNV-1a, whose constants are those of its 64-bit variant. */
static uint64_t hash(const char *text, size_t length)
{
	uint64_t value = 0xcbf29ce484222325;

	for (size_t i = 0; i < length; i++)
		value = (value ^ (unsigned char)text[i]) * 0x100000001b3;
	return value;
}

int words_init(struct words *words)
{
	words->slots = calloc(FIRST_SIZE, sizeof(*words->slots));
	words->size = FIRST_SIZE;
	words->used = 0;
	return words->slots ? 0 : -1;
}

void words_deinit(struct words *words)
{
	for (size_t i = 0; i < words->size; i++)
		free(words->slots[i].text);
	free(words->slots);
}

static struct word *find(const struct words *words, const char *text, size_t length)
{
	size_t i = hash(text, length) & (words->size - 1);

	while (words->slots[i].text &&
	       (strncmp(words->slots[i].text, text, length) != 0 || words->slots[i].text[length] != '\0'))
		i = (i + 1) & (words->size - 1);
	return &words->slots[i];
}

static int grow(struct words *words)
{
	struct words bigger = {.size = words->size * 2, .used = words->used};

	bigger.slots = calloc(bigger.size, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -1;
	for (size_t i = 0; i < words->size; i++) {
		const struct word *word = &words->slots[i];

		if (word->text)
			*find(&bigger, word->text, strlen(word->text)) = *word;
	}
	free(words->slots);
	*words = bigger;
	return 0;
}

int words_count(struct words *words, const char *text, size_t length)
{
	if (words->used * 2 >= words->size && grow(words) != 0)
		return -1;
	struct word *word = find(words, text, length);
	if (!word->text) {
		word->text = strndup(text, length);
		if (!word->text)
			return -1;
		words->used++;
	}
	word->count++;
	return 0;
}

static int by_count(const void *left, const void *right)
{
	const struct word *a = left;
	const struct word *b = right;

	if (!a->text || !b->text)
		return (a->text == NULL) - (b->text == NULL);
	if (a->count != b->count)
		return a->count < b->count ? 1 : -1;
	return strcmp(a->text, b->text);
}

void words_print(struct words *words, size_t most, FILE *out)
{
	qsort(words->slots, words->size, sizeof(*words->slots), by_count);
	for (size_t i = 0; i < words->used && i < most; i++)
		fprintf(out, "%6lu  %s\n", words->slots[i].count, words->slots[i].text);
}
