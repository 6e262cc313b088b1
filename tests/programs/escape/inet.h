/* Sockets of the attacks, and the ports that are named to them. */
#ifndef INET_H
#define INET_H

#include "attack.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static inline int new_socket(int family, int type, int protocol)
{
	return must(socket(family, type | SOCK_CLOEXEC, protocol), "socket");
}

static inline struct sockaddr_in port(int index)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argument(index)))};

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

#endif
