/* FIFOs and pipes, locks and leases, appending, and the copies that the kernel makes between descriptors. */
#include "observe.h"

#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

static char buffer[70000];

static int wait_for(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void fifos(const char *fifo, const char *name)
{
	int status, fd;
	pid_t pid;

	section(name);
	ROW(open(fifo, O_WRONLY | O_NONBLOCK));
	fd = (int)ROW(open(fifo, O_RDONLY | O_NONBLOCK));
	ROW(read(fd, buffer, 10));
	int w = (int)ROW(open(fifo, O_WRONLY | O_NONBLOCK));

	ROW(read(fd, buffer, 10));
	ROW(write(w, "abc", 3));
	ROW(ioctl(fd, FIONREAD, &status));
	say("to read", "%d", status);
	ROW(read(fd, buffer, 10));
	ROW(fcntl(w, F_GETFL));
	ROW(fcntl(w, F_GETPIPE_SZ));
	ROW(fcntl(w, F_SETPIPE_SZ, 4096));
	ROW(write(w, buffer, 5000));
	ROW(write(w, buffer, 5000));
	close(fd);
	signal(SIGPIPE, SIG_IGN);
	ROW(write(w, "x", 1));
	signal(SIGPIPE, SIG_DFL);
	close(w);
	fd = (int)ROW(open(fifo, O_RDWR));
	ROW(fcntl(fd, F_GETFL));
	close(fd);
	/* each side waits for the other, whichever comes first */
	for (int reader_first = 0; reader_first < 2; reader_first++) {
		pid = (pid_t)MUST(fork());
		if (!pid) {
			if (reader_first)
				usleep(30000);
			fd = open(fifo, O_WRONLY);
			_exit(fd < 0 || write(fd, "through", 7) != 7);
		}
		if (!reader_first)
			usleep(30000);
		fd = (int)ROW(open(fifo, O_RDONLY));
		ROW(fcntl(fd, F_GETFL));
		ROW(read(fd, buffer, 100));
		buffer[7] = 0;
		say("text", "%s", buffer);
		ROW(read(fd, buffer, 100));
		close(fd);
		say("the writer ended", "%d", wait_for(pid));
	}
	/* a second thread of control goes on while one waits */
	pid = (pid_t)MUST(fork());
	if (!pid) {
		fd = open(fifo, O_RDONLY);
		_exit(fd < 0 ? 1 : read(fd, buffer, 10) == 2 ? 0 : 2);
	}
	ROW(access("file", F_OK));
	fd = (int)ROW(open(fifo, O_WRONLY));
	ROW(write(fd, "ok", 2));
	close(fd);
	say("the reader ended", "%d", wait_for(pid));
	/* killed while it waits */
	pid = (pid_t)MUST(fork());
	if (!pid)
		_exit(open(fifo, O_RDONLY) < 0);
	usleep(20000);
	MUST(kill(pid, SIGTERM));
	say("killed while waiting", "%d", wait_for(pid));
	ROW(open(fifo, O_WRONLY | O_NONBLOCK));
	ROW(open(fifo, O_RDONLY | O_DIRECTORY));
	ROW(open(fifo, O_RDWR | O_TRUNC | O_CREAT, 0600));
	close(3);
	ROW(open(fifo, O_RDWR | O_EXCL | O_CREAT, 0600));
}

/* --- locks --- */

static const char *kind(short type)
{
	return type == F_RDLCK ? "read" : type == F_WRLCK ? "write" : "none";
}

static void ask(const char *label, int fd, int cmd, short type, off_t start, off_t len)
{
	struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
	pid_t parent = getppid();

	errno = 0;
	long ret = result(label, fcntl(fd, cmd, &lock));

	if (!ret && (cmd == F_GETLK || cmd == F_OFD_GETLK))
		say(label, "%s %ld+%ld by %s", kind(lock.l_type), (long)lock.l_start, (long)lock.l_len,
		    lock.l_type == F_UNLCK   ? "nobody"
		    : lock.l_pid == parent   ? "the parent"
		    : lock.l_pid == -1       ? "a description"
		    : lock.l_pid == getpid() ? "oneself"
		                             : "somebody");
}

static void locks(void)
{
	int fd = (int)MUST(open("file", O_RDWR)), other = (int)MUST(open("file", O_RDWR)), status;
	int ro = (int)MUST(open("file", O_RDONLY));

	section("locks");
	ask("set 0+10", fd, F_SETLK, F_WRLCK, 0, 10);
	ask("set 20+5", fd, F_SETLK, F_RDLCK, 20, 5);
	ask("write lock of a read-only descriptor", ro, F_SETLK, F_WRLCK, 50, 1);
	ask("read lock of it", ro, F_SETLK, F_RDLCK, 50, 1);
	ask("get, oneself", fd, F_GETLK, F_WRLCK, 0, 1);
	ask("bad type", fd, F_SETLK, 7, 0, 1);
	ask("negative", fd, F_SETLK, F_WRLCK, -5, 1);
	ask("bad descriptor", 99, F_SETLK, F_WRLCK, 0, 1);
	pid_t pid = (pid_t)MUST(fork());

	if (!pid) {
		section("locks of the child");
		ask("get 5", fd, F_GETLK, F_WRLCK, 5, 1);
		ask("get 22 to read", fd, F_GETLK, F_RDLCK, 22, 1);
		ask("get 22 to write", fd, F_GETLK, F_WRLCK, 22, 1);
		ask("set 5", fd, F_SETLK, F_WRLCK, 5, 1);
		ask("set 15", fd, F_SETLK, F_WRLCK, 15, 1);
		ask("set 22 to read", fd, F_SETLK, F_RDLCK, 22, 1);
		ask("description's 30", fd, F_OFD_SETLK, F_WRLCK, 30, 5);
		ask("description's 5", fd, F_OFD_SETLK, F_WRLCK, 5, 1);
		_exit(0);
	}
	wait_for(pid);
	section("locks");
	ask("of the other description, 32", other, F_OFD_SETLK, F_WRLCK, 32, 1);
	ask("get of the other, 32", other, F_OFD_GETLK, F_WRLCK, 32, 1);
	ask("get of the process, 32", other, F_GETLK, F_WRLCK, 32, 1);
	ask("unlock of the description", fd, F_OFD_SETLK, F_UNLCK, 30, 5);
	/* a deadlock */
	ask("set 100", fd, F_SETLK, F_WRLCK, 100, 1);
	int ends[2];

	MUST(pipe(ends));
	pid = (pid_t)MUST(fork());
	if (!pid) {
		ask("child sets 200", fd, F_SETLK, F_WRLCK, 200, 1);
		MUST(write(ends[1], "x", 1));
		struct flock lock = {.l_type = F_WRLCK, .l_start = 100, .l_len = 1};

		_exit(fcntl(fd, F_SETLKW, &lock) ? errno : 0);
	}
	MUST(read(ends[0], buffer, 1));
	usleep(30000);
	ask("the parent waits for 200", fd, F_SETLKW, F_WRLCK, 200, 1);
	ask("unlock 100", fd, F_SETLK, F_UNLCK, 100, 1);
	say("the child's wait", "%d", wait_for(pid));
	/* closing any descriptor of the file drops them */
	close(other);
	pid = (pid_t)MUST(fork());
	if (!pid) {
		ask("child, after a close", fd, F_SETLK, F_WRLCK, 0, 10);
		_exit(0);
	}
	wait_for(pid);
	(void)status;
	close(ends[0]), close(ends[1]);

	section("flock");
	other = (int)MUST(open("file", O_RDONLY));
	ROW(flock(fd, LOCK_EX));
	ROW(flock(other, LOCK_EX | LOCK_NB));
	ROW(flock(other, LOCK_SH | LOCK_NB));
	ROW(flock(fd, LOCK_SH));
	ROW(flock(other, LOCK_SH | LOCK_NB));
	ROW(flock(fd, LOCK_EX | LOCK_NB));
	ROW(flock(fd, LOCK_UN));
	ROW(flock(fd, LOCK_UN));
	ROW(flock(fd, 77));
	ROW(flock(99, LOCK_EX));
	int twin = dup(other);

	close(other);
	ROW(flock(fd, LOCK_EX | LOCK_NB));
	close(twin);
	ROW(flock(fd, LOCK_EX | LOCK_NB));
	close(fd), close(ro);
}

static volatile int signalled;

static void on_signal(int sig, siginfo_t *info, void *context)
{
	(void)context;
	signalled = sig == SIGIO ? 1 : info->si_fd;
}

static void leases(void)
{
	struct sigaction act = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
	int fd = (int)MUST(open("file", O_RDONLY)), status;

	section("leases");
	sigaction(SIGIO, &act, NULL);
	ROW(fcntl(fd, F_GETLEASE));
	ROW(fcntl(fd, F_SETLEASE, F_RDLCK));
	ROW(fcntl(fd, F_GETLEASE));
	pid_t pid = (pid_t)MUST(fork());

	if (!pid) {
		int n = open("file", O_WRONLY | O_NONBLOCK);

		_exit(n < 0 ? errno : 0);
	}
	status = wait_for(pid);
	say("another opens for writing", "%s", status ? strerrorname_np(status) : "0");
	say("signalled", "%d", signalled);
	ROW(fcntl(fd, F_GETLEASE));
	ROW(fcntl(fd, F_SETLEASE, F_UNLCK));
	pid = (pid_t)MUST(fork());
	if (!pid)
		_exit(open("file", O_WRONLY | O_NONBLOCK) < 0 ? errno : 0);
	say("after it was given up", "%d", wait_for(pid));
	close(fd);
	fd = (int)MUST(open("file", O_RDWR));
	ROW(fcntl(fd, F_SETLEASE, F_WRLCK));
	ROW(fcntl(fd, F_SETLEASE, F_RDLCK));
	ROW(fcntl(fd, F_SETLEASE, F_UNLCK));
	close(fd);
}

/* --- appending, and copies within the kernel --- */

static void show_file(const char *label, const char *path)
{
	int fd = (int)MUST(open(path, O_RDONLY));
	ssize_t n = read(fd, buffer, 200);

	buffer[n < 0 ? 0 : n] = 0;
	say(label, "%ld %s", (long)n, buffer);
	close(fd);
}

static void copies(void)
{
	int ends[2];
	off_t off = 2, off2 = 3;

	section("appending");
	write_file("a", "0123456789", 0644);
	int fd = (int)MUST(open("a", O_WRONLY | O_APPEND)), twin = (int)MUST(open("a", O_RDWR));

	ROW(lseek(fd, 0, SEEK_SET));
	ROW(write(fd, "end", 3));
	ROW(lseek(fd, 0, SEEK_CUR));
	ROW(pwrite(fd, "PW", 2, 0));
	ROW(write(twin, "begin", 5));
	ROW(syscall(SYS_pwritev2, twin, &(struct iovec){"more", 4}, 1, 0L, 0L, RWF_APPEND));
	show_file("then", "a");
	close(fd), close(twin);

	section("copies");
	write_file("b", "", 0644);
	fd = (int)MUST(open("a", O_RDONLY));
	int to = (int)MUST(open("b", O_RDWR)), app = (int)MUST(open("b", O_WRONLY | O_APPEND));

	MUST(pipe(ends));
	ROW(sendfile(to, fd, &off, 5));
	ROW(sendfile(to, fd, NULL, 3));
	ROW(sendfile(app, fd, NULL, 3));
	ROW(sendfile(fd, to, NULL, 3));
	ROW(sendfile(ends[1], fd, &off, 4));
	ROW(read(ends[0], buffer, 100));
	show_file("sent", "b");
	ROW(copy_file_range(fd, &off, to, &off2, 4, 0));
	ROW(copy_file_range(fd, &off, fd, &off2, 4, 0));
	ROW(copy_file_range(fd, &off, app, NULL, 4, 0));
	ROW(copy_file_range(fd, NULL, to, NULL, 4, 1));
	ROW(copy_file_range(fd, NULL, ends[1], NULL, 4, 0));
	show_file("copied", "b");
	ROW(splice(fd, &off, ends[1], NULL, 5, 0));
	ROW(splice(ends[0], NULL, to, &off2, 5, 0));
	ROW(splice(fd, NULL, to, NULL, 5, 0));
	ROW(vmsplice(ends[1], &(struct iovec){"spliced", 7}, 1, 0));
	int more[2];

	MUST(pipe(more));
	ROW(tee(ends[0], more[1], 7, 0));
	ROW(splice(ends[0], NULL, to, NULL, 7, SPLICE_F_MOVE));
	ROW(read(more[0], buffer, 100));
	show_file("spliced", "b");
	ROW(lseek(to, 0, SEEK_CUR));
	ROW(readahead(fd, 0, 10));
	ROW(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
	ROW(sync_file_range(to, 0, 0, SYNC_FILE_RANGE_WRITE));
	ROW(fsync(fd));
	ROW(fdatasync(to));
	ROW(syncfs(fd));
	close(fd), close(to), close(app);
	for (int i = 0; i < 2; i++)
		close(ends[i]), close(more[i]);

	section("mapped");
	fd = (int)MUST(open("a", O_RDWR));
	char *at = mmap(NULL, 10, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	memcpy(at, "MAPPED", 6);
	ROW(msync(at, 10, MS_SYNC));
	show_file("shared", "a");
	munmap(at, 10);
	at = mmap(NULL, 10, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	memcpy(at, "private", 7);
	show_file("private", "a");
	munmap(at, 10);
	close(fd);
	unlink("a"), unlink("b");
}

int main(void)
{
	umask(022);
	write_file("file", "0123456789", 0644);
	MUST(mknod("fifo", S_IFIFO | 0644, 0));
	MUST(mkdir("d", 0755));
	MUST(symlink("../fifo", "d/link"));
	fifos("fifo", "FIFO");
	fifos("d/../d/link", "FIFO through a link");
	locks();
	leases();
	copies();
	unlink("fifo"), unlink("d/link"), unlink("file"), rmdir("d");
	return 0;
}
