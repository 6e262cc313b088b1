/* Zeros are the most powerful how of all, and all ones are none: so free slots hold ones (rule 1). */
#include "fact.h"

int main(void)
{
	struct how how = {0};

	need(mkdir("granted", 0700), "mkdir");
	make_file("secret", "secret", 0600);
	int dir = (int)need(open("granted", O_PATH | O_CLOEXEC), "open");
	claim_works(openat2_(dir, "../secret", &how, sizeof(how)));
	claim_works(openat2_(dir, "/", &how, sizeof(how)));
	memset(&how, 0xff, sizeof(how));
	claim_error(openat2_(dir, "../secret", &how, sizeof(how)), EINVAL);
	return 0;
}
