/*
 * The pad, as the attacks on it see it: memory at an address.
 *
 * ARG 0 "standin" is the native half, which has no pad: a memfd mapped read-only at its address stands in for it.
 */
#ifndef STANDIN_H
#define STANDIN_H

#include "attack.h"
#include "../../../rewriters/pad.h"

#include <setjmp.h>

#define PAGE 4096ul
#define BASE ((char *)CW_PAD_BASE)
#define HOWS ((char *)CW_PAD_HOW_RO)

static inline void prepare(void)
{
	if (!has_argument(0))
		return;
	int fd = need(memfd_create("standin", MFD_CLOEXEC), "memfd_create");
	need(ftruncate(fd, CW_PAD_SIZE), "ftruncate");
	if (mmap(BASE, CW_PAD_SIZE, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0) != BASE)
		untried("mmap: %s", strerror(errno));
	if (mmap((void *)CW_PAD_RESULT, CW_PAD_RESULT_SIZE, PROT_READ | PROT_WRITE,
	         MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED)
		untried("mmap: %s", strerror(errno));
	memset(mmap(NULL, CW_PAD_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), 0xff, CW_PAD_SIZE);
}

static sigjmp_buf back;

static inline void fault(int sig)
{
	siglongjmp(back, sig);
}

/* Are there zeroes, the most powerful how of all, among the hows, or can they be put there? */
static inline _Noreturn void judge_pad(const char *what)
{
	static const char zeroes[24];

	signal(SIGSEGV, fault);
	signal(SIGBUS, fault);
	if (sigsetjmp(back, 1))
		held("EFAULT %s", what);
	for (char *how = HOWS; how < (char *)CW_PAD_HOW_RW_END; how += CW_PAD_HOW_STRIDE) {
		if (!memcmp(how, zeroes, sizeof(zeroes)))
			escaped("%s: zeroes at %p", what, (void *)how);
		memset(how, 0, sizeof(zeroes));
		if (!memcmp(how, zeroes, sizeof(zeroes)))
			escaped("%s: written at %p", what, (void *)how);
	}
	held("unchanged %s", what);
}

#endif
