/*
 * What a rewriter is: a function that turns one stopped call into a plan.
 *
 * Rewriters are freestanding C11: no libc, no allocation, no globals, no system calls of their own. All they
 * need comes through `struct cw_ctx`: the call's registers as they were copied at the stop, the policy image,
 * and the host's operations. The same files can be compiled into the supervisor or into an in-process shim.
 */
#ifndef CAPWRAP_REWRITER_H
#define CAPWRAP_REWRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rewriters/events.h"
#include "rewriters/generated/rights.h"
#include "rewriters/generated/syscalls.h"
#include "rewriters/image.h"
#include "rewriters/kernel.h"
#include "rewriters/pad.h"

#define CW_PATH_MAX 4096 /* with its NUL, as PATH_MAX */
#define CW_TEXT_MAX 8448 /* what is left to walk: a path behind a link's text behind a name */
#define CW_NAME_MAX 255
#define CW_LINKS_MAX 40 /* path_resolution(7): ELOOP beyond */

/* An address in the target's memory. Never dereferenced here, never mixed with ours. */
struct tptr {
	uint64_t a;
};

/* A stopped call: its registers, copied. The number, fds and flags are what the kernel takes: 32 bits. */
struct cw_call {
	int nr;
	int tid;
	int tgid;
	uint64_t arg[6];
};

/* A policy image that was checked whole. */
struct cw_image {
	const struct cw_image_header *h;
	const char *strings;
	const struct cw_node *nodes;
	const struct cw_glob *globs;
	const struct cw_insn *insns;
	const struct cw_reloc *relocs;
	const struct cw_env *envs;
	const struct cw_addr *addrs;
	uint32_t n_nodes, n_globs, n_insns, n_relocs, n_envs, n_addrs;
};

enum cw_place_kind {
	CW_PLACE_HOST,    /* a real place beneath a grant */
	CW_PLACE_VIRTUAL, /* an ancestor of grants: exists only in the namespace */
	CW_PLACE_LINK,    /* a LINK node itself */
	CW_PLACE_PROC,    /* beneath the PROC node; `proc` says what */
};

/* What stands at a path of /proc (procfs.c of the host decides; rewriters only carry it). */
enum cw_proc_kind {
	CW_PROC_FILE,     /* a file of procfs itself, opened by the host */
	CW_PROC_DIR,      /* a directory with a made listing */
	CW_PROC_REAL_DIR, /* a directory of procfs that may be listed as it is */
	CW_PROC_TEXT,     /* a link with made text (self, thread-self, cwd, exe, root) */
	CW_PROC_FD,       /* a link to an open file of a process of the target */
	CW_PROC_MADE,     /* a file with made content (mounts, mountinfo, mountstats) */
};

/* Where a path leads. fds are the host's own O_PATH descriptors; cw_place_drop gives them back. */
struct cw_place {
	enum cw_place_kind kind;
	uint32_t node; /* deepest node of the trie on the way; exactly this place if `exact` */
	bool exact;
	uint32_t grant;  /* the node whose rule decides, or CW_NONE */
	uint64_t rights; /* what it permits */
	int parent;      /* the directory that holds `name`, or -1 (the root of a grant, or nothing of the host) */
	int fd;          /* the thing itself, or -1 where it does not exist */
	uint32_t mode;   /* st_mode, where fd >= 0 */
	uint64_t dev, ino;
	bool slash; /* the path ended in '/' or in a dot: must be a directory */
	bool dot;   /* it ended in "." or "..": no name that could be made */
	bool root;  /* the root of a grant: cannot be renamed or removed */
	bool apart; /* reached from a directory that is held, since the way to that one is closed */
	bool by_fd; /* found through a descriptor: what `path` leads to by now may be something else */
	enum cw_proc_kind proc;
	int proc_pid, proc_tid, proc_fd;
	uint32_t proc_entry;
	char name[CW_NAME_MAX + 1];
	char path[CW_PATH_MAX]; /* canonical virtual path */
};

enum cw_plan_kind {
	CW_PLAN_REFUSE,  /* answer `ret` (a -errno); the initial plan, so that a forgotten case refuses */
	CW_PLAN_PASS,    /* as it stands: nothing in memory decides */
	CW_PLAN_REWRITE, /* the target makes call `nr` with `arg` from the stub */
	CW_PLAN_PERFORM, /* the host makes `op` */
	CW_PLAN_EXEC,    /* a REWRITE to execve, verified at the exec stop */
};

