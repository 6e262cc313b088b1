/* openat2(2) with RESOLVE_BENEATH and RESOLVE_IN_ROOT, from directories that are grants and that are none, and what a
 * descriptor of what it found says that it is. */
#include "observe.h"

#include <linux/openat2.h>
#include <sys/syscall.h>

int main(void)
{
	static const char *const dirs[] = {"/", "/tmp", "/proc", "/usr", "/var", ".", "d"};
	static const char *const paths[] = {".",
	                                    "",
	                                    "..",
	                                    "../..",
	                                    "proc/self/stat",
	                                    "self/comm",
	                                    "usr/../usr",
	                                    "/usr",
	                                    "bin/sh",
	                                    "absent",
	                                    "absent/../../etc",
	                                    "proc/../../etc",
	                                    "/proc/self/comm",
	                                    "d",
	                                    "../d",
	                                    "d/../../d",
	                                    "d/../../../.././d/..",
	                                    "self/../../self/comm",
	                                    "tmp/../../tmp",
	                                    "../tmp/..",
	                                    "tmp/../.."};
	static const uint64_t resolve[] = {RESOLVE_BENEATH, RESOLVE_IN_ROOT};

	MUST(mkdir("d", 0755));
	for (size_t d = 0; d < COUNT(dirs); d++)
		for (int reading = 0; reading < 2; reading++) {
			int dir = (int)MUST(open(dirs[d], reading ? O_RDONLY : O_PATH));

			for (size_t r = 0; r < COUNT(resolve); r++)
				for (size_t p = 0; p < COUNT(paths); p++) {
					struct open_how how = {.flags = O_RDONLY, .resolve = resolve[r]};
					char label[200], link[40], text[400];
					long fd = syscall(SYS_openat2, dir, paths[p], &how, sizeof(how));

					snprintf(label, sizeof(label), "%s from %s of %s%s", paths[p],
					         reading ? "a descriptor" : "O_PATH", dirs[d], r ? " as its root" : "");
					if (fd < 0) {
						say(label, "-1 %s", strerrorname_np(errno));
						continue;
					}
					snprintf(link, sizeof(link), "/proc/self/fd/%ld", fd);
					ssize_t n = readlink(link, text, sizeof(text) - 1);

					text[n < 0 ? 0 : n] = 0;
					char own[40];
					int len = snprintf(own, sizeof(own), "/proc/%d/", getpid());

					say(label, "%s", strncmp(text, own, (size_t)len) ? text : text + len);
					close((int)fd);
				}
			close(dir);
		}
	rmdir("d");
	return 0;
}
