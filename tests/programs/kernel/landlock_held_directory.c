/* Landlock judges a lookup from an O_PATH descriptor by where it leads, whenever the descriptor was opened. */
#include "../common/landlock.h"
#include "fact.h"

int main(void)
{
	need(mkdir("inside", 0700), "mkdir");
	need(mkdir("outside", 0700), "mkdir");
	make_file("inside/file", "", 0600);
	make_file("outside/file", "", 0600);
	int inside = (int)need(open("inside", O_PATH | O_CLOEXEC), "inside");
	int outside = (int)need(open("outside", O_PATH | O_CLOEXEC), "outside");
	int ruleset = landlock_ruleset(LANDLOCK_ACCESS_FS_READ_FILE);
	if (ruleset < 0)
		lacks("Landlock: %s", strerror(errno));
	need(landlock_permit(ruleset, "inside", LANDLOCK_ACCESS_FS_READ_FILE), "landlock_add_rule");
	need(landlock_enter(ruleset), "landlock_restrict_self");
	claim_works(openat(inside, "file", O_RDONLY));
	claim_error(openat(outside, "file", O_RDONLY), EACCES);
	return 0;
}
