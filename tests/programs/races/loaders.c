/*
 * A program gets a loader that is not granted, by turns with none, while it is executed. ARG 0: how many rounds; ARG 1: the
 * loader. Another process attacks, since nobody may have the program open for writing when the kernel opens it.
 */
#include "attack.h"

#include <elf.h>
#include <stddef.h>

#define BASE 0x20000000u

struct image {
	Elf64_Ehdr head;
	Elf64_Phdr load, interp;
	unsigned char code[16];
	char loader[256];
};

static const char *make(void)
{
	const char *path = in_base("work/changing");
	struct image f = {
		.head = {.e_ident = "\177ELF\2\1\1",
	                 .e_type = ET_EXEC,
	                 .e_machine = EM_X86_64,
	                 .e_version = EV_CURRENT,
	                 .e_entry = BASE + offsetof(struct image, code),
	                 .e_phoff = offsetof(struct image, load),
	                 .e_ehsize = sizeof(Elf64_Ehdr),
	                 .e_phentsize = sizeof(Elf64_Phdr),
	                 .e_phnum = 2},
		.load = {.p_type = PT_LOAD,
	                 .p_flags = PF_R | PF_X,
	                 .p_vaddr = BASE,
	                 .p_filesz = sizeof(f),
	                 .p_memsz = sizeof(f),
	                 .p_align = 4096},
		.interp = {.p_type = PT_NULL,
	                   .p_flags = PF_R,
	                   .p_offset = offsetof(struct image, loader),
	                   .p_align = 1},
		/* exit_group(1) */
		.code = {0xbf, 1, 0, 0, 0, 0xb8, 231, 0, 0, 0, 0x0f, 0x05},
	};

	snprintf(f.loader, sizeof(f.loader), "%s", argument(1));
	f.interp.p_filesz = f.interp.p_memsz = strlen(f.loader) + 1;
	int fd = need(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755), path);

	need(write(fd, &f, sizeof(f)), path);
	close(fd);
	return path;
}

static _Noreturn void change(const char *path)
{
	for (unsigned i = 0;; i++) {
		Elf64_Word type = i & 1 ? PT_NULL : PT_INTERP;
		int fd = open(path, O_WRONLY | O_CLOEXEC);

		if (fd >= 0)
			need(pwrite(fd, &type, sizeof(type), offsetof(struct image, interp.p_type)), path);
		close(fd);
	}
}

static void changing_loader(void)
{
	long rounds = atol(argument(0));
	const char *path = make();
	pid_t changes = need(fork(), "fork"), child;

	if (!changes)
		change(path);
	for (long i = 0; i < rounds; i++) {
		child = need(fork(), "fork");
		if (!child) {
			char *const argv[] = {(char *)path, NULL};

			for (int tries = 0; tries < 50; tries++) /* ETXTBSY */
				execve(path, argv, argv + 1);
			_exit(2);
		}
		if (!reap(child))
			escaped("after %ld rounds: the loader ran", i);
	}
	kill(changes, SIGKILL);
	held("none in %ld rounds", rounds);
}

const struct attack attacks[] = {
	{"changing-loader", changing_loader},
	{0},
};
