/*
 * `dockerlike COMMAND [ARG]...`: runs COMMAND as a container engine with docker's default profile would: the calls that
 * the profile denies are denied, the capabilities that it drops are dropped. What the profile allows only with a
 * capability that it drops counts as denied.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Not in the profile's list, or there only for a capability that is dropped. */
static const long denied[] = {
	SYS_acct,
	SYS_add_key,
	SYS_bpf,
	SYS_clock_settime,
	SYS_create_module,
	SYS_delete_module,
	SYS_fanotify_init,
	SYS_finit_module,
	SYS_fsconfig,
	SYS_fsmount,
	SYS_fsopen,
	SYS_fspick,
	SYS_get_kernel_syms,
	SYS_get_mempolicy,
	SYS_init_module,
	SYS_io_uring_enter,
	SYS_io_uring_register,
	SYS_io_uring_setup,
	SYS_ioperm,
	SYS_iopl,
	SYS_kcmp,
	SYS_kexec_file_load,
	SYS_kexec_load,
	SYS_keyctl,
	SYS_lookup_dcookie,
	SYS_mbind,
	SYS_migrate_pages,
	SYS_mount,
	SYS_mount_setattr,
	SYS_move_mount,
	SYS_move_pages,
	SYS_nfsservctl,
	SYS_open_by_handle_at,
	SYS_open_tree,
	SYS_perf_event_open,
	SYS_pidfd_getfd,
	SYS_pivot_root,
	SYS_process_madvise,
	SYS_query_module,
	SYS_quotactl,
	443 /* quotactl_fd */,
	SYS_reboot,
	SYS_request_key,
	SYS_set_mempolicy,
	450 /* set_mempolicy_home_node */,
	SYS_setdomainname,
	SYS_sethostname,
	SYS_setns,
	SYS_settimeofday,
	SYS_swapoff,
	SYS_swapon,
	SYS_syslog,
	SYS__sysctl,
	SYS_sysfs,
	SYS_umount2,
	SYS_unshare,
	SYS_uselib,
	SYS_userfaultfd,
	SYS_ustat,
	SYS_vhangup,
};

/* The last number of the profile (removexattrat): of later ones the container engine says that they do not exist. */
#define LAST_KNOWN 466

/* CHOWN, DAC_OVERRIDE, FSETID, FOWNER, MKNOD, NET_RAW, SETGID, SETUID, SETFCAP, SETPCAP, NET_BIND_SERVICE, SYS_CHROOT,
 * KILL, AUDIT_WRITE */
#define KEPT 0xa80425fbu

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define IF_NOT(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip)
#define ANSWER(errno_value) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (errno_value))
#define NAMESPACES                                                                                                     \
	(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWCGROUP)

static int install(void)
{
	struct sock_filter code[2 * sizeof(denied) / sizeof(denied[0]) + 24];
	unsigned short n = 0;
	const struct sock_filter head[] = {
		LOAD(nr),
		IF_NOT(SYS_clone3, 1),
		ANSWER(ENOSYS),
		/* The gap in the numbers of x86-64, and what lies behind its end. */
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, LAST_KNOWN, 0, 1),
		ANSWER(ENOSYS),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 335, 0, 2),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 424, 1, 0),
		ANSWER(EPERM),
		IF_NOT(SYS_clone, 4),
		LOAD(args[0]),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, NAMESPACES, 0, 1),
		ANSWER(EPERM),
		LOAD(nr),
		IF_NOT(SYS_socket, 4),
		LOAD(args[0]),
		IF_NOT(AF_VSOCK, 1),
		ANSWER(EPERM),
		LOAD(nr),
	};

	for (size_t i = 0; i < sizeof(head) / sizeof(head[0]); i++)
		code[n++] = head[i];
	for (size_t i = 0; i < sizeof(denied) / sizeof(denied[0]); i++) {
		code[n++] = (struct sock_filter)IF_NOT((uint32_t)denied[i], 1);
		code[n++] = (struct sock_filter)ANSWER(EPERM);
	}
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {.len = n, .filter = code};
	if (!syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program))
		return 0;
	/* Without CAP_SYS_ADMIN: as `--security-opt no-new-privileges` has it. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

static int drop(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data))
		return -1;
	if (data[0].effective & 1u << CAP_SETPCAP)
		for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
			if ((cap > 31 || !(KEPT >> cap & 1)) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0))
				return -1;
	for (int i = 0; i < 2; i++) {
		data[i].effective &= i ? 0 : KEPT;
		data[i].permitted &= i ? 0 : KEPT;
		data[i].inheritable = 0;
	}
	return (int)syscall(SYS_capset, &header, data);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 125;
	if (install() || drop()) {
		fprintf(stderr, "dockerlike: %s\n", strerror(errno));
		return 125;
	}
	execvp(argv[1], argv + 1);
	fprintf(stderr, "dockerlike: %s: %s\n", argv[1], strerror(errno));
	return 127;
}
