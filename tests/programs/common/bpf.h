/* Small seccomp programs, one instruction a word. */
#ifndef BPF_H
#define BPF_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define IF_NOT(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip)
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, value)

/* Installs a program for the calling thread; -1 with errno, or the listener where the flags ask for one. */
static inline long install_program(const struct sock_filter *code, unsigned short length, unsigned flags)
{
	const struct sock_fprog program = {.len = length, .filter = (struct sock_filter *)code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

/* A filter that answers `action` to one call and lets the others pass. */
static inline long install_for(long nr, unsigned action, unsigned flags)
{
	const struct sock_filter code[] = {LOAD(nr), IF_NOT((unsigned)nr, 1), RETURN(action),
	                                   RETURN(SECCOMP_RET_ALLOW)};

	return install_program(code, sizeof(code) / sizeof(code[0]), flags);
}

#endif
