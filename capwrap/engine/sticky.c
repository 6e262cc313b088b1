/*
 * What fs.protected_symlinks, fs.protected_regular and fs.protected_fifos (proc_sys_fs(5)) keep a program from in directories
 * in which everybody may make names, as may_follow_link and may_create_in_sticky of fs/namei.c have it. The kernel asks where
 * it walks by itself; the supervisor's walk follows links by their text and opens files by reference, and asks here.
 */
#include "capwrap/engine/internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

/* One of the settings; 0 where the kernel has none. Read anew, for it may be changed, and what asks for it is rare. */
static int setting(const char *name)
{
	char path[64], text[16] = "";

	snprintf(path, sizeof(path), "/proc/sys/fs/%s", name);
	return cw_read_text(path, text, sizeof(text)) && text[0] > '0' && text[0] <= '9' ? text[0] - '0' : 0;
}

/* Does what `fd` is belong to who asks, or to whom the directory belongs? */
static bool trusted(const struct stat *dir, const struct stat *is)
{
	return is->st_uid == dir->st_uid || is->st_uid == (uid_t)setfsuid((uid_t)-1);
}

int cw_sticky_follow(int dir, int link)
{
	struct stat in, is;

	if (dir < 0 || fstat(dir, &in) || (in.st_mode & (S_ISVTX | S_IWOTH)) != (S_ISVTX | S_IWOTH))
		return 0;
	if (fstat(link, &is))
		return -errno;
	return !trusted(&in, &is) && setting("protected_symlinks") ? -EACCES : 0;
}

int cw_sticky_create(int dir, int fd)
{
	struct stat in, is;

	if (dir < 0 || fstat(dir, &in) || !(in.st_mode & S_ISVTX))
		return 0;
	if (fstat(fd, &is))
		return -errno;
	if (trusted(&in, &is))
		return 0;
	bool fifo = S_ISFIFO(is.st_mode);
	int set = fifo ? setting("protected_fifos") : S_ISREG(is.st_mode) ? setting("protected_regular") : 1;

	return set && ((in.st_mode & S_IWOTH) || ((in.st_mode & S_IWGRP) && set >= 2)) ? -EACCES : 0;
}
