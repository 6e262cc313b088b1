/*
 * What unix sockets of the target are called. The kernel has them bound by the last name alone (cw_op_bind), and whoever asks
 * a socket for its name gets to hear what it was bound to: servers give that to their clients, and remove it at their end.
 * Nothing is decided by it.
 */
#include "capwrap/engine/internal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define NAMES 256 /* of each kind; beyond, the oldest is forgotten */

struct socket_name {
	uint64_t ino;                /* of the socket; 0: none */
	uint64_t node_dev, node_ino; /* what stands at the name */
	char text[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1];
};

struct cw_socket_book {
	struct socket_name bound[NAMES], joined[NAMES];
	unsigned n_bound, n_joined;
};

static const char *last_of(const char *text)
{
	const char *slash = strrchr(text, '/');

	return slash ? slash + 1 : text;
}

static uint64_t number_of(int s)
{
	struct stat st;

	return fstat(s, &st) ? 0 : st.st_ino;
}

/* The latest first: numbers come again, and names do. */
static const struct socket_name *latest(const struct socket_name *names, unsigned n, uint64_t ino, const char *last)
{
	for (unsigned i = 0; i < NAMES && i < n; i++) {
		const struct socket_name *each = &names[(n - 1 - i) % NAMES];

		if ((!ino || each->ino == ino) && !strcmp(last_of(each->text), last))
			return each;
	}
	return NULL;
}

void cw_socket_bound(struct cw_engine *e, int s, const struct cw_place *p, const char *text)
{
	struct stat node;

	if (!e->socket_names)
		e->socket_names = calloc(1, sizeof(*e->socket_names));
	if (!e->socket_names || fstatat(p->parent, p->name, &node, AT_SYMLINK_NOFOLLOW))
		return;
	struct socket_name *name = &e->socket_names->bound[e->socket_names->n_bound++ % NAMES];

	*name = (struct socket_name){.ino = number_of(s), .node_dev = node.st_dev, .node_ino = node.st_ino};
	memcpy(name->text, text, strnlen(text, sizeof(name->text) - 1));
}

void cw_socket_joins(struct cw_engine *e, int s, const struct cw_place *p)
{
	struct cw_socket_book *book = e->socket_names;

	for (unsigned i = 0; book && i < NAMES && i < book->n_bound; i++) {
		const struct socket_name *each = &book->bound[(book->n_bound - 1 - i) % NAMES];

		if (each->node_dev != p->dev || each->node_ino != p->ino)
			continue;
		struct socket_name *name = &book->joined[book->n_joined++ % NAMES];

		*name = *each;
		name->ino = number_of(s);
		return;
	}
}

/*
 * The name of a thread's socket, or of its peer, as the kernel would have it without us: its length, with the address in
 * `dst`. 0: the kernel's own answer is right, or there is none.
 */
size_t cw_socket_name(struct cw_engine *e, const struct cw_task *t, int fd, bool peer, struct sockaddr_un *dst)
{
	struct cw_socket_book *book = e->socket_names;
	struct sockaddr_un un = {0};
	socklen_t len = sizeof(un);
	const struct socket_name *found = NULL;
	char last[sizeof(un.sun_path) + 1] = "";

	if (!book)
		return 0;
	int s = cw_get_fd(t, fd);

	if (s < 0)
		return 0;
	int err = peer ? getpeername(s, (struct sockaddr *)&un, &len) : getsockname(s, (struct sockaddr *)&un, &len);

	if (!err && len > offsetof(struct sockaddr_un, sun_path) && un.sun_family == AF_UNIX && un.sun_path[0]) {
		memcpy(last, un.sun_path, strnlen(un.sun_path, sizeof(un.sun_path)));
		uint64_t ino = number_of(s);

		found = peer ? latest(book->joined, book->n_joined, ino, last)
		             : latest(book->bound, book->n_bound, ino, last);
		/* what accept gave is called as who listened, and so is a peer that came by itself */
		if (!found)
			found = latest(book->bound, book->n_bound, 0, last);
	}
	close(s);
	if (!found)
		return 0;
	size_t n = strlen(found->text);

	memset(dst, 0, sizeof(*dst));
	dst->sun_family = AF_UNIX;
	memcpy(dst->sun_path, found->text, n < sizeof(dst->sun_path) ? n : sizeof(dst->sun_path));
	return offsetof(struct sockaddr_un, sun_path) + n + 1;
}

void cw_socket_names_end(struct cw_engine *e)
{
	free(e->socket_names);
	e->socket_names = NULL;
}
