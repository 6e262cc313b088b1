/* What a program does on an ordinary day, through whichever libc it was linked with. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static void check(int ok, const char *what)
{
	if (ok)
		return;
	printf("%s: %s\n", what, strerror(errno));
	exit(1);
}

static void files(void)
{
	char path[PATH_MAX], text[100];

	check(!mkdir("dir", 0755), "mkdir");
	FILE *file = fopen("dir/file", "w+x");
	check(file != NULL, "fopen");
	check(fprintf(file, "some text\n") == 10 && !fflush(file), "fprintf");
	check(!fchmod(fileno(file), 0640) && !ftruncate(fileno(file), 4), "fchmod, ftruncate");
	struct timespec times[2] = {{5, 6}, {7, 8}};
	check(!futimens(fileno(file), times), "futimens");
	rewind(file);
	check(fgets(text, sizeof(text), file) && !strcmp(text, "some"), "fgets");
	fclose(file);

	check(!symlink("dir/file", "link") && !link("dir/file", "hard"), "symlink, link");
	check(readlink("link", text, sizeof(text)) == 8, "readlink");
	check(realpath("link", path) != NULL, "realpath");
	printf("realpath %s\n", path);
	struct stat status;
	check(!stat("link", &status), "stat");
	printf("%o %ld %ld %ld\n", status.st_mode, (long)status.st_size, (long)status.st_nlink, (long)status.st_mtime);
	check(!lstat("link", &status) && S_ISLNK(status.st_mode), "lstat");
	check(!rename("hard", "dir/moved") && !access("dir/moved", R_OK | W_OK), "rename, access");
	check(access("absent", F_OK) && errno == ENOENT, "access of what is absent");

	int fd = open("dir/file", O_RDWR | O_APPEND | O_CLOEXEC);
	check(fd == 3 && write(fd, "more", 4) == 4, "append");
	char *map = mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	check(map != MAP_FAILED && !memcmp(map, "somemore", 8), "mmap");
	map[0] = 'S';
	check(!msync(map, 8, MS_SYNC) && !munmap(map, 8), "msync");
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	check(!fcntl(fd, F_SETLK, &lock) && !close(fd), "lock");
	char made[] = "dir/tmpXXXXXX";
	fd = mkstemp(made);
	check(fd == 3 && !unlink(made) && !close(fd), "mkstemp");

	check(!chdir("dir") && getcwd(path, sizeof(path)), "chdir, getcwd");
	printf("getcwd %s\n", path);
	check(!chdir("..") && !access("link", F_OK), "chdir ..");
	int count = 0;
	DIR *directory = opendir("dir");
	while (directory && readdir(directory))
		count++;
	printf("%d names\n", count);
	closedir(directory);
}

static int show(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)walk;
	if (!strcmp(path, "./link") || !strncmp(path, "./dir", 5))
		printf(type == FTW_SL ? "link\n" : "");
	return 0;
}

static void *threaded(void *arg)
{
	char name[32];

	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "t%ld-%d", (long)arg, i);
		int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
		check(fd >= 0 && !close(fd) && !unlink(name), "open in a thread");
	}
	return NULL;
}

static void processes(void)
{
	int status;
	pid_t pid;
	char *argv[] = {"sh", "-c", "exit 3", NULL};

	check(!posix_spawnp(&pid, "sh", NULL, NULL, argv, environ) && waitpid(pid, &status, 0) == pid, "posix_spawn");
	printf("spawned %d, system %d\n", WEXITSTATUS(status), WEXITSTATUS(system("exit 4")));
	FILE *pipe = popen("echo from a pipe", "r");
	char line[100] = "";
	check(pipe && fgets(line, sizeof(line), pipe) && !pclose(pipe), "popen");
	printf("%s", line);
	pid = vfork();
	if (!pid)
		_exit(6);
	check(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 6, "vfork");
	pid = fork();
	if (!pid) {
		pause();
		_exit(0);
	}
	check(!kill(pid, SIGTERM) && waitpid(pid, &status, 0) == pid && WTERMSIG(status) == SIGTERM, "kill");
	pthread_t threads[8];
	for (long i = 0; i < 8; i++)
		check(!pthread_create(&threads[i], NULL, threaded, (void *)i), "pthread_create");
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
}

static void sockets(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "dir/socket"};
	int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
	char byte = 'x';

	check(!bind(server, (struct sockaddr *)&address, sizeof(address)) && !listen(server, 1), "bind, listen");
	check(!connect(client, (struct sockaddr *)&address, sizeof(address)), "connect");
	check(connect(client, (struct sockaddr *)&address, sizeof(address)) && errno == EISCONN, "connect again");
	int accepted = accept(server, NULL, NULL);
	check(accepted >= 0 && write(client, &byte, 1) == 1 && read(accepted, &byte, 1) == 1, "accept");
	check(!close(server) && !close(client) && !close(accepted) && !unlink("dir/socket"), "close");
}

int main(int argc, char **argv)
{
	printf("%s %d %s\n", argv[0], argc, getenv("TZ"));
	files();
	nftw(".", show, 5, FTW_PHYS);
	processes();
	sockets();
	printf("well\n");
	return 0;
}
