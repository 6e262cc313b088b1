/* Signals while calls on names are under way: says what was seen of each, one line a claim. Arguments: a FIFO that nobody has open. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#define ROUNDS 4000

static volatile sig_atomic_t caught;

static void on_signal(int sig)
{
	(void)sig;
	caught++;
}

static void timer(long first_us, long every_us)
{
	struct itimerval t = {{0, every_us}, {first_us / 1000000, first_us % 1000000}};

	setitimer(ITIMER_REAL, &t, NULL);
}

/* Calls that natively never end with EINTR, under a storm of a signal whose handler does not restart. */
static void looks(void)
{
	struct stat st;
	char text[64];
	int wrong = 0;

	timer(500, 500);
	while (!caught)
		(void)stat(".", &st);
	for (int i = 0; i < ROUNDS; i++) {
		wrong += stat("file", &st) || st.st_size != 6;
		wrong += !lstat("absent", &st) || errno != ENOENT;
		wrong += readlink("link", text, sizeof(text)) != 4;
		wrong += access("file", R_OK) != 0;
		int fd = open("file", O_RDONLY);

		wrong += fd < 0;
		close(fd);
		fd = open("box/made", O_RDWR | O_CREAT | O_EXCL, 0600);
		wrong += fd < 0;
		close(fd);
		wrong += unlink("box/made") != 0;
		wrong += mkdir("box/made", 0700) != 0;
		wrong += rmdir("box/made") != 0;
	}
	timer(0, 0);
	printf("looks under a storm: %d wrong\n", wrong);
}

static void fifo(const char *path)
{
	caught = 0;
	timer(30000, 30000);
	int fd = open(path, O_RDONLY);

	printf("waiting for a writer: %s\n", fd >= 0 ? "opened" : strerrorname_np(errno));
	timer(0, 0);
	/* an open that was interrupted has left no reader behind */
	fd = open(path, O_WRONLY | O_NONBLOCK);
	printf("then writing at once: %s\n", fd >= 0 ? "opened" : strerrorname_np(errno));
}

int main(int argc, char **argv)
{
	struct sigaction sa = {.sa_handler = on_signal};

	setvbuf(stdout, NULL, _IOLBF, 0);
	sigaction(SIGALRM, &sa, NULL);
	looks();
	if (argc > 1)
		fifo(argv[1]);
	return 0;
}
