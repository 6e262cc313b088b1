/* Memory, scheduling, limits and what a program asks of the machine. */
#include "observe.h"

#include <limits.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/times.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>

enum { PAGE = 4096, LONGEST_ARGUMENT = 32 * PAGE };

static void memory(void)
{
	unsigned char in_core[4];

	section("memory");
	char *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	p[0] = p[PAGE] = 1;
	ROW(mincore(p, 4 * PAGE, in_core));
	say("in core", "%d %d %d %d", in_core[0] & 1, in_core[1] & 1, in_core[2] & 1, in_core[3] & 1);
	ROW(mincore(p + 1, PAGE, in_core));
	ROW(mlock(p, PAGE));
	ROW(munlock(p, PAGE));
	ROW(mlock2(p, PAGE, MLOCK_ONFAULT));
	ROW(mlock2(p, PAGE, 77));
	ROW(munlockall());
	ROW(mlockall(77));
	ROW(mprotect(p, PAGE, PROT_NONE));
	ROW(mprotect(p + 1, PAGE, PROT_READ));
	ROW(mprotect(p, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC));
	ROW(msync(p, PAGE, MS_SYNC));
	ROW(msync(p, PAGE, MS_SYNC | MS_ASYNC));
	static const struct {
		const char *name;
		int advice;
	} advices[] = {{"MADV_NORMAL", MADV_NORMAL},
	               {"MADV_RANDOM", MADV_RANDOM},
	               {"MADV_SEQUENTIAL", MADV_SEQUENTIAL},
	               {"MADV_WILLNEED", MADV_WILLNEED},
	               {"MADV_DONTNEED", MADV_DONTNEED},
	               {"MADV_FREE", MADV_FREE},
	               {"MADV_REMOVE", MADV_REMOVE},
	               {"MADV_DONTFORK", MADV_DONTFORK},
	               {"MADV_DOFORK", MADV_DOFORK},
	               {"MADV_HUGEPAGE", MADV_HUGEPAGE},
	               {"MADV_NOHUGEPAGE", MADV_NOHUGEPAGE},
	               {"MADV_DONTDUMP", MADV_DONTDUMP},
	               {"MADV_DODUMP", MADV_DODUMP},
	               {"MADV_WIPEONFORK", MADV_WIPEONFORK},
	               {"MADV_KEEPONFORK", MADV_KEEPONFORK},
	               {"MADV_COLD", MADV_COLD},
	               {"MADV_PAGEOUT", MADV_PAGEOUT},
	               {"MADV_POPULATE_READ", MADV_POPULATE_READ},
	               {"MADV_POPULATE_WRITE", MADV_POPULATE_WRITE},
	               {"none such", 777}};

	for (size_t i = 0; i < COUNT(advices); i++) {
		errno = 0;
		result(advices[i].name, madvise(p, PAGE, advices[i].advice));
	}
	MUST(munmap(p, 4 * PAGE));
	p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *q = mremap(p, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE);

	ROW(q != MAP_FAILED);
	ROW(mremap(q, 8 * PAGE, 2 * PAGE, 0) == q);
	ROW((long)mremap(q, 0, PAGE, 0));
	ROW((long)mremap(q, 2 * PAGE, PAGE, 77));
	ROW((long)mmap(q, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
	ROW(mmap(q, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == q);
	ROW((long)mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	ROW((long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, 99, 0));
	ROW((long)mmap(NULL, PAGE, PROT_READ, MAP_ANONYMOUS, -1, 0));
	ROW((long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, 0, 77));
	ROW((long)mmap(NULL, (size_t)1 << 60, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	ROW((long)mmap((void *)PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	ROW(munmap(q, 2 * PAGE));
	ROW(munmap((char *)1, PAGE));
	ROW(munmap(q, 0));
	int key = (int)syscall(SYS_pkey_alloc, 0, 0);

	ROW(syscall(SYS_pkey_alloc, 7, 0));
	say("a key", "%s", key < 0 ? strerrorname_np(errno) : "there");
	ROW(syscall(SYS_pkey_free, 15));
	write_file("mapped", "0123456789", 0644);
	int fd = (int)MUST(open("mapped", O_RDWR));

	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	p[1] = 'x';
	ROW(msync(p, PAGE, MS_SYNC));
	ROW(pread(fd, in_core, 2, 0) == 2 && in_core[1] == 'x');
	ROW(madvise(p, PAGE, MADV_REMOVE));
	ROW(munmap(p, PAGE));
	close(fd);
	fd = (int)MUST(open("mapped", O_RDONLY));
	ROW((long)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	ROW(mprotect(p, PAGE, PROT_READ | PROT_WRITE));
	ROW(mprotect(p, PAGE, PROT_READ | PROT_EXEC));
	ROW(close(fd));
	ROW(unlink("mapped"));
	ROW(p[2] == '\0');
}

/* No program has memory there, nor ever will. */
static void beyond(void)
{
	char *high = (char *)-PAGE, *odd = (char *)0x4000000000000000;

	section("addresses beyond all");
	ROW(munmap(high, PAGE));
	ROW(munmap(odd, PAGE));
	ROW(mprotect(high, PAGE, PROT_READ));
	ROW(madvise(high, PAGE, MADV_DONTNEED));
	ROW((long)mremap(high, PAGE, 2 * PAGE, 0));
	ROW((long)mmap(high, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	ROW((long)mmap(high, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
	ROW(mlock(high, PAGE));
	ROW(msync(high, PAGE, MS_SYNC));
	void *hinted = mmap(odd, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	say("a hint", "%s", hinted == MAP_FAILED ? strerrorname_np(errno) : "is no more than that");
}

static void sealed(void)
{
	section("sealed memory");
	int fd = (int)ROW(memfd_create("m", MFD_CLOEXEC | MFD_ALLOW_SEALING));

	ROW(fcntl(fd, F_GET_SEALS));
	ROW(ftruncate(fd, PAGE));
	ROW(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
	ROW(ftruncate(fd, 0));
	ROW(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
	ROW(ftruncate(fd, 2 * PAGE));
	ROW(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
	ROW(write(fd, "x", 1));
	ROW((long)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	ROW(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
	ROW(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	ROW(fcntl(fd, F_GET_SEALS));
	ROW(fcntl(0, F_GET_SEALS));
	close(fd);
	ROW(fcntl(fd = memfd_create("m", 0), F_ADD_SEALS, F_SEAL_WRITE));
	close(fd);
	ROW(memfd_create("m", 0x80000000u));
	ROW(memfd_create("a/b", 0) >= 0);
}

static void priorities(void)
{
	struct sched_param param = {.sched_priority = 0};
	cpu_set_t set, all;
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
		uint32_t util[2];
	} attr = {0};

	section("scheduling");
	ROW(getpriority(PRIO_PROCESS, 0));
	ROW(setpriority(PRIO_PROCESS, 0, 3));
	ROW(getpriority(PRIO_PROCESS, 0));
	ROW(getpriority(PRIO_PROCESS, (id_t)getpid()));
	ROW(nice(2));
	ROW(setpriority(PRIO_PROCESS, 0, 0));
	ROW(setpriority(PRIO_PROCESS, 0, 40));
	ROW(getpriority(PRIO_PROCESS, 0));
	ROW(getpriority(77, 0));
	ROW(getpriority(PRIO_PROCESS, 99999999));
	ROW(sched_getscheduler(0));
	ROW(sched_setscheduler(0, SCHED_BATCH, &param));
	ROW(sched_getscheduler(0));
	ROW(sched_setscheduler(0, SCHED_OTHER, &param));
	ROW(sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1}));
	ROW(sched_setscheduler(0, SCHED_FIFO, &param));
	ROW(sched_setscheduler(0, 77, &param));
	ROW(sched_setscheduler(99999999, SCHED_OTHER, &param));
	ROW(sched_getparam(0, &param));
	ROW(sched_get_priority_max(SCHED_RR));
	ROW(sched_get_priority_min(77));
	ROW(syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0));
	say("attributes", "%u %u %d", attr.size, attr.policy, attr.nice);
	ROW(syscall(SYS_sched_setattr, 0, &attr, 0));
	attr.policy = 6;
	attr.runtime = attr.deadline = attr.period = 1000000;
	ROW(syscall(SYS_sched_setattr, 0, &attr, 0));
	ROW(syscall(SYS_sched_getattr, 99999999, &attr, sizeof(attr), 0));
	ROW(sched_getaffinity(0, sizeof(all), &all));
	CPU_ZERO(&set);
	for (size_t i = 0; i < CPU_SETSIZE && !CPU_COUNT(&set); i++)
		if (CPU_ISSET(i, &all))
			CPU_SET(i, &set);
	ROW(sched_setaffinity(0, sizeof(set), &set));
	ROW(sched_getaffinity(0, sizeof(all), &set));
	ROW(CPU_COUNT(&set));
	ROW(CPU_ISSET((size_t)sched_getcpu(), &set) != 0);
	ROW(sysconf(_SC_NPROCESSORS_ONLN) > 0);
	CPU_ZERO(&set);
	ROW(sched_setaffinity(0, sizeof(set), &set));
	ROW(sched_setaffinity(99999999, sizeof(all), &all));
	ROW(sched_setaffinity(0, sizeof(all), &all));
	ROW(sched_getaffinity(0, 1, &set));
	ROW(syscall(SYS_ioprio_get, 1, 0));
	ROW(syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 7));
	ROW(syscall(SYS_ioprio_get, 1, 0));
	ROW(syscall(SYS_ioprio_set, 1, 0, 3 << 13));
	ROW(syscall(SYS_ioprio_get, 1, getpid()));
	ROW(syscall(SYS_ioprio_set, 1, 0, 7 << 13));
	ROW(syscall(SYS_ioprio_get, 1, 99999999));
	ROW(sched_yield());
	ROW(sched_rr_get_interval(99999999, &(struct timespec){0}));
	ROW(syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0) > 0);
	ROW(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
	ROW(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
	ROW(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
	ROW(syscall(SYS_membarrier, 77, 0, 0));
}

/* What a child of this process is found to be by calls that name it. */
static void of_a_child(void)
{
	struct rlimit limit = {0, 0};
	clockid_t clock;
	cpu_set_t set;
	int status;

	section("of a child");
	pid_t child = (pid_t)MUST(fork());

	if (!child)
		for (;;)
			pause();
	ROW(setpriority(PRIO_PROCESS, (id_t)child, 7));
	ROW(getpriority(PRIO_PROCESS, (id_t)child));
	ROW(prlimit(child, RLIMIT_STACK, &(struct rlimit){1 << 20, 1 << 20}, NULL));
	ROW(prlimit(child, RLIMIT_STACK, NULL, &limit));
	say("its stack", "%lld %lld", (long long)limit.rlim_cur, (long long)limit.rlim_max);
	ROW(prlimit(child, RLIMIT_STACK, &(struct rlimit){2 << 20, 1 << 20}, NULL));
	ROW(prlimit(child, 77, NULL, &limit));
	ROW(sched_getscheduler(child));
	ROW(sched_setscheduler(child, SCHED_IDLE, &(struct sched_param){0}));
	ROW(sched_getscheduler(child));
	ROW(sched_getaffinity(child, sizeof(set), &set));
	ROW(sched_setaffinity(child, sizeof(set), &set));
	ROW(syscall(SYS_ioprio_set, 1, child, 3 << 13));
	ROW(syscall(SYS_ioprio_get, 1, child));
	ROW(clock_getcpuclockid(child, &clock));
	ROW(clock_gettime(clock, &(struct timespec){0}));
	ROW(clock_getcpuclockid(99999999, &clock));
	ROW(kill(child, SIGTERM));
	ROW(waitpid(child, &status, 0) == child);
	struct rusage usage;

	ROW(getrusage(RUSAGE_CHILDREN, &usage));
	ROW(usage.ru_maxrss > 0);
	ROW(getrusage(RUSAGE_SELF, &usage));
	ROW(getrusage(RUSAGE_THREAD, &usage));
	ROW(getrusage(77, &usage));
	struct tms t;

	ROW(times(&t) != -1);
	ROW(getpriority(PRIO_PROCESS, (id_t)child));
	ROW(prlimit(child, RLIMIT_STACK, NULL, &limit));
}

static void in_child(void (*body)(void))
{
	int status;
	pid_t child = (pid_t)MUST(fork());

	if (!child) {
		body();
		_exit(0);
	}
	MUST(waitpid(child, &status, 0));
	say("ended", "%04x", (unsigned)status);
}

static void low_memory(void)
{
	section("little memory");
	ROW(setrlimit(RLIMIT_DATA, &(struct rlimit){1 << 20, 1 << 20}));
	ROW((long)mmap(NULL, 8 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	ROW(setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){0, 0}));
	ROW(mlock(&(char){0}, 1));
	ROW(setrlimit(RLIMIT_SIGPENDING, &(struct rlimit){0, 0}));
	ROW(sigqueue(getpid(), SIGCONT, (union sigval){0}));
	ROW(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){0}));
	ROW(setrlimit(RLIMIT_NICE, &(struct rlimit){77, 77}));
	ROW(setrlimit(RLIMIT_FSIZE, &(struct rlimit){2, 1}));
	ROW(setrlimit(77, &(struct rlimit){0, 0}));
	ROW(setrlimit(RLIMIT_STACK, (void *)8));
}

static void few_processes(void)
{
	section("few processes");
	ROW(setrlimit(RLIMIT_NPROC, &(struct rlimit){1, 1}));
	pid_t child = fork();

	if (!child)
		_exit(0);
	if (getuid())
		result("fork", child > 0 ? 1 : child);
}

static void arguments(void)
{
	static char large[LONGEST_ARGUMENT + 1], page[100000];
	char *argv[64] = {"true", NULL}, *env[] = {NULL};

	section("arguments");
	memset(large, 'x', LONGEST_ARGUMENT);
	argv[1] = large;
	ROW(execve("/bin/true", argv, env));
	memset(page, 'x', sizeof(page) - 1);
	for (int i = 1; i < 63; i++)
		argv[i] = page;
	ROW(setrlimit(RLIMIT_STACK, &(struct rlimit){1 << 20, 1 << 20}));
	ROW(execve("/bin/true", argv, env));
	argv[2] = NULL;
	ROW(syscall(SYS_execve, "/bin/true", 8L, env));
	ROW(syscall(SYS_execve, "/bin/true", argv, 8L));
	ROW(syscall(SYS_execve, 8L, argv, env));
	ROW(execve("", argv, env));
	pid_t child;
	int status;

	ROW(posix_spawn(&child, "/bin/true", NULL, NULL, argv, env));
	ROW(waitpid(child, &status, 0) == child && !status);
	ROW(posix_spawn(&child, "/nonexistent", NULL, NULL, argv, env));
	int fd = (int)MUST(open("/bin/true", O_RDONLY));

	ROW(fexecve(fd, argv, env));
	say("after it", "it came back");
}

static bool is_mapped(const char *name)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	bool is = false;

	while (maps && !is && fgets(line, sizeof(line), maps))
		is = strstr(line, name);
	if (maps)
		fclose(maps);
	return is;
}

/* Calls by an address, which the kernel makes for the program where it has them at all (vsyscall= of the command line). */
static void vsyscalls(void)
{
	/* arch/x86/include/uapi/asm/vsyscall.h */
	int (*const get)(struct timeval *, void *) = (int (*)(struct timeval *, void *))0xffffffffff600000;
	time_t (*const seconds)(time_t *) = (time_t(*)(time_t *))0xffffffffff600400;
	struct timeval now = {0};
	time_t t = 0;

	if (!is_mapped("[vsyscall]")) {
		say("vsyscall", "none");
		return;
	}
	ROW(get(&now, NULL));
	ROW(now.tv_sec > 0);
	ROW(seconds(&t) == t && t >= now.tv_sec);
}

static void machine(void)
{
	struct utsname u;
	struct sysinfo info;
	char random[16] = {0};

	section("the machine");
	ROW(uname(&u));
	say("uname", "%s %s %s %s %s", u.sysname, u.nodename, u.release, u.version, u.machine);
	ROW(gethostname(u.nodename, 1));
	ROW(sysinfo(&info));
	say("sysinfo", "%d %lu", info.mem_unit, info.totalram);
	ROW(getrandom(random, sizeof(random), 0));
	ROW(getrandom(random, sizeof(random), 77));
	ROW(personality(0xffffffff));
	ROW(personality(PER_LINUX | ADDR_NO_RANDOMIZE));
	ROW(personality(PER_LINUX));
	ROW(sysconf(_SC_ARG_MAX));
	ROW(sysconf(_SC_CHILD_MAX) != 0);
	ROW(sysconf(_SC_PAGESIZE));
	ROW(getpagesize());
	ROW(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
	ROW(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	ROW(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
	ROW(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0));
	ROW(prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
	ROW(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
	ROW(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
	ROW(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
	ROW(open("mapped", O_RDONLY));
	ROW(chdir("."));
	ROW(mkdir("while not dumpable", 0700));
	ROW(rmdir("while not dumpable"));
	ROW(prctl(PR_SET_DUMPABLE, 2, 0, 0, 0));
	ROW(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
	ROW(prctl(PR_SET_TIMERSLACK, 100, 0, 0, 0));
	ROW(prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0));
	ROW(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
	ROW(prctl(12345, 0, 0, 0, 0));
	ROW(syscall(SYS_set_tid_address, NULL) == getpid());
	ROW(syscall(SYS_getcpu, NULL, NULL, NULL));
	ROW(syscall(SYS_arch_prctl, 77, 0));
	ROW(syscall(SYS_restart_syscall));
	vsyscalls();
}

int main(void)
{
	memory();
	beyond();
	sealed();
	in_child(priorities);
	of_a_child();
	in_child(low_memory);
	in_child(few_processes);
	in_child(arguments);
	machine();
	return 0;
}
