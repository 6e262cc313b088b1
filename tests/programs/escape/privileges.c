/*
 * The calls that are always refused: each is made with arguments that do no harm where it is let through. That the
 * kernel looked at the arguments (EINVAL, EFAULT, ...) is an escape; EPERM, EACCES and ENOSYS are what a refusal says.
 */
#include "attack.h"

#include <linux/keyctl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>

static const struct call {
	const char *name;
	long nr;
	long args[6];
} calls[] = {
	{"mount", SYS_mount, {0, 0, 0, 0, 0}},
	{"umount2", SYS_umount2, {0, 0}},
	{"pivot-root", SYS_pivot_root, {0, 0}},
	{"fsopen", SYS_fsopen, {0, 0x10}},
	{"fsmount", SYS_fsmount, {-1, 0, 0}},
	{"fsconfig", SYS_fsconfig, {-1, 0, 0, 0, 0}},
	{"fspick", SYS_fspick, {-1, 0, 0x100}},
	{"open-tree", SYS_open_tree, {-1, 0, 0}},
	{"open-tree-attr", 467, {-1, 0, 0, 0, 0}},
	{"move-mount", SYS_move_mount, {-1, 0, -1, 0, 0}},
	{"mount-setattr", SYS_mount_setattr, {-1, 0, 0, 0, 0}},
	{"statmount", 457, {0, 0, 0, 0}},
	{"listmount", 458, {0, 0, 0, 0}},
	{"chroot", SYS_chroot, {0}},
	{"setns", SYS_setns, {-1, 0}},
	{"unshare-user", SYS_unshare, {CLONE_NEWUSER}},
	{"unshare-mount", SYS_unshare, {CLONE_NEWNS}},
	{"unshare-pid", SYS_unshare, {CLONE_NEWPID}},
	{"unshare-net", SYS_unshare, {CLONE_NEWNET}},
	{"unshare-ipc", SYS_unshare, {CLONE_NEWIPC}},
	{"unshare-uts", SYS_unshare, {CLONE_NEWUTS}},
	{"unshare-cgroup", SYS_unshare, {CLONE_NEWCGROUP}},
	{"unshare-time", SYS_unshare, {0x80}},
	{"unshare-upper-half", SYS_unshare, {CLONE_NEWUTS | 0x100000000l}},
	{"pidfd-getfd", SYS_pidfd_getfd, {-1, 0, 0}},
	{"process-vm-readv", SYS_process_vm_readv, {1, 0, 0, 0, 0, 1}},
	{"process-vm-writev", SYS_process_vm_writev, {1, 0, 0, 0, 0, 1}},
	{"kcmp", SYS_kcmp, {0, 0, -1, 0, 0}},
	{"open-by-handle", SYS_open_by_handle_at, {-1, 0, 0}},
	{"io-uring-setup", SYS_io_uring_setup, {0, 0}},
	{"io-uring-enter", SYS_io_uring_enter, {-1, 0, 0, 0, 0, 0}},
	{"io-uring-register", SYS_io_uring_register, {-1, 0, 0, 0}},
	{"bpf", SYS_bpf, {-1, 0, 0}},
	{"perf-event-open", SYS_perf_event_open, {0, -1, -1, -1, 0}},
	{"userfaultfd", SYS_userfaultfd, {0xff000000}},
	{"add-key", SYS_add_key, {0, 0, 0, 0, 0}},
	{"request-key", SYS_request_key, {0, 0, 0, 0}},
	{"keyctl", SYS_keyctl, {KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0}},
	{"init-module", SYS_init_module, {0, 0, 0}},
	{"finit-module", SYS_finit_module, {-1, 0, 0}},
	{"delete-module", SYS_delete_module, {0, 0}},
	{"reboot", SYS_reboot, {0, 0, 0, 0}}, /* no magic: EINVAL */
	{"swapon", SYS_swapon, {0, -1}},
	{"swapoff", SYS_swapoff, {0}},
	{"quotactl", SYS_quotactl, {0, 0, 0, 0}},
	{"quotactl-fd", 443, {-1, 0, 0, 0}},
	{"acct", SYS_acct, {1}}, /* a bad address */
	{"syslog", SYS_syslog, {10, 0, 0}},
	{"sethostname", SYS_sethostname, {0, -1}},
	{"setdomainname", SYS_setdomainname, {0, -1}},
	{"settimeofday", SYS_settimeofday, {1, 0}},
	{"clock-settime", SYS_clock_settime, {0, 1}},
	{"iopl", SYS_iopl, {7}},
	{"ioperm", SYS_ioperm, {0, 0, 1}},
	{"fanotify-init", SYS_fanotify_init, {-1, 0}},
	{"kexec-load", SYS_kexec_load, {0, 17, 0, -1}},
};

