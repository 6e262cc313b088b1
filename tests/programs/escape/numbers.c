/* Ways to make a call that a filter on the x86-64 numbers does not see, or takes for another. ARG 0: the path. */
#include "attack.h"

#include <sched.h>

/* int 0x80 takes 32-bit pointers. */
static char *low_path(void)
{
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	if (p == MAP_FAILED)
		untried("mmap MAP_32BIT: %s", strerror(errno));
	return strcpy(p, in_base("secret/file"));
}

static long int80(long nr, long a, long b, long c)
{
	long result;

	__asm__ volatile("int $0x80"
	                 : "=a"(result)
	                 : "a"(nr), "b"(a), "c"(b), "d"(c)
	                 : "memory", "r8", "r9", "r10", "r11");
	if (result < 0 && result > -4096) {
		errno = (int)-result;
		return -1;
	}
	return result;
}

static void int80_open(void)
{
	judge_read((int)int80(5, (long)low_path(), O_RDONLY, 0), "int 0x80 open");
}

static void int80_openat(void)
{
	judge_read((int)int80(295, AT_FDCWD, (long)low_path(), O_RDONLY), "int 0x80 openat");
}

/*
 * The same from 32-bit code, which any program may jump to (the descriptor table has a segment for it): what lies on one low
 * page is run there, first `call`, which makes the call, and back. The result is what eax holds then.
 */
static long from_32_bits(const char *path, const char *call, size_t n)
{
	enum { CODE = 0, BACK = 0x100, KEPT = 0x200, STACK = 0xf00 };
	uint8_t *page =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	int result;

	if (page == MAP_FAILED)
		untried("mmap MAP_32BIT: %s", strerror(errno));
	uint32_t at = (uint32_t)(uintptr_t)page,
		 words[] = {at + STACK, 5 /* open */, (uint32_t)(uintptr_t)path, 0, 0, 0};
	uint8_t *to = page + CODE;

	/* mov to esp, eax, ebx, ecx, edx and ebp; syscall has the second argument in ebp */
	static const uint8_t into[] = {0xbc, 0xb8, 0xbb, 0xb9, 0xba, 0xbd};
	for (size_t i = 0; i < sizeof(into); i++) {
		*to++ = into[i];
		memcpy(to, &words[i], 4);
		to += 4;
	}
	memcpy(to, call, n);
	to += n;
	*to++ = 0xea; /* ljmp $0x33, BACK */
	memcpy(to, &(uint32_t){at + BACK}, 4);
	memcpy(to + 4, "\x33\x00", 2);
	/* mov KEPT, %rsp; ret */
	memcpy(page + BACK, "\x48\x8b\x24\x25", 4);
	memcpy(page + BACK + 4, &(uint32_t){at + KEPT}, 4);
	page[BACK + 8] = 0xc3;
	__asm__ volatile("leaq -128(%%rsp), %%rsp\n\t"
	                 "pushq %%rbp\n\t"
	                 "pushq %%rbx\n\t"
	                 "leaq 1f(%%rip), %%rax\n\t"
	                 "pushq %%rax\n\t"
	                 "movq %%rsp, 0x200(%%rcx)\n\t"
	                 "pushq $0x23\n\t" /* __USER32_CS */
	                 "pushq %%rcx\n\t"
	                 "lretq\n"
	                 "1:\tpopq %%rbx\n\t"
	                 "popq %%rbp\n\t"
	                 "leaq 128(%%rsp), %%rsp"
	                 : "=a"(result), "+c"(page)
	                 :
	                 : "memory", "cc", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15");
	if (result < 0 && result > -4096) {
		errno = -result;
		return -1;
	}
	return result;
}

static void far_int80(void)
{
	judge_read((int)from_32_bits(low_path(), "\xcd\x80", 2), "int 0x80 from 32-bit code");
}

/* It comes back in the 32-bit vdso, which a 64-bit program has none of: who made it dies, and leaves what was opened. */
static void far_syscall(void)
{
	int next = need(dup(0), "dup"), status;

	close(next);
	pid_t child = need(syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0), "clone");

	if (!child) {
		from_32_bits(low_path(), "\x0f\x05", 2);
		_exit(0);
	}
	status = reap(child);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGILL)
		untried("this processor has no syscall in 32-bit code");
	if (fcntl(next, F_GETFD) < 0)
		refused("syscall from 32-bit code");
	judge_read(next, "syscall from 32-bit code");
}

