/* The pad: what the kernel places or grows. */
#include "standin.h"

#include <sys/prctl.h>

/* The heap's end just below the pad, if prctl lets it be put there; then the heap grows. Not with a PIE. */
static void do_set_mm(void)
{
	uint64_t v[52] = {0}, map[13];
	FILE *f = fopen("/proc/self/stat", "r");

	/* Where there is no /proc, zeroes do: it is by registers that the call has to be refused. */
	if (f && fscanf(f, "%*d (%*[^)]) %*c") == 0)
		for (int i = 4; i < 52 && fscanf(f, "%ld", (long *)&v[i]) == 1; i++)
			;
	const uint64_t end = CW_PAD_BASE - 16 * PAGE;
	const uint64_t want[13] = {
		v[26], v[27], v[45], v[46], end, end, v[28], v[48], v[49], v[50], v[51], 0, 0xffffffff00000000};
	memcpy(map, want, sizeof(map));
	must(prctl(PR_SET_MM, PR_SET_MM_MAP, map, sizeof(map), 0), "PR_SET_MM_MAP");
	syscall(SYS_brk, CW_PAD_END);
	judge_pad("brk");
}

static void do_vdso(void)
{
	char line[256];
	unsigned long from, to;
	FILE *maps = fopen("/proc/self/maps", "r");

	prepare();
	if (has_argument(0))
		munmap(BASE, CW_PAD_SIZE);
	/* There may be one only: away with it and with its data. */
	while (maps && fgets(line, sizeof(line), maps))
		if (strstr(line, "[v") && !strstr(line, "[vsyscall]") && sscanf(line, "%lx-%lx", &from, &to) == 2)
			munmap((void *)from, to - from);
	/* Where it lands is memory that the program did not write: that it lands at all is the point. */
	if (syscall(SYS_arch_prctl, 0x2003, CW_PAD_BASE) >= 0)
		escaped("ARCH_MAP_VDSO_64");
	refused("ARCH_MAP_VDSO_64");
}

static void do_huge(void)
{
	size_t low = 0, high = (size_t)1 << 47;

	/* The largest mapping that there is room for: it begins below the pad unless something lies there. */
	while (high - low > PAGE) {
		size_t middle = (low + (high - low) / 2) & ~(PAGE - 1);
		void *p = mmap(NULL, middle, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (p == MAP_FAILED) {
			high = middle;
			continue;
		}
		if ((char *)p <= BASE && (char *)p + middle >= (char *)CW_PAD_END)
			escaped("a mapping of %zu bytes covers it", middle);
		munmap(p, middle);
		low = middle;
	}
	held("ENOMEM the largest mapping lies elsewhere");
}

static void do_grow_down(void)
{
	char *top = (char *)CW_PAD_END + 0x100000;
	char *p = mmap(top, PAGE, PROT_READ | PROT_WRITE,
	               MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0);

	if (p != top)
		refused("MAP_GROWSDOWN");
	signal(SIGSEGV, fault);
	signal(SIGBUS, fault);
	/* Its own stack is the one that grows: a handler must have another. */
	static char room[65536];
	const stack_t stack = {.ss_sp = room, .ss_size = sizeof(room)};
	sigaltstack(&stack, NULL);
	if (sigsetjmp(back, 1))
		held("EFAULT it does not grow that far");
	for (p = top; p > HOWS; p -= PAGE / 2)
		*(volatile char *)p = 0;
	judge_pad("MAP_GROWSDOWN");
}

/* Where the CPU can ignore a pointer's top bits, the kernel does so after the program has looked at them. */
static void do_tagged(void)
{
	prepare();
	must(syscall(SYS_arch_prctl, 0x4002 /* ARCH_ENABLE_TAGGED_ADDR */, 6), "ARCH_ENABLE_TAGGED_ADDR");
	munmap((void *)((1ul << 57) | CW_PAD_BASE), CW_PAD_SIZE);
	mprotect((void *)((1ul << 57) | CW_PAD_BASE), CW_PAD_SIZE, PROT_READ | PROT_WRITE);
	mmap(BASE, CW_PAD_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	judge_pad("a tagged address");
}

static void do_shadow_stack(void)
{
	prepare();
	if (has_argument(0))
		munmap(BASE, CW_PAD_SIZE);
	if (syscall(453, CW_PAD_BASE, 4096, 0) >= 0)
		escaped("map_shadow_stack");
	refused("map_shadow_stack");
}

const struct attack attacks[] = {
	{"set-mm", do_set_mm},
	{"vdso", do_vdso},
	{"huge", do_huge},
	{"grow-down", do_grow_down},
	{"tagged", do_tagged},
	{"shadow-stack", do_shadow_stack},
	{0},
};