/* The rest of what the table refuses: old calls, and newer ones that are no privilege. */
static const struct call others[] = {
	{"ptrace", SYS_ptrace, {-1, 0, 0, 0}},
	{"uselib", SYS_uselib, {0}},
	{"ustat", SYS_ustat, {0, 0}},
	{"vhangup", SYS_vhangup, {0}}, /* the tests' session has no terminal */
	{"modify-ldt", SYS_modify_ldt, {0, 0, 0}},
	{"sysctl", SYS__sysctl, {0}},
	{"adjtimex", SYS_adjtimex, {0}},
	{"create-module", SYS_create_module, {0}},
	{"get-kernel-syms", SYS_get_kernel_syms, {0}},
	{"query-module", SYS_query_module, {0}},
	{"nfsservctl", SYS_nfsservctl, {0}},
	{"getpmsg", SYS_getpmsg, {0}},
	{"putpmsg", SYS_putpmsg, {0}},
	{"afs-syscall", SYS_afs_syscall, {0}},
	{"tuxcall", SYS_tuxcall, {0}},
	{"security", SYS_security, {0}},
	{"set-thread-area", SYS_set_thread_area, {0}},
	{"lookup-dcookie", SYS_lookup_dcookie, {0, 0, 0}},
	{"vserver", SYS_vserver, {0}},
	{"fanotify-mark", SYS_fanotify_mark, {-1, 0, 0, -1, 0}},
	{"name-to-handle-at", SYS_name_to_handle_at, {-1, 0, 0, 0, 0}},
	{"clock-adjtime", SYS_clock_adjtime, {0, 0}},
	{"kexec-file-load", SYS_kexec_file_load, {-1, -1, 0, 0, -1}},
	{"clone3", SYS_clone3, {0, 0}},
	{"process-madvise", 440, {-1, 0, 0, 0, 0}},
	{"landlock-create-ruleset", 444, {0, 0, 1}},
	{"landlock-add-rule", 445, {-1, 0, 0, 0}},
	{"landlock-restrict-self", 446, {-1, 0}},
	{"memfd-secret", 447, {-1}},
	{"process-mrelease", 448, {-1, 0}},
	{"map-shadow-stack", 453, {0, 0, -1}},
	{"lsm-set-self-attr", 460, {0, 0, 0, 0}},
	{"file-getattr", 468, {-1, 0, 0, 0, 0}},
	{"file-setattr", 469, {-1, 0, 0, 0, 0}},
};

static _Noreturn void attempt(const struct call *c)
{
	const long *a = c->args;
	long result = syscall(c->nr, a[0], a[1], a[2], a[3], a[4], a[5]);

	if (result < 0 && (errno == EPERM || errno == EACCES || errno == ENOSYS))
		refused(c->name);
	escaped("%s: %ld %s", c->name, result, result < 0 ? strerrorname_np(errno) : "");
}

static void by_name(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		if (!strcmp(calls[i].name, argument(0)))
			attempt(&calls[i]);
	untried("no such call: %s", argument(0));
}

/* ARG i is the errno of the i-th of `others`, which natively means nothing: there they need not be refused at all. */
static void each_other(void)
{
	int through = 0;

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		const long *a = others[i].args;
		long result = syscall(others[i].nr, a[0], a[1], a[2], a[3], a[4], a[5]);

		if (result >= 0 || errno != atoi(argument((int)i))) {
			printf("%s: %ld %s\n", others[i].name, result, result < 0 ? strerrorname_np(errno) : "");
			through++;
		}
	}
	fflush(stdout);
	if (through)
		escaped("%d calls were let through", through);
	held("EPERM each of them");
}

static void list(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		printf("%s\n", calls[i].name);
	fflush(stdout);
	_exit(0);
}

static void list_numbers(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		printf("- %ld\n", calls[i].nr);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		printf("other %ld\n", others[i].nr);
	fflush(stdout);
	_exit(0);
}

static int idle(void *unused)
{
	(void)unused;
	return 0;
}

