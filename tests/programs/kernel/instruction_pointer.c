/* A seccomp program sees from which instruction a call is made: the address behind it, which one place alone can have. */
#include "fact.h"
#include "../common/bpf.h"

extern const char behind[];

__attribute__((noinline, noclone)) static long from_there(void)
{
	long result;

	__asm__ volatile("syscall\n.globl behind\nbehind:"
	                 : "=a"(result)
	                 : "a"((long)SYS_getppid)
	                 : "rcx", "r11", "memory");
	return result;
}

int main(void)
{
	const uint64_t at = (uint64_t)(uintptr_t)behind;
	const struct sock_filter code[] = {
		LOAD(nr),
		IF_NOT(SYS_getppid, 5),
		LOAD(instruction_pointer),
		IF_NOT((uint32_t)at, 2),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(at >> 32), 1, 0),
		RETURN(SECCOMP_RET_ERRNO | 77),
		RETURN(SECCOMP_RET_ALLOW),
	};
	long parent = getppid();

	need(install_program(code, ARRAY_SIZE(code), 0), "seccomp");
	claim(from_there() == parent, "from the place that is let through: %ld", from_there());
	claim_error(syscall(SYS_getppid), 77);
	return 0;
}
