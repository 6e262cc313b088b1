/*
 * Where in the program a refused call was made: the registers, the top of the stack and the code that it refers to, copied
 * while the thread waits. What they mean is found out later, in Python (capwrap/elf/unwind.py).
 *
 * A stack is known by the code addresses that stand in it, and is copied once a process. What is done while the thread waits
 * must not depend on whether the name exists on the host, which it could time: so a stack is kept also where the name is
 * absent, until a refusal needs it or the process ends.
 */
#include "capwrap/engine/stack_python.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#define WINDOW 65536u           /* bytes of the stack, from the stack pointer up */
#define SPANS 512u              /* mappings, and gaps between them, that are looked at */
#define QUERIES 256u            /* of one look, each about a microsecond */
#define CODES 128u              /* executable mappings that one stack refers to */
#define NAMES 32768u            /* bytes of their names */
#define TEXT 262144u            /* bytes of maps, where it has to be read as text */
#define PYTHON 65536u           /* bytes about Python's functions */
#define PER_PROCESS 256u        /* different stacks */
#define KEPT ((size_t)64 << 20) /* bytes of all stacks that no refusal needed yet */
#define USER_END (UINT64_C(1) << 47)

/* linux/fs.h of Linux 6.11 */
struct procmap_query {
	uint64_t size, query_flags, query_addr, vma_start, vma_end, vma_flags, vma_page_size, vma_offset, inode;
	uint32_t dev_major, dev_minor, vma_name_size, build_id_size;
	uint64_t vma_name_addr, build_id_addr;
};
#define PROCMAP_QUERY_IOCTL ((unsigned long)_IOWR('f', 17, struct procmap_query))
#define QUERY_EXECUTABLE 0x04 /* of vma_flags */
#define QUERY_COVERING_OR_NEXT 0x10

struct code {
	struct cw_stack_code is;
	uint32_t name; /* offset in `names` */
};

/* What is known of some addresses. */
struct span {
	uint64_t start, end;
	int code; /* index, or -1 */
};

struct cw_stack {
	struct cw_stack *next;
	uint64_t key, id;
	uint64_t raw;   /* of all bytes, when it was last met */
	uint8_t *bytes; /* NULL: a record has them */
	size_t size;
};

/* What one look at a thread found. */
struct cw_stack_look {
	uint8_t window[WINDOW];
	size_t len;
	int maps;
	unsigned queries; /* that may still be made */
	struct span span[SPANS];
	unsigned n_spans;
	struct code code[CODES];
	unsigned n_codes;
	char names[NAMES];
	size_t names_len;
	char text[TEXT];
	struct cw_python python;
	uint8_t python_bytes[PYTHON];
};

/* --- what is looked at --- */

/* By pages, so that what lies before the first one that is not there is read. */
static bool read_window(struct cw_stack_look *l, int tid, uint64_t sp)
{
	struct iovec to = {l->window, WINDOW}, from[WINDOW / 4096 + 1];
	unsigned n = 0;
	char path[48];

	for (size_t have = 0; have < WINDOW; n++) {
		size_t take = 4096 - (size_t)((sp + have) % 4096);

		if (take > WINDOW - have)
			take = WINDOW - have;
		from[n] = (struct iovec){(void *)(sp + have), take};
		have += take;
	}
	ssize_t got = process_vm_readv(tid, &to, 1, from, n, 0);

	if (got < 0 && errno != EFAULT) {
		/* denied by a container; not cached, see memory.c */
		snprintf(path, sizeof(path), "/proc/%d/mem", tid);
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		got = fd < 0 ? -1 : pread(fd, l->window, WINDOW, (off_t)sp);
		if (fd >= 0)
			close(fd);
	}
	l->len = got > 0 ? (size_t)got & ~(size_t)7 : 0;
	return l->len > 0;
}

