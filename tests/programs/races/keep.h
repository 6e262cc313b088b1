/* What the keeper and the stepper share: they are the subreapers of what they start, and see what is left of it. */
#ifndef KEEP_H
#define KEEP_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REPORT 40

static inline double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static inline void show_file(const char *path)
{
	char text[2000];
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

	if (n) {
		char *rest = text;

		text[n] = 0;
		for (const char *line; (line = strsep(&rest, "\n"));)
			if (*line)
				fprintf(stderr, "keeper: %s: %s\n", path, line);
	}
	if (f)
		fclose(f);
}

/* What a hung run hangs in: every process of this tree, for the person who reads the failure. */
static inline void show_tree(int pid, int depth)
{
	static const char *const files[] = {"stat", "wchan", "syscall", "stack"};
	char path[300], line[4096] = "";
	struct dirent *entry;
	DIR *threads;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	threads = opendir(path);
	while (threads && (entry = readdir(threads))) {
		if (entry->d_name[0] == '.')
			continue;
		for (size_t i = 0; depth && i < sizeof(files) / sizeof(files[0]); i++) {
			snprintf(path, sizeof(path), "/proc/%d/task/%.20s/%s", pid, entry->d_name, files[i]);
			show_file(path);
		}
		snprintf(path, sizeof(path), "/proc/%d/task/%.20s/children", pid, entry->d_name);
		FILE *f = fopen(path, "r");
		char *rest = line;

		if (f && fgets(line, sizeof(line), f) && depth < 8)
			for (int n, child; sscanf(rest, "%d%n", &child, &n) == 1; rest += n)
				show_tree(child, depth + 1);
		if (f)
			fclose(f);
	}
	if (threads)
		closedir(threads);
}

static inline void kill_children(void)
{
	char path[64], line[4096] = "", *rest = line;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	f = fopen(path, "r");
	if (f && fgets(line, sizeof(line), f))
		for (int n, child; sscanf(rest, "%d%n", &child, &n) == 1; rest += n)
			kill(child, SIGKILL);
	if (f)
		fclose(f);
}

static inline int children(void)
{
	int n = 0, status;
	siginfo_t info;

	while (waitpid(-1, &status, WNOHANG) > 0)
		;
	memset(&info, 0, sizeof(info));
	if (!waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) || errno != ECHILD) {
		char path[64], line[4096] = "", *rest = line;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
		f = fopen(path, "r");
		if (f && fgets(line, sizeof(line), f))
			for (int k, child; sscanf(rest, "%d%n", &child, &k) == 1; rest += k)
				n++;
		if (f)
			fclose(f);
		if (!n)
			n = 1;
	}
	return n;
}

/* Waits until nothing is left of what was started, for `limit` seconds: how many processes then still are. They are killed. */
static inline int nothing_left(double limit)
{
	double until = now() + limit;
	int left;

	/* killed with their tracer, they need a moment */
	while ((left = children()) && now() < until)
		poll(NULL, 0, 2);
	if (!left)
		return 0;
	show_tree((int)getpid(), 0);
	for (until = now() + 10; children() && now() < until; poll(NULL, 0, 2))
		kill_children();
	return left;
}

#endif
