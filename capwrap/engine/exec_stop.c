/*
 * The exec stop, before a program's first instruction: what was mapped is compared with what was planned, and the pad is
 * mapped (ARCHITECTURE.md, rules 2 and 12). Anything amiss kills the process.
 */
#include "capwrap/engine/internal.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <unistd.h>

extern const uint8_t cw_stub_begin[], cw_stub_start[];

/* linux/fs.h of Linux 6.11: struct procmap_query and its ioctl */
struct procmap_query {
	uint64_t size, query_flags, query_addr, vma_start, vma_end, vma_flags, vma_page_size, vma_offset, inode;
	uint32_t dev_major, dev_minor, vma_name_size, build_id_size;
	uint64_t vma_name_addr, build_id_addr;
};
#define PROCMAP_QUERY_IOCTL ((unsigned long)_IOWR('f', 17, struct procmap_query))
#define QUERY_COVERING_OR_NEXT 0x10

struct mapping {
	uint64_t start, end, inode;
	uint32_t major, minor;
};

/* The mapping that covers `addr`, or the next one above: 0, -ENOENT where there is none, or another -errno. */
static int query(int maps, uint64_t addr, struct mapping *m)
{
	struct procmap_query q = {.size = sizeof(q), .query_flags = QUERY_COVERING_OR_NEXT, .query_addr = addr};

	if (!ioctl(maps, PROCMAP_QUERY_IOCTL, &q)) {
		*m = (struct mapping){q.vma_start, q.vma_end, q.inode, q.dev_major, q.dev_minor};
		return 0;
	}
	if (errno == ENOENT)
		return -ENOENT;
	/* before Linux 6.11: the text, line by line */
	char line[4500];
	FILE *f;
	int copy = dup(maps), err = -ENOENT;

	if (copy < 0)
		return -errno;
	if (lseek(copy, 0, SEEK_SET) < 0 || !(f = fdopen(copy, "r"))) {
		close(copy);
		return -EIO;
	}
	while (err && fgets(line, sizeof(line), f)) {
		unsigned long start, end, inode;
		unsigned major, minor;

		if (sscanf(line, "%lx-%lx %*s %*s %x:%x %lu", &start, &end, &major, &minor, &inode) != 5) {
			err = -EIO;
			break;
		}
		if (end > addr) {
			*m = (struct mapping){start, end, inode, major, minor};
			err = 0;
		}
	}
	if (err == -ENOENT && ferror(f)) /* cut short is not the same as nothing there */
		err = -EIO;
	fclose(f);
	return err;
}

/* How the kernel shows a file in maps (its device may differ from st_dev: btrfs, overlayfs): asked of a mapping of our own. */
static int reference(int fd, struct mapping *m)
{
	char path[48];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int f = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (f < 0)
		return -errno;
	void *at = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, f, 0);
	int err = at == MAP_FAILED ? -errno : 0, maps;

	close(f);
	if (err)
		return err;
	maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	err = maps < 0 ? -errno : query(maps, (uint64_t)at, m);
	if (maps >= 0)
		close(maps);
	munmap(at, 4096);
	return err;
}

/* An entry of the auxiliary vector (getauxval(3)): 0, or -errno; -ESRCH: it was killed, and has no such vector any more. */
static int auxiliary(int tid, uint64_t which, uint64_t *value)
{
	char path[48];
	uint64_t all[128];

	snprintf(path, sizeof(path), "/proc/%d/auxv", tid);
	int f = open(path, O_RDONLY | O_CLOEXEC);

	if (f < 0)
		return -errno;
	ssize_t n = read(f, all, sizeof(all));

	close(f);
	for (ssize_t i = 0; (i + 2) * 8 <= n; i += 2)
		if (all[i] == which) {
			*value = all[i + 1];
			return 0;
		}
	return n > 0 ? -ENODATA : -ESRCH;
}

/*
 * The arguments: as many as there were, behind what the decided scripts put in front of them. A script whose interpreter is
 * the same, at which the path led when the kernel looked it up again, would tell what stands in its first line. Only the
 * number is the caller's own at all times; where that is right and no script was decided, none was met.
 */
