/*
 * The file behind the pad, by every door to it, and all that could be done to it there: each deed in a process of its own,
 * so that all are tried. The attack worked if one deed did, and shows something natively only if every one does.
 */
#include "attack.h"
#include "../../../rewriters/pad.h"

#include <linux/aio_abi.h>
#include <linux/falloc.h>
#include <stdbool.h>
#include <sys/sendfile.h>

#define AT ((char *)CW_PAD_BASE)
#define HOWS ((off_t)(CW_PAD_HOW_RO - CW_PAD_BASE))
#define LAST 2304 /* one more than any descriptor there is */

static int stand_in;

static void fill(void)
{
	char *p = mmap(NULL, CW_PAD_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, stand_in, 0);

	if (p == MAP_FAILED)
		untried("mmap: %s", strerror(errno));
	memset(p, 0xff, CW_PAD_SIZE);
	need(munmap(p, CW_PAD_SIZE), "munmap");
}

/* ARG 0 "standin" is the native half: a memfd without any seal, mapped for reading at the pad's address. */
static void prepare(void)
{
	stand_in = need(memfd_create("standin", MFD_CLOEXEC), "memfd_create");
	need(ftruncate(stand_in, CW_PAD_SIZE), "ftruncate");
	if (mmap(AT, CW_PAD_SIZE, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE, stand_in, 0) != AT)
		untried("mmap: %s", strerror(errno));
}

static int regrown(int fd, off_t size)
{
	return ftruncate(fd, size) || ftruncate(fd, CW_PAD_SIZE);
}

static int cut_to_nothing(int fd)
{
	return regrown(fd, 0);
}

static int cut_to_the_hows(int fd)
{
	return regrown(fd, HOWS);
}

static int punch_a_hole(int fd)
{
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, HOWS, 4096);
}

static int write_zeros(int fd)
{
	static const char zeros[64];

	return pwrite(fd, zeros, sizeof(zeros), HOWS) != sizeof(zeros);
}

static int send_zeros(int fd)
{
	static int zeros = -1;
	off_t from = 0;

	if (zeros < 0) {
		zeros = need(memfd_create("zeros", MFD_CLOEXEC), "memfd_create");
		need(ftruncate(zeros, 4096), "ftruncate");
	}
	return lseek(fd, HOWS, SEEK_SET) != HOWS || sendfile(fd, zeros, &from, 4096) != 4096;
}

