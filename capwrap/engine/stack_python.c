/*
 * Python's own frames: CPython's C stack shows its interpreter, and the functions that it runs are objects on its heap. Their
 * code objects' names and line tables are copied with the stack; capwrap/elf/cpython.py reads them.
 *
 * The thread's state is found among the words on its stack: it holds the thread's number, and leads to its frames. The
 * offsets are those of CPython's headers (cpython/pystate.h, internal/pycore_frame.h, cpython/code.h) in releases that keep
 * them; a target that looks like CPython and is not costs a bounded number of reads.
 */
#include "capwrap/engine/stack_python.h"

#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#define READS 1024u             /* of one look */
#define CANDIDATES 256u         /* words that might be the thread's state */
#define TEXT_MAX ((size_t)2048) /* bytes of a name */
#define TABLE_MAX 16384u        /* bytes of a line table */

struct layout {
	uint32_t native_thread_id, current, frame_of_cframe; /* current is a _PyCFrame * where the last is not NONE */
	uint32_t f_code, f_previous, f_instr, f_owner;
	uint32_t co_firstlineno, co_code_adaptive, ascii, compact; /* the last two: where the characters begin */
};

#define NONE UINT32_MAX
#define STATE_SIZE 168u
#define FRAME_SIZE 80u
#define CODE_SIZE 144u
#define CO_FILENAME 112u
#define CO_QUALNAME 128u
#define CO_LINETABLE 136u
#define OWNED_BY_CSTACK 3 /* entries of the interpreter, from 3.12 on; 2 is the last kind that is a function's before */

static const struct layout layouts[] = {
	{160, 56, 8, 32, 48, 56, 69, 72, 184, 48, 72},
	{144, 56, 0, 0, 8, 56, 70, 68, 192, 40, 56},
	{160, 72, NONE, 0, 8, 56, 70, 68, 200, 40, 56},
};

static bool get(struct cw_python *p, uint64_t at, void *dst, size_t n)
{
	struct iovec to = {dst, n}, from = {(void *)at, n};

	if (!p->reads || at < 4096)
		return false;
	p->reads--;
	return process_vm_readv(p->tid, &to, 1, &from, 1, 0) == (ssize_t)n;
}

static uint64_t word_at(const uint8_t *from, uint32_t offset)
{
	uint64_t word;

	memcpy(&word, from + offset, sizeof(word));
	return word;
}

unsigned cw_python_minor(const char *name, size_t len)
{
	const char *base = memrchr(name, '/', len);
	unsigned minor = 0;
	int end = 0;
	char text[32] = "";

	base = base ? base + 1 : name;
	len -= (size_t)(base - name);
	if (len >= sizeof(text))
		return 0;
	memcpy(text, base, len);
	if (!strncmp(text, "lib", 3))
		memmove(text, text + 3, sizeof(text) - 3);
	/* python3.13t, without a global lock, has other layouts */
	if (sscanf(text, "python3.%2u%n", &minor, &end) != 1 || (text[end] && strncmp(text + end, ".so", 3) != 0))
		return 0;
	return minor >= 11 && minor < 11 + sizeof(layouts) / sizeof(layouts[0]) ? minor : 0;
}

/* The innermost frame of the thread whose state is at `at`; 0 where it is none. */
static uint64_t frame_of_state(struct cw_python *p, const struct layout *y, uint64_t at)
{
	uint8_t state[STATE_SIZE];
	uint64_t frame;

	if (at % 8 || !get(p, at, state, sizeof(state)) || word_at(state, y->native_thread_id) != (uint64_t)p->tid)
		return 0;
	frame = word_at(state, y->current);
	if (y->frame_of_cframe != NONE && !get(p, frame + y->frame_of_cframe, &frame, sizeof(frame)))
		return 0;
	return frame;
}

void cw_python_look(struct cw_python *p, int tid, unsigned minor, const uint8_t *window, size_t len, uint64_t sp)
{
	const struct layout *y = &layouts[minor - 11];
	uint64_t tried[64] = {0}, frame = 0;
	uint8_t bytes[FRAME_SIZE];
	unsigned candidates = 0;

	p->tid = tid;
	p->minor = minor;
	p->reads = READS;
	p->n = 0;
	for (size_t at = 0; at < len && !frame && candidates < CANDIDATES; at += 8) {
		uint64_t word = word_at(window, (uint32_t)at);

		if (word < 65536 || word >> 47 || word % 8 || word - sp < len || tried[word / 8 % 64] == word)
			continue;
		tried[word / 8 % 64] = word;
		candidates++;
		frame = frame_of_state(p, y, word);
	}
	while (frame && p->n < CW_PYTHON_FRAMES && get(p, frame, bytes, sizeof(bytes))) {
		if (bytes[y->f_owner] < OWNED_BY_CSTACK)
			p->frame[p->n++] = (struct cw_python_at){word_at(bytes, y->f_code), word_at(bytes, y->f_instr)};
		frame = word_at(bytes, y->f_previous);
	}
}

/* The characters of a str: their bytes, and in `kind` how many each has. */
static uint32_t text_of(struct cw_python *p, const struct layout *y, uint64_t at, uint8_t *dst, size_t room,
                        uint32_t *kind)
{
	uint8_t head[40];

	*kind = 0;
	if (!get(p, at, head, sizeof(head)))
		return 0;
	uint64_t length = word_at(head, 16);
	uint32_t state;

	memcpy(&state, head + 32, sizeof(state));
	uint32_t size = state >> 2 & 7;
	bool compact = state >> 5 & 1, ascii = state >> 6 & 1;

	if (!compact || (size != 1 && size != 2 && size != 4) || length > TEXT_MAX / size || length * size > room)
		return 0;
	if (!get(p, at + (ascii ? y->ascii : y->compact), dst, length * size))
		return 0;
	*kind = size;
	return (uint32_t)(length * size);
}

size_t cw_python_copy(struct cw_python *p, uint8_t *dst, size_t room)
{
	const struct layout *y = &layouts[p->minor - 11];
	uint8_t code[CODE_SIZE];
	size_t have = 0;

	for (unsigned i = 0; i < p->n; i++) {
		struct cw_python_frame f = {
			.instr = (int64_t)(p->frame[i].instr - p->frame[i].code - y->co_code_adaptive)};
		size_t at = have + sizeof(f);
		uint64_t length;

		if (at + 2 * TEXT_MAX + 8 > room)
			break;
		if (!get(p, p->frame[i].code, code, sizeof(code)))
			continue;
		memcpy(&f.first_line, code + y->co_firstlineno, sizeof(f.first_line));
		f.len[0] = text_of(p, y, word_at(code, CO_FILENAME), dst + at, TEXT_MAX, &f.kind[0]);
		at += f.len[0];
		f.len[1] = text_of(p, y, word_at(code, CO_QUALNAME), dst + at, TEXT_MAX, &f.kind[1]);
		at += f.len[1];
		if (!f.len[0] || !f.len[1])
			continue;
		uint64_t table = word_at(code, CO_LINETABLE);

		if (get(p, table + 16, &length, sizeof(length)) && length <= TABLE_MAX && length + 8 <= room - at &&
		    get(p, table + 32, dst + at, length))
			f.len[2] = (uint32_t)length;
		at += f.len[2];
		memset(dst + at, 0, (size_t)-at & 7);
		at += (size_t)-at & 7;
		memcpy(dst + have, &f, sizeof(f));
		have = at;
	}
	return have;
}
