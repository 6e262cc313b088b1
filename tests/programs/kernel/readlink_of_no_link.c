/* readlinkat(fd, "") of what is no link is ENOENT, where readlink by its name is EINVAL (rule 15). */
#include "fact.h"

int main(void)
{
	char text[16];

	make_file("file", "", 0600);
	need(symlink("file", "link"), "symlink");
	int file = (int)need(open("file", O_PATH | O_CLOEXEC), "file");
	int link = (int)need(open("link", O_PATH | O_NOFOLLOW | O_CLOEXEC), "link");
	claim_error(readlinkat(file, "", text, sizeof(text)), ENOENT);
	claim_error(readlink("file", text, sizeof(text)), EINVAL);
	claim(readlinkat(link, "", text, sizeof(text)) == 4, "the link's own text: %s", strerror(errno));
	return 0;
}
