/* `without_landlock COMMAND [ARG]...`: runs COMMAND as where Landlock was not enabled at boot (landlock(7)). */
#include "filtered.h"

#define FIRST 444 /* landlock_create_ruleset, landlock_add_rule, landlock_restrict_self */
#define LAST 446

int main(int argc, char **argv)
{
	return run_without(FIRST, LAST, EOPNOTSUPP, argc, argv);
}
