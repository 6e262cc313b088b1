/* Calls that wait for the other end of a file, and are interrupted: FIFOs, leases, pipes, sockets, locks. */
#include "interrupted.h"

#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>

static int full[2], pair[2], listener, lock_fd;
static struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "listening"};

static long open_reader(void)
{
	return open("fifo", O_RDONLY) < 0 ? -1 : 0;
}

static long open_writer(void)
{
	return open("fifo", O_WRONLY) < 0 ? -1 : 0;
}

static long open_by_link(void)
{
	return open("d/../d/link", O_RDONLY | O_CLOEXEC) < 0 ? -1 : 0;
}

static long open_how(void)
{
	struct open_how how = {.flags = O_WRONLY, .resolve = RESOLVE_BENEATH};

	return syscall(SYS_openat2, AT_FDCWD, "fifo", &how, sizeof(how)) < 0 ? -1 : 0;
}

static void other_end_writes(void)
{
	int fd = (int)MUST(open("fifo", O_WRONLY));

	close(fd);
}

static void other_end_reads(void)
{
	int fd = (int)MUST(open("fifo", O_RDONLY));

	close(fd);
}

static long open_leased(void)
{
	int fd = open("leased", O_RDWR);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? -1 : 0;
}

static long truncate_leased(void)
{
	return truncate("leased", 3);
}

static int lease_fd;

static void take_lease(void)
{
	lease_fd = (int)MUST(open("leased", O_RDONLY));
	signal(SIGIO, SIG_IGN);
	MUST(fcntl(lease_fd, F_SETLEASE, F_RDLCK));
}

static void give_up_lease(void)
{
	MUST(fcntl(lease_fd, F_SETLEASE, F_UNLCK));
	close(lease_fd);
}

static long read_pipe(void)
{
	return read(pipe_[0], bytes, 1);
}

static long splice_pipe(void)
{
	return splice(pipe_[0], NULL, full[1], NULL, 1, 0);
}

static long write_full(void)
{
	return write(full[1], bytes, 4096);
}

static void read_full(void)
{
	MUST(read(full[0], bytes, sizeof(bytes)));
}

static void fill(void)
{
	MUST(fcntl(full[1], F_SETFL, O_NONBLOCK));
	while (write(full[1], bytes, sizeof(bytes)) > 0)
		;
	MUST(fcntl(full[1], F_SETFL, 0));
}

static void drain(void)
{
	MUST(fcntl(full[0], F_SETFL, O_NONBLOCK));
	while (read(full[0], bytes, sizeof(bytes)) > 0)
		;
	MUST(fcntl(full[0], F_SETFL, 0));
}

static void drain_both(void)
{
	empty_pipe();
	drain();
}

static void listen_full(void)
{
	(void)unlink(address.sun_path);
	listener = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	MUST(bind(listener, (struct sockaddr *)&address, sizeof(address)));
	MUST(listen(listener, 0));
	int fd = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));

	MUST(connect(fd, (struct sockaddr *)&address, sizeof(address)));
	close(fd);
}

static void listen_idle(void)
{
	(void)unlink(address.sun_path);
	listener = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	MUST(bind(listener, (struct sockaddr *)&address, sizeof(address)));
	MUST(listen(listener, 5));
}

static void accept_one(void)
{
	int fd = (int)MUST(accept(listener, NULL, NULL));

	close(fd);
}

static void stop_listening(void)
{
	close(listener);
}

static long connect_full(void)
{
	int fd = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	long ret = connect(fd, (struct sockaddr *)&address, sizeof(address));
	int error = errno;

	close(fd);
	errno = error;
	return ret;
}

static long accept_idle(void)
{
	return accept(listener, NULL, NULL) < 0 ? -1 : 0;
}

static void connect_to_it(void)
{
	int fd = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));

	MUST(connect(fd, (struct sockaddr *)&address, sizeof(address)));
	close(fd);
}

static long receive(void)
{
	return recv(pair[0], bytes, 1, 0);
}