/* The index of a mapping, or -1 where there is no room for it. */
static int add_code(struct cw_stack_look *l, const struct cw_stack_code *is, const char *name)
{
	size_t len = strlen(name);

	if (l->n_codes == CODES || len > NAMES - l->names_len)
		return -1;
	struct code *c = &l->code[l->n_codes];

	c->is = *is;
	c->is.name_len = (uint32_t)len;
	c->name = (uint32_t)l->names_len;
	memcpy(l->names + l->names_len, name, len);
	l->names_len += len;
	return (int)l->n_codes++;
}

/* The first span that ends above an address. */
static unsigned span_above(const struct cw_stack_look *l, uint64_t a)
{
	unsigned low = 0, high = l->n_spans;

	while (low < high) {
		unsigned mid = (low + high) / 2;

		if (l->span[mid].end <= a)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void add_span(struct cw_stack_look *l, uint64_t start, uint64_t end, int code)
{
	unsigned at = span_above(l, start);

	if (l->n_spans == SPANS || start >= end || (at < l->n_spans && l->span[at].start < end))
		return;
	memmove(l->span + at + 1, l->span + at, (l->n_spans - at) * sizeof(l->span[0]));
	l->span[at] = (struct span){start, end, code};
	l->n_spans++;
}

/* Before Linux 6.11, which can be asked for one address. */
static void spans_of_text(struct cw_stack_look *l)
{
	size_t have = 0;
	ssize_t got = 1;

	l->queries = 0;
	while (have < TEXT - 1 && (got = read(l->maps, l->text + have, TEXT - 1 - have)) > 0)
		have += (size_t)got;
	l->text[have] = 0;
	for (char *line = l->text, *end; (end = strchr(line, '\n')); line = end + 1) {
		struct cw_stack_code is = {0};
		unsigned long start, last, offset, inode;
		int at = 0;
		char x;

		*end = 0;
		if (sscanf(line, "%lx-%lx %*2c%c%*c %lx %x:%x %lu %n", &start, &last, &x, &offset, &is.major, &is.minor,
		           &inode, &at) != 7 ||
		    !at || x != 'x')
			continue;
		is.start = start;
		is.end = last;
		is.offset = offset;
		is.inode = inode;
		add_span(l, start, last, add_code(l, &is, line + at));
	}
}

static void query(struct cw_stack_look *l, uint64_t a)
{
	struct procmap_query q = {.size = sizeof(q), .query_flags = QUERY_COVERING_OR_NEXT, .query_addr = a};
	char name[4096];

	if (!l->queries)
		return;
	l->queries--;
	if (ioctl(l->maps, PROCMAP_QUERY_IOCTL, &q)) {
		if (errno == ENOENT)
			add_span(l, a, USER_END, -1);
		else
			spans_of_text(l);
		return;
	}
	if (q.vma_start > a)
		add_span(l, a, q.vma_start, -1);
	if (!(q.vma_flags & QUERY_EXECUTABLE) || q.vma_start > a) {
		if (!(q.vma_flags & QUERY_EXECUTABLE))
			add_span(l, q.vma_start, q.vma_end, -1);
		return;
	}
	struct cw_stack_code is = {.start = q.vma_start,
	                           .end = q.vma_end,
	                           .offset = q.vma_offset,
	                           .inode = q.inode,
	                           .major = q.dev_major,
	                           .minor = q.dev_minor};

	name[0] = 0;
	q.vma_name_addr = (uint64_t)name;
	q.vma_name_size = sizeof(name);
	if (ioctl(l->maps, PROCMAP_QUERY_IOCTL, &q)) /* too long */
		name[0] = 0;
	add_span(l, is.start, is.end, add_code(l, &is, name));
}

/* Whether an address is one of code. */
static bool is_code(struct cw_stack_look *l, uint64_t a)
{
	for (int tries = 0; tries < 2; tries++) {
		unsigned at = span_above(l, a);

		if (at < l->n_spans && l->span[at].start <= a)
			return l->span[at].code >= 0;
		query(l, a);
	}
	return false;
}

static uint64_t mix(uint64_t key, uint64_t word)
{
	key = (key ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	return key ^ key >> 29;
}

static struct cw_stack *known(const struct cw_proc *p, uint64_t key, uint64_t raw)
{
	struct cw_stack *s = p->stacks;

	while (s && s->key != key && s->raw != raw)
		s = s->next;
	return s;
}

/* CPython runs functions that call each other in one of its own: its stack alone does not tell them apart. */
static uint64_t python_key(struct cw_stack_look *l, const struct cw_task *t, uint64_t sp)
{
	uint64_t key = 0;

	l->python.n = 0;
	if (t->proc->python)
		cw_python_look(&l->python, t->tid, t->proc->python, l->window, l->len, sp);
	for (unsigned i = 0; i < l->python.n; i++)
		key = mix(mix(key, l->python.frame[i].code), l->python.frame[i].instr);
	return key;
}

/* Sets e->stack where the thread's stack is known, else `key` to what it will be known by; false where it cannot be read. */
static bool look(struct cw_engine *e, const struct cw_task *t, uint64_t pc, uint64_t sp, uint64_t *key, uint64_t *raw)
{
	struct cw_stack_look *l = e->look;
	uint64_t word;

	if (!l)
		l = e->look = malloc(sizeof(*l));
	if (!l || !read_window(l, t->tid, sp))
		return false;
	uint64_t python = python_key(l, t, sp);

	*key = mix(1, pc);
	*raw = mix(mix(*key, sp), python);
	for (size_t at = 0; at < l->len; at += 8) {
		memcpy(&word, l->window + at, sizeof(word));
		*raw = mix(*raw, word);
	}
	/* a storm: not even the mappings are looked at */
	e->stack = known(t->proc, 0, *raw);
	if (e->stack)
		return true;
	char path[48];

	snprintf(path, sizeof(path), "/proc/%d/maps", t->tid);
	l->maps = open(path, O_RDONLY | O_CLOEXEC);
	if (l->maps < 0)
		return false;
	l->queries = QUERIES;
	l->n_spans = l->n_codes = 0;
	l->names_len = 0;
	(void)is_code(l, pc);
	for (size_t at = 0; at < l->len; at += 8) {
		memcpy(&word, l->window + at, sizeof(word));
		if (word >= 4096 && word < USER_END && word - sp >= l->len && is_code(l, word))
			*key = mix(*key, word);
	}
	close(l->maps);
	unsigned minor = 0;

	for (unsigned i = 0; i < l->n_codes && !minor; i++)
		minor = cw_python_minor(l->names + l->code[i].name, l->code[i].is.name_len);
	if (minor != t->proc->python) {
		t->proc->python = minor;
		python = python_key(l, t, sp);
	}
	*key = mix(*key, python);
	e->stack = known(t->proc, *key, *raw);
	if (e->stack)
		e->stack->raw = *raw;
	return true;
}

/* --- what is kept --- */

static bool full(const struct cw_engine *e, const struct cw_proc *p)
{
	return p->n_stacks >= PER_PROCESS || e->stacks_size > KEPT;
}

static void keep(struct cw_engine *e, struct cw_proc *p, uint64_t key, uint64_t raw, const struct user_regs_struct *r)
{
	struct cw_stack_look *l = e->look;
	size_t python = l->python.n ? cw_python_copy(&l->python, l->python_bytes, PYTHON) : 0;
	struct cw_stack_head h = {.regs = {r->rax, r->rdx, r->rcx, r->rbx, r->rsi, r->rdi, r->rbp, r->rsp, r->r8, r->r9,
	                                   r->r10, r->r11, r->r12, r->r13, r->r14, r->r15, r->rip},
	                          .window = (uint32_t)l->len,
	                          .python = (uint32_t)python};
	size_t size = sizeof(h) + l->len + python;

	h.n_codes = l->n_codes;
	for (unsigned i = 0; i < l->n_codes; i++)
		size += sizeof(struct cw_stack_code) + ((l->code[i].is.name_len + 7u) & ~7u);
	struct cw_stack *s = calloc(1, sizeof(*s));
	uint8_t *at = s ? calloc(1, size) : NULL;

	if (!at) {
		free(s);
		return;
	}
	*s = (struct cw_stack){
		.next = p->stacks, .key = key, .raw = raw, .id = ++e->n_stacks, .bytes = at, .size = size};
	memcpy(at, &h, sizeof(h));
	at += sizeof(h);
	for (unsigned i = 0; i < l->n_codes; i++) {
		const struct cw_stack_code *is = &l->code[i].is;

		memcpy(at, is, sizeof(*is));
		memcpy(at + sizeof(*is), l->names + l->code[i].name, is->name_len);
		at += sizeof(*is) + ((is->name_len + 7u) & ~7u);
	}
	memcpy(at, l->window, l->len);
	memcpy(at + l->len, l->python_bytes, python);
	p->stacks = s;
	p->n_stacks++;
	e->stacks_size += size;
	e->stack = s;
}

static bool wanted(const struct cw_engine *e, const struct cw_task *t)
{
	return (e->run->flags & CW_RUN_RECORD_STACK) && e->ctx.rec.kind != CW_KIND_NONE && !t->launching;
}

void cw_stack_at_stop(struct cw_engine *e, struct cw_task *t, const struct user_regs_struct *regs)
{
	uint64_t key, raw;

	if (wanted(e, t) && look(e, t, regs->rip, regs->rsp, &key, &raw) && !e->stack && !full(e, t->proc))
		keep(e, t->proc, key, raw, regs);
}

/* Whether a SIGCONT waits to be taken: a SIGSTOP would take it away (prepare_signal in kernel/signal.c). */
static bool awaits_cont(int tid)
{
	char path[48], line[256];
	unsigned long long own = 0, shared = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	FILE *f = fopen(path, "re");

	if (!f)
		return true;
	while (fgets(line, sizeof(line), f)) {
		(void)sscanf(line, "SigPnd: %llx", &own);
		(void)sscanf(line, "ShdPnd: %llx", &shared);
	}
	fclose(f);
	return (own | shared) >> (SIGCONT - 1) & 1;
}

/*
 * A thread that waits for the listener shows its stack pointer, and no other register. That is enough to know a stack by;
 * for a new one the thread has to stop.
 */
bool cw_stack_needs_stop(struct cw_engine *e, struct cw_task *t)
{
	char path[48], line[256];
	unsigned long long sp = 0, pc = 0;

	if (!wanted(e, t))
		return false;
	snprintf(path, sizeof(path), "/proc/%d/syscall", t->tid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);

	if (fd >= 0)
		close(fd);
	line[n > 0 ? n : 0] = 0;
	if (sscanf(line, "%*d %*x %*x %*x %*x %*x %*x %llx %llx", &sp, &pc) == 2) {
		uint64_t key, raw;

		if (!look(e, t, pc, sp, &key, &raw) || e->stack)
			return false;
	}
	return !full(e, t->proc) && !awaits_cont(t->tid);
}

uint64_t cw_stack_record(struct cw_engine *e)
{
	struct cw_stack *s = e->stack;

	if (!s)
		return 0;
	if (s->bytes) {
		cw_record_stack(e, s->id, s->bytes, s->size);
		free(s->bytes);
		s->bytes = NULL;
		e->stacks_size -= s->size;
	}
	return s->id;
}

void cw_stacks_drop(struct cw_engine *e, struct cw_proc *p)
{
	for (struct cw_stack *s = p->stacks, *next; s; s = next) {
		next = s->next;
		if (e->stack == s)
			e->stack = NULL;
		if (s->bytes)
			e->stacks_size -= s->size;
		free(s->bytes);
		free(s);
	}
	p->stacks = NULL;
	p->n_stacks = 0;
}
