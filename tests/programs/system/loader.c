/*
 * What the dynamic loader makes of a program: its auxiliary vector, what is loaded and where that says it comes from, and
 * each object of the arguments opened by dlopen(3). Prints no address.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

extern const char *from_library(void) __attribute__((weak));

static int loaded(struct dl_phdr_info *info, size_t size, void *arg)
{
	int kinds[3] = {0};

	(void)size, (void)arg;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		kinds[0] += info->dlpi_phdr[i].p_type == PT_LOAD;
		kinds[1] += info->dlpi_phdr[i].p_type == PT_NOTE;
		kinds[2] += info->dlpi_phdr[i].p_type == PT_TLS;
	}
	printf("object '%s': %d segments, %d of them loaded, %d notes, %d tls\n", info->dlpi_name, info->dlpi_phnum,
	       kinds[0], kinds[1], kinds[2]);
	return 0;
}

static void vector(void)
{
	static const unsigned long by_chance[] = {AT_SYSINFO_EHDR, AT_PHDR, AT_BASE, AT_ENTRY, AT_RANDOM};
	static char text[4096];
	FILE *f = fopen("/proc/self/auxv", "re");
	size_t n = f ? fread(text, 1, sizeof(text), f) : 0;

	for (const ElfW(auxv_t) *v = (void *)text; (size_t)((const char *)(v + 1) - text) <= n; v++) {
		unsigned long value = v->a_un.a_val;
		int chance = 0;

		for (size_t i = 0; i < sizeof(by_chance) / sizeof(by_chance[0]); i++)
			chance |= v->a_type == by_chance[i];
		if (v->a_type == AT_EXECFN || v->a_type == AT_PLATFORM || v->a_type == AT_BASE_PLATFORM)
			printf("vector %lu: %s\n", v->a_type, value ? (const char *)value : "nothing");
		else if (chance)
			printf("vector %lu: %s\n", v->a_type, value ? "an address" : "nothing");
		else
			printf("vector %lu: %lx\n", v->a_type, value);
	}
	if (f)
		fclose(f);
}

static void address(const char *what, const void *at)
{
	Dl_info info;

	if (!dladdr(at, &info))
		printf("%s: in no object\n", what);
	else
		printf("%s: %s in %s\n", what, info.dli_sname ? info.dli_sname : "a place", info.dli_fname);
}

/* A function of the vdso, which the kernel maps beside the program. */
static void *in_vdso(const char *name)
{
	const char *base = (const char *)getauxval(AT_SYSINFO_EHDR);
	const ElfW(Ehdr) *e = (const void *)base;
	const ElfW(Phdr) *p = (const void *)(base + (base ? e->e_phoff : 0));
	const ElfW(Dyn) *dyn = NULL;
	const ElfW(Sym) *symbols = NULL;
	const char *strings = NULL;
	intptr_t bias = 0;

	for (int i = 0; base && i < e->e_phnum; i++) {
		if (p[i].p_type == PT_LOAD)
			bias = (intptr_t)base + (intptr_t)p[i].p_offset - (intptr_t)p[i].p_vaddr;
		if (p[i].p_type == PT_DYNAMIC)
			dyn = (const void *)(base + p[i].p_offset);
	}
	for (const ElfW(Dyn) *d = dyn; d && d->d_tag; d++) {
		if (d->d_tag == DT_SYMTAB)
			symbols = (const void *)(d->d_un.d_ptr + (unsigned long)bias);
		if (d->d_tag == DT_STRTAB)
			strings = (const void *)(d->d_un.d_ptr + (unsigned long)bias);
	}
	/* the string table follows the symbols */
	for (const ElfW(Sym) *s = symbols; s && (const char *)s < strings; s++)
		if (!strcmp(strings + s->st_name, name))
			return (void *)(s->st_value + (unsigned long)bias);
	return NULL;
}

static void vdso(void)
{
	int (*gettime)(clockid_t, struct timespec *) =
		(int (*)(clockid_t, struct timespec *))in_vdso("__vdso_clock_gettime");
	long (*cpu)(unsigned *, unsigned *, void *) =
		(long (*)(unsigned *, unsigned *, void *))in_vdso("__vdso_getcpu");
	struct timespec before, between, after;
	unsigned number = ~0u;

	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &before);
	int ret = gettime ? gettime(CLOCK_MONOTONIC, &between) : -1;

	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &after);
	long t[3] = {before.tv_sec * 1000000000 + before.tv_nsec, between.tv_sec * 1000000000 + between.tv_nsec,
	             after.tv_sec * 1000000000 + after.tv_nsec};

	printf("clock of the vdso: %d, %s\n", ret, t[0] <= t[1] && t[1] <= t[2] ? "right" : "wrong");
	long got = cpu ? cpu(&number, NULL, NULL) : -1;

	printf("cpu of the vdso: %ld, %s\n", got, number < 4096 ? "one" : "none");
}

static void opened(const char *name)
{
	char origin[4096] = "";
	Dl_serinfo size, *paths;
	struct link_map *map;
	void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);

	if (!handle) {
		printf("dlopen %s: %s\n", name, dlerror());
		return;
	}
	const char *(*call)(void) = (const char *(*)(void))dlsym(handle, "from_library");

	printf("dlopen %s: %s\n", name, call ? call() : dlerror());
	if (!dlinfo(handle, RTLD_DI_LINKMAP, &map))
		printf("  name %s\n", map->l_name);
	if (!dlinfo(handle, RTLD_DI_ORIGIN, origin))
		printf("  origin %s\n", origin);
	if (!dlinfo(handle, RTLD_DI_SERINFOSIZE, &size) && (paths = malloc(size.dls_size))) {
		dlinfo(handle, RTLD_DI_SERINFOSIZE, paths);
		if (!dlinfo(handle, RTLD_DI_SERINFO, paths))
			for (unsigned i = 0; i < paths->dls_cnt; i++)
				printf("  searched in %s\n", paths->dls_serpath[i].dls_name);
		free(paths);
	}
	if (call)
		address("  its function", (const void *)call);
}

int main(int argc, char **argv)
{
	char exe[4096];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	exe[n < 0 ? 0 : n] = 0;
	printf("argv[0] %s, exe %s\n", argv[0], exe);
	vector();
	dl_iterate_phdr(loaded, NULL);
	address("main", (const void *)main);
	address("printf", dlsym(RTLD_DEFAULT, "printf"));
	address("what is linked", (const void *)from_library);
	address("the stack", exe);
	if (from_library)
		printf("linked: %s\n", from_library());
	vdso();
	for (int i = 1; i < argc; i++)
		opened(argv[i]);
	return 0;
}
