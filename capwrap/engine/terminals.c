/*
 * The pseudo-terminals of the target: those that it was given as 0, 1 and 2, and those that it opened. Each is held by a
 * descriptor of its node, since a number says nothing: it is given to somebody else as soon as it is free, and each
 * instance of devpts(5) counts for itself.
 */
#include "capwrap/engine/internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define TERMINALS (sizeof(((struct cw_engine *)0)->terminals) / sizeof(struct cw_terminal))

/* devpts_pty_kill (fs/devpts/inode.c) unlinks the node when the other side is closed. */
static bool alive(struct cw_terminal *t)
{
	struct stat st;

	if (!t->held)
		return false;
	if (!fstat(t->fd, &st) && st.st_nlink)
		return true;
	close(t->fd);
	t->held = false;
	return false;
}

void cw_terminal_add(struct cw_engine *e, int number, const struct stat *is)
{
	char path[32];
	struct stat st;
	size_t i = 0;

	if (cw_terminal_find(e, number) >= 0)
		return;
	while (i < TERMINALS && alive(&e->terminals[i]))
		i++;
	if (i == TERMINALS)
		return; /* it cannot be opened by its name then */
	snprintf(path, sizeof(path), "/dev/pts/%d", number);
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return;
	if (is && (fstat(fd, &st) || st.st_dev != is->st_dev || st.st_ino != is->st_ino)) {
		close(fd);
		return;
	}
	e->terminals[i] = (struct cw_terminal){true, number, fd};
}

int cw_terminal_find(struct cw_engine *e, int number)
{
	for (size_t i = 0; i < TERMINALS; i++)
		if (e->terminals[i].number == number && alive(&e->terminals[i]))
			return e->terminals[i].fd;
	return -1;
}

void cw_terminals_end(struct cw_engine *e)
{
	for (size_t i = 0; i < TERMINALS; i++)
		if (e->terminals[i].held)
			close(e->terminals[i].fd);
}
