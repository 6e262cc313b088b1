/* Event records: collected in batches, handed to the sink when a batch is full and at the end. Nothing here enters Python
 * but that one call, and nothing of it is on the way of a call that is not recorded. */
#include "capwrap/engine/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BATCH ((size_t)256 * 1024)

void cw_record_flush(struct cw_engine *e)
{
	if (!e->batch_len)
		return;
	if (e->run->sink && e->run->sink(e->run->sink_ctx, e->batch, e->batch_len)) {
		size_t n = 0;

		for (size_t at = 0; at < e->batch_len; n++) {
			uint32_t size;

			memcpy(&size, e->batch + at, sizeof(size));
			at += size;
		}
		e->res->lost += n;
	}
	e->batch_len = 0;
}

static uint8_t *room(struct cw_engine *e, size_t size)
{
	if (!e->batch)
		e->batch = malloc(BATCH);
	if (!e->batch || size > BATCH) {
		e->res->lost++;
		return NULL;
	}
	if (e->batch_len + size > BATCH)
		cw_record_flush(e);
	uint8_t *at = e->batch + e->batch_len;

	e->batch_len += size;
	memset(at, 0, size);
	return at;
}

static void fill(uint8_t *at, struct cw_event *v, size_t size, const char *const *s, const size_t *len)
{
	v->size = (uint32_t)size;
	for (int i = 0; i < CW_EVENT_STRINGS; i++)
		v->len[i] = (uint32_t)len[i];
	memcpy(at, v, sizeof(*v));
	at += sizeof(*v);
	for (int i = 0; i < CW_EVENT_STRINGS; i++) {
		memcpy(at, s[i] ? s[i] : "", len[i]);
		at += len[i];
	}
}

static size_t size_of(const size_t *len)
{
	size_t size = sizeof(struct cw_event);

	for (int i = 0; i < CW_EVENT_STRINGS; i++)
		size += len[i];
	return (size + 7) & ~(size_t)7;
}

static void emit(struct cw_engine *e, struct cw_event *v, const char *const *s, const size_t *len)
{
	size_t size = size_of(len);
	uint8_t *at = room(e, size);

	if (at)
		fill(at, v, size, s, len);
}

/* The directory that a process is in, in the namespace; NULL where it has no name there or has been removed. */
static const char *cwd_of(struct cw_engine *e, int pid, char dst[CW_PATH_MAX])
{
	static const char gone[] = " (deleted)"; /* proc_pid_cwd(5) */
	char path[48], host[CW_PATH_MAX];

	snprintf(path, sizeof(path), "/proc/%d/cwd", pid);
	ssize_t n = readlink(path, host, sizeof(host) - 1);

	if (n <= 0 || host[0] != '/')
		return NULL;
	host[n] = 0;
	if ((size_t)n >= sizeof(gone) && !strcmp(host + n - (sizeof(gone) - 1), gone))
		return NULL;
	if (cw_tracing(e)) {
		memcpy(dst, host, (size_t)n + 1);
		return dst;
	}
	return cw_reverse(e, host, dst, CW_PATH_MAX) < 0 ? NULL : dst;
}

void cw_record_process(struct cw_engine *e, int what, int pid, int64_t result, const char *argv, size_t argv_len)
{
	struct cw_event v = {.type = CW_EVENT_PROCESS,
	                     .kind = (uint8_t)what,
	                     .t = cw_now() - e->start_ns,
	                     .pid = pid,
	                     .tid = pid,
	                     .result = result,
	                     .grant = CW_NONE,
	                     .grant2 = CW_NONE};
	char dir[CW_PATH_MAX];
	const char *cwd = what == CW_PROCESS_EXIT ? NULL : cwd_of(e, pid, dir);
	const char *s[CW_EVENT_STRINGS] = {NULL, cwd, NULL, argv};
	size_t len[CW_EVENT_STRINGS] = {0, cwd ? strlen(cwd) : 0, 0, argv_len};

	/* starts and execs are kept for refusals too: they name the commands that led to what was refused */
	emit(e, &v, s, len);
}

void cw_record_stack(struct cw_engine *e, uint64_t id, const uint8_t *bytes, size_t size)
{
	struct cw_event v = {.type = CW_EVENT_STACK,
	                     .t = cw_now() - e->start_ns,
	                     .pid = e->ctx.call.tgid,
	                     .tid = e->ctx.call.tid,
	                     .result = (int64_t)id,
	                     .grant = CW_NONE,
	                     .grant2 = CW_NONE};
	const char *s[CW_EVENT_STRINGS] = {NULL, NULL, NULL, (const char *)bytes};
	size_t len[CW_EVENT_STRINGS] = {0, 0, 0, size};

	emit(e, &v, s, len);
}

