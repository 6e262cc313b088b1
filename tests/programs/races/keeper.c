/*
 * `keeper STATUS REPORT SECONDS COMMAND...`: runs COMMAND to its end, with descriptor REPORT as its 40, and tells on
 * descriptor STATUS how it ended and what it left behind.
 *
 * It is the subreaper of all that COMMAND starts: an orphan of whatever depth becomes its child, whether or not it
 * has cleared its environment, closed its descriptors or made a session of its own. So "no child" means that nothing is left.
 *
 *	ended=STATUS    wait status of COMMAND
 *	continued=N     how often COMMAND stopped and was continued
 *	left=N          how many orphans had not ended by themselves or been killed SECONDS after COMMAND
 *	hung=0|1        COMMAND had to be killed
 *	signals=MASK    signals that somebody sent to the keeper, which is none of the target's business
 */
#include "keep.h"

int main(int argc, char **argv)
{
	double limit, until;
	int status = -1, continued = 0, hung = 0, left, tell, report;
	sigset_t all, none, pending;
	pid_t command;

	if (argc < 5)
		return 2;
	tell = atoi(argv[1]);
	report = atoi(argv[2]);
	limit = atof(argv[3]);
	argv += 4;
	sigfillset(&all);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &all, NULL);
	/* ignored while it is blocked, it would stay pending */
	signal(SIGCHLD, SIG_DFL);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	command = fork();
	if (!command) {
		sigprocmask(SIG_SETMASK, &none, NULL);
		close(tell);
		if (report != REPORT) {
			dup2(report, REPORT);
			close(report);
		}
		execvp(argv[0], argv);
		fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
		_exit(125);
	}
	close(report);
	for (until = now() + limit;;) {
		pid_t pid = waitpid(command, &status, WNOHANG | WUNTRACED);

		if (pid == command && WIFSTOPPED(status)) {
			continued++;
			kill(command, SIGCONT);
			continue;
		}
		if (pid == command || pid < 0)
			break;
		if (now() > until && !hung) {
			hung = 1;
			show_tree((int)getpid(), 0);
			kill(command, SIGKILL);
			until = now() + 10;
		}
		poll(NULL, 0, 2);
	}
	left = nothing_left(limit);
	sigpending(&pending);
	sigdelset(&pending, SIGCHLD);
	unsigned long long mask = 0;

	for (int i = 1; i < 65; i++)
		if (sigismember(&pending, i) == 1)
			mask |= 1ull << (i - 1);
	dprintf(tell, "ended=%d continued=%d left=%d hung=%d signals=%llx\n", status, continued, left, hung, mask);
	return 0;
}
