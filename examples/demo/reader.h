/* Reading a file word by word. */
#ifndef READER_H
#define READER_H

#include "words.h"

/* Counts the words of a file in `words`. Returns 0, or -1 with errno set. */
int reader_count(const char *path, struct words *words);

#endif