static _Noreturn void cloned(int flags, const char *what)
{
	static char stack[65536] __attribute__((aligned(16)));
	pid_t child = clone(idle, stack + sizeof(stack), flags | SIGCHLD, NULL);

	must(child, what);
	reap(child);
	escaped("%s", what);
}

static void clone_user(void)
{
	cloned(CLONE_NEWUSER, "CLONE_NEWUSER");
}

static void clone_mount(void)
{
	cloned(CLONE_NEWNS, "CLONE_NEWNS");
}

static void clone_pid(void)
{
	cloned(CLONE_NEWPID, "CLONE_NEWPID");
}

static void clone_net(void)
{
	cloned(CLONE_NEWNET, "CLONE_NEWNET");
}

static void clone_untraced(void)
{
	cloned(CLONE_UNTRACED, "CLONE_UNTRACED");
}

static void clone3(void)
{
	uint64_t args[8] = {[4] = SIGCHLD};
	long child = syscall(SYS_clone3, args, sizeof(args));

	if (!child)
		_exit(0);
	must(child, "clone3");
	escaped("clone3 gave %ld", child);
}

/* Upper-half flags are ignored by the kernel for clone(2): the lower half is what counts. */
static void clone_upper_half(void)
{
	long child = syscall(SYS_clone, 0x100000000ul | CLONE_NEWUTS | CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);

	if (!child)
		_exit(0);
	must(child, "clone");
	escaped("clone gave %ld", child);
}

static void trace_me(void)
{
	judge(ptrace(PTRACE_TRACEME, 0, 0, 0), "PTRACE_TRACEME");
}

static void trace_child(void)
{
	pid_t child = need(fork(), "fork");

	if (!child) {
		pause();
		_exit(0);
	}
	long result = ptrace(PTRACE_SEIZE, child, 0, 0);
	int why = errno;
	kill(child, SIGKILL);
	errno = why;
	judge(result, "PTRACE_SEIZE");
}

/* A handle made natively by the test for the secret: ARG 0 the type, ARG 1 its bytes in hex. */
static void open_handle(void)
{
	union {
		struct file_handle handle;
		char space[sizeof(struct file_handle) + 128];
	} u;
	int mount = need(open(in_base("work"), O_RDONLY | O_DIRECTORY), "open work");
	const char *hex = argument(1);

	u.handle.handle_type = atoi(argument(0));
	u.handle.handle_bytes = (unsigned)strlen(hex) / 2;
	for (unsigned i = 0; i < u.handle.handle_bytes; i++) {
		unsigned byte;
		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			untried("bad handle");
		u.handle.f_handle[i] = (unsigned char)byte;
	}
	judge_read(open_by_handle_at(mount, &u.handle, O_RDONLY), "open_by_handle_at");
}

/* Real roots: a chroot, then out of it, is the classic way from a directory descriptor to everything. */
static void chroot_work(void)
{
	judge(chroot(in_base("work")), "chroot");
}

static void privileges_kept(void)
{
	uint64_t caps[3] = {0};
	uint32_t header[2] = {0x20080522, 0};

	need(syscall(SYS_capget, header, caps), "capget");
	/* CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SETGID, SETUID */
	uint64_t allowed = 1u << 0 | 1u << 1 | 1u << 3 | 1u << 4 | 1u << 6 | 1u << 7;
	uint32_t words[6];
	memcpy(words, caps, sizeof(words));
	uint64_t have = (words[0] | words[1]) | (uint64_t)(words[3] | words[4]) << 32;
	if (have & ~allowed)
		escaped("capabilities %#lx", (unsigned long)have);
	held("EPERM capabilities %#lx", (unsigned long)have);
}

static void new_privileges(void)
{
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		escaped("no_new_privs is off");
	judge(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), "PR_SET_NO_NEW_PRIVS 0");
}

const struct attack attacks[] = {
	{"call", by_name},
	{"each-other", each_other},
	{"list", list},
	{"list-numbers", list_numbers},
	{"clone-user", clone_user},
	{"clone-mount", clone_mount},
	{"clone-pid", clone_pid},
	{"clone-net", clone_net},
	{"clone-untraced", clone_untraced},
	{"clone-upper-half", clone_upper_half},
	{"clone3", clone3},
	{"trace-me", trace_me},
	{"trace-child", trace_child},
	{"open-handle", open_handle},
	{"chroot-work", chroot_work},
	{"privileges-kept", privileges_kept},
	{"new-privileges", new_privileges},
	{0},
};
