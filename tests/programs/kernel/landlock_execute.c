/* Landlock asks for READ_FILE beside EXECUTE where a program is executed. */
#include "../common/landlock.h"
#include "fact.h"

static int run(uint64_t access)
{
	int status;
	pid_t child = (pid_t)need(fork(), "fork");

	if (!child) {
		int ruleset = landlock_ruleset(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE);
		need(landlock_permit(ruleset, "/", access), "landlock_add_rule");
		need(landlock_enter(ruleset), "landlock_restrict_self");
		execl("/proc/self/exe", "again", "again", NULL);
		_exit(errno);
	}
	need(waitpid(child, &status, 0), "waitpid");
	claim(WIFEXITED(status), "status %#x", status);
	return WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		return 0;
	if (landlock_ruleset(LANDLOCK_ACCESS_FS_EXECUTE) < 0)
		lacks("Landlock: %s", strerror(errno));
	int both = run(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE);
	claim(both == 0, "with both: %s", strerror(both));
	int alone = run(LANDLOCK_ACCESS_FS_EXECUTE);
	claim(alone == EACCES, "with EXECUTE alone: %s", strerror(alone));
	return 0;
}
