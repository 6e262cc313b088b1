#ifndef GREET_H
#define GREET_H

#define GREETING "hello"

void greet(const char *whom);

#endif
