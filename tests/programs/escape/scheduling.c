/* Limits, priorities and placement of a process outside the target: reading and changing them. */
#include "attack.h"

#include <sched.h>

static void do_prlimit_get(void)
{
	struct rlimit old;

	judge(syscall(SYS_prlimit64, victim(), RLIMIT_NOFILE, NULL, &old), "prlimit64");
}

static void do_prlimit_set(void)
{
	const struct rlimit new = {.rlim_cur = 7, .rlim_max = 7};

	judge(syscall(SYS_prlimit64, victim(), RLIMIT_NOFILE, &new, NULL), "prlimit64");
}

static void do_setpriority(void)
{
	judge(setpriority(PRIO_PROCESS, (id_t)victim(), 19), "setpriority");
}

static void do_setpriority_group(void)
{
	judge(setpriority(PRIO_PGRP, (id_t)victim(), 19), "setpriority");
}

/* Of every process of the user: the test runs this in a pid namespace. */
static void do_setpriority_user(void)
{
	judge(setpriority(PRIO_USER, getuid(), 19), "setpriority");
}

static void do_getpriority(void)
{
	errno = 0;
	int nice = getpriority(PRIO_PROCESS, (id_t)victim());

	judge(errno ? -1 : nice + 20, "getpriority");
}

static void do_ioprio_set(void)
{
	judge(syscall(SYS_ioprio_set, 1, victim(), 3 << 13), "ioprio_set");
}

static void do_ioprio_get(void)
{
	judge(syscall(SYS_ioprio_get, 1, victim()), "ioprio_get");
}

static void do_setaffinity(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	judge(sched_setaffinity(victim(), sizeof(set), &set), "sched_setaffinity");
}

static void do_getaffinity(void)
{
	cpu_set_t set;

	judge(sched_getaffinity(victim(), sizeof(set), &set), "sched_getaffinity");
}

static void do_setscheduler(void)
{
	const struct sched_param param = {0};

	judge(sched_setscheduler(victim(), SCHED_IDLE, &param), "sched_setscheduler");
}

static void do_getscheduler(void)
{
	judge(sched_getscheduler(victim()), "sched_getscheduler");
}

static void do_setparam(void)
{
	const struct sched_param param = {0};

	judge(sched_setparam(victim(), &param), "sched_setparam");
}

static void do_getparam(void)
{
	struct sched_param param;

	judge(sched_getparam(victim(), &param), "sched_getparam");
}

static void do_rr_interval(void)
{
	struct timespec ts;

	judge(sched_rr_get_interval(victim(), &ts), "sched_rr_get_interval");
}

static void do_setattr(void)
{
	uint32_t attr[14] = {48, SCHED_IDLE};

	judge(syscall(SYS_sched_setattr, victim(), attr, 0), "sched_setattr");
}

static void do_getattr(void)
{
	uint32_t attr[14];

	judge(syscall(SYS_sched_getattr, victim(), attr, 48, 0), "sched_getattr");
}

const struct attack attacks[] = {
	{"prlimit-get", do_prlimit_get},
	{"prlimit-set", do_prlimit_set},
	{"setpriority", do_setpriority},
	{"setpriority-group", do_setpriority_group},
	{"setpriority-user", do_setpriority_user},
	{"getpriority", do_getpriority},
	{"ioprio-set", do_ioprio_set},
	{"ioprio-get", do_ioprio_get},
	{"setaffinity", do_setaffinity},
	{"getaffinity", do_getaffinity},
	{"setscheduler", do_setscheduler},
	{"getscheduler", do_getscheduler},
	{"setparam", do_setparam},
	{"getparam", do_getparam},
	{"rr-interval", do_rr_interval},
	{"sched-setattr", do_setattr},
	{"sched-getattr", do_getattr},
	{0},
};
