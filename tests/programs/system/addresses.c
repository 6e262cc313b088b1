/* More addresses than there is room for: of the same place with other padding, of many places, and at last of none. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int many = argc > 1 && !strcmp(argv[1], "many"), wrong = 0;
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	for (int i = 0; i < 300; i++) {
		struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

		a.sin_port = htons((uint16_t)(many ? 2000 + i : 9));
		memset(a.sin_zero, i, sizeof(a.sin_zero));
		if (connect(fd, (void *)&a, sizeof(a)) && !wrong++)
			printf("address %d: %s\n", i, strerror(errno));
	}
	printf("%d of 300 wrong\n", wrong);
	printf("none: %s\n", connect(fd, &none, sizeof(none)) ? strerror(errno) : "good");
	return 0;
}
