#include "greet.h"

#include <stdio.h>

void greet(const char *whom)
{
	printf("%s, %s\n", GREETING, whom);
}
