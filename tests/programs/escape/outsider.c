/* The program that lies outside the grants: that it runs at all is the escape. */
#include <unistd.h>

int main(void)
{
	static const char text[] = "ESCAPED a program outside the grants runs\n";

	return write(1, text, sizeof(text) - 1) < 0;
}
