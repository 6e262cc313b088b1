/* A program that lies outside: that it runs is the finding. */
#include <string.h>
#include <unistd.h>

int main(void)
{
	static const char text[] = "\nFOUND exec: a program that is not granted ran\n";
	int told = 0;

	for (int fd = 40; fd < 44; fd++)
		told += write(fd, text, strlen(text)) > 0;
	return told ? 3 : write(1, text, strlen(text)) < 0;
}
