/* How a walk moves a place on: place.c for resolve.c. The rest of the rewriters only look at where it came to. */
#ifndef CAPWRAP_REWRITERS_PLACE_H
#define CAPWRAP_REWRITERS_PLACE_H

#include "rewriters/kernel.h"
#include "rewriters/rewriter.h"

#define CW_BENEATH (K_RESOLVE_BENEATH | K_RESOLVE_NO_MAGICLINKS)
#define CW_BENEATH_NO_LINKS (CW_BENEATH | K_RESOLVE_NO_SYMLINKS)

static inline bool cw_is_dir(uint32_t mode)
{
	return (mode & K_S_IFMT) == K_S_IFDIR;
}

void cw_drop_fd(struct cw_ctx *c, int *fd);
int cw_push_name(struct cw_place *p, const char *name, size_t len); /* onto its canonical path; 0 or -ENAMETOOLONG */
void cw_take_grant(struct cw_ctx *c, struct cw_place *p, uint32_t node);
int cw_enter_grant(struct cw_ctx *c, struct cw_place *p, uint32_t node);
int cw_stand_at(struct cw_ctx *c, struct cw_place *p, int dir, const char *name, size_t len, uint64_t resolve,
                bool named);
bool cw_stand_on(struct cw_ctx *c, struct cw_place *p, int held);

#endif
