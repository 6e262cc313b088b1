/* MAP_FIXED_NOREPLACE fails where anything lies in the range: mapping the pad so is the check that it is free (rule 2). */
#include "fact.h"
#include "../../../rewriters/pad.h"

static void *map(size_t size)
{
	return mmap((void *)CW_PAD_BASE, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

int main(void)
{
	char *last = (char *)CW_PAD_BASE + CW_PAD_SIZE - PAGE;

	if (mmap(last, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != last)
		ends(2, "mmap: %s", strerror(errno));
	claim(map(CW_PAD_SIZE) == MAP_FAILED && errno == EEXIST, "it maps over the last page");
	need(munmap(last, PAGE), "munmap");
	claim(map(CW_PAD_SIZE) == (void *)CW_PAD_BASE, "it does not map where nothing is: %s", strerror(errno));
	claim(map(PAGE) == MAP_FAILED && errno == EEXIST, "it maps over itself");
	return 0;
}
