/* Running what was not granted for execution. ARG 0, where there is one, is a path. */
#include "attack.h"

static char *const no_env[] = {NULL};

static _Noreturn void run(const char *path)
{
	char *const argv[] = {(char *)path, NULL};

	execve(path, argv, no_env);
	refused(path);
}

static void by_path(void)
{
	run(argument(0));
}

/* The loader is executable; what it is told to load is not. */
static void by_loader(void)
{
	char *const argv[] = {(char *)"ld.so", (char *)argument(0), NULL};

	execve("/lib64/ld-linux-x86-64.so.2", argv, no_env);
	refused("the loader");
}

static int program_bytes(int to)
{
	char block[65536];
	ssize_t n;
	/* The file may be read, only not executed. */
	int from = need(open(in_base("ro/prog"), O_RDONLY | O_CLOEXEC), "open ro/prog");

	while ((n = read(from, block, sizeof(block))) > 0)
		if (write(to, block, (size_t)n) != n)
			untried("write: %s", strerror(errno));
	close(from);
	return to;
}

static _Noreturn void run_fd(int fd, const char *what)
{
	char *const argv[] = {(char *)what, NULL};

	syscall(SYS_execveat, fd, "", argv, no_env, AT_EMPTY_PATH);
	refused(what);
}

static _Noreturn void run_fd_by_name(const char *directory, int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/%d", directory, fd);
	run(path);
}

static void memfd(void)
{
	run_fd(program_bytes(must(memfd_create("x", 0), "memfd_create")), "memfd");
}

static void memfd_exec_flag(void)
{
	run_fd(program_bytes(must(memfd_create("x", 0x10 /* MFD_EXEC */), "memfd_create")), "memfd");
}

static void memfd_by_proc(void)
{
	run_fd_by_name("/proc/self/fd", program_bytes(must(memfd_create("x", 0), "memfd_create")));
}

static void memfd_by_dev_fd(void)
{
	run_fd_by_name("/dev/fd", program_bytes(must(memfd_create("x", 0), "memfd_create")));
}

static void memfd_script(void)
{
	int fd = must(memfd_create("x", 0), "memfd_create");

	dprintf(fd, "#!%s\n", in_base("rox/missing"));
	lseek(fd, 0, SEEK_SET);
	ftruncate(fd, 0) ? (void)0 : (void)dprintf(fd, "#!/bin/echo ESCAPED\n");
	run_fd(fd, "a script in a memfd");
}

/* In a directory that may be written but not executed. */
static int made(const char *name, int flags)
{
	int fd = need(open(in_base(name), flags | O_RDWR | O_CREAT | O_TRUNC, 0777), name);

	return program_bytes(fd);
}

static int reader(const char *name)
{
	int fd = made(name, 0);

	need(fchmod(fd, 0755), "fchmod");
	close(fd);
	return need(open(in_base(name), O_RDONLY), name);
}

static void deleted(void)
{
	int fd = reader("other/prog");

	need(unlink(in_base("other/prog")), "unlink");
	run_fd(fd, "a deleted file");
}

static void deleted_by_proc(void)
{
	int fd = reader("other/prog");

	need(unlink(in_base("other/prog")), "unlink");
	run_fd_by_name("/proc/self/fd", fd);
}

static void written(void)
{
	close(reader("other/prog"));
	run(in_base("other/prog"));
}

static void written_fd(void)
{
	run_fd(reader("other/prog"), "a file of a grant without execute");
}

static void tmpfile_exec(void)
{
	int fd = need(open(in_base("other"), O_TMPFILE | O_RDWR, 0700), "O_TMPFILE");
	char path[64];

	program_bytes(fd);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int again = must(open(path, O_RDONLY | O_CLOEXEC), path);
	close(fd);
	run_fd(again, "a nameless file");
}

static void read_only_fd(void)
{
	run_fd(need(open(in_base("ro/prog"), O_RDONLY), "open"), "a descriptor of a grant without execute");
}

static void path_fd(void)
{
	run_fd(must(open(in_base("ro/prog"), O_PATH), "open"), "O_PATH of a grant without execute");
}

static void script(const char *path, const char *first_line)
{
	int fd = need(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755), path);

	dprintf(fd, "#!%s\n", first_line);
	close(fd);
}

/* The script may be executed, its interpreter lies outside. */
static void interpreter(void)
{
	script(in_base("work/script"), in_base("secret/prog"));
	run(in_base("work/script"));
}

static void interpreter_relative(void)
{
	script(in_base("work/script"), "../secret/prog");
	run(in_base("work/script"));
}

static void interpreter_chain(void)
{
	script(in_base("work/first"), in_base("work/second"));
	script(in_base("work/second"), in_base("work/third"));
	script(in_base("work/third"), in_base("secret/prog"));
	run(in_base("work/first"));
}

static void interpreter_by_link(void)
{
	need(symlink("../secret/prog", in_base("work/interpreter")), "symlink");
	script(in_base("work/script"), in_base("work/interpreter"));
	run(in_base("work/script"));
}

static void interpreter_without_execute(void)
{
	script(in_base("work/script"), in_base("ro/prog"));
	run(in_base("work/script"));
}

static void script_by_descriptor(void)
{
	script(in_base("work/script"), in_base("secret/prog"));
	run_fd(need(open(in_base("work/script"), O_RDONLY), "open"), "script");
}

/* uselib, the old way to map a file, and a program linked against what lies outside. */
static void preload(void)
{
	char *const argv[] = {(char *)"true", NULL};
	char *setting;
	if (asprintf(&setting, "LD_PRELOAD=%s", argument(0)) < 0)
		untried("out of memory");
	char *const envp[] = {setting, NULL};

	execve("/bin/true", argv, envp);
	refused("/bin/true");
}

/* The effective ids that a set-id file gives: `id` of the outsider's kind, told by ARG 0 being run. */
static void report_ids(void)
{
	if (geteuid() != getuid() || getegid() != getgid())
		escaped("euid %d of %d, egid %d of %d", geteuid(), getuid(), getegid(), getgid());
	held("EPERM euid %d, egid %d", geteuid(), getegid());
}

static void set_id(void)
{
	char *const argv[] = {(char *)argument(0), (char *)"report-ids", (char *)in_base(""), (char *)"0", NULL};

	execve(argument(0), argv, no_env);
	refused(argument(0));
}

const struct attack attacks[] = {
	{"by-path", by_path},
	{"by-loader", by_loader},
	{"memfd", memfd},
	{"memfd-exec-flag", memfd_exec_flag},
	{"memfd-by-proc", memfd_by_proc},
	{"memfd-by-dev-fd", memfd_by_dev_fd},
	{"memfd-script", memfd_script},
	{"deleted", deleted},
	{"deleted-by-proc", deleted_by_proc},
	{"written", written},
	{"written-fd", written_fd},
	{"tmpfile", tmpfile_exec},
	{"read-only-fd", read_only_fd},
	{"path-fd", path_fd},
	{"interpreter", interpreter},
	{"interpreter-relative", interpreter_relative},
	{"interpreter-chain", interpreter_chain},
	{"interpreter-by-link", interpreter_by_link},
	{"interpreter-without-execute", interpreter_without_execute},
	{"script-by-descriptor", script_by_descriptor},
	{"preload", preload},
	{"report-ids", report_ids},
	{"set-id", set_id},
	{0},
};
