/* Descriptor 0, as it was left open by whoever started the launcher: a directory or a file outside the grants. */
#include "attack.h"

static _Noreturn void overwrite(int fd, const char *what)
{
	must(fd, what);
	judge(write(fd, "overwritten", 11), what);
}

static void stdin_directory(void)
{
	judge_read(openat(0, argument(0), O_RDONLY), argument(0));
}

static void stdin_directory_stat(void)
{
	struct stat st;

	judge(fstatat(0, argument(0), &st, 0), argument(0));
}

static void stdin_directory_chdir(void)
{
	must(fchdir(0), "fchdir");
	judge_read(open(argument(0), O_RDONLY), argument(0));
}

static void stdin_directory_make(void)
{
	judge(mkdirat(0, "new", 0777), "mkdirat");
}

static void stdin_directory_unlink(void)
{
	judge(unlinkat(0, "file", 0), "unlinkat");
}

static void stdin_reopen(void)
{
	overwrite(open(argument(0), O_WRONLY), argument(0));
}

/* Opened for writing alone: to be read by another open, or by an O_PATH one for which something is handed over. */
static void stdin_read(void)
{
	int fd = open(argument(0), O_RDONLY);

	judge_read(fd < 0 ? open(argument(0), O_PATH) : fd, argument(0));
}

static void stdin_chmod(void)
{
	judge(fchmod(0, 0777), "fchmod");
}

static void stdin_link(void)
{
	must(linkat(AT_FDCWD, "/proc/self/fd/0", AT_FDCWD, in_base("work/taken"), AT_SYMLINK_FOLLOW), "linkat");
	overwrite(open(in_base("work/taken"), O_WRONLY), "written through the new link");
}

static void stdin_exec(void)
{
	char *const argv[] = {(char *)"prog", NULL};
	char *const envp[] = {NULL};

	syscall(SYS_execveat, 0, "", argv, envp, AT_EMPTY_PATH);
	refused("execveat");
}

const struct attack attacks[] = {
	{"stdin-directory", stdin_directory},
	{"stdin-directory-stat", stdin_directory_stat},
	{"stdin-directory-chdir", stdin_directory_chdir},
	{"stdin-directory-make", stdin_directory_make},
	{"stdin-directory-unlink", stdin_directory_unlink},
	{"stdin-reopen", stdin_reopen},
	{"stdin-read", stdin_read},
	{"stdin-chmod", stdin_chmod},
	{"stdin-link", stdin_link},
	{"stdin-exec", stdin_exec},
	{0},
};
