/* Names: of what is granted and what is not, in every way that a path may be written. */
#include "fuzz.h"
#include "values.h"

#include <stdio.h>
#include <string.h>

static const char *const names[] = {
	"inside",  "secret", "readon", "execut", "carved",  "names",     "file",    "file", "file", "link",
	"dir",     "prog",   "script", "fifo",   "sock",    "..",        "..",      ".",    "",     "up",
	"down",    "abs",    "loop",   "chain0", "chain38", "none",      "new1",    "new2", "new3", "granted",
	"sibling", "magic",  "a.key",  "b.key",  "listing", "to_secret", "to_none", "held",
};

static void append(char *to, size_t size, const char *text)
{
	size_t n = strlen(to);

	if (n + strlen(text) + 1 < size)
		strcpy(to + n, text);
}

void compose(struct me *m, char *to, size_t size)
{
	to[0] = 0;
	switch (below(m, 24)) {
	default:
		snprintf(to, size, "%s/", world->base);
		break;
	case 12:
	case 13:
	case 14:
	case 15:
		break; /* relative */
	case 16:
		snprintf(to, size, "/proc/self/%s/", one_in(m, 2) ? "cwd" : "root");
		if (to[11] == 'r')
			append(to, size, world->base + 1);
		append(to, size, "/");
		break;
	case 17:
		snprintf(to, size, "/proc/%s/fd/%d", one_in(m, 2) ? "self" : "thread-self",
		         one_in(m, 4) ? world->fd_limit + (int)below(m, 210) : (int)below(m, 40));
		if (one_in(m, 2))
			return;
		append(to, size, "/");
		break;
	case 18: {
		static const char *const of[] = {"",        "mem",     "environ", "maps",     "fd",   "fd/0",
		                                 "root",    "cwd",     "exe",     "task",     "stat", "limits",
		                                 "cmdline", "syscall", "ns/mnt",  "map_files"};
		const int whose[] = {world->victim, world->supervisor, world->main_pid, 1};

		snprintf(to, size, "/proc/%d/%s", PICK(m, whose), PICK(m, of));
		return;
	}
	case 19:
		snprintf(to, size, "%s/inside/../", world->base);
		break;
	case 20: {
		/* a deep climb, which ends at the root wherever it starts */
		snprintf(to, size, "../../../../../../../../../../..%s/", world->base);
		break;
	}
	case 21: {
		static const char *const whole[] = {"/",
		                                    "/proc",
		                                    "/proc/self",
		                                    "/dev/shm/fuzz",
		                                    "/tmp/fuzz",
		                                    "/dev/fd/3",
		                                    "/proc/self/mounts",
		                                    "/proc/self/exe",
		                                    "/proc/self/mem",
		                                    "/proc/self/maps",
		                                    "/proc/self/fd",
		                                    ".",
		                                    "..",
		                                    "/dev/tty",
		                                    "/dev/ptmx",
		                                    "/proc/self/environ",
		                                    "/sys/devices/system/cpu",
		                                    "/proc/sys/kernel/osrelease"};

		snprintf(to, size, "%s", PICK(m, whole));
		return;
	}
	case 22:
		/* as long as a path may be, or longer */
		while (strlen(to) < 4000)
			append(to, size, one_in(m, 2) ? "./" : "dir/../");
		break;
	case 23:
		memset(to, 'n', 254 + below(m, 3));
		to[254 + below(m, 3)] = 0;
		append(to, size, one_in(m, 2) ? "/" : "");
		break;
	}
	for (unsigned n = 1 + below(m, 4); n; n--) {
		append(to, size, PICK(m, names));
		if (n > 1 || one_in(m, 12))
			append(to, size, one_in(m, 20) ? "//" : "/");
	}
}

/* Paths that change while they are used: their directory's name is always one of five that are equally long. */
static char *flipped;
static const char directories[][7] = {"inside", "secret", "readon", "carved", "execut"};

void make_flipped(struct me *m)
{
	static const char *const leaves[] = {"file", "dir/file", "new1", "prog", "link", "dir", "sock", "none"};

	flipped = arena;
	for (unsigned i = 0; i < FLIPPED; i++)
		snprintf(arena + 512 * (size_t)i, 512, "%s/inside/%s", world->base, leaves[i % 8]);
	(void)m;
}

void flip_paths(struct me *m)
{
	size_t n = strlen(world->base) + 1;

	for (unsigned i = 0; i < 64; i++)
		memcpy(flipped + 512 * below(m, FLIPPED) + n, PICK(m, directories), 6);
}

char *new_path(struct me *m)
{
	char text[5000];

	if (one_in(m, 6))
		return flipped + 512 * below(m, FLIPPED);
	compose(m, text, sizeof(text));
	size_t n = strlen(text) + 1;
	/* its end may be the end of what is mapped */
	char *at = one_in(m, 8) ? arena + ARENA - n : arena_room(m, n);

	memcpy(at, text, n);
	return at;
}

uint64_t path(struct me *m)
{
	if (one_in(m, 16)) {
		if (one_in(m, 3)) { /* with no end before the end of what is mapped */
			char *at = arena + ARENA - 1 - below(m, 64);

			memset(at, 'x', (size_t)(arena + ARENA - at));
			return (uint64_t)at;
		}
		return address(m, 1, NULL);
	}
	if (one_in(m, 16))
		return (uint64_t)strcpy(arena_room(m, 8), "");
	return (uint64_t)new_path(m);
}