static int verify_arguments(struct cw_engine *e, struct cw_task *t, uint64_t sp, const struct cw_exec *plan)
{
	uint64_t argc, at;
	char word[CW_SCRIPT_HEAD + 1];

	int err = cw_mem_read(e, t->tid, &argc, sp, 8);

	if (err)
		return err;
	if (argc != plan->argc)
		return -EXDEV;
	for (uint32_t i = 0, off = 0; i < plan->words; i++) {
		const char *want = plan->text + off;

		err = cw_mem_read(e, t->tid, &at, sp + 8 + 8 * (uint64_t)i, 8);
		if (err)
			return err;
		if (cw_mem_string(e, t->tid, word, sizeof(word), at) < 0 || strcmp(word, want) != 0)
			return -EXDEV;
		off += (uint32_t)strlen(want) + 1;
	}
	return 0;
}

int cw_exec_verify(struct cw_engine *e, struct cw_task *t, const struct cw_exec *plan)
{
	char path[48];
	struct stat st;
	struct user_regs_struct regs;
	struct mapping m = {0}, want = {0};
	int maps, err = 0;

	snprintf(path, sizeof(path), "/proc/%d/exe", t->tid);
	if (stat(path, &st))
		return -errno;
	if (st.st_dev != plan->exe_dev || st.st_ino != plan->exe_ino)
		return -EXDEV;
	if (ptrace(PTRACE_GETREGS, t->tid, NULL, &regs))
		return -errno;
	snprintf(path, sizeof(path), "/proc/%d/maps", t->tid);
	maps = open(path, O_RDONLY | O_CLOEXEC);
	if (maps < 0)
		return -errno;
	/* the first instruction lies in the interpreter, if there is one */
	if (plan->interp_fd >= 0) {
		err = query(maps, regs.rip, &m);
		if (!err && m.start > regs.rip)
			err = -EXDEV;
		if (!err)
			err = reference(plan->interp_fd, &want);
		if (!err && (m.inode != want.inode || m.major != want.major || m.minor != want.minor))
			err = -EXDEV;
	}
	/* what had none when it was decided may have been written to meanwhile */
	uint64_t base = 0;

	if (!err && plan->interp_fd < 0) {
		err = auxiliary(t->tid, AT_BASE, &base);
		if (!err && base)
			err = -EXDEV;
	}
	if (!err && plan->argc)
		err = verify_arguments(e, t, regs.rsp, plan);
	/* and nothing lies where the pad goes; nothing else runs in this address space until it does */
	if (!err) {
		err = query(maps, CW_PAD_BASE, &m);
		if (err == -ENOENT || (!err && m.start >= CW_PAD_END))
			err = 0;
		else if (!err)
			err = -EEXIST;
	}
	close(maps);
	return err;
}

/*
 * At the exit of the execve: send the thread through `syscall; ret` in the vdso with the registers of the mmap, and on to
 * the start of the stub. If that mmap fails, nothing is mapped at the address it returns to (verified just before, and
 * nothing else runs in this address space): the process dies of it.
 */
int cw_exec_inject(struct cw_engine *e, struct cw_task *t)
{
	struct user_regs_struct regs;
	uint64_t base = 0, start = CW_PAD_STUB + (uint64_t)(cw_stub_start - cw_stub_begin);

	/* first: what cannot be read of a thread that was killed meanwhile is no mistake */
	if (ptrace(PTRACE_GETREGS, t->tid, NULL, &regs))
		return -errno;
	int err = e->gadget < 0 ? -ENOSYS : auxiliary(t->tid, AT_SYSINFO_EHDR, &base);

	if (err)
		return err;
	uint64_t entry = regs.rip;

	errno = 0;
	if (ptrace(PTRACE_POKEDATA, t->tid, (void *)(uintptr_t)(regs.rsp - 8), (void *)start))
		return -errno;
	regs.rsp -= 8;
	regs.rip = base + (uint64_t)e->gadget;
	regs.rax = 9; /* mmap */
	regs.orig_rax = UINT64_MAX;
	regs.rdi = CW_PAD_BASE;
	regs.rsi = CW_PAD_SIZE;
	regs.rdx = PROT_READ | PROT_EXEC;
	regs.r10 = MAP_SHARED | MAP_FIXED_NOREPLACE;
	regs.r8 = (unsigned)(e->cap_base + e->cap_aux + CW_AUX_PAD);
	regs.r9 = 0;
	regs.r12 = entry;
	regs.r13 = (unsigned)(e->cap_base + e->cap_aux + CW_AUX_RESULT);
	return ptrace(PTRACE_SETREGS, t->tid, NULL, &regs) ? -errno : 0;
}
