/* The target's own seccomp filters and other ways to have calls taken out of the supervisor's hands. */
#include "attack.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define IF_NOT(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip)
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, value)

/* A filter that answers `action` to one call and lets the others pass. */
static long install(long nr, unsigned action, unsigned flags)
{
	struct sock_filter code[] = {LOAD(nr), IF_NOT((unsigned)nr, 1), RETURN(action), RETURN(SECCOMP_RET_ALLOW)};
	struct sock_fprog program = {.len = ARRAY_SIZE(code), .filter = code};

	need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS");
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

static _Noreturn void read_secret(const char *what)
{
	judge_read((int)syscall(SYS_openat, AT_FDCWD, in_base("secret/file"), O_RDONLY, 0), what);
}

/* A listener of its own answers CONTINUE: the call would never come to the tracer's ears. */
static int listener;

static void *answer(void *unused)
{
	struct seccomp_notif request;
	struct seccomp_notif_resp response;

	(void)unused;
	for (;;) {
		memset(&request, 0, sizeof(request));
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request))
			return NULL;
		response = (struct seccomp_notif_resp){.id = request.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
	}
}

static _Noreturn void hide(long nr, unsigned flags)
{
	pthread_t thread;

	listener = must(install(nr, SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER | flags), "NEW_LISTENER");
	if (pthread_create(&thread, NULL, answer, NULL))
		untried("pthread_create");
	read_secret("behind a listener of its own");
}

static void own_listener(void)
{
	hide(SYS_openat, 0);
}

static void own_listener_tsync(void)
{
	hide(SYS_openat, SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH);
}

/* The flags in the register's lower half are what counts. */
static void own_listener_upper_half(void)
{
	struct sock_filter code[] = {RETURN(SECCOMP_RET_ALLOW)};
	struct sock_fprog program = {.len = 1, .filter = code};

	need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS");
	judge(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0x100000000ul | SECCOMP_FILTER_FLAG_NEW_LISTENER, &program),
	      "NEW_LISTENER");
}

/* Of two filters that say RET_TRACE, the newer one's data is what the tracer is told. ARG 0: that data. */
static void own_trace_data(void)
{
	need(install(SYS_openat, SECCOMP_RET_TRACE | (unsigned)(atoi(argument(0)) & 0xffff), 0), "filter");
	read_secret("with RET_TRACE data of its own");
}

/* Without a tracer such a call is ENOSYS, so that the data alone can be shown only under capwrap. */
static void own_filter_then_secret(void)
{
	need(install(SYS_getppid, SECCOMP_RET_ERRNO | 77, 0), "filter");
	if (syscall(SYS_getppid) != -1 || errno != 77)
		untried("the filter has no effect");
	read_secret("with a filter of its own");
}

/* A filter that takes openat2 from the stub: the thread may fail to open, but must not be let through. */
static void break_openat2(void)
{
	need(install(SYS_openat2, SECCOMP_RET_ERRNO | EIO, 0), "filter");
	read_secret("without openat2");
}

static void on_trap(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	(void)context;
}

static void trap_openat2(void)
{
	const struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_RESTART};

	sigaction(SIGSYS, &action, NULL);
	need(install(SYS_openat2, SECCOMP_RET_TRAP, 0), "filter");
	read_secret("with openat2 trapped");
}

/* The granted file opens all the same, where the target's filter would kill it for the stub's openat2. */
static void kill_openat2(void)
{
	need(install(SYS_openat2, SECCOMP_RET_KILL_PROCESS, 0), "filter");
	int fd = open(in_base("work/file"), O_RDONLY);
	if (fd < 0)
		untried("a granted file: %s", strerror(errno));
	read_secret("with openat2 deadly");
}

static volatile char selector;

static void user_dispatch(void)
{
	/* No region: every call is dispatched once the selector says so. */
	judge(prctl(59, 1, 0, 0, &selector), "PR_SET_SYSCALL_USER_DISPATCH");
}

/* What is not dumpable cannot be read by an unprivileged tracer: its paths must not be let through for that. */
static void not_dumpable(void)
{
	need(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), "PR_SET_DUMPABLE");
	read_secret("not dumpable");
}

static void bad_pointers(void)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const char *path = in_base("secret/file");

	need(munmap(page + 4096, 4096), "munmap");
	/* A path that ends at the end of what is mapped, without its NUL and then with it. */
	char *start = page + 4096 - strlen(path);
	memcpy(start, path, strlen(path));
	if (open(start, O_RDONLY) >= 0 || errno != EFAULT)
		escaped("an unterminated path: %s", strerror(errno));
	if (open((char *)-4096, O_RDONLY) >= 0 || open((char *)8, O_RDONLY) >= 0)
		escaped("a bad pointer");
	memmove(start - 1, start, strlen(path));
	page[4095] = 0;
	judge_read(open(start - 1, O_RDONLY), "a path at the end of a page");
}

/* Longer than any path, and components longer than any name, must neither be cut short nor be taken for another. */
static void long_path(void)
{
	static char path[8192];
	size_t len = 0;

	while (len < 4096 - 64)
		len += (size_t)sprintf(path + len, "/.");
	snprintf(path + len, sizeof(path) - len, "%s", in_base("secret/file"));
	int fd = open(path, O_RDONLY);
	if (fd >= 0)
		judge_read(fd, "long");
	memset(path, '/', 3900);
	snprintf(path + 3900, sizeof(path) - 3900, "%s", in_base("secret/file"));
	judge_read(open(path, O_RDONLY), "nearly 4,096 bytes");
}

/* Rules of its own that are accepted and then do not hold: what counts on them is open. */
static void own_ruleset(void)
{
	const uint64_t attributes[1] = {1u << 7 /* LANDLOCK_ACCESS_FS_MAKE_DIR */};
	int rules = must(syscall(444, attributes, sizeof(attributes), 0), "landlock_create_ruleset");

	need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS");
	must(syscall(446, rules, 0), "landlock_restrict_self");
	judge(mkdir(in_base("work/in-spite-of-rules"), 0777), "mkdir in spite of its own rules");
}

const struct attack attacks[] = {
	{"own-listener", own_listener},
	{"own-listener-tsync", own_listener_tsync},
	{"own-listener-upper-half", own_listener_upper_half},
	{"own-trace-data", own_trace_data},
	{"own-filter", own_filter_then_secret},
	{"break-openat2", break_openat2},
	{"trap-openat2", trap_openat2},
	{"kill-openat2", kill_openat2},
	{"user-dispatch", user_dispatch},
	{"own-ruleset", own_ruleset},
	{"not-dumpable", not_dumpable},
	{"bad-pointers", bad_pointers},
	{"long-path", long_path},
	{0},
};
