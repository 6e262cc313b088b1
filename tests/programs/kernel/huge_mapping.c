/* Where nothing lies at the pad's address yet, mappings whose place the kernel chooses come to cover it (rule 2). */
#include "fact.h"
#include "../../../rewriters/pad.h"

int main(void)
{
	size_t low = 0, high = (size_t)1 << 47;

	/* The largest that there is room for: it reaches down to the bottom. */
	while (high - low > PAGE) {
		size_t middle = (low + (high - low) / 2) & ~(PAGE - 1);
		char *p =
			mmap(NULL, middle, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (p == MAP_FAILED) {
			high = middle;
			continue;
		}
		if (p <= (char *)CW_PAD_BASE && p + middle >= (char *)CW_PAD_END) {
			*(char *)CW_PAD_BASE = 1;
			return 0;
		}
		need(munmap(p, middle), "munmap");
		low = middle;
	}
	ends(1, "the largest mapping has %zu bytes and does not lie over %#x", low, CW_PAD_BASE);
}
