/* O_PATH descriptors take F_SETFD and close_range(CLOSE_RANGE_CLOEXEC), and so vanish at an exec; F_DUPFD takes the first
 * free number from the one that is asked for (rule 10). */
#include "fact.h"

#define CLOEXEC_FLAG 4

int main(int argc, char **argv)
{
	char numbers[2][16];

	if (argc > 1) {
		for (int i = 1; i < argc; i++)
			claim(fcntl(atoi(argv[i]), F_GETFD) < 0 && errno == EBADF, "%s is still open", argv[i]);
		return 0;
	}
	int one = (int)need(open(".", O_PATH), "."), other = (int)need(open(".", O_PATH), ".");
	int high = fcntl(one, F_DUPFD, 900);
	claim(high == 900, "F_DUPFD gave %d", high);
	close(900);
	claim_works(fcntl(one, F_SETFD, FD_CLOEXEC));
	claim_works(syscall(SYS_close_range, other, other, CLOEXEC_FLAG));
	snprintf(numbers[0], sizeof(numbers[0]), "%d", one);
	snprintf(numbers[1], sizeof(numbers[1]), "%d", other);
	need(execl("/proc/self/exe", "again", numbers[0], numbers[1], NULL), "execl");
}
