/*
 * The turn to decide, which the engine's thread and the listener's have by turns: who came first is served first. A mutex
 * would be had by whoever asks most often, and a target that stops without end would keep the listener from ever answering.
 */
#include "capwrap/engine/internal.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

/* It is held for microseconds: looking a little is cheaper than sleeping. */
#define LOOKS 200

void cw_turn_take(struct cw_turn *turn)
{
	unsigned mine = atomic_fetch_add(&turn->last, 1), now;

	for (int i = 0; (now = atomic_load(&turn->now)) != mine; i++) {
		if (i < LOOKS) {
			__builtin_ia32_pause();
			continue;
		}
		atomic_fetch_add(&turn->asleep, 1);
		(void)syscall(SYS_futex, &turn->now, FUTEX_WAIT_PRIVATE, now, NULL, NULL, 0);
		atomic_fetch_sub(&turn->asleep, 1);
	}
}

void cw_turn_give(struct cw_turn *turn)
{
	atomic_fetch_add(&turn->now, 1);
	if (atomic_load(&turn->asleep))
		(void)syscall(SYS_futex, &turn->now, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}
