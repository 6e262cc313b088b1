/* A stop that waitid(WNOWAIT) told of can be gone on from without being taken, and is then not told of again. */
#include "tracer.h"

static int gate[2];

static void body(void)
{
	char byte;

	raise(SIGUSR1);
	need(read(gate[0], &byte, 1), "read");
}

int main(void)
{
	siginfo_t info;

	need(pipe2(gate, O_CLOEXEC), "pipe2");
	pid_t child = trace(body, PTRACE_O_EXITKILL);
	for (int i = 0; i < 2; i++) {
		memset(&info, 0, sizeof(info));
		need(waitid(P_PID, (id_t)child, &info, WSTOPPED | WEXITED | WNOWAIT | __WALL), "waitid");
		claim(info.si_pid == child && info.si_code == CLD_TRAPPED && info.si_status == SIGUSR1,
		      "look %d: pid %d, code %d, status %d", i, info.si_pid, info.si_code, info.si_status);
	}
	claim_works(ptrace(PTRACE_CONT, child, 0, 0));
	memset(&info, 0, sizeof(info));
	need(waitid(P_PID, (id_t)child, &info, WSTOPPED | WEXITED | WNOHANG | __WALL), "waitid");
	claim(info.si_pid == 0, "it is told of again: code %d, status %d", info.si_code, info.si_status);
	need(write(gate[1], "x", 1), "write");
	claim_ended(child);
	return 0;
}
