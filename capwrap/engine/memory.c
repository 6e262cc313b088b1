/*
 * The target's memory. process_vm_readv where it works; PTRACE_PEEKDATA where a container denies that call, or where the
 * target's ids are not ours. Neither reads what is not dumpable unless the tracer had CAP_SYS_PTRACE when it attached
 * (ptrace_access_vm in kernel/ptrace.c). A cached /proc/PID/mem would read nothing after an exec.
 */
#include "capwrap/engine/internal.h"

#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#define PAGE 4096u

/* Word by word, by ptrace: to `ours`, or from it. */
static int by_words(struct cw_engine *e, int tid, uint64_t at, uint8_t *ours, size_t n, bool write)
{
	for (size_t take; n; n -= take, at += take, ours += take) {
		uint64_t base = at & ~UINT64_C(7);
		size_t off = (size_t)(at - base);

		take = 8 - off < n ? 8 - off : n;
		errno = 0;
		long word = ptrace(PTRACE_PEEKDATA, tid, (void *)base, NULL);

		if (word == -1 && errno) {
			e->unreadable = true; /* not there, or closed to us: the same errno */
			return -EFAULT;
		}
		if (!write) {
			memcpy(ours, (uint8_t *)&word + off, take);
			continue;
		}
		memcpy((uint8_t *)&word + off, ours, take);
		if (ptrace(PTRACE_POKEDATA, tid, (void *)base, (void *)word))
			return -EFAULT;
	}
	return 0;
}

/* process_vm_readv is denied: the tracer can still read, at a stop, and the listener's thread is no tracer. */
static bool needs_stop(struct cw_engine *e)
{
	if (e->answering)
		e->unreadable = true;
	return e->answering;
}

int cw_mem_read(struct cw_engine *e, int tid, void *dst, uint64_t src, size_t n)
{
	struct iovec to = {dst, n}, from = {(void *)src, n};

	if (!n)
		return 0;
	ssize_t got = process_vm_readv(tid, &to, 1, &from, 1, 0);

	if (got == (ssize_t)n)
		return 0;
	if (got >= 0 || errno == EFAULT || needs_stop(e))
		return -EFAULT;
	return by_words(e, tid, src, dst, n, false);
}

int cw_mem_write(struct cw_engine *e, int tid, uint64_t dst, const void *src, size_t n)
{
	struct iovec from = {(void *)(uintptr_t)src, n}, to = {(void *)dst, n};

	if (!n)
		return 0;
	ssize_t got = process_vm_writev(tid, &from, 1, &to, 1, 0);

	if (got == (ssize_t)n)
		return 0;
	if (got >= 0 || errno == EFAULT || needs_stop(e))
		return -EFAULT;
	/* POKEDATA writes where the target itself may not; the kernel would have refused that with EFAULT. It is reached
	 * only where process_vm_writev is denied, and gives the target no memory that it could not map writable itself,
	 * since the pad is a shared mapping of a descriptor opened read-only: even a write through /proc/self/mem ends in EIO. */
	return by_words(e, tid, dst, (uint8_t *)(uintptr_t)src, n, true);
}

/* A page at a time: a string may end where the next page is not mapped. */
int cw_mem_string(struct cw_engine *e, int tid, char *dst, size_t size, uint64_t src)
{
	size_t have = 0;

	if (!src)
		return -EFAULT;
	while (have < size) {
		size_t page = PAGE - (size_t)((src + have) % PAGE), want = size - have;

		/* most paths are short: the first read takes no more than a cache line or four */
		if (!have && want > 256)
			want = 256;
		if (want > page)
			want = page;
		int err = cw_mem_read(e, tid, dst + have, src + have, want);

		if (err)
			return err;
		char *nul = memchr(dst + have, 0, want);

		if (nul)
			return (int)(nul - dst);
		have += want;
	}
	return -ENAMETOOLONG;
}
