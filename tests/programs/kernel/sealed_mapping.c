/* A mapping under mseal(2) cannot be moved, replaced or removed, and yet MADV_DONTFORK keeps it from a child (rule 3). */
#include "fact.h"

#define ADVISE_SYSCALL 440
#define MSEAL_SYSCALL 462

/* What a child finds at `p`: whether it can map memory of its own there. */
static void child_maps(char *p)
{
	pid_t child = (pid_t)need(fork(), "fork");

	if (!child) {
		claim(mmap(p, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) ==
		              p,
		      "the child has it: %s", strerror(errno));
		_exit(0);
	}
	join(child);
}

int main(int argc, char **argv)
{
	int fd = (int)need(memfd_create("fact", MFD_CLOEXEC), "memfd_create");

	need(ftruncate(fd, (off_t)PAGE), "ftruncate");
	char *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	if (syscall(MSEAL_SYSCALL, p, PAGE, 0))
		lacks("mseal (Linux 6.10): %s", strerror(errno));
	claim_error(munmap(p, PAGE), EPERM);
	claim_error(mprotect(p, PAGE, PROT_NONE), EPERM);
	claim(mremap(p, PAGE, 2 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED && errno == EPERM, "mremap: %s", strerror(errno));
	claim(mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED && errno == EPERM,
	      "MAP_FIXED: %s", strerror(errno));
	if (argc > 1 && !strcmp(argv[1], "process_madvise")) {
		struct iovec {
			void *base;
			size_t length;
		} range = {p, PAGE};
		int self = (int)need(syscall(SYS_pidfd_open, getpid(), 0), "pidfd_open");

		if (syscall(ADVISE_SYSCALL, self, &range, 1, MADV_DONTFORK, 0) < 0)
			lacks("process_madvise(MADV_DONTFORK) of oneself (Linux 6.13): %s", strerror(errno));
	} else {
		claim_works(madvise(p, PAGE, MADV_DONTFORK));
	}
	child_maps(p);
	return 0;
}