enum cw_op {
	CW_OP_RESULT,       /* answer `ret` */
	CW_OP_BYTES,        /* write bytes[0..len) to `to`, answer `ret` */
	CW_OP_STAT,         /* fd -> struct stat at `to` */
	CW_OP_STATX,        /* fd -> struct statx at `to`, arg[0] flags, arg[1] mask */
	CW_OP_READLINK,     /* fd -> text at `to`, arg[0] size */
	CW_OP_ACCESS,       /* fd, arg[0] mode */
	CW_OP_STATFS,       /* fd -> struct statfs at `to` */
	CW_OP_UNLINK,       /* parent/name, arg[0] flags */
	CW_OP_MKDIR,        /* parent/name, arg[0] mode */
	CW_OP_MKNOD,        /* parent/name, arg[0] mode, arg[1] dev */
	CW_OP_SYMLINK,      /* bytes (text) -> parent/name */
	CW_OP_LINK,         /* place 0 -> place 1 */
	CW_OP_RENAME,       /* place 0 -> place 1, arg[0] flags */
	CW_OP_CHMOD,        /* fd, arg[0] mode */
	CW_OP_CHOWN,        /* fd, arg[0] uid, arg[1] gid */
	CW_OP_UTIME,        /* fd, times[2] (arg[0]: 0 = now) */
	CW_OP_TRUNCATE,     /* fd, arg[0] length */
	CW_OP_XATTR_SET,    /* fd, bytes (name), value at `to`, arg[0] size, arg[1] flags */
	CW_OP_XATTR_GET,    /* fd, bytes (name), value to `to`, arg[0] size */
	CW_OP_XATTR_LIST,   /* fd, list to `to`, arg[0] size */
	CW_OP_XATTR_REMOVE, /* fd, bytes (name) */
	CW_OP_OPEN,         /* place 0, arg[0] flags, arg[1] mode; delivered */
	CW_OP_LIST,         /* place 0: a directory that the launcher makes; delivered, arg[0] flags */
	CW_OP_CHDIR,        /* place 0; delivered, then fchdir by the target */
	CW_OP_WATCH,        /* place 0; delivered, then inotify_add_watch(arg[0], "/proc/self/fd/N", arg[1]) */
	CW_OP_CONNECT,      /* place 0; delivered, then connect(arg[0], "/proc/self/fd/N") */
	CW_OP_DELIVER,      /* place 0's fd, opened by the host, as it is; arg[0] O_CLOEXEC or 0, arg[1] made for it */
	CW_OP_LOOPBACK,     /* connect(arg[0], bytes) on the target's socket, if a socket of the target listens there */
	CW_OP_BIND,         /* place 0, a new name; bind(arg[0]) of the target's socket to it */
	CW_OP_SOCKET_NAME,  /* bytes[0..len) to `to`, and how long the whole is, arg[1], to arg[0] */
	CW_OP_LISTEN,       /* listen(arg[0], arg[1]) on the target's socket, unless it is an inet one */
};

/* What an exec was planned to run; compared with what the kernel mapped. */
#define CW_SCRIPT_HEAD 256 /* BINPRM_BUF_SIZE */
#define CW_SCRIPT_DEPTH 5  /* interpreters of interpreters: exec_binprm in fs/exec.c */

struct cw_exec {
	uint64_t exe_dev, exe_ino;
	uint64_t interp_dev, interp_ino; /* 0, 0: static */
	int interp_fd;                   /* the host's, or -1 */
	/* What scripts put in front of the arguments, as the kernel does: the last one's interpreter and argument first, each with
	 * its zero. How many words, and how many arguments there are to be in all (0: not looked at). */
	uint32_t words, words_len;
	uint64_t argc;
	char text[CW_SCRIPT_HEAD * CW_SCRIPT_DEPTH];
};

/* Control data of a message, of the kinds that lead nowhere. */
#define CW_CONTROL_FDS 253 /* SCM_MAX_FD */
enum cw_control_kind {
	CW_CONTROL_TOS = 1,
	CW_CONTROL_SEGMENT = 2,
	CW_CONTROL_TCLASS = 4,
	CW_CONTROL_CREDS = 8,
};
struct cw_control {
	uint32_t which; /* enum cw_control_kind */
	int32_t tos, tclass;
	uint16_t segment;
	uint32_t creds[3]; /* struct ucred */
	uint32_t n_fds;
	int32_t fd[CW_CONTROL_FDS];
};

