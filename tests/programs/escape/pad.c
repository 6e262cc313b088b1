/* The pad: getting memory of one's own to its address by asking for it, or its mapping to change. */
#include "standin.h"

#include <sys/shm.h>
#include <sys/uio.h>

static void do_write(void)
{
	if (has_argument(0))
		if (mmap(BASE, CW_PAD_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
		    BASE)
			untried("mmap");
	judge_pad("write");
}

static void do_mprotect(void)
{
	prepare();
	mprotect(BASE, CW_PAD_SIZE, PROT_READ | PROT_WRITE);
	mprotect((void *)((uintptr_t)HOWS & ~(PAGE - 1)), PAGE, PROT_READ | PROT_WRITE);
	judge_pad("mprotect");
}

static void do_mprotect_from_below(void)
{
	prepare();
	if (mmap(BASE - 16 * PAGE, 16 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) ==
	            MAP_FAILED &&
	    has_argument(0))
		untried("mmap below");
	mprotect(BASE - 16 * PAGE, CW_PAD_SIZE + 16 * PAGE, PROT_READ | PROT_WRITE);
	judge_pad("mprotect from below");
}

static void do_pkey_mprotect(void)
{
	prepare();
	syscall(SYS_pkey_mprotect, BASE, (size_t)CW_PAD_SIZE, PROT_READ | PROT_WRITE, -1);
	judge_pad("pkey_mprotect");
}

static void take(void *address, size_t size, int flags)
{
	void *got = mmap(address, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	if (got != MAP_FAILED && got != address)
		munmap(got, size);
}

static void do_map_over(void)
{
	prepare();
	take(BASE, CW_PAD_SIZE, MAP_FIXED);
	judge_pad("mmap MAP_FIXED");
}

static void do_map_page_over(void)
{
	prepare();
	take((void *)CW_PAD_HOW_RO, PAGE, MAP_FIXED);
	judge_pad("mmap MAP_FIXED of a page");
}

static void do_map_across(void)
{
	prepare();
	take(BASE - 256 * PAGE, CW_PAD_SIZE + 512 * PAGE, MAP_FIXED);
	judge_pad("mmap MAP_FIXED from below to above");
}

static void do_unmap(void)
{
	prepare();
	munmap(BASE, CW_PAD_SIZE);
	take(BASE, CW_PAD_SIZE, 0);
	judge_pad("munmap and a hint");
}

static void do_unmap_across(void)
{
	prepare();
	munmap(BASE - 256 * PAGE, CW_PAD_SIZE + 512 * PAGE);
	take(BASE, CW_PAD_SIZE, MAP_FIXED_NOREPLACE);
	judge_pad("munmap from below");
}

/* addr + len wraps, or lies beyond what user space has: such a sum must not fool a comparison. */
static void do_wrapping(void)
{
	prepare();
	munmap(BASE, (size_t)-CW_PAD_BASE);
	munmap(BASE - PAGE, (size_t)-PAGE);
	mprotect(BASE - PAGE, (size_t)0 - PAGE, PROT_READ | PROT_WRITE);
	/* From far below; not from so far that a program at a fixed address takes itself away. */
	munmap((void *)0x60000000, CW_PAD_END - 0x60000000);
	take(BASE, CW_PAD_SIZE, MAP_FIXED_NOREPLACE);
	judge_pad("wrapping lengths");
}

static void do_remap_onto(void)
{
	prepare();
	char *own = mmap(NULL, CW_PAD_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mremap(own, CW_PAD_SIZE, CW_PAD_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, BASE);
	judge_pad("mremap onto it");
}

static void do_remap_away(void)
{
	prepare();
	if (mremap(BASE, CW_PAD_SIZE, CW_PAD_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)0x100000000) == MAP_FAILED)
		mremap(BASE + 2 * PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE);
	take(BASE, CW_PAD_SIZE, MAP_FIXED_NOREPLACE);
	judge_pad("mremap away");
}

static void do_remap_shrink(void)
{
	prepare();
	mremap(BASE, CW_PAD_SIZE, PAGE, 0);
	take(BASE + PAGE, CW_PAD_SIZE - PAGE, MAP_FIXED_NOREPLACE);
	judge_pad("mremap shrinking");
}

/* In a child of a mapping that is not inherited, the address is free. */
static _Noreturn void in_child(const char *what)
{
	pid_t child = need(fork(), "fork");

	if (!child) {
		take(BASE, CW_PAD_SIZE, MAP_FIXED_NOREPLACE);
		judge_pad(what);
	}
	_exit(WEXITSTATUS(reap(child)));
}

static void do_dontfork(void)
{
	prepare();
	madvise(BASE, CW_PAD_SIZE, MADV_DONTFORK);
	in_child("MADV_DONTFORK");
}

static void do_dontfork_across(void)
{
	prepare();
	madvise(BASE - 16 * PAGE, CW_PAD_SIZE + 64 * PAGE, MADV_DONTFORK);
	in_child("MADV_DONTFORK from below");
}

static void do_process_madvise(void)
{
	struct iovec range = {BASE, CW_PAD_SIZE};

	prepare();
	int fd = must(syscall(SYS_pidfd_open, getpid(), 0), "pidfd_open");
	syscall(SYS_process_madvise, fd, &range, 1, MADV_DONTFORK, 0);
	in_child("process_madvise");
}

static void do_wipeonfork(void)
{
	prepare();
	/* Private memory only: natively shown on such. */
	if (has_argument(0))
		take(BASE, CW_PAD_SIZE, MAP_FIXED);
	madvise(BASE, CW_PAD_SIZE, MADV_WIPEONFORK);
	in_child("MADV_WIPEONFORK");
}

static void do_remove(void)
{
	prepare();
	madvise(BASE, CW_PAD_SIZE, MADV_DONTNEED);
	if (madvise(BASE, CW_PAD_SIZE, MADV_REMOVE) && has_argument(0)) {
		mprotect(BASE, CW_PAD_SIZE, PROT_READ | PROT_WRITE);
		madvise(BASE, CW_PAD_SIZE, MADV_REMOVE);
	}
	judge_pad("MADV_REMOVE");
}

static void do_shmat(void)
{
	prepare();
	int id = need(shmget(IPC_PRIVATE, CW_PAD_SIZE, 0600), "shmget");
	shmat(id, BASE, SHM_REMAP);
	shmat(id, BASE + PAGE, SHM_REMAP | SHM_RND);
	shmctl(id, IPC_RMID, NULL);
	judge_pad("shmat");
}

static void do_remap_file_pages(void)
{
	prepare();
	if (has_argument(0))
		mprotect(BASE, CW_PAD_SIZE, PROT_READ | PROT_WRITE);
	/* The last page, all of whose slots are free, over the first hows. */
	syscall(SYS_remap_file_pages, BASE, PAGE, 0, (CW_PAD_SLOT - CW_PAD_BASE) / PAGE, 0);
	syscall(SYS_remap_file_pages, CW_PAD_HOW_RO, PAGE, 0, (CW_PAD_SLOT - CW_PAD_BASE) / PAGE, 0);
	judge_pad("remap_file_pages");
}

static void do_proc_mem(void)
{
	prepare();
	int fd = must(open("/proc/self/mem", O_RDWR), "/proc/self/mem");
	static const char zeroes[24];
	if (has_argument(0))
		take(BASE, CW_PAD_SIZE, MAP_FIXED), mprotect(BASE, CW_PAD_SIZE, PROT_READ);
	pwrite(fd, zeroes, sizeof(zeroes), CW_PAD_HOW_RO) < 0 ? (void)0 : (void)1;
	judge_pad("/proc/self/mem");
}

static void do_writev(void)
{
	static char zeroes[24];
	struct iovec local = {zeroes, sizeof(zeroes)}, remote = {HOWS, sizeof(zeroes)};

	prepare();
	if (has_argument(0))
		mprotect(BASE, CW_PAD_SIZE, PROT_READ | PROT_WRITE);
	process_vm_writev(getpid(), &local, 1, &remote, 1, 0);
	judge_pad("process_vm_writev");
}

const struct attack attacks[] = {
	{"write", do_write},
	{"mprotect", do_mprotect},
	{"mprotect-from-below", do_mprotect_from_below},
	{"pkey-mprotect", do_pkey_mprotect},
	{"map-over", do_map_over},
	{"map-page-over", do_map_page_over},
	{"map-across", do_map_across},
	{"unmap", do_unmap},
	{"unmap-across", do_unmap_across},
	{"wrapping", do_wrapping},
	{"remap-onto", do_remap_onto},
	{"remap-away", do_remap_away},
	{"remap-shrink", do_remap_shrink},
	{"dontfork", do_dontfork},
	{"dontfork-across", do_dontfork_across},
	{"process-madvise", do_process_madvise},
	{"wipeonfork", do_wipeonfork},
	{"remove", do_remove},
	{"shmat", do_shmat},
	{"remap-file-pages", do_remap_file_pages},
	{"proc-mem", do_proc_mem},
	{"process-vm-writev", do_writev},
	{0},
};
