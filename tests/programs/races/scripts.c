/*
 * What an exec is given changes while it is decided: a directory on the way to a script, the argument vector, its strings.
 * ARG 0: how many rounds. Two threads attack, and the exec is made by a child, whose output is looked at.
 *
 * The interpreter of the scripts is this program. It knows no such attack, and says which.
 */
#include "attack.h"
#include "../../../rewriters/pad.h"

#include <pthread.h>
#include <sched.h>

#define ATTACKERS 2

static long rounds, done;
static int under_way;
static int status; /* of the last child */

static void begin(void *(*attacker)(void *))
{
	pthread_t thread;

	rounds = atol(argument(0));
	for (uintptr_t i = 0; i < ATTACKERS; i++)
		if (pthread_create(&thread, NULL, attacker, (void *)i))
			untried("pthread_create");
	while (__atomic_load_n(&under_way, __ATOMIC_SEQ_CST) < ATTACKERS)
		sched_yield();
}

/* What is said by a script that is run by `path`; "" where none was. */
static const char *run(const char *path, char *const argv[])
{
	static char text[1024];
	char *const envp[] = {NULL};
	size_t have = 0;
	ssize_t n;
	int ends[2];

	need(pipe2(ends, O_CLOEXEC), "pipe2");
	pid_t child = need(fork(), "fork");
	if (!child) {
		dup2(ends[1], 1);
		execve(path, argv, envp);
		_exit(6);
	}
	close(ends[1]);
	while (have < sizeof(text) - 1 && (n = read(ends[0], text + have, sizeof(text) - 1 - have)) > 0)
		have += (size_t)n;
	text[have] = 0;
	close(ends[0]);
	status = reap(child);
	return text;
}

/* carved/real, where a script lies, and carved/false, which leads to where another one does, denied. */
static void *exchange(void *unused)
{
	const char *real = in_base("carved/real"), *wrong = in_base("carved/false");

	(void)unused;
	__atomic_fetch_add(&under_way, 1, __ATOMIC_SEQ_CST);
	for (unsigned i = 0;; i++) {
		syscall(SYS_renameat2, AT_FDCWD, real, AT_FDCWD, wrong, 2);
		if (i % 7 == 0)
			sched_yield();
	}
	return NULL;
}

static void swapped_script(void)
{
	char *const argv[] = {(char *)"script", (char *)"none", (char *)"none", NULL};

	begin(exchange);
	for (const char *path = in_base("carved/real/script"); done < rounds; done++) {
		const char *said = run(path, argv);
		if (strstr(said, "no such attack") && !strstr(said, "granted"))
			escaped("after %ld rounds: %s", done, said);
	}
	held("none in %ld rounds", done);
}

/*
 * A script that the supervisor names the arguments for: where the vector is read, its end moves, and its members are of
 * the pad, of nobody's memory, and of one's own.
 */
static char *vector[64]; /* its last is the end */

static void *change(void *which)
{
	char *const members[] = {(char *)"member", (char *)0x7f040060, (char *)1,
	                         (char *)-1L,      (char *)CW_PAD_END, NULL};

	__atomic_fetch_add(&under_way, 1, __ATOMIC_SEQ_CST);
	for (unsigned i = (unsigned)(uintptr_t)which;; i++) {
		__atomic_store_n(&vector[1 + i % 62], members[i % ARRAY_SIZE(members)], __ATOMIC_SEQ_CST);
		if (i % 63 == 0)
			sched_yield();
	}
	return NULL;
}

/* Of the vector nothing is decided on: it is the interpreter and the script that stay the ones that were. */
static void changed_vector(void)
{
	vector[0] = (char *)"script";
	begin(change);
	for (const char *path = argument(1); done < rounds; done++) {
		const char *said = run(path, vector);
		if (*said && !strstr(said, "granted") && !strstr(said, "usage"))
			escaped("after %ld rounds: %s", done, said);
		if (!WIFEXITED(status))
			escaped("after %ld rounds: what was decided was killed", done);
	}
	held("none in %ld rounds", done);
}

const struct attack attacks[] = {
	{"swapped-script", swapped_script},
	{"changed-vector", changed_vector},
	{0},
};
