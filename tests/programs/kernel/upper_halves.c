/* Call numbers and descriptors are the low 32 bits of their registers, whatever stands above (rule 6). */
#include "../common/bpf.h"
#include "tracer.h"

#define HIGH 0x100000000ul

static void body(void)
{
	long result;

	need(install_for(SYS_getppid, SECCOMP_RET_TRACE, 0), "seccomp");
	__asm__ volatile("syscall" : "=a"(result) : "a"(HIGH | SYS_getppid) : "rcx", "r11", "memory");
	claim(result == getppid(), "getppid: %ld", result);
}

int main(void)
{
	int fd = (int)need(open(".", O_RDONLY | O_DIRECTORY), ".");

	need(dup2(fd, 900), "dup2");
	claim_works(syscall(SYS_close, HIGH | 900));
	claim_error(fcntl(900, F_GETFD), EBADF);

	pid_t child = trace(body, PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL);
	claim_event(child, PTRACE_EVENT_SECCOMP);
	/* The tracer gets all 64 bits of what the kernel takes 32 of. */
	claim(registers(child).orig_rax == (HIGH | SYS_getppid), "orig_rax is %#llx", registers(child).orig_rax);
	go_on(child, 0);
	claim_event(child, PTRACE_EVENT_SECCOMP); /* of the one that compares */
	go_on(child, 0);
	claim_ended(child);
	return 0;
}
