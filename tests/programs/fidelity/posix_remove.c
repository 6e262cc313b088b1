/* What takes names away and moves them: unlink, rmdir and rename, error by error and effect by effect. */

#include "posix.h"

#include <linux/fs.h>
#include <sys/mman.h>

static long by_renameat2(const char *from, const char *to, unsigned flags)
{
	return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

static void label_of(char *label, size_t size, const char *a, const char *b, const char *c)
{
	snprintf(label, size, "%s %s %s", a, b, c);
}

/* --- one name --- */

static void by_kind(void)
{
	static const char *const ends[] = {"", "/", "/.", "/..", "/x"};
	char path[64];

	for (int kind = 0; kind < KIND_COUNT; kind++)
		for (size_t e = 0; e < COUNT(ends); e++) {
			snprintf(path, sizeof(path), "it%s", ends[e]);
			section(kind_names[kind]);
			for (int dir = 0; dir < 2; dir++) {
				fresh();
				plant("it", (enum kind)kind);
				struct moment in = before(".");
				char label[80];

				errno = 0;
				result(dir ? "rmdir" : "unlink", dir ? rmdir(path) : unlink(path));
				label_of(label, sizeof(label), "  left", path, "");
				show(label, "it");
				after(&in, ".");
			}
		}
}

static void one_name(void)
{
	section("one name");
	fresh();
	ROW(unlink(""));
	ROW(rmdir(""));
	ROW(unlink("absent"));
	ROW(rmdir("absent"));
	ROW(unlink("absent/x"));
	ROW(rmdir("absent/"));
	ROW(unlink((const char *)8));
	ROW(rmdir((const char *)8));
	ROW(unlink("."));
	ROW(rmdir("."));
	ROW(rmdir("./"));
	ROW(unlink(".."));
	ROW(rmdir(".."));
	ROW(unlink("/"));
	ROW(rmdir("/"));
	ROW(rmdir("//"));
	MUST(symlink("loop", "loop"));
	ROW(unlink("loop/x"));
	ROW(rmdir("loop"));
	ROW(rmdir("loop/"));
	ROW(unlink("loop"));
	MUST(mkdir("full", 0777));
	plant("full/one", KIND_dangling);
	ROW(rmdir("full"));
	ROW(unlinkat(AT_FDCWD, "full", AT_REMOVEDIR));
	ROW(unlinkat(AT_FDCWD, "full", 0x100));
	TIMED(unlink("full/one"), "full", ".");
	ROW(rmdir("full/."));
	ROW(rmdir("full/.."));
	plant("file", KIND_regular);
	MUST(link("file", "other"));
	TIMED(unlink("other"), "file", ".");
	int fd = (int)MUST(open("file", O_RDONLY | O_CLOEXEC));
	struct stat st;

	ROW(unlink("file"));
	MUST(fstat(fd, &st));
	say("links of what is open", "%lu", (unsigned long)st.st_nlink);
	close(fd);
	/* the current directory and one that is held may be removed */
	MUST(mkdir("here", 0777));
	MUST(chdir("here"));
	ROW(rmdir("../here"));
	ROW(mkdir("new", 0777));
	ROW(open("new", O_CREAT | O_WRONLY, 0644));
	ROW(symlink("x", "new"));
	ROW(mkfifo("new", 0644));
	ROW(link("../none", "new"));
	ROW(rename("../none", "new"));
	ROW(unlink("new"));
	ROW(rmdir("."));
	ROW(access(".", F_OK));
	ROW(access("..", F_OK));
	ROW(chdir(".."));
}

/* --- two names --- */

static void over_each_other(void)
{
	static const struct {
		unsigned flags;
		const char *name;
	} forms[] = {{0, "rename"}, {RENAME_NOREPLACE, "noreplace"}, {RENAME_EXCHANGE, "exchange"}};
	static const char *const ends[][2] = {{"", ""}, {"/", ""}, {"", "/"}, {"/", "/"}};
	char from[16], to[16], label[120];

	for (size_t f = 0; f < COUNT(forms); f++)
		for (int a = 0; a < KIND_COUNT; a++)
			for (int b = 0; b <= KIND_COUNT; b++)
				for (size_t e = 0; e < COUNT(ends); e++) {
					fresh();
					plant("a", (enum kind)a);
					if (b < KIND_COUNT)
						plant("b", (enum kind)b);
					snprintf(from, sizeof(from), "a%s", ends[e][0]);
					snprintf(to, sizeof(to), "b%s", ends[e][1]);
					label_of(label, sizeof(label), kind_names[a], "over",
					         b < KIND_COUNT ? kind_names[b] : "nothing");
					section(forms[f].name);
					strcat(label, ends[e][0]);
					strcat(label, ends[e][1]);
					errno = 0;
					result(label, by_renameat2(from, to, forms[f].flags));
					show("  a", "a");
					show("  b", "b");
				}
}

static void two_names(void)
{
	static char name[300];

	section("two names");
	memset(name, 'n', 256);
	fresh();
	plant("file", KIND_regular);
	MUST(mkdir("dir", 0777));
	MUST(mkdir("dir/sub", 0777));
	plant("dir/one", KIND_regular);
	ROW(rename("file", name));
	ROW(rename(name, "file"));
	name[255] = 0;
	ROW(rename("file", name));
	ROW(rename(name, "file"));
	ROW(rename("", "file"));
	ROW(rename("file", ""));
	ROW(rename("absent", ""));
	ROW(rename("absent", "file"));
	ROW(rename("absent", "absent/x"));
	ROW(rename("absent/x", "absent"));
	ROW(rename("file", "absent/x"));
	ROW(rename("file/x", "y"));
	ROW(rename("file", "file/x"));
	ROW(rename("dir", "dir/sub/x"));
	ROW(rename("dir", "dir/x"));
	ROW(rename("dir/sub", "dir"));
	ROW(rename("file", "dir"));
	ROW(rename("dir", "file"));
	ROW(rename("dir/sub", "dir/."));
	ROW(rename(".", "x"));
	ROW(rename("..", "x"));
	ROW(rename("dir/.", "x"));
	ROW(rename("dir/..", "x"));
	ROW(rename("file", "."));
	ROW(rename("file", ".."));
	ROW(rename("/", "x"));
	ROW(rename("absent", "/"));
	ROW(rename("file", "//"));
	ROW(by_renameat2("file", "/", RENAME_NOREPLACE));
	ROW(by_renameat2("file", "/", RENAME_EXCHANGE));
	ROW(rename((const char *)8, "x"));
	ROW(rename("file", (const char *)8));
	MUST(mkdir("empty", 0777));
	MUST(mkdir("full", 0777));
	plant("full/one", KIND_regular);
	ROW(rename("dir", "full"));
	ROW(by_renameat2("dir", "full", RENAME_NOREPLACE));
	TIMED(rename("dir", "empty"), "dir", ".");
	TIMED(rename("empty/one", "full/two"), "empty", "full");
	TIMED(rename("full/two", "full/one"), "full", "full/two");
	show("  full/one", "full/one");
	MUST(link("file", "again"));
	TIMED(rename("file", "again"), "file", ".");
	ROW(by_renameat2("file", "again", RENAME_NOREPLACE));
	ROW(by_renameat2("file", "again", RENAME_EXCHANGE));
	TIMED(rename("file", "file"), "file", ".");
	ROW(by_renameat2("file", "file", RENAME_NOREPLACE));
	ROW(rename("empty", "empty"));
	MUST(symlink("file", "ln"));
	TIMED(rename("ln", "full/ln"), "file", "full");
	show("  full/ln", "full/ln");
	MUST(symlink("loop", "loop"));
	ROW(rename("loop/x", "y"));
	ROW(rename("file", "loop/y"));
	ROW(rename("loop", "loop2"));
	ROW(by_renameat2("file", "x", RENAME_EXCHANGE | RENAME_NOREPLACE));
	ROW(by_renameat2("file", "x", 8));
	/* links of the directories that one is moved between */
	MUST(mkdir("p", 0777));
	MUST(mkdir("q", 0777));
	MUST(mkdir("p/d", 0777));
	TIMED(rename("p/d", "q/d"), "p", "q");
	show("  p", "p");
	show("  q", "q");
	MUST(mkdir("p/d", 0777));
	ROW(rename("p/d", "q/d"));
	show("  p", "p");
	show("  q", "q");
	plant("p/f", KIND_regular);
	ROW(by_renameat2("p/f", "q/d", RENAME_EXCHANGE));
	show("  p", "p");
	show("  q", "q");
}

/* --- sticky directories, and who may change what is in them --- */

static const char *const sticky_names[] = {"file", "dir", "fifo", "ln"};

static void in_sticky(void)
{
	for (size_t i = 0; i < COUNT(sticky_names); i++) {
		char in[40], target[40], label[100];

		/* over what belongs to somebody else, out of it, and away */
		snprintf(in, sizeof(in), "d/%s", sticky_names[i]);
		snprintf(target, sizeof(target), "own/%s", sticky_names[i]);
		if (i == 1)
			MUST(mkdir(target, 0777));
		else if (i == 2)
			MUST(mkfifo(target, 0666));
		else
			write_file(target, "own", 0666);
		label_of(label, sizeof(label), "own over", sticky_names[i], "");
		errno = 0;
		result(label, rename(target, in));
		label_of(label, sizeof(label), "exchanged", sticky_names[i], "");
		errno = 0;
		result(label, by_renameat2(in, target, RENAME_EXCHANGE));
		label_of(label, sizeof(label), "moved", sticky_names[i], "");
		errno = 0;
		result(label, rename(in, "d/moved"));
		label_of(label, sizeof(label), "removed", sticky_names[i], "");
		errno = 0;
		result(label, i == 1 ? rmdir(in) : unlink(in));
		label_of(label, sizeof(label), "linked", sticky_names[i], "");
		errno = 0;
		result(label, link(in, "own/link"));
	}
}

static void sticky(void)
{
	static const uid_t owners[] = {0, ALICE, BOB};
	static const mode_t modes[] = {0777, 01777, 01755, 01775};
	static const struct who *const people[] = {&alice, &bob_of_team};
	char name[160];

	if (!privileged)
		return;
	for (size_t d = 0; d < COUNT(owners); d++)
		for (size_t f = 0; f < COUNT(owners); f++)
			for (size_t m = 0; m < COUNT(modes); m++)
				for (size_t p = 0; p < COUNT(people); p++) {
					enum way way = (enum way)((d + f + m) % 3); /* each of them comes with each */

					snprintf(name, sizeof(name), "%s in %o of %u with names of %u%s",
					         people[p]->name, modes[m], owners[d], owners[f], ways[way]);
					section(name);
					fresh();
					MUST(mkdir("d", 0777));
					MUST(mkdir("own", 0777));
					plant("d/file", KIND_regular);
					plant("d/dir", KIND_directory);
					plant("d/fifo", KIND_fifo);
					plant("d/ln", KIND_dangling);
					give("d/file", owners[f], 0);
					give("d/dir", owners[f], 0);
					give("d/fifo", owners[f], 0);
					give("d/ln", owners[f], 0);
					give("d", owners[d], TEAM);
					MUST(chmod("d", modes[m]));
					as(people[p], way, in_sticky);
				}
}

/* A directory that belongs to somebody else may be moved within its parent; elsewhere its ".." would have to change. */
static void move_directories(void)
{
	ROW(rename("from/theirs", "from/moved"));
	ROW(rename("from/moved", "to/moved"));
	ROW(rename("from/theirs", "to/theirs"));
	ROW(by_renameat2("from/moved", "to/mine", RENAME_EXCHANGE));
	ROW(rename("closed/in", "from/in"));
	ROW(rename("from/file", "closed/in"));
	ROW(rename("from/file", "closed/new"));
	ROW(rename("hidden/in", "from/in"));
	ROW(rename("from/file", "hidden/in"));
	ROW(unlink("closed/in"));
	ROW(unlink("closed/absent"));
	ROW(rmdir("closed/dir"));
	ROW(rmdir("closed/file"));
	ROW(unlink("closed/dir"));
	ROW(unlink("hidden/in"));
	ROW(rmdir("hidden/absent"));
}

static void directories_of_others(void)
{
	for (enum way way = EFFECTIVE; way <= FOR_GOOD && (privileged || !way); way++) {
		char name[60];

		snprintf(name, sizeof(name), "directories of others%s", ways[way]);
		section(name);
		fresh();
		MUST(mkdir("from", 0777));
		MUST(mkdir("to", 0777));
		MUST(mkdir("from/theirs", 0755));
		MUST(mkdir("to/mine", 0755));
		MUST(mkdir("closed", 0777));
		MUST(mkdir("hidden", 0777));
		plant("from/file", KIND_regular);
		plant("closed/in", KIND_regular);
		plant("closed/file", KIND_regular);
		plant("closed/dir", KIND_directory);
		plant("hidden/in", KIND_regular);
		give("from/theirs", BOB, BOB);
		give("to/mine", ALICE, ALICE);
		give("closed", ALICE, ALICE);
		give("hidden", ALICE, ALICE);
		MUST(chmod("closed", 0555));
		MUST(chmod("hidden", 0666));
		as(&alice, way, move_directories);
	}
}

int main(void)
{
	begin();
	by_kind();
	one_name();
	over_each_other();
	two_names();
	sticky();
	directories_of_others();
	end();
	return 0;
}
