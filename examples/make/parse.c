#include "parse.h"

#include <stdlib.h>

/* Whether it is there yet when this is compiled is a matter of luck. */
#if __has_include("version.h")
#include "version.h"
#else
#define VERSION "unknown"
#endif

const char *version(void)
{
	return VERSION;
}

int parse(const char *text)
{
	return (int)strtol(text, NULL, 10);
}
