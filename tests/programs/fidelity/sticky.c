/*
 * Links, files and FIFOs of others in directories in which everybody may make names, sticky ones and others: whatever
 * fs.protected_symlinks, _hardlinks, _regular and _fifos are set to, who follows, opens or links them gets one answer.
 */
#include "observe.h"

#include <sys/syscall.h>
#include <sys/wait.h>

#define ONE 12345
#define TWO 12346

static uid_t own;

static void give(const char *path, uid_t user)
{
	if (!own)
		MUST(lchown(path, user, user));
}

static void plant(mode_t mode, uid_t of_dir, uid_t of_names)
{
	mkdir("at", 0777);
	mkdir("at/shared", 0700);
	write_file("at/plain", "plain", 0666);
	mkdir("at/dir", 0777);
	write_file("at/dir/file", "file", 0666);
	symlink("shared/to-plain", "at/outer");
	MUST(symlink("../plain", "at/shared/to-plain"));
	MUST(symlink("../dir", "at/shared/to-dir"));
	MUST(symlink("../new", "at/shared/to-new"));
	write_file("at/shared/file", "shared", 0666);
	MUST(mkfifo("at/shared/fifo", 0666));
	MUST(chmod("at/shared/fifo", 0666));
	for (size_t i = 0; i < 5; i++) {
		static const char *const names[] = {"to-plain", "to-dir", "to-new", "file", "fifo"};
		char path[40];

		snprintf(path, sizeof(path), "at/shared/%s", names[i]);
		give(path, of_names);
	}
	give("at/shared", of_dir);
	MUST(chmod("at/shared", mode));
}

static void uproot(void)
{
	static const char *const names[] = {"to-plain", "to-dir", "to-new", "file", "fifo", "hard"};
	char path[40];

	for (size_t i = 0; i < COUNT(names); i++) {
		snprintf(path, sizeof(path), "at/shared/%s", names[i]);
		(void)unlink(path);
	}
	(void)unlink("at/new");
	(void)unlink("at/hard");
	(void)rmdir("at/shared");
}

#define CLOSED(call)                                                                                                   \
	do {                                                                                                           \
		long fd_ = (errno = 0, (call));                                                                        \
                                                                                                                       \
		result(#call, fd_ < 0 ? -1 : 0);                                                                       \
		if (fd_ >= 0)                                                                                          \
			close((int)fd_);                                                                               \
	} while (0)

static void try(void)
{
	struct stat st;

	CLOSED(open("at/shared/to-plain", O_RDONLY));
	CLOSED(open("at/shared/to-plain", O_WRONLY | O_CREAT, 0600));
	CLOSED(open("at/shared/to-plain", O_RDONLY | O_NOFOLLOW));
	CLOSED(open("at/shared/to-plain", O_WRONLY | O_CREAT | O_NOFOLLOW, 0600));
	CLOSED(open("at/shared/to-plain", O_WRONLY | O_CREAT | O_EXCL, 0600));
	CLOSED(open("at/outer", O_RDONLY));
	ROW(stat("at/shared/to-plain", &st));
	ROW(lstat("at/shared/to-plain", &st));
	ROW(access("at/shared/to-plain", R_OK));
	ROW(truncate("at/shared/to-plain", 3));
	ROW(chmod("at/shared/to-plain", 0666));
	ROW(syscall(SYS_execve, "at/shared/to-plain", NULL, NULL));
	ROW(stat("at/shared/to-dir", &st));
	ROW(stat("at/shared/to-dir/", &st));
	ROW(stat("at/shared/to-dir/.", &st));
	ROW(stat("at/shared/to-dir/file", &st));
	CLOSED(open("at/shared/to-dir/file", O_RDONLY));
	CLOSED(open("at/shared/to-dir", O_RDONLY | O_DIRECTORY));
	ROW(chdir("at/shared/to-dir") ? -1 : chdir("../.."));
	CLOSED(open("at/shared/to-new", O_RDONLY));
	CLOSED(open("at/shared/to-new", O_WRONLY | O_CREAT, 0600));
	CLOSED(open("at/shared/file", O_WRONLY));
	CLOSED(open("at/shared/file", O_WRONLY | O_CREAT, 0600));
	CLOSED(open("at/shared/file", O_RDONLY | O_CREAT, 0600));
	CLOSED(open("at/shared/file", O_WRONLY | O_CREAT | O_TRUNC, 0600));
	CLOSED(open("at/shared/file", O_WRONLY | O_CREAT | O_EXCL, 0600));
	CLOSED(open("at/shared/fifo", O_RDWR | O_NONBLOCK));
	CLOSED(open("at/shared/fifo", O_RDWR | O_NONBLOCK | O_CREAT, 0600));
	CLOSED(open("at/shared/fifo", O_RDONLY | O_NONBLOCK | O_CREAT, 0600));
	ROW(link("at/shared/file", "at/hard"));
	ROW(linkat(AT_FDCWD, "at/shared/to-plain", AT_FDCWD, "at/shared/hard", AT_SYMLINK_FOLLOW));
}

int main(void)
{
	static const mode_t modes[] = {01777, 0777, 01755, 01775, 01770, 01757};
	static const uid_t users[] = {0, ONE, TWO};
	size_t n = geteuid() ? 1 : COUNT(users);

	umask(0);
	own = geteuid();
	MUST(chmod(".", 0755));
	for (size_t m = 0; m < COUNT(modes); m++)
		for (size_t d = 0; d < (n > 2 ? 2 : 1); d++)
			for (size_t i = 0; i < n; i++)
				for (size_t who = 0; who < n; who++) {
					char label[80];

					snprintf(label, sizeof(label), "%o of %u, names of %u, asked by %u", modes[m],
					         users[d], users[i], users[who]);
					section(label);
					plant(modes[m], users[d], users[i]);
					pid_t pid = (pid_t)MUST(fork());

					if (!pid) {
						if (!own) {
							MUST(setresgid(users[who], users[who], users[who]));
							MUST(setresuid(users[who], users[who], users[who]));
						}
						try();
						_exit(0);
					}
					MUST(waitpid(pid, NULL, 0));
					uproot();
				}
	return 0;
}
