/* `..` under RESOLVE_BENEATH gives EAGAIN while anything is renamed anywhere (rule 15). */
#include "fact.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

static atomic_int done;

static void *rename_elsewhere(void *unused)
{
	(void)unused;
	while (!done) {
		rename("elsewhere/a", "elsewhere/b");
		rename("elsewhere/b", "elsewhere/a");
	}
	return NULL;
}

int main(void)
{
	const struct how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH};
	time_t limit = time(NULL) + 30;
	pthread_t thread;
	bool seen = false;

	need(mkdir("granted", 0700), "mkdir");
	need(mkdir("granted/sub", 0700), "mkdir");
	need(mkdir("elsewhere", 0700), "mkdir");
	make_file("elsewhere/a", "", 0600);
	int dir = (int)need(open("granted", O_PATH | O_CLOEXEC), "granted");
	if (pthread_create(&thread, NULL, rename_elsewhere, NULL))
		ends(2, "pthread_create");
	while (!seen && time(NULL) < limit) {
		int fd = openat2_(dir, "sub/../sub/../sub/../sub/../sub", &how, sizeof(how));
		seen = fd < 0 && errno == EAGAIN;
		claim(fd >= 0 || seen, "openat2: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
	}
	done = 1;
	pthread_join(thread, NULL);
	claim(seen, "no EAGAIN in 30 seconds");
	return 0;
}