static void int80_unlink(void)
{
	judge(int80(10, (long)low_path(), 0, 0), "int 0x80 unlink");
}

static void int80_getpid(void)
{
	judge(int80(20, 0, 0, 0), "int 0x80 getpid");
}

static void x32_open(void)
{
	judge_read((int)syscall(0x40000000 | SYS_open, in_base("secret/file"), O_RDONLY), "x32 open");
}

/* x32 numbers of calls that have their own there: execve, ioctl, sendmsg, ptrace ... */
static void x32_own_numbers(void)
{
	for (long nr = 512; nr < 548; nr++) {
		if (syscall(0x40000000 | nr, 0, 0, 0, 0, 0, 0) >= 0)
			escaped("x32 number %ld", nr);
		if (errno != ENOSYS && errno != EPERM)
			escaped("x32 number %ld: %s", nr, strerror(errno));
		/* Without the bit they once worked as well. */
		if (syscall(nr, 0, 0, 0, 0, 0, 0) >= 0)
			escaped("number %ld", nr);
	}
	errno = ENOSYS;
	refused("each of them");
}

static void upper_half_number(void)
{
	judge_read((int)syscall(0x100000000l | SYS_open, in_base("secret/file"), O_RDONLY), "0x100000002");
}

static void upper_half_number_mixed(void)
{
	judge_read((int)syscall((long)(0xdeadbeef00000000ul | SYS_openat), AT_FDCWD, in_base("secret/file"), O_RDONLY),
	           "0xdeadbeef00000101");
}

static void upper_half_dirfd(void)
{
	judge_read((int)syscall(SYS_openat, 0x1ffffff9cul, in_base("secret/file"), O_RDONLY), "dirfd 0x1ffffff9c");
}

static void positive_at_fdcwd(void)
{
	judge_read((int)syscall(SYS_openat, 0xffffff9cul, in_base("secret/file"), O_RDONLY), "dirfd 0xffffff9c");
}

static void upper_half_flags(void)
{
	judge_read((int)syscall(SYS_openat, AT_FDCWD, in_base("secret/file"), 0x900000000ul, 0), "flags");
}

static void upper_half_write_flags(void)
{
	judge(syscall(SYS_openat, AT_FDCWD, in_base("ro/file"), 0x100000001ul, 0), "flags");
}

static void negative_numbers(void)
{
	static const long numbers[] = {-1, -2, -100, INT32_MIN, INT32_MAX, 0x7fffffff, (long)0x8000000000000002ul};

	/* The last is open(2) in its lower half. */
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		long result = syscall(numbers[i], in_base("secret/file"), 0, 0);
		if (result >= 0)
			judge_read((int)result, "a negative number");
	}
	errno = ENOSYS;
	refused("negative numbers");
}

/* No number that the kernel does not know may do anything, and none may end the run. */
static void unknown_numbers(void)
{
	for (long nr = 336; nr < 424; nr++)
		if (syscall(nr, in_base("secret/file"), 0, 0) >= 0)
			escaped("number %ld", nr);
	for (long nr = 480; nr < 2048; nr++)
		if (syscall(nr, in_base("secret/file"), 0, 0) >= 0)
			escaped("number %ld", nr);
	errno = ENOSYS;
	refused("unknown numbers");
}

const struct attack attacks[] = {
	{"int80-open", int80_open},
	{"int80-openat", int80_openat},
	{"int80-unlink", int80_unlink},
	{"int80-getpid", int80_getpid},
	{"far-int80", far_int80},
	{"far-syscall", far_syscall},
	{"x32-open", x32_open},
	{"x32-own-numbers", x32_own_numbers},
	{"upper-half-number", upper_half_number},
	{"upper-half-number-mixed", upper_half_number_mixed},
	{"upper-half-dirfd", upper_half_dirfd},
	{"positive-at-fdcwd", positive_at_fdcwd},
	{"upper-half-flags", upper_half_flags},
	{"upper-half-write-flags", upper_half_write_flags},
	{"negative-numbers", negative_numbers},
	{"unknown-numbers", unknown_numbers},
	{0},
};
