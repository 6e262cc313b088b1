/* Flags and structures of the kernel's interface that rewriters decide on, x86-64; each with the header it is from. */
#ifndef CAPWRAP_KERNEL_H
#define CAPWRAP_KERNEL_H

#include <stdint.h>

/* linux/fcntl.h, asm-generic/fcntl.h */
#define K_AT_FDCWD (-100)
#define K_AT_SYMLINK_NOFOLLOW 0x100u
#define K_AT_EACCESS 0x200u
#define K_AT_REMOVEDIR 0x200u
#define K_AT_SYMLINK_FOLLOW 0x400u
#define K_AT_NO_AUTOMOUNT 0x800u
#define K_AT_EMPTY_PATH 0x1000u
#define K_O_WRONLY 01u
#define K_O_RDWR 02u
#define K_O_ACCMODE 03u
#define K_O_CREAT 0100u
#define K_O_EXCL 0200u
#define K_O_NOCTTY 0400u
#define K_O_TRUNC 01000u
#define K_O_APPEND 02000u
#define K_O_NONBLOCK 04000u
#define K_O_DIRECTORY 0200000u
#define K_O_NOFOLLOW 0400000u
#define K_O_CLOEXEC 02000000u
#define K_O_PATH 010000000u
#define K_O_TMPFILE 020200000u /* with O_DIRECTORY */
#define K_O_TMPFILE_BIT 020000000u
/* the flags that open(2) knows; it ignores the others, openat2(2) does not */
#define K_O_VALID 037777703u

/* linux/openat2.h */
#define K_RESOLVE_NO_XDEV 1u
#define K_RESOLVE_NO_MAGICLINKS 2u
#define K_RESOLVE_NO_SYMLINKS 4u
#define K_RESOLVE_BENEATH 8u
#define K_RESOLVE_IN_ROOT 16u
#define K_RESOLVE_CACHED 32u
struct k_open_how {
	uint64_t flags, mode, resolve;
};

/* linux/stat.h */
#define K_S_IFMT 0170000u
#define K_S_IFSOCK 0140000u
#define K_S_IFLNK 0120000u
#define K_S_IFREG 0100000u
#define K_S_IFBLK 0060000u
#define K_S_IFDIR 0040000u
#define K_S_IFCHR 0020000u
#define K_S_IFIFO 0010000u

/* linux/fs.h */
#define K_RENAME_NOREPLACE 1u
#define K_RENAME_EXCHANGE 2u
#define K_RENAME_WHITEOUT 4u

/* linux/time_types.h */
#define K_UTIME_NOW 0x3fffffff
#define K_UTIME_OMIT 0x3ffffffe

/* linux/filter.h */
struct k_sock_filter {
	uint16_t code;
	uint8_t jt, jf;
	uint32_t k;
};
struct k_sock_fprog {
	uint16_t len, pad0;
	uint32_t pad1;
	uint64_t filter;
};

/* linux/socket.h */
#define K_AF_UNSPEC 0
#define K_AF_UNIX 1
#define K_AF_INET 2
#define K_AF_INET6 10
struct k_msghdr { /* struct user_msghdr */
	uint64_t name;
	int32_t namelen, pad0;
	uint64_t iov, iovlen, control, controllen;
	uint32_t flags, pad1;
};

#endif
