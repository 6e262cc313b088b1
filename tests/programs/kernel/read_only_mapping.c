/* What is mapped from a descriptor that was opened for reading cannot be written by any door of the process. */
#include "fact.h"

#include <sys/uio.h>

int main(void)
{
	int fd = (int)need(memfd_create("fact", MFD_CLOEXEC), "memfd_create");
	char path[32], byte = 'x';

	need(ftruncate(fd, (off_t)PAGE), "ftruncate");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int reader = (int)need(open(path, O_RDONLY | O_CLOEXEC), path);
	char *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, reader, 0);
	claim_error(mprotect(p, PAGE, PROT_READ | PROT_WRITE), EACCES);
	int memory = (int)need(open("/proc/self/mem", O_RDWR | O_CLOEXEC), "/proc/self/mem");
	claim_error(pwrite(memory, &byte, 1, (off_t)(uintptr_t)p), EIO);
	struct iovec local = {&byte, 1}, remote = {p, 1};
	claim_error(process_vm_writev(getpid(), &local, 1, &remote, 1, 0), EFAULT);
	/* That the doors are open at all. */
	char own = 0;
	remote.iov_base = &own;
	claim(process_vm_writev(getpid(), &local, 1, &remote, 1, 0) == 1, "process_vm_writev: %s", strerror(errno));
	claim(pwrite(memory, "y", 1, (off_t)(uintptr_t)&own) == 1 && own == 'y', "/proc/self/mem: %s", strerror(errno));
	claim(*p == 0, "and yet it was changed");
	return 0;
}