/* The canonical path where the walk found one, else what was asked for. */
static const char *name_of(const struct cw_place *p, const char *whole)
{
	return p->path[0] && p->path[1] ? p->path : whole;
}

/* What was asked for, where that is not the name in the record. */
static const char *asked_of(const char *name, const char *whole)
{
	return whole[0] && strcmp(name, whole) ? whole : NULL;
}

static bool is_named(const struct cw_ctx *c)
{
	return c->rec.kind == CW_KIND_NOT_GRANTED || c->rec.kind == CW_KIND_ESCAPE;
}

/* A name that is not granted and is not there is no refusal: programs probe. */
bool cw_names_nothing(const struct cw_engine *e)
{
	const char *name = name_of(&e->ctx.place[0], e->ctx.whole);
	struct stat st;

	return is_named(&e->ctx) && name[0] == '/' && lstat(name, &st) && (errno == ENOENT || errno == ENOTDIR);
}

/* A change of directory is kept for refusals too: they say where the process was. */
bool cw_moves(int nr)
{
	return nr == SYS_chdir || nr == SYS_fchdir;
}

void cw_record_call(struct cw_engine *e, struct cw_task *t, int64_t result)
{
	struct cw_ctx *c = &e->ctx;
	bool refused = c->rec.kind != CW_KIND_NONE;

	if (t->launching && c->plan.kind != CW_PLAN_EXEC && !cw_tracing(e))
		return;
	if (!refused && !(e->run->flags & CW_RUN_RECORD_ACCESS) && !cw_moves(c->call.nr)) {
		e->res->accesses++;
		return;
	}
	struct cw_event v = {.nr = (uint16_t)c->call.nr,
	                     .kind = (uint8_t)c->rec.kind,
	                     .t = cw_now() - e->start_ns,
	                     .pid = c->call.tgid,
	                     .tid = c->call.tid,
	                     .result = result,
	                     .rights = c->rec.needs,
	                     .grant = c->rec.grant,
	                     .grant2 = c->rec.grant2};
	const char *s[CW_EVENT_STRINGS] = {name_of(&c->place[0], c->whole), name_of(&c->place[1], c->whole2), NULL,
	                                   c->rec.extra};
	size_t len[CW_EVENT_STRINGS];

	s[4] = asked_of(s[0], c->whole);
	s[5] = asked_of(s[1], c->whole2);
	s[6] = c->via;

	if (refused) {
		bool absent = cw_names_nothing(e); /* the target was answered already */

		v.type = absent ? CW_EVENT_ABSENT : CW_EVENT_REFUSAL;
		s[2] = is_named(c) ? s[0] : NULL;
		if (absent)
			e->res->absent++;
		else
			e->res->refusals++;
		if (absent && !(e->run->flags & CW_RUN_RECORD_ACCESS) && t->pending != CW_OBSERVED)
			return;
	} else {
		v.type = CW_EVENT_ACCESS;
		e->res->accesses++;
	}
	for (int i = 0; i < 7; i++)
		len[i] = s[i] ? strlen(s[i]) : 0;
	s[7] = (const char *)c->call.arg;
	len[7] = refused || cw_tracing(e) ? sizeof(c->call.arg) : 0;
	uint64_t stack = v.type == CW_EVENT_REFUSAL ? cw_stack_record(e) : 0;
	size_t size = size_of(len), whole = size + (stack ? sizeof(stack) : 0);

	uint8_t *at;

	if ((!refused && t->pending != CW_IDLE) || t->pending == CW_OBSERVED) {
		/* its result is known at the thread's next stop */
		free(t->record);
		at = t->record = calloc(1, whole);
		t->record_size = at ? (uint32_t)whole : 0;
		if (!at)
			e->res->lost++;
	} else {
		at = room(e, whole);
	}
	if (!at)
		return;
	fill(at, &v, whole, s, len);
	if (stack)
		memcpy(at + size, &stack, sizeof(stack));
}

void cw_record_result(struct cw_engine *e, struct cw_task *t, int64_t result)
{
	if (!t->record)
		return;
	uint8_t *at = room(e, t->record_size);

	if (at) {
		memcpy(at, t->record, t->record_size);
		memcpy(at + offsetof(struct cw_event, result), &result, sizeof(result));
	}
	free(t->record);
	t->record = NULL;
}
