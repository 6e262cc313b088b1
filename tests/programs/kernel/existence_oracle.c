/* Where Landlock denies to make names, EEXIST still comes before EACCES: it tells which names exist (rule 13). */
#include "../common/landlock.h"
#include "fact.h"

int main(void)
{
	need(mkdir("there", 0700), "mkdir");
	int ruleset = landlock_ruleset(LANDLOCK_ACCESS_FS_MAKE_DIR);
	if (ruleset < 0)
		lacks("Landlock: %s", strerror(errno));
	need(landlock_enter(ruleset), "landlock_restrict_self");
	claim_error(mkdir("there", 0700), EEXIST);
	claim_error(mkdir("absent", 0700), EACCES);
	return 0;
}
