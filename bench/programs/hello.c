/* What the compiler rows compile. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
	printf("hello, world\n");
	return EXIT_SUCCESS;
}
