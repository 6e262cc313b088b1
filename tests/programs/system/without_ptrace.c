/* `without_ptrace COMMAND [ARG]...`: runs COMMAND as in a container of a profile that denies ptrace. */
#include "filtered.h"

int main(int argc, char **argv)
{
	return run_without(SYS_ptrace, SYS_ptrace, EPERM, argc, argv);
}
