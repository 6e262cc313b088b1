/*
 * The capability descriptors, as the attacks on them see them: numbers.
 *
 * ARG 0 "standin" is the native half, which has no capabilities: descriptors 900 and 901 stand in for them.
 */
#ifndef CAPABILITIES_H
#define CAPABILITIES_H

#include "attack.h"

#define LAST 2304 /* beyond the table that the harness allows, raised by all capabilities */
#define STANDIN 900

static const char *outside[4];

static inline int standing_in(void)
{
	return has_argument(0) && !strcmp(argument(0), "standin");
}

static inline void prepare(void)
{
	outside[0] = in_base("secret/file");
	outside[1] = "../secret/file";
	char *up;
	if (asprintf(&up, "../../../../../../../../../../../..%s", outside[0]) < 0)
		untried("out of memory");
	outside[2] = up;
	if (!standing_in())
		return;
	int dir = need(open(in_base("work"), O_PATH | O_DIRECTORY), "open work");
	need(dup2(dir, STANDIN), "dup2");
	need(dup2(dir, STANDIN + 1), "dup2");
	close(dir);
}

#endif
