#include "parse.h"

#include <stdio.h>

int main(int argc, char **argv)
{
	int sum = 0;

	for (int i = 1; i < argc; i++)
		sum += parse(argv[i]);
	printf("calc %s: %d\n", version(), sum);
	return 0;
}
