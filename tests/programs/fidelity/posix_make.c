/* What makes a name: mkdir, mkfifo, mknod, symlink, link and open with O_CREAT, error by error and effect by effect. */

#include "posix.h"

static mode_t mode = 0644;

static long by_open(const char *path, int flags)
{
	long fd = open(path, flags | O_CLOEXEC, mode);

	if (fd >= 0)
		close((int)fd);
	return fd < 0 ? -1 : 0;
}

/* clang-format off */
#define MAKERS(X) \
	X(mkdir, mkdir(path, mode)) \
	X(mkdirat, mkdirat(AT_FDCWD, path, mode)) \
	X(mkfifo, mkfifo(path, mode)) \
	X(mknod_regular, mknod(path, S_IFREG | mode, 0)) \
	X(mknod_untyped, mknod(path, mode, 0)) \
	X(mknod_fifo, mknod(path, S_IFIFO | mode, 0)) \
	X(mknod_socket, mknod(path, S_IFSOCK | mode, 0)) \
	X(mknod_character, mknod(path, S_IFCHR | mode, 0x103)) \
	X(mknod_block, mknod(path, S_IFBLK | mode, 0x700)) \
	X(symlink, symlink("a-file", path)) \
	X(symlink_dangling, symlink("no/such/name", path)) \
	X(link, link("made-before", path)) \
	X(linkat_of_link, linkat(AT_FDCWD, "link-before", AT_FDCWD, path, 0)) \
	X(linkat_follow, linkat(AT_FDCWD, "link-before", AT_FDCWD, path, AT_SYMLINK_FOLLOW)) \
	X(rename, rename("made-before", path)) \
	X(open_creat, by_open(path, O_CREAT | O_WRONLY | O_NONBLOCK)) \
	X(open_creat_rdonly, by_open(path, O_CREAT | O_RDONLY | O_NONBLOCK)) \
	X(open_excl, by_open(path, O_CREAT | O_EXCL | O_RDWR)) \
	X(open_trunc, by_open(path, O_CREAT | O_TRUNC | O_WRONLY | O_NONBLOCK)) \
	X(open_nofollow, by_open(path, O_CREAT | O_NOFOLLOW | O_WRONLY | O_NONBLOCK)) \
	X(open_directory, by_open(path, O_CREAT | O_DIRECTORY | O_RDONLY)) \
	X(open_append, by_open(path, O_CREAT | O_APPEND | O_WRONLY | O_NONBLOCK))
/* clang-format on */

#define DEFINE(name, call)                                                                                             \
	static long make_##name(const char *path)                                                                      \
	{                                                                                                              \
		return (call);                                                                                         \
	}
MAKERS(DEFINE)

#define ROW_OF(name, call) {#name, make_##name},
static const struct maker {
	const char *name;
	long (*make)(const char *path);
} makers[] = {MAKERS(ROW_OF)};
static const struct maker *maker;

static void set_up(void)
{
	fresh();
	write_file("made-before", "before", 0644);
	MUST(symlink("made-before", "link-before"));
	give("made-before", ALICE, ALICE);
}

static void make(const char *shown, const char *path)
{
	char label[200];

	snprintf(label, sizeof(label), "%s %s", maker->name, shown);
	errno = 0;
	result(label, maker->make(path));
}

static void make_and_show(const char *path)
{
	char label[200];

	make(path, path);
	snprintf(label, sizeof(label), "%s left %s", maker->name, path);
	show(label, path);
}

/* --- the name --- */

static char long_path[PATH_MAX + 8];

/* A path of so many bytes with `end` as its last name. */
static const char *path_of(size_t bytes, const char *end)
{
	size_t tail = strlen(end), at = 0;

	for (; at + tail + 2 <= bytes; at += 2)
		memcpy(long_path + at, "./", 2);
	if (at + tail < bytes)
		memcpy(long_path + at++, "/", 1);
	strcpy(long_path + at, end);
	return long_path;
}

static void names(void)
{
	static char name[300];

	section("names");
	set_up();
	memset(name, 'n', sizeof(name) - 1);
	for (size_t length = 254; length <= 257; length++) {
		char shown[40];

		name[length] = 0;
		snprintf(shown, sizeof(shown), "a name of %zu", length);
		make(shown, name);
		name[length] = 'n';
	}
	set_up();
	for (size_t length = PATH_MAX - 3; length <= PATH_MAX + 1; length++) {
		char shown[40], end[16];

		snprintf(shown, sizeof(shown), "a path of %zu", length);
		snprintf(end, sizeof(end), "end%zu", length);
		make(shown, path_of(length, end));
		show(end, end);
	}
	set_up();
	name[255] = 0;
	MUST(mkdir(name, 0755));
	strcpy(name + 255, "/x");
	make("in a directory of 255", name);
	name[255] = 'n';
	name[256] = 0;
	strcpy(name + 256, "/x");
	make("in a directory of 256", name);
	make("without a name", "");
	make("nowhere", NULL);
	make("at a bad address", (const char *)8);
	make("new/", "new/");
	show("  new", "new");
	make("newer//", "newer//");
	make("newest/.", "newest/.");
	make("other/..", "other/..");
	make("absent/new", "absent/new");
	make(".", ".");
	make("..", "..");
	make("/", "/");
	make("./", "./");
}