static int map_and_write(int fd)
{
	char *p = mmap(NULL, CW_PAD_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -1;
	memset(p + HOWS, 0, 64);
	return 0;
}

static int submit_zeros(int fd)
{
	static const char zeros[64];
	struct iocb write = {.aio_lio_opcode = IOCB_CMD_PWRITE,
	                     .aio_fildes = (uint32_t)fd,
	                     .aio_buf = (uintptr_t)zeros,
	                     .aio_nbytes = sizeof(zeros),
	                     .aio_offset = HOWS},
		    *list = &write;
	static aio_context_t context;
	struct io_event event;

	if (!context)
		need(syscall(SYS_io_setup, 1, &context), "io_setup");
	return syscall(SYS_io_submit, context, 1, &list) != 1 ||
	       syscall(SYS_io_getevents, context, 1, 1, &event, NULL) != 1 || event.res != sizeof(zeros);
}

static int splice_zeros(int fd)
{
	static const char zeros[64];
	loff_t at = HOWS;
	int ends[2];

	need(pipe2(ends, O_CLOEXEC), "pipe");
	need(write(ends[1], zeros, sizeof(zeros)), "write");
	int result = splice(ends[0], NULL, fd, &at, sizeof(zeros), 0) != sizeof(zeros);
	close(ends[0]);
	close(ends[1]);
	return result;
}

static int (*const deeds[])(int fd) = {cut_to_nothing, cut_to_the_hows, punch_a_hole, write_zeros,
                                       send_zeros,     map_and_write,   submit_zeros, splice_zeros};

/* By the numbers of descriptors, as they are. */
static int by_number(int (*deed)(int fd))
{
	for (int fd = 3; fd < LAST; fd++) {
		struct stat st;

		if (!fstat(fd, &st) && st.st_size == CW_PAD_SIZE && !deed(fd))
			return 0;
		/* What cannot be asked about may still be the one. */
		if (!deed(fd) && !fstat(fd, &st) && st.st_size == CW_PAD_SIZE)
			return 0;
	}
	return -1;
}

static int at_path(const char *path, int (*deed)(int fd))
{
	struct stat st;
	int fd = open(path, O_RDWR | O_CLOEXEC);
	int result = fd < 0 || fstat(fd, &st) || st.st_size != CW_PAD_SIZE || deed(fd);

	if (fd >= 0)
		close(fd);
	return result;
}

static int by_directory(const char *directory, int (*deed)(int fd))
{
	char path[64];

	for (int fd = 3; fd < LAST; fd++) {
		snprintf(path, sizeof(path), "%s/%d", directory, fd);
		if (!at_path(path, deed))
			return 0;
	}
	return -1;
}

static int by_proc_self(int (*deed)(int fd))
{
	return by_directory("/proc/self/fd", deed);
}

static int by_thread_self(int (*deed)(int fd))
{
	return by_directory("/proc/thread-self/fd", deed);
}

static int by_dev_fd(int (*deed)(int fd))
{
	return by_directory("/dev/fd", deed);
}

static int by_pid(int (*deed)(int fd))
{
	char directory[48];

	snprintf(directory, sizeof(directory), "/proc/%d/fd", getpid());
	return by_directory(directory, deed);
}

/* The parent, which has it mapped as well. */
static int by_parent(int (*deed)(int fd))
{
	char directory[48];

	snprintf(directory, sizeof(directory), "/proc/%d/task/%d/fd", getppid(), getppid());
	return by_directory(directory, deed);
}

static int by_map_files(int (*deed)(int fd))
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/map_files/%x-%x", CW_PAD_BASE, CW_PAD_BASE + CW_PAD_SIZE);
	return at_path(path, deed);
}

static int changed(void)
{
	static const char zeros[24];

	for (char *how = AT + HOWS; how < (char *)CW_PAD_HOW_RW_END; how += CW_PAD_HOW_STRIDE)
		if (!memcmp(how, zeros, sizeof(zeros)))
			return 1;
	return 0;
}

static _Noreturn void every_deed(int (*door)(int (*deed)(int fd)), const char *what)
{
	size_t worked = 0;

	if (has_argument(0))
		prepare();
	/* a path that opens is as good for one deed as for another: the last two by number only */
	for (size_t i = 0; i < ARRAY_SIZE(deeds) - (door == by_number ? 0 : 2); i++) {
		if (has_argument(0))
			fill(); /* the deed before spoilt it */
		pid_t child = need(fork(), "fork");
		if (!child) {
			bool done = !door(deeds[i]);

			/* Natively a deed that is done has to show in the mapping. */
			_exit((has_argument(0) ? done && changed() : done || changed()) ? 10 : 11);
		}
		int status = reap(child);
		if (WIFEXITED(status) && WEXITSTATUS(status) == 10)
			worked++;
		else if (has_argument(0))
			held("? %s: deed %zu shows nothing", what, i);
	}
	if (worked)
		escaped("%s: %zu deeds", what, worked);
	held("EPERM %s", what);
}

#define DOOR(name)                                                                                                     \
	static void do_##name(void)                                                                                    \
	{                                                                                                              \
		every_deed(name, #name);                                                                               \
	}

DOOR(by_number)
DOOR(by_proc_self)
DOOR(by_thread_self)
DOOR(by_dev_fd)
DOOR(by_pid)
DOOR(by_parent)
DOOR(by_map_files)

const struct attack attacks[] = {
	{"by-number", do_by_number},
	{"by-proc-self", do_by_proc_self},
	{"by-thread-self", do_by_thread_self},
	{"by-dev-fd", do_by_dev_fd},
	{"by-pid", do_by_pid},
	{"by-parent", do_by_parent},
	{"by-map-files", do_by_map_files},
	{0},
};