static long receive_message(void)
{
	struct iovec iov = {bytes, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	return recvmsg(pair[0], &m, 0);
}

static long receive_within(void)
{
	struct timeval minute = {60, 0}, none = {0, 0};

	MUST(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &minute, sizeof(minute)));
	long ret = recv(pair[0], bytes, 1, 0);
	int error = errno;

	MUST(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none)));
	errno = error;
	return ret;
}

static void send_byte(void)
{
	MUST(send(pair[1], "x", 1, 0));
}

static void take_byte(void)
{
	(void)recv(pair[0], bytes, 1, MSG_DONTWAIT);
}

static void flock_it(void)
{
	lock_fd = (int)MUST(open("locked", O_RDWR));
	MUST(flock(lock_fd, LOCK_EX));
}

static long flock_waits(void)
{
	close(lock_fd);
	int fd = (int)MUST(open("locked", O_RDWR));
	long ret = flock(fd, LOCK_SH);
	int error = errno;

	close(fd);
	errno = error;
	return ret;
}

static void lock_it(void)
{
	lock_fd = (int)MUST(open("locked", O_RDWR));
	MUST(fcntl(lock_fd, F_SETLK, &(struct flock){.l_type = F_WRLCK}));
}

static void unlock(void)
{
	close(lock_fd);
}

static long lock_waits(void)
{
	close(lock_fd);
	int fd = (int)MUST(open("locked", O_RDWR));
	long ret = fcntl(fd, F_SETLKW, &(struct flock){.l_type = F_WRLCK});
	int error = errno;

	close(fd);
	errno = error;
	return ret;
}

static long lock_of_description_waits(void)
{
	close(lock_fd);
	int fd = (int)MUST(open("locked", O_RDWR));
	long ret = fcntl(fd, F_OFD_SETLKW, &(struct flock){.l_type = F_WRLCK});
	int error = errno;

	close(fd);
	errno = error;
	return ret;
}

static const struct call calls[] = {
	{"open a FIFO to read", nothing, nothing, open_reader, nothing, other_end_writes, nothing, 0},
	{"open a FIFO to write", nothing, nothing, open_writer, nothing, other_end_reads, nothing, 0},
	{"open a FIFO through a link", nothing, nothing, open_by_link, nothing, other_end_writes, nothing, 0},
	{"openat2 of a FIFO", nothing, nothing, open_how, nothing, other_end_reads, nothing, 0},
	{"open a leased file", take_lease, nothing, open_leased, nothing, give_up_lease, nothing, HELD},
	{"truncate a leased file", take_lease, nothing, truncate_leased, nothing, give_up_lease, nothing, HELD},
	{"read", nothing, nothing, read_pipe, nothing, write_pipe, empty_pipe, 0},
	{"splice", drain, nothing, splice_pipe, nothing, write_pipe, drain_both, 0},
	{"write", fill, nothing, write_full, nothing, read_full, drain, 0},
	{"connect", listen_full, nothing, connect_full, nothing, accept_one, stop_listening, HELD},
	{"accept", listen_idle, nothing, accept_idle, nothing, connect_to_it, stop_listening, 0},
	{"recv", nothing, nothing, receive, nothing, send_byte, take_byte, 0},
	{"recvmsg", nothing, nothing, receive_message, nothing, send_byte, take_byte, 0},
	{"recv with a timeout", nothing, nothing, receive_within, nothing, send_byte, take_byte, 0},
	{"flock", flock_it, nothing, flock_waits, nothing, unlock, nothing, HELD},
	{"F_SETLKW", lock_it, nothing, lock_waits, nothing, unlock, nothing, HELD},
	{"F_OFD_SETLKW", lock_it, nothing, lock_of_description_waits, nothing, unlock, nothing, HELD},
};

int main(void)
{
	begin();
	MUST(mkfifo("fifo", 0644));
	MUST(mkdir("d", 0755));
	MUST(symlink("../fifo", "d/link"));
	write_file("leased", "leased\n", 0644);
	write_file("locked", "", 0644);
	MUST(pipe(full));
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	interrupt_each(calls, COUNT(calls));
	return 0;
}
