/*
 * Under F_SEAL_FUTURE_WRITE alone, a memfd that is reopened, cut to nothing and grown again is full of zeros; with SHRINK,
 * GROW and SEAL beside it, none of that works (rule 4).
 */
#include "fact.h"

#include <linux/falloc.h>

int main(void)
{
	static const char ones[4096] = {[0 ... 4095] = '\377'}, zeros[4096];
	int fd = (int)need(memfd_create("fact", MFD_CLOEXEC | MFD_ALLOW_SEALING), "memfd_create");
	char path[32];

	need(write(fd, ones, sizeof(ones)), "write");
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE))
		lacks("F_SEAL_FUTURE_WRITE (Linux 5.1): %s", strerror(errno));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int reader = (int)need(open(path, O_RDONLY | O_CLOEXEC), path);
	char *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, reader, 0);

	int again = open(path, O_RDWR | O_CLOEXEC);
	claim_works(again);
	claim_error(pwrite(again, zeros, 1, 0), EPERM);
	claim(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0) == MAP_FAILED && errno == EPERM,
	      "it can be mapped for writing");
	claim_error(fallocate(again, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)PAGE), EPERM);
	claim_works(ftruncate(again, 0));
	claim_works(ftruncate(again, (off_t)PAGE));
	claim(!memcmp(p, zeros, PAGE), "regrown, it is not all zeros");

	claim_works(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
	claim_error(ftruncate(again, 0), EPERM);
	claim_error(ftruncate(again, (off_t)PAGE * 2), EPERM);
	claim_error(fallocate(again, 0, (off_t)PAGE, (off_t)PAGE), EPERM);
	claim_error(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
	return 0;
}