/* How a call is decided: each time the target's own call did not do, by more. */
enum cw_try {
	CW_TRY_FIRST,
	CW_TRY_WALK,    /* not by the text of the path alone */
	CW_TRY_PERFORM, /* not by a call of the target's */
};

struct cw_plan {
	enum cw_plan_kind kind;
	int64_t ret;
	/* REWRITE: */
	int nr;
	uint64_t arg[6];
	uint32_t self;     /* bytes hold, at this offset, a pointer to what follows it there; 0: none */
	int slot_arg;      /* which argument points to the thread's slot (bytes), or -1 */
	enum cw_try retry; /* EXDEV, EAGAIN, EACCES come back to be decided so; CW_TRY_FIRST: they do not */
	struct tptr count; /* sendmmsg: where the result goes, the call itself then answers 1; 0 elsewhere */
	const struct cw_control *control; /* sendmsg: made anew in the pad; NULL: the header says where it is */
	struct {
		int nr; /* 0: nothing */
		uint64_t arg[6];
	} then; /* made behind the call where that gave 0; making both anew does what one of each does */
	/* PERFORM: */
	enum cw_op op;
	struct tptr to;
	int64_t times[4];
	/* both: */
	const void *bytes;
	uint32_t len;
};

struct cw_ctx;

/* What the host (supervisor or shim) does for a rewriter. Every int is >= 0 or -errno. */
struct cw_ops {
	int (*read)(struct cw_ctx *c, void *dst, struct tptr src, size_t n);
	/* reads a NUL-terminated string: its length; -EFAULT; -ENAMETOOLONG where it does not fit */
	int (*read_string)(struct cw_ctx *c, char *dst, size_t size, struct tptr src);
	/* the virtual path of the target's cwd (fd == AT_FDCWD) or of a directory fd: length; -ENOENT outside the grants */
	int (*dir_path)(struct cw_ctx *c, int fd, char *dst, size_t size);
	bool (*removed)(struct cw_ctx *c, int fd); /* is it a directory that has no name any more? */
	/* a reference to the file behind the target's fd, which another thread cannot change any more */
	int (*hold_fd)(struct cw_ctx *c, int fd);
	/* where a held file lies in the namespace; -ENOENT outside; CW_HOLD_* for what has no path */
	int (*held_path)(struct cw_ctx *c, int held, char *dst, size_t size);
	/* F_GETFL of the target's fd; -EBADF too where it is not open on the file `held` (or -1: on any) */
	int (*fd_flags)(struct cw_ctx *c, int fd, int held);
	int (*node_dir)(struct cw_ctx *c, uint32_t node); /* host O_PATH of a DIR or PRIVATE node (not to be closed) */
	int (*name_dir)(struct cw_ctx *c, uint32_t node); /* opened directory that holds a NAME's or LINK's name */
	int (*cap_fd)(struct cw_ctx *c, uint32_t node);   /* number of the capability in the target, or -ENOENT */
	int (*open)(struct cw_ctx *c, int dir, const char *path, uint64_t flags, uint64_t resolve);
	int (*stat)(struct cw_ctx *c, int fd, uint32_t *mode, uint64_t *dev, uint64_t *ino);
	int (*readlink)(struct cw_ctx *c, int fd, char *dst, size_t size);
	/* 0, or -EACCES: what is there is no link to follow, or nothing to open with O_CREAT, for who asks (proc_sys_fs(5)) */
	int (*sticky)(struct cw_ctx *c, int dir, int fd, bool create);
	int (*pread)(struct cw_ctx *c, int fd, void *dst, size_t n, uint64_t off); /* of a held O_PATH file */
	int (*access)(struct cw_ctx *c, int fd, int mode);
	void (*close)(struct cw_ctx *c, int fd);
	bool (*special_dev)(struct cw_ctx *c,
	                    uint64_t dev); /* procfs, sysfs and kin: not part of a grant that holds their mount point */
	uint64_t (*publish_how)(struct cw_ctx *c, bool writable, uint64_t flags,
	                        uint64_t mode); /* slot address, 0: full */
	uint64_t (*publish_addr)(struct cw_ctx *c, uint64_t region, const void *addr,
	                         size_t len);      /* slot address, 0: full */
	bool (*member)(struct cw_ctx *c, int pid); /* a process or thread of the target */
	bool (*member_group)(struct cw_ctx *c, int pgid);
	/* a pidfd of a process that has ended and that its parent, a member, has not waited for; -ESRCH: it is none */
	int (*ended)(struct cw_ctx *c, int pid, uint32_t flags);
	int (*group_of)(struct cw_ctx *c, int pidfd, int pid, bool session);
	/* the place beneath /proc that `text` names: 0 final, 1: `text` was replaced by a link's text, or -errno */
	int (*proc)(struct cw_ctx *c, struct cw_place *p, char *text, size_t size, bool nofollow);
	int (*exec_string)(struct cw_ctx *c, const struct cw_place *p, const char *own, char *dst, size_t size);
	int64_t (*fact)(struct cw_ctx *c, int fact);
	int64_t (*call)(struct cw_ctx *c, int what, const uint64_t *arg); /* host services by number: CW_SERVICE_* */
};

