/* What the files on /proc share: the table of what stands there, and how a lookup goes on at a link. */
#ifndef CAPWRAP_ENGINE_PROCFS_H
#define CAPWRAP_ENGINE_PROCFS_H

#include "capwrap/engine/internal.h"

enum cw_proc_where { CW_PROC_TOP, CW_PROC_PID, CW_PROC_TASK };

/* How an entry is served. */
enum cw_proc_serve {
	CW_SERVE_FILE,
	CW_SERVE_WRITABLE,
	CW_SERVE_DIR,
	CW_SERVE_LINK,
	CW_SERVE_FDS,
	CW_SERVE_MADE,
	CW_SERVE_OWN
};

struct cw_proc_entry {
	const char *name;
	enum cw_proc_where where;
	enum cw_proc_serve serve;
};

/* proc_entries.c: what stands there */
extern const struct cw_proc_entry cw_proc_entries[];
const struct cw_proc_entry *cw_proc_entry(const char *name, size_t len, bool top, bool task); /* NULL: nothing */
bool cw_proc_is_closed(const char *name);
int cw_proc_number(const char *s, size_t len); /* -1: it is none */

/* proc_links.c: where the links of a process lead, as it is seen in the namespace */
int cw_proc_link(struct cw_engine *e, int tid, const char *what, char *dst, size_t size); /* length or -errno */
int cw_proc_replace(char *text, size_t size, const char *link, const char *rest);
int cw_proc_open_file(struct cw_ctx *c, struct cw_place *p, const char *link, const char *s, char *text, size_t size);

#endif
