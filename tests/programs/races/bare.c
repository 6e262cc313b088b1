/* A program outside the grants, and a loader to others: that it runs at all is the escape. It stands on nothing, not even libc. */
static long call(long nr, long a, const char *b, unsigned long c)
{
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return ret;
}

void _start(void);

__attribute__((force_align_arg_pointer)) void _start(void)
{
	static const char text[] = "ESCAPED a program outside the grants runs\n";

	call(1 /* write */, 1, text, sizeof(text) - 1);
	for (;;)
		call(231 /* exit_group */, 0, 0, 0);
}
