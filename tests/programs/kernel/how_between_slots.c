/* Two harmless open_hows packed back to back hold harmful ones at odd offsets: they have no RESOLVE flag (rule 1). */
#include "fact.h"

int main(void)
{
	static const struct how packed[2] = {{.flags = O_CLOEXEC, .resolve = 0xa}, {.resolve = 0xa}};
	const char *bytes = (const char *)packed;

	need(mkdir("granted", 0700), "mkdir");
	make_file("secret", "secret", 0600);
	int dir = (int)need(open("granted", O_PATH | O_CLOEXEC), "open");
	for (size_t i = 0; i < ARRAY_SIZE(packed); i++)
		claim_error(openat2_(dir, "../secret", &packed[i], sizeof(packed[i])), EXDEV);
	claim_works(openat2_(dir, "../secret", bytes + 14, sizeof(packed[0])));
	claim_works(openat2_(dir, "../secret", bytes + 15, sizeof(packed[0])));
	return 0;
}
