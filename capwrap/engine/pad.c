/* The pad: its memfds, what is published in it, and the threads' slots. ARCHITECTURE.md, rules 1, 2 and 4. */
#include "capwrap/engine/internal.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

extern const uint8_t cw_stub_begin[], cw_stub_end[], cw_stub_readable[];

/* inet regions: the first half for connect and sendto, the second for bind */
#define HALF(first, end) ((first) + ((end) - (first)) / 2)
#define SLOTS ((CW_PAD_SLOT_END - CW_PAD_SLOT) / CW_PAD_SLOT_STRIDE)

_Static_assert(sizeof(struct cw_frame) <= CW_PAD_SLOT_DATA, "the frame ends before the bytes");
_Static_assert(SLOTS * 8 == CW_PAD_RESULT_SIZE, "one result a slot");

static uint8_t *at(struct cw_engine *e, uint64_t address)
{
	return e->pad + (address - CW_PAD_BASE);
}

static int memfd(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd;
}

/*
 * Zero bytes are the most powerful how of all: free slots hold all ones. They are written to the file from one page over
 * and over, which costs half of what filling a mapping does by its page faults.
 */
static int fill_with_ones(int fd, uint64_t first, uint64_t end)
{
	uint8_t page[4096];
	struct iovec pages[64];
	size_t n = (size_t)(end - first) / sizeof(page);

	memset(page, 0xff, sizeof(page));
	for (size_t i = 0; i < n && i < 64; i++)
		pages[i] = (struct iovec){page, sizeof(page)};
	if (n > 64 || n * sizeof(page) != end - first)
		errno = EINVAL;
	else if (pwritev(fd, pages, (int)n, (off_t)(first - CW_PAD_BASE)) == (ssize_t)(end - first))
		return 0;
	return -1;
}