enum cw_fact {
	CW_FACT_CAP_BASE,  /* first number of the capability range */
	CW_FACT_CAP_END,   /* first number above it */
	CW_FACT_SCOPED,    /* Landlock keeps signals and abstract sockets inside the target */
	CW_FACT_MAKE_SOCK, /* Landlock holds bind to the writable grants */
	CW_FACT_THREADS,   /* live threads of the target */
};

/* What CW_SERVICE_IPC_GET gives for somebody else's object: -EREMOTE, which the kernel never gives for one. */
#define CW_IPC_FOREIGN (-66)

/* Host services: arg in, result >= 0 or -errno. */
enum cw_service {
	CW_SERVICE_CREDS,    /* the calling process changes its credentials */
	CW_SERVICE_REAL,     /* from here on this call is decided and made as its real user and group */
	CW_SERVICE_REACH,    /* on?: looks at what it holds, whatever its credentials; returns what was */
	CW_SERVICE_FILTER,   /* it installs a seccomp filter of its own */
	CW_SERVICE_RLIMIT,   /* pid, resource, set?; ctx->scratch64: {soft, hard} to set or as the target sees them */
	CW_SERVICE_DUMPABLE, /* set?, value: answered from a book, since the engine must be able to read the target */
	CW_SERVICE_CAPGET,   /* pid; ctx->scratch64[0..2]: the sets as struct __user_cap_data_struct[2] lays them out */
	CW_SERVICE_SOCKET_NAME, /* fd, peer?; ctx->bytes: the address it was bound to, and its length; 0: what the kernel says */
	CW_SERVICE_JOIN,     /* pid, process group: 0, or -EPERM where it may not enter that */
	CW_SERVICE_IPC_GET,  /* kind (0 shm, 1 sem, 2 msg), key, size or count, flags: an object that the target made */
	CW_SERVICE_IPC_OWN,  /* kind, id: 1 if the target made it, else 0 */
	CW_SERVICE_IPC_GONE, /* kind, id: about to be removed */
	CW_SERVICE_MQ_OPEN,  /* flags, mode, attr?; ctx->path the name, ctx->bytes the attributes: an fd of the host */
	CW_SERVICE_MQ_UNLINK, /* ctx->path the name */
	CW_SERVICE_MADE, /* dev, ino: the open file, where an interrupted O_EXCL of this thread made it; given away; -ENOENT */
};

struct cw_record {
	enum cw_event_kind kind;
	uint64_t needs;
	uint32_t grant, grant2;
	const char *path, *path2; /* into ctx */
	char extra[128];
};

struct cw_ctx {
	const struct cw_image *image;
	const struct cw_ops *ops;
	void *host;
	struct cw_call call;
	enum cw_try again;
	struct cw_plan plan;
	struct cw_place place[2];
	struct cw_record rec;
	struct cw_exec exec;
	char path[CW_PATH_MAX]; /* the path argument as it was copied */
	char path2[CW_PATH_MAX];
	char base[CW_PATH_MAX];  /* the directory that it is relative to */
	char text[CW_TEXT_MAX];  /* the walk's remaining text */
	char whole[CW_TEXT_MAX]; /* joined path for capability form and the record */
	char whole2[CW_TEXT_MAX];
	char bytes[CW_TEXT_MAX]; /* what a plan's bytes point into */
	char via[CW_PATH_MAX];   /* the last link that was followed, by its canonical path, for the record */
	uint64_t scratch64[4];
	struct {
		struct k_sock_fprog head;
		struct k_sock_filter insns[4096];
	} filter; /* one that the target installs, as it stands in the slot */
	struct cw_control control;
	int followed;           /* links that the last walk followed */
	bool followed_absolute; /* one of them led to the root */
};

