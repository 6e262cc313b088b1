/* What the files of a trace share. */
#ifndef CAPWRAP_TRACE_H
#define CAPWRAP_TRACE_H

/*
 * Every verdict of the program but ALLOW becomes a RET_TRACE with this data: a call for the rewriters, or one that the program
 * itself would have refused, with its errno in the lower bits. A filter of the target's own seldom has such data.
 */
#define RET_JUDGE 0x4000u
#define RET_REFUSE 0x8000u

static const uint64_t no_args[6];

bool cw_trace_clone(struct cw_engine *e, struct cw_task *t, int nr, const uint64_t args[6]); /* true: edited */
int cw_trace_link(int tid, int fd, char *dst, size_t size); /* where a descriptor leads: length or -errno */
int64_t cw_trace_private_use(struct cw_engine *e, int64_t would);
void cw_trace_rest(struct cw_engine *e, struct cw_task *t, int nr, const uint64_t args[6]);

#endif
