/* What the makers of arguments share. */
#ifndef VALUES_H
#define VALUES_H

#include "fuzz.h"

/* values.c */
uint64_t number(struct me *m);
uint64_t bits(struct me *m);
uint64_t descriptor(struct me *m);
uint64_t address(struct me *m, size_t size, const void *content);
int process(struct me *m);

/* paths.c */
void compose(struct me *m, char *to, size_t size);
uint64_t path(struct me *m);

/* structures.c: an address each, of what stands in the arena */
uint64_t socket_address(struct me *m, uint64_t *length);
uint64_t vectors(struct me *m);
uint64_t message(struct me *m);
uint64_t open_how(struct me *m);
uint64_t vector_of_strings(struct me *m);
uint64_t structure(struct me *m);
uint64_t times(struct me *m);

#endif
