/* A program linked to lie where the pad lies, or to reach over it: that its own code runs there is the escape. */
#include <unistd.h>

#ifdef ROOM
char room[ROOM];
#endif

int main(void)
{
	static const char text[] = "ESCAPED an image of its own lies at the pad's address\n";

#ifdef ROOM
	/* So that the whole of it is linked in. */
	if (room[sizeof(room) - 1])
		return 2;
#endif
	return write(1, text, sizeof(text) - 1) < 0;
}
