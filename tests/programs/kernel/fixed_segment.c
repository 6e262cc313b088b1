/* The kernel maps a program where its segments say, also over the pad's address, before anybody sees it run (rule 2). */
#include "fact.h"
#include "../../../rewriters/pad.h"

int main(void)
{
	const uintptr_t here = (uintptr_t)&main;

	claim(here >= CW_PAD_BASE && here < CW_PAD_END, "the program lies at %#lx", here);
	return 0;
}