/* image.c: true if every offset, index, order and flag of the image holds; `why` names the first that does not */
bool cw_image_open(struct cw_image *im, const void *data, size_t size, const char **why);
const char *cw_str(const struct cw_image *im, struct cw_str s);

/* namespace.c */
uint32_t cw_child(const struct cw_image *im, uint32_t node, const char *name, size_t len); /* CW_NONE */
bool cw_leads_to_grant(const struct cw_image *im,
                       uint32_t node); /* or is shown without; false: to nothing but what is carved out */
bool cw_denies_beneath(const struct cw_image *im, uint32_t node);                   /* or there */
int cw_node_path(const struct cw_image *im, uint32_t node, char *dst, size_t size); /* length or -ENAMETOOLONG */
bool cw_glob_match(const char *pattern, const char *path);
bool cw_denied_by_glob(const struct cw_image *im, const char *path);
int cw_join(char *dst, size_t size, const char *base, const char *path); /* length or -ENAMETOOLONG */
/* The capability that a path leads to by its text alone, and the rest beneath it; CW_NONE where that takes a walk. */
uint32_t cw_textual(const struct cw_image *im, char *path, size_t size, bool nofollow, const char **rest);

/* place.c */
void cw_place_drop(struct cw_ctx *c, struct cw_place *p);
void cw_place_start(struct cw_place *p);
bool cw_grant_by_text(struct cw_ctx *c, struct cw_place *p, const char *s); /* s: a canonical path */

/* resolve.c */
enum cw_walk_flags {
	CW_WALK_NOFOLLOW = 1, /* a link at the end is the place itself */
	CW_WALK_CREATE = 2,   /* the last name need not exist */
	CW_WALK_NAME = 4,     /* a link at the end with a slash behind it is the place itself, too */
};
int cw_walk(struct cw_ctx *c, struct cw_place *p, const char *base, const char *path, unsigned flags);
/* The same from a directory of the target's, where the walk to it gave EACCES. Changes c->base. */
int cw_walk_from_held(struct cw_ctx *c, struct cw_place *p, int dirfd, const char *path, unsigned flags);

/* locate.c */
/* base directory and path argument -> place; reads both from the target. AT_EMPTY_PATH where `empty` is true. */
int cw_locate(struct cw_ctx *c, int which, int dirfd, struct tptr path, unsigned flags, bool empty);
int cw_need(struct cw_ctx *c, int which, uint64_t rights); /* 0, or refuses with EACCES */
int cw_locate_fd(struct cw_ctx *c, int which, int fd,
                 uint64_t needs); /* the file behind an fd, rights of where it lies */

/* carved.c */
/* Would renaming place 0 to place 1, or exchanging them, take something out from under a rule or put it there? */
bool cw_moves_rules(struct cw_ctx *c);

/* control.c */
bool cw_holds_control(const struct cw_ctx *c); /* a message's control data could lead where no address is permitted */
/* A copy of what the kinds say: 0, or -errno; -EPERM: there is another kind, or they do not go together. */
int cw_take_control(struct cw_ctx *c, const struct k_msghdr *m);

/* plans */
void cw_refuse(struct cw_ctx *c, enum cw_event_kind kind, int err); /* a refusal, recorded */
void cw_fail(struct cw_ctx *c, int err);                            /* the true errno */
void cw_perform(struct cw_ctx *c, enum cw_op op);
void cw_pass(struct cw_ctx *c);
void cw_answer(struct cw_ctx *c, int64_t ret);
void cw_rewrite(struct cw_ctx *c, int nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5);

/* string helpers, since there is no libc */
size_t cw_strlen(const char *s);
int cw_strcmp(const char *a, const char *b);
int cw_memcmp(const void *a, const void *b, size_t n);
void cw_copy(void *dst, const void *src, size_t n);
void cw_move(void *dst, const void *src, size_t n); /* the two may overlap */
void cw_zero(void *dst, size_t n);
int cw_put_number(char *dst, uint64_t n); /* decimal, NUL-terminated; its length */

typedef void cw_rewriter(struct cw_ctx *c);

#endif
