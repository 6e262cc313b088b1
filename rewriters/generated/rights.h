/* Made by rewriters/generate.py from rewriters/rights.tbl: do not edit. */
#ifndef CAPWRAP_GENERATED_RIGHTS_H
#define CAPWRAP_GENERATED_RIGHTS_H

#include <stdint.h>

#define CW_RIGHT_READ (UINT64_C(1) << 0) /* read a file, list a directory */
#define CW_RIGHT_WRITE (UINT64_C(1) << 1) /* write to a file */
#define CW_RIGHT_SEEK (UINT64_C(1) << 2) /* seek in a file */
#define CW_RIGHT_LOOKUP (UINT64_C(1) << 3) /* look names up beneath a directory */
#define CW_RIGHT_FSTAT (UINT64_C(1) << 4) /* stat a file */
#define CW_RIGHT_FSTATFS (UINT64_C(1) << 5) /* statfs the file system of a file */
#define CW_RIGHT_FCHDIR (UINT64_C(1) << 6) /* make a directory the current one */
#define CW_RIGHT_MMAP (UINT64_C(1) << 7) /* map a file */
#define CW_RIGHT_FLOCK (UINT64_C(1) << 8) /* lock a file */
#define CW_RIGHT_EVENT (UINT64_C(1) << 9) /* watch a file (inotify) */
#define CW_RIGHT_EXTATTR_GET (UINT64_C(1) << 10) /* read extended attributes */
#define CW_RIGHT_EXTATTR_LIST (UINT64_C(1) << 11) /* list extended attributes */
#define CW_RIGHT_FEXECVE (UINT64_C(1) << 12) /* execute a file */
#define CW_RIGHT_CREATE (UINT64_C(1) << 13) /* create a file by opening it */
#define CW_RIGHT_FTRUNCATE (UINT64_C(1) << 14) /* truncate a file */
#define CW_RIGHT_FCHMOD (UINT64_C(1) << 15) /* change permission bits and access control lists */
#define CW_RIGHT_FCHOWN (UINT64_C(1) << 16) /* change owner and group */
#define CW_RIGHT_FCHFLAGS (UINT64_C(1) << 17) /* change file flags */
#define CW_RIGHT_FUTIMES (UINT64_C(1) << 18) /* change time stamps */
#define CW_RIGHT_FSYNC (UINT64_C(1) << 19) /* flush a file */
#define CW_RIGHT_MKDIRAT (UINT64_C(1) << 20) /* create a directory */
#define CW_RIGHT_MKFIFOAT (UINT64_C(1) << 21) /* create a FIFO or a socket node */
#define CW_RIGHT_MKNODAT (UINT64_C(1) << 22) /* create a regular file by mknod */
#define CW_RIGHT_SYMLINKAT (UINT64_C(1) << 23) /* create a symbolic link */
#define CW_RIGHT_LINKAT_SOURCE (UINT64_C(1) << 24) /* make a further hard link to a file */
#define CW_RIGHT_LINKAT_TARGET (UINT64_C(1) << 25) /* create a hard link in a directory */
#define CW_RIGHT_RENAMEAT_SOURCE (UINT64_C(1) << 26) /* rename a name away */
#define CW_RIGHT_RENAMEAT_TARGET (UINT64_C(1) << 27) /* rename something to a name */
#define CW_RIGHT_UNLINKAT (UINT64_C(1) << 28) /* remove a name */
#define CW_RIGHT_EXTATTR_SET (UINT64_C(1) << 29) /* set extended attributes */
#define CW_RIGHT_EXTATTR_DELETE (UINT64_C(1) << 30) /* remove extended attributes */
#define CW_RIGHT_BINDAT (UINT64_C(1) << 31) /* bind a unix socket to a name */
#define CW_RIGHT_CONNECTAT (UINT64_C(1) << 32) /* connect to a unix socket by name */
#define CW_RIGHT_IOCTL (UINT64_C(1) << 33) /* file-attribute ioctl requests that read */
#define CW_RIGHT_COUNT 34

#define CW_RIGHTS_ALL UINT64_C(0x3ffffffff)
#define CW_RIGHTS_RO UINT64_C(0x200000ffd)
#define CW_RIGHTS_ROX UINT64_C(0x200001ffd)
#define CW_RIGHTS_RW UINT64_C(0x3ffffefff)
#define CW_RIGHTS_RWX UINT64_C(0x3ffffffff)

static const char *const cw_right_names[CW_RIGHT_COUNT] = {
	"read",
	"write",
	"seek",
	"lookup",
	"fstat",
	"fstatfs",
	"fchdir",
	"mmap",
	"flock",
	"event",
	"extattr_get",
	"extattr_list",
	"fexecve",
	"create",
	"ftruncate",
	"fchmod",
	"fchown",
	"fchflags",
	"futimes",
	"fsync",
	"mkdirat",
	"mkfifoat",
	"mknodat",
	"symlinkat",
	"linkat_source",
	"linkat_target",
	"renameat_source",
	"renameat_target",
	"unlinkat",
	"extattr_set",
	"extattr_delete",
	"bindat",
	"connectat",
	"ioctl",
};

#endif