int cw_pad_make(struct cw_engine *e)
{
	char path[64];

	e->pad_fd = memfd("capwrap-pad");
	e->result_fd = memfd("capwrap-result");
	if (e->pad_fd < 0 || e->result_fd < 0 || ftruncate(e->pad_fd, CW_PAD_SIZE) ||
	    ftruncate(e->result_fd, CW_PAD_RESULT_SIZE))
		return cw_failed(e, "cannot make the pad: %s%s", strerror(errno),
		                 errno == EFBIG
		                         ? "; the limit of file sizes (ulimit -f) is below the 4.5 MiB of it: raise "
		                           "it, and limit COMMAND by --limit file-size"
		                         : "");
	if (fill_with_ones(e->pad_fd, CW_PAD_HOW_RO, CW_PAD_HOW_RW_END) ||
	    fill_with_ones(e->pad_fd, CW_PAD_IN4, CW_PAD_ABSTRACT_END))
		return cw_failed(e, "cannot fill the pad: %s", strerror(errno));
	e->pad = mmap(NULL, CW_PAD_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, e->pad_fd, 0);
	e->result = mmap(NULL, CW_PAD_RESULT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, e->result_fd, 0);
	if (e->pad == MAP_FAILED || e->result == MAP_FAILED)
		return cw_failed(e, "cannot map the pad: %s", strerror(errno));
	if (cw_stub_readable - cw_stub_begin != CW_PAD_STUB_READABLE - CW_PAD_STUB ||
	    cw_stub_end - cw_stub_begin > CW_PAD_STUB_SIZE)
		return cw_failed(e, "the stub is not laid out as the seccomp program expects it");
	/* AF_UNSPEC, which ends a connection: for everybody, and however many addresses there are */
	memset(at(e, CW_PAD_IN4), 0, CW_PAD_IN_STRIDE);
	memcpy(at(e, CW_PAD_STUB), cw_stub_begin, (size_t)(cw_stub_end - cw_stub_begin));
	e->stub = cw_stub_begin;
	/* our mapping stays writable; no other writable one can ever be made, and the file cannot change its size */
	if (fcntl(e->pad_fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) ||
	    fcntl(e->result_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return cw_failed(e, "cannot seal the pad: %s", strerror(errno));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", e->pad_fd);
	e->pad_ro = open(path, O_RDONLY | O_CLOEXEC);
	if (e->pad_ro < 0)
		return cw_failed(e, "cannot reopen the pad through /proc: %s", strerror(errno));
	e->slot_used = calloc(SLOTS / 64, sizeof(uint64_t));
	if (!e->slot_used)
		return cw_failed(e, "out of memory");
	e->gadget = cw_vdso_gadget();
	return 0;
}

void cw_pad_close(struct cw_engine *e)
{
	if (e->pad && e->pad != MAP_FAILED)
		munmap(e->pad, CW_PAD_SIZE);
	if (e->result && (void *)e->result != MAP_FAILED)
		munmap(e->result, CW_PAD_RESULT_SIZE);
	int fds[] = {e->pad_fd, e->pad_ro, e->result_fd};

	for (size_t i = 0; i < 3; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(e->slot_used);
}

uint64_t cw_publish_how(struct cw_engine *e, bool writable, uint64_t flags, uint64_t mode)
{
	uint64_t first = writable ? CW_PAD_HOW_RW : CW_PAD_HOW_RO,
		 end = writable ? CW_PAD_HOW_RW_END : CW_PAD_HOW_RO_END;
	struct open_how how = {.flags = flags, .mode = mode, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};

	/* what stands in the read-only region must be harmless with any capability */
	if (!writable && ((flags & (O_ACCMODE | O_CREAT | O_TRUNC)) || (flags & 020000000)))
		return 0;
	for (uint64_t a = first; a < end; a += CW_PAD_HOW_STRIDE) {
		struct open_how *slot = (struct open_how *)(void *)at(e, a);

		if (slot->flags == UINT64_MAX) {
			/* resolve before flags: until the last store the slot is refused by the kernel as all ones */
			slot->resolve = how.resolve;
			slot->mode = how.mode;
			atomic_thread_fence(memory_order_release);
			*(volatile __u64 *)&slot->flags = how.flags;
			return a;
		}
		if (!memcmp(slot, &how, sizeof(how)))
			return a;
	}
	return 0;
}

/* It was sent to the stub, and has not come to the end of what it makes there; as the target has it, which may write there. */
static bool is_under_way(const struct cw_engine *e, const struct cw_task *t)
{
	return t->slot >= 0 && e->result[t->slot] == CW_NO_RESULT;
}

/* A connect that waits has read its address, and needs it no more: the kernel copies it before it sleeps. */
static bool waits_in_connect(const struct cw_task *t)
{
	char text[1024], state = 0;
	const char *rest = t->orig.orig_rax == SYS_connect ? cw_read_stat(t->tid, text, sizeof(text)) : NULL;

	return rest && sscanf(rest, " %c", &state) == 1 && state == 'S';
}

/* Is some thread still to read this address, which it was sent to the stub with? */
static bool is_awaited(const struct cw_engine *e, uint64_t address)
{
	for (int b = 0; b < CW_HASH; b++)
		for (const struct cw_task *t = e->tasks[b]; t; t = t->next)
			if (t->pending == CW_IN_STUB && t->addressed == address && is_under_way(e, t) &&
			    !waits_in_connect(t))
				return true;
	return false;
}

/* Is some thread (of this process; NULL: of any) still to use this number? */
static bool is_lent(const struct cw_engine *e, const struct cw_proc *proc, int number)
{
	for (int b = 0; b < CW_HASH; b++)
		for (const struct cw_task *t = e->tasks[b]; t; t = t->next)
			if (t->pending == CW_DELIVERING && t->delivery.install == number && is_under_way(e, t) &&
			    (!proc || t->proc == proc))
				return true;
	return false;
}

/*
 * A delivery number that nobody is about to use. Of two processes the numbers are two descriptors, but where they share a
 * table; so another's is taken only where there is no better. -EBUSY: all are in use, and the call is to be made anew.
 */
int cw_delivery_number(struct cw_engine *e, const struct cw_task *t)
{
	for (int i = 0; i < 2 * CW_PAD_DELIVERY_COUNT; i++) {
		int number = e->cap_base + e->cap_aux + CW_AUX_DELIVERY + e->next_delivery;

		e->next_delivery = (e->next_delivery + 1) % CW_PAD_DELIVERY_COUNT;
		if (!is_lent(e, i < CW_PAD_DELIVERY_COUNT ? NULL : t->proc, number))
			return number;
	}
	e->anew = true;
	return -EBUSY;
}

static uint64_t publish_addr(struct cw_engine *e, uint64_t region, const void *addr, size_t len)
{
	static const struct {
		uint64_t first, end, stride;
	} regions[] = {
		{CW_PAD_IN4, HALF(CW_PAD_IN4, CW_PAD_IN4_END), CW_PAD_IN_STRIDE},
		{HALF(CW_PAD_IN4, CW_PAD_IN4_END), CW_PAD_IN4_END, CW_PAD_IN_STRIDE},
		{CW_PAD_IN6, HALF(CW_PAD_IN6, CW_PAD_IN6_END), CW_PAD_IN_STRIDE},
		{HALF(CW_PAD_IN6, CW_PAD_IN6_END), CW_PAD_IN6_END, CW_PAD_IN_STRIDE},
		{CW_PAD_ABSTRACT, CW_PAD_ABSTRACT_END, CW_PAD_UN_STRIDE},
	};

	for (size_t i = 0; i < sizeof(regions) / sizeof(regions[0]); i++) {
		if (regions[i].first != region || len < 2 || len > regions[i].stride)
			continue;
		uint8_t slot[CW_PAD_UN_STRIDE] = {0};

		memcpy(slot, addr, len);
		for (uint64_t a = regions[i].first; a < regions[i].end; a += regions[i].stride) {
			uint8_t *p = at(e, a);

			/* the family, 0xffff while it is free, comes last */
			if (p[0] == 0xff && p[1] == 0xff) {
				memcpy(p + 2, slot + 2, regions[i].stride - 2);
				atomic_thread_fence(memory_order_release);
				*(volatile uint16_t *)(void *)p = (uint16_t)(slot[0] | slot[1] << 8);
				return a;
			}
			if (!memcmp(p, slot, regions[i].stride))
				return a;
		}
		/* where every inet address is permitted, so is every mixture of two: the slots go round */
		if (e->im.h->net == CW_NET_HOST && regions[i].stride == CW_PAD_IN_STRIDE &&
		    (slot[0] == 2 || slot[0] == 10)) {
			uint64_t n = (regions[i].end - regions[i].first) / CW_PAD_IN_STRIDE;

			for (uint64_t tried = 0; tried < n; tried++) {
				uint64_t a = regions[i].first + e->next_addr++ % n * CW_PAD_IN_STRIDE;

				if (at(e, a)[0] != slot[0] || is_awaited(e, a))
					continue;
				memcpy(at(e, a) + 2, slot + 2, CW_PAD_IN_STRIDE - 2);
				return a;
			}
			e->anew = true;
		}
	}
	return 0;
}

uint64_t cw_publish_addr(struct cw_engine *e, uint64_t region, const void *addr, size_t len)
{
	return e->published = publish_addr(e, region, addr, len);
}

static bool used(struct cw_engine *e, int slot)
{
	return e->slot_used[slot / 64] >> (slot % 64) & 1;
}

/* Enough neighbouring slots for `bytes` behind the frame; their number is (bytes + DATA) / STRIDE, rounded up. */
int cw_slot_take(struct cw_engine *e, size_t bytes)
{
	int n = (int)((bytes + CW_PAD_SLOT_DATA + CW_PAD_SLOT_STRIDE - 1) / CW_PAD_SLOT_STRIDE);
	int total = (int)SLOTS;

	if (n > total)
		return -1;
	for (int tried = 0, s = e->slot_hint; tried < total; tried++, s++) {
		if (s + n > total) {
			tried += total - s;
			s = 0;
			if (tried >= total + n)
				break;
		}
		int free_run = 0;

		while (free_run < n && !used(e, s + free_run))
			free_run++;
		if (free_run < n)
			continue;
		for (int i = s; i < s + n; i++)
			e->slot_used[i / 64] |= UINT64_C(1) << (i % 64);
		e->slot_hint = n == 1 ? s : 0;
		return s;
	}
	return -1;
}

void cw_slot_free(struct cw_engine *e, struct cw_task *t)
{
	if (t->slot < 0)
		return;
	for (int i = t->slot; i < t->slot + t->slots; i++)
		e->slot_used[i / 64] &= ~(UINT64_C(1) << (i % 64));
	if (t->slot < e->slot_hint)
		e->slot_hint = t->slot;
	t->slot = -1;
	t->slots = 0;
}

uint64_t cw_slot_address(int slot)
{
	return CW_PAD_SLOT + (uint64_t)slot * CW_PAD_SLOT_STRIDE;
}

/*
 * `syscall` followed by nothing but `xor r32,r32` and `ret` in the vdso (compilers clear call-clobbered registers at the
 * end of clock_getres, -fzero-call-used-regs): with it the pad is mapped without a further stop. The vdso is the same
 * for every 64-bit process of a boot.
 */
long cw_vdso_gadget(void)
{
	const uint8_t *v = (const uint8_t *)getauxval(AT_SYSINFO_EHDR);

	if (!v)
		return -1;
	/* bounded by its own section headers' end: e_shoff + e_shnum * e_shentsize */
	uint64_t end;
	uint16_t num, size;

	memcpy(&end, v + 40, 8);
	memcpy(&num, v + 60, 2);
	memcpy(&size, v + 58, 2);
	if (end > 65536)
		return -1;
	end += (uint64_t)num * size;
	for (uint64_t i = 64; i + 32 < end; i++) {
		if (v[i] != 0x0f || v[i + 1] != 0x05)
			continue;
		uint64_t p = i + 2;

		while (p + 3 < end) {
			if (v[p] == 0xc3)
				return (long)i;
			if (v[p] == 0x31 && v[p + 1] >= 0xc0)
				p += 2;
			else if (v[p] == 0x45 && v[p + 1] == 0x31 && v[p + 2] >= 0xc0)
				p += 3;
			else
				break;
		}
	}
	return -1;
}
