/* rax that is set at the exec event is overwritten by execve's own result; set at the exit of execve it stays. */
#include "tracer.h"

static void body(void)
{
	need(execl("/proc/self/exe", "again", "again", NULL), "execl");
}

static void set_rax(pid_t child, unsigned long long value)
{
	struct user_regs_struct regs = registers(child);

	regs.rax = value;
	need(ptrace(PTRACE_SETREGS, child, 0, &regs), "PTRACE_SETREGS");
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		return 0;
	pid_t child = trace(body, PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);

	claim_event(child, PTRACE_EVENT_EXEC);
	set_rax(child, 77);
	need(ptrace(PTRACE_SYSCALL, child, 0, 0), "PTRACE_SYSCALL");
	int status = next(child);
	claim(WIFSTOPPED(status) && WSTOPSIG(status) == (SIGTRAP | 0x80), "status %#x, not the exit of execve", status);
	claim(registers(child).rax == 0, "rax is %lld at the exit of execve", registers(child).rax);
	set_rax(child, 77);
	/* The first instruction of a loader does not touch it: glibc's copies the stack pointer, musl's clears rbp. */
	need(ptrace(PTRACE_SINGLESTEP, child, 0, 0), "PTRACE_SINGLESTEP");
	status = next(child);
	claim(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP, "status %#x, not a step", status);
	claim(registers(child).rax == 77, "rax is %lld in the new program", registers(child).rax);
	go_on(child, 0);
	claim_ended(child);
	return 0;
}
