/* Labels of stub.S, and where the target has them. */
#ifndef CAPWRAP_ENGINE_STUB_H
#define CAPWRAP_ENGINE_STUB_H

#include <stdbool.h>
#include <stdint.h>

#include "rewriters/pad.h"

extern const uint8_t cw_stub_begin[], cw_stub_end[], cw_stub_call[], cw_stub_retry[], cw_stub_done[], cw_stub_both[],
	cw_stub_deliver[], cw_stub_start[], cw_stub_readable[], cw_stub_undo_from[], cw_stub_undo_to[];

#define CW_STUB_AT(label) (CW_PAD_STUB + (uint64_t)((label)-cw_stub_begin))

static inline bool cw_in_stub(uint64_t rip)
{
	return rip >= CW_PAD_STUB && rip < CW_STUB_AT(cw_stub_end);
}

#endif
