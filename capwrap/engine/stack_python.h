/* The Python functions that a thread is in: stack_python.c for stack.c. */
#ifndef CAPWRAP_ENGINE_STACK_PYTHON_H
#define CAPWRAP_ENGINE_STACK_PYTHON_H

#include "capwrap/engine/internal.h"

#define CW_PYTHON_FRAMES 64

struct cw_python_at {
	uint64_t code, instr;
};

/* The Python functions that a thread is in, innermost first. */
struct cw_python {
	int tid;
	unsigned minor; /* of CPython 3 */
	unsigned reads; /* that may still be made */
	struct cw_python_at frame[CW_PYTHON_FRAMES];
	unsigned n;
};

unsigned cw_python_minor(const char *name, size_t len); /* from a file's name; 0: no CPython that is known */
void cw_python_look(struct cw_python *p, int tid, unsigned minor, const uint8_t *window, size_t len, uint64_t sp);
size_t cw_python_copy(struct cw_python *p, uint8_t *dst, size_t room); /* struct cw_python_frame each */

#endif