static void in_the_way(void)
{
	char path[64];

	section("at the last name");
	for (int kind = 0; kind < KIND_COUNT; kind++)
		for (int slash = 0; slash < 2; slash++) {
			set_up();
			plant("it", (enum kind)kind);
			snprintf(path, sizeof(path), "it%s", slash ? "/" : "");
			make(slash ? "" : kind_names[kind], path);
			show("  it", "it");
			show("  absent", "absent");
		}
	section("on the way");
	for (int kind = 0; kind < KIND_COUNT; kind++) {
		set_up();
		plant("it", (enum kind)kind);
		make(kind_names[kind], "it/new");
		make("and up again", "it/../new");
	}
	set_up();
	MUST(symlink("loop", "loop"));
	MUST(symlink("b", "a"));
	MUST(symlink("a", "b"));
	make("loop", "loop");
	make("loop/new", "loop/new");
	make("a/new", "a/new");
	make("a/", "a/");
}

/* --- what is made --- */

static void modes(void)
{
	static const mode_t asked[] = {0, 0666, 0777, 01777, 06755, 07777, 037777};
	static const mode_t masks[] = {0, 022, 0151};
	char name[32];

	section("modes");
	set_up();
	for (size_t a = 0; a < COUNT(asked); a++)
		for (size_t m = 0; m < COUNT(masks); m++) {
			mode = asked[a];
			umask(masks[m]);
			snprintf(name, sizeof(name), "%o-%o", asked[a], masks[m]);
			if (!strcmp(maker->name, "rename"))
				write_file("made-before", "", 0644);
			make_and_show(name);
		}
	umask(0);
	mode = 0644;
}

static void make_three(void)
{
	make_and_show("plain/new");
	make_and_show("setgid/new");
	make_and_show("sticky/new");
}

static void owners(void)
{
	static const struct who *const people[] = {&root_self, &alice, &bob, &bob_of_team};
	char name[80];

	if (!privileged)
		return;
	for (size_t p = 0; p < COUNT(people); p++)
		for (enum way way = EFFECTIVE; way <= FOR_GOOD; way++) {
			if (!people[p]->uid && way)
				continue;
			snprintf(name, sizeof(name), "owners: %s%s", people[p]->name, ways[way]);
			section(name);
			set_up();
			MUST(mkdir("plain", 0777));
			MUST(mkdir("setgid", 0));
			MUST(mkdir("sticky", 0));
			give("setgid", ALICE, TEAM);
			give("sticky", BOB, TEAM);
			MUST(chmod("setgid", 02777));
			MUST(chmod("sticky", 03777));
			mode = 02775;
			as(people[p], way, make_three);
			mode = 0644;
		}
}

static void changes(void)
{
	section("times");
	set_up();
	MUST(mkdir("in", 0777));
	struct moment was = before("in"), source = before("made-before");

	make_and_show("in/new");
	after(&was, "in");
	after(&source, "made-before");
	if (strstr(maker->name, "open"))
		return;
	was = before("in");
	make_and_show("in/new");
	after(&was, "in");
}

/* --- what is not permitted --- */

static void make_in_all(void)
{
	static const char *const places[] = {"no-search/new", "no-write/new",  "no-search/it",  "no-write/it",
	                                     "no-search/",    "no-search/it/", "no-write/new/", "no-write/in/new"};

	for (size_t i = 0; i < COUNT(places); i++)
		make(places[i], places[i]);
}

static void permission(void)
{
	char name[80];

	for (enum way way = EFFECTIVE; way <= FOR_GOOD; way++) {
		if (!privileged && way)
			continue;
		snprintf(name, sizeof(name), "permission%s", ways[way]);
		section(name);
		set_up();
		MUST(mkdir("no-search", 0777));
		MUST(mkdir("no-write", 0777));
		plant("no-search/it", KIND_regular);
		plant("no-write/it", KIND_regular);
		MUST(mkdir("no-write/in", 0777));
		give("no-search", ALICE, ALICE);
		give("no-write", ALICE, ALICE);
		MUST(chmod("no-search", 0666));
		MUST(chmod("no-write", 0577));
		if (privileged)
			as(&alice, way, make_in_all);
		else
			make_in_all();
	}
}

int main(void)
{
	begin();
	for (size_t i = 0; i < COUNT(makers); i++) {
		maker = &makers[i];
		names();
		in_the_way();
		modes();
		owners();
		changes();
		permission();
	}
	end();
	return 0;
}
