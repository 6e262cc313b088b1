/* arch_prctl(ARCH_MAP_VDSO_64) maps memory at an address that the caller chooses (rule 3). */
#include "fact.h"
#include "../../../rewriters/pad.h"

#define MAP_VDSO_64 0x2003

int main(void)
{
	unsigned long from, to;
	unsigned char resident[1];
	char line[256];
	FILE *maps = fopen("/proc/self/maps", "re");

	if (!maps)
		ends(2, "/proc/self/maps: %s", strerror(errno));
	/* There may be one only: away with it and its data. */
	while (fgets(line, sizeof(line), maps))
		if (strstr(line, "[v") && !strstr(line, "[vsyscall]") && sscanf(line, "%lx-%lx", &from, &to) == 2)
			need(munmap((void *)from, to - from), "munmap");
	long size = syscall(SYS_arch_prctl, MAP_VDSO_64, CW_PAD_BASE);
	if (size < 0 && errno == EINVAL)
		lacks("ARCH_MAP_VDSO_64: the kernel was built without CONFIG_CHECKPOINT_RESTORE");
	claim(size > 0, "ARCH_MAP_VDSO_64: %s", strerror(errno));
	/* Its data lies beneath it: the code may begin some pages further up. */
	claim_works(mincore((void *)CW_PAD_BASE, PAGE, resident));
	return 0;
}
