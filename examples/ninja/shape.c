#include <shape.h>

int corners(void)
{
	return SIDES;
}
