/* A MAP_GROWSDOWN mapping above the pad's address grows into it by a page fault, without any call (rule 2). */
#include "fact.h"
#include "../../../rewriters/pad.h"

int main(void)
{
	char *top = (char *)CW_PAD_END + 0x100000;
	unsigned char resident[1];

	if (mmap(top, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE,
	         -1, 0) != top)
		ends(2, "mmap: %s", strerror(errno));
	claim_error(mincore((void *)CW_PAD_BASE, PAGE, resident), ENOMEM);
	/* Where it does not grow so far, this is a SIGSEGV. */
	for (char *p = top; p >= (char *)CW_PAD_BASE; p -= PAGE)
		*(volatile char *)p = 1;
	claim_works(mincore((void *)CW_PAD_BASE, PAGE, resident));
	return 0;
}
