/* Landlock knows rights to remove and make names for whole directories only: for one name it must be coarse (rule 7). */
#include "../common/landlock.h"
#include "fact.h"

int main(void)
{
	need(mkdir("d", 0700), "mkdir");
	make_file("d/granted", "", 0600);
	make_file("d/other", "", 0600);
	make_file("outside", "", 0600);
	int ruleset = landlock_ruleset(LANDLOCK_ACCESS_FS_REMOVE_FILE);
	if (ruleset < 0)
		lacks("Landlock: %s", strerror(errno));
	claim_error(landlock_permit(ruleset, "d/granted", LANDLOCK_ACCESS_FS_REMOVE_FILE), EINVAL);
	claim_works(landlock_permit(ruleset, "d", LANDLOCK_ACCESS_FS_REMOVE_FILE));
	int dir = (int)need(open("d", O_PATH | O_CLOEXEC), "d");
	need(landlock_enter(ruleset), "landlock_restrict_self");
	claim_error(unlink("outside"), EACCES);
	claim_works(unlinkat(dir, "other", 0));
	return 0;
}
