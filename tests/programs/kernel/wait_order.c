/*
 * Of several threads that have stopped, a wait for any names one by an order of its own, however long the others have waited:
 * whoever stops again at once is named again.
 */
#include "tracer.h"

#define CHILDREN 3
#define ROUNDS 20

static void body(void)
{
	for (;;)
		raise(SIGUSR1);
}

static pid_t first_named(void)
{
	siginfo_t info = {0};

	need(waitid(P_ALL, 0, &info, WSTOPPED | WEXITED | WNOWAIT | WNOHANG | __WALL), "waitid");
	return info.si_pid;
}

int main(void)
{
	pid_t child[CHILDREN];

	for (int i = 0; i < CHILDREN; i++)
		child[i] = trace(body, PTRACE_O_EXITKILL);
	for (int i = 0; i < CHILDREN; i++)
		await_state(child[i], 't');
	pid_t first = first_named();

	claim(first == child[0] || first == child[CHILDREN - 1], "neither the oldest nor the youngest is named");
	for (int i = 0; i < ROUNDS; i++) {
		go_on(first, 0);
		await_state(first, 't');
		claim(first_named() == first, "another one is named in round %d", i);
	}
	for (int i = 0; i < CHILDREN; i++)
		need(kill(child[i], SIGKILL), "kill");
	return 0;
}
