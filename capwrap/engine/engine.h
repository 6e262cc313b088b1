/*
 * The engine: what Python (through cffi) and capwrap-exec call. Every function is safe to call without the GIL.
 */
#ifndef CAPWRAP_ENGINE_H
#define CAPWRAP_ENGINE_H

#include <stddef.h>
#include <stdint.h>

enum cw_run_flags {
	CW_RUN_RECORD_ACCESS = 1u << 0, /* emit ACCESS and PROCESS records, not only refusals */
	CW_RUN_LINGER = 1u << 1,        /* wait for what COMMAND left behind instead of killing it */
	CW_RUN_BEST_EFFORT = 1u << 2,   /* start even where the kernel gives less than the policy needs */
	CW_RUN_FOREGROUND =
		1u << 3, /* own the process's signals: forward TERM and HUP, stop and continue with COMMAND */
	CW_RUN_RECORD_STACK = 1u << 4, /* emit STACK records for refusals */
	CW_RUN_TRACE = 1u << 5,        /* confine nothing: record what the policy would have refused */
	CW_RUN_PROMPT = 1u << 6,       /* hand out records as they come, for who reads along */
	CW_RUN_PLAIN = 1u << 7, /* no Python is here, which ignores SIGPIPE and SIGXFSZ: the caller does, if any */
};

struct cw_run {
	const void *image; /* the policy image, in memory or mapped */
	size_t image_size;
	const char *const *argv; /* COMMAND and its arguments, NULL-terminated */
	const char *const *envp; /* the caller's environment, from which the image's rules choose */
	const char *chdir;       /* virtual directory to start in; NULL: the caller's, or / where that is not granted.
	                            In a trace it is the host's */
	uint32_t flags;          /* enum cw_run_flags */
	uint32_t timeout_ms;     /* 0: none */
	int stdio[3];            /* fds for 0, 1 and 2 of COMMAND; -1: the caller's own */
	const int *pass_fds;     /* further fds that COMMAND inherits under their numbers */
	size_t n_pass_fds;
	int (*sink)(void *ctx, const void *batch,
	            size_t size); /* whole records; nonzero: could not be kept; may be NULL */
	void *sink_ctx;
	void (*started)(void *ctx, int pid); /* COMMAND has been executed: its pid, once; may be NULL */
};

struct cw_result {
	int failed;     /* capwrap itself failed: `message` says what and the remedy */
	int exec_errno; /* COMMAND could not be started: ENOENT, EACCES, ...; else 0 */
	int status;     /* COMMAND's wait status (waitpid(2)) */
	int timed_out;
	uint64_t stops;      /* ptrace stops at a system call */
	uint64_t deliveries; /* fds handed over through the listener */
	uint64_t refusals, absent, accesses, processes;
	uint64_t lost;  /* records that the sink did not take */
	int incomplete; /* something of the target went unobserved */
	char landlock_coarse
		[4096]; /* where Landlock is coarser than the policy, for the record's first line; "" if nowhere */
	char message[1024];
};

/* Runs COMMAND to its end. Returns 0, or -1 with `failed` set. Blocks; one thread may call it at a time. */
int cw_run(const struct cw_run *run, struct cw_result *result);

/* Sends a signal to COMMAND of the run that is under way; 0 or -errno. */
int cw_signal(int sig);

/* What this kernel and container offer; each field is a version, a flag or -errno. */
struct cw_features {
	int landlock_abi;       /* 0: none */
	int seccomp_trace;      /* RET_TRACE available */
	int seccomp_user_notif; /* a listener of our own, with ADDFD_SEND: 1, else -errno */
	int ptrace;             /* PTRACE_SEIZE of a child works: 1, else -errno */
	int yama_scope;         /* -1: no Yama */
	int process_vm;         /* process_vm_readv of a traced child works: 1, else -errno */
	int openat2;            /* 1, else -errno */
	int mseal;              /* 1, else -errno */
	int memfd_noexec_seal;  /* 1, else -errno */
	int procmap_query;      /* 1, else -errno */
	int fchmodat2;          /* 1, else -errno */
	int pidfd_getfd;        /* of a traced child: 1, else -errno */
	int unshare_fs;         /* 1, else -errno */
	int vdso_gadget;        /* the pad can be mapped without a further stop */
	int cap_sys_ptrace, cap_sys_resource;
	int no_new_privs;    /* already set on us */
	int seccomp_filters; /* already on us */
	uint64_t nofile_soft, nofile_hard;
	char release[65];
};

void cw_probe(struct cw_features *f);

/* The version of Landlock's interface; 0 where it is not there, not enabled at boot or denied by a container. */
int cw_landlock_abi(void);

/* Checks an image whole. Returns 0, or -1 with the reason in `message`. */
int cw_image_check(const void *image, size_t size, char *message, size_t message_size);

#endif
