/*
 * The policy image: a policy compiled to one flat file, which the engine maps read-only.
 *
 * Little-endian. Every reference is an offset from the start of the file or an index into a
 * section, so that the image can be mapped anywhere. A section is {offset, count}; offsets are
 * multiples of 8. capwrap/policy/image.py writes it, rewriters/image.c checks it whole before
 * anything in it is used.
 */
#ifndef CAPWRAP_IMAGE_H
#define CAPWRAP_IMAGE_H

#include <stdint.h>

#define CW_IMAGE_MAGIC "CAPWRAP" /* with its terminating NUL: 8 bytes */
#define CW_IMAGE_VERSION 1u
#define CW_NONE UINT32_MAX

struct cw_section {
	uint32_t off;
	uint32_t count; /* of records; of bytes in the string section */
};

/* A string in the string section: never NUL inside, always NUL behind. */
struct cw_str {
	uint32_t off; /* from the start of the string section */
	uint32_t len; /* without the NUL */
};

enum cw_node_kind {
	CW_NODE_ANCESTOR = 0, /* exists only because something lies beneath it (or is inherited from an outer grant) */
	CW_NODE_DIR = 1,      /* grant of a directory: `host` is its canonical host path */
	CW_NODE_NAME = 2,     /* grant of one name (a file, present or not): `host` is <canonical directory>/<name> */
	CW_NODE_DENY = 3,     /* carved out: this name and all beneath it do not exist */
	CW_NODE_LINK = 4,    /* a host symlink on the way to a grant: `link` is its text; `host` is its own host path */
	CW_NODE_PROC = 5,    /* the launcher's view of procfs */
	CW_NODE_PTS = 6,     /* the launcher's view of devpts */
	CW_NODE_PRIVATE = 7, /* a private empty directory, made at launch and removed afterwards; rights as given */
};

enum cw_node_flags {
	CW_NODE_CAPFORM = 1u << 0, /* DIR/PRIVATE with exactly the ro/rox/rw/rwx set, and nothing beneath it in the trie
	                               but LINK/ANCESTOR nodes or identity DIRs with a superset of its rights, no glob that
	                               could match beneath it */
	CW_NODE_IDENTITY = 1u << 1, /* host path equals virtual path */
	CW_NODE_OPTIONAL = 1u << 2, /* from a profile: absent on the host at launch is no error */
	CW_NODE_SHM = 1u << 3,      /* PRIVATE: on /dev/shm; mode 1777 */
	CW_NODE_STICKY = 1u << 4,   /* PRIVATE: mode 1777, else 0700 */
	CW_NODE_DEVICE = 1u << 5,   /* NAME: a character device of the profile's list */
	CW_NODE_SHOWN = 1u << 6,    /* ANCESTOR: it is there though it leads to no grant */
};

/* Node 0 is the root of the namespace. Children of a node are consecutive and sorted bytewise by name. */
struct cw_node {
	struct cw_str name;   /* one path component; "" for the root */
	uint32_t parent;      /* index; the root's is 0 */
	uint32_t child_first; /* index of the first child */
	uint32_t child_count;
	uint32_t kind;      /* enum cw_node_kind */
	uint32_t flags;     /* enum cw_node_flags */
	uint32_t reserved;  /* 0 */
	struct cw_str host; /* "" where the kind has none */
	struct cw_str link; /* "" unless LINK */
	uint64_t rights;    /* bits of rights.tbl; 0 for ANCESTOR, DENY, LINK */
};                          /* 56 bytes */

/* A deny glob, matched against whole virtual paths: `*` and `?` stop at '/', `**` does not, [..] classes. */
struct cw_glob {
	struct cw_str pattern; /* absolute */
};

/* The seccomp program: struct sock_filter {u16 code; u8 jt; u8 jf; u32 k} as linux/filter.h lays it out. */
struct cw_insn {
	uint16_t code;
	uint8_t jt;
	uint8_t jf;
	uint32_t k;
};

/* What only the launcher knows: insn[index].k += value of kind. */
enum cw_reloc_kind {
	CW_RELOC_CAP_RO = 0,  /* first fd of the read-only capabilities = first of the capability range */
	CW_RELOC_CAP_RW = 1,  /* first fd of the writable capabilities */
	CW_RELOC_CAP_AUX = 2, /* first fd of the pad, result and delivery descriptors, behind the writable ones */
	CW_RELOC_CAP_END = 3, /* one past the last fd of the capability range */
};

struct cw_reloc {
	uint32_t index;
	uint32_t kind;
};

enum cw_env_mode {
	CW_ENV_PASS = 0, /* `text` is a NAME or a glob (`LC_*`): passed through where the caller has it */
	CW_ENV_SET = 1,  /* `text` is NAME=VALUE */
};

struct cw_env {
	uint32_t mode;
	uint32_t reserved;
	struct cw_str text;
};

enum cw_addr_op { CW_ADDR_CONNECT = 0, CW_ADDR_BIND = 1 };

/* An address of --connect/--bind tcp:ADDR:PORT; port 0 is any port. (unix:PATH becomes a node's rights.) */
struct cw_addr {
	uint32_t op;
	uint16_t family;  /* 2 = AF_INET, 10 = AF_INET6 */
	uint16_t port;    /* host order */
	uint8_t addr[16]; /* network order; AF_INET uses the first 4 */
};

enum cw_net { CW_NET_NONE = 0, CW_NET_LOOPBACK = 1, CW_NET_HOST = 2 };
enum cw_violation { CW_VIOLATION_ERRNO = 0, CW_VIOLATION_TRAP = 1, CW_VIOLATION_STOP = 2, CW_VIOLATION_KILL = 3 };
enum cw_limit { CW_LIMIT_CPU, CW_LIMIT_MEMORY, CW_LIMIT_FILES, CW_LIMIT_PROCESSES, CW_LIMIT_FILE_SIZE, CW_LIMIT_COUNT };
enum cw_allow {
	CW_ALLOW_MEMFD_EXEC = 1u << 0,
	CW_ALLOW_SCOPED = 1u << 1, /* the program leaves to Landlock's scopes what they hold (Linux 6.12) */
};

struct cw_image_header {
	char magic[8];
	uint32_t version;
	uint32_t header_size; /* sizeof(struct cw_image_header) */
	uint64_t size;        /* of the whole file */
	uint8_t sha256[32];   /* of all bytes behind the header */
	uint8_t table[32];    /* sha256 of the syscall table that the program was generated from */
	struct cw_section strings, nodes, globs, insns, relocs, envs, addrs;
	uint32_t net;                    /* enum cw_net */
	uint32_t violation;              /* enum cw_violation */
	uint32_t violation_errno;        /* 0: as the contract says */
	uint32_t allow;                  /* enum cw_allow */
	uint64_t limits[CW_LIMIT_COUNT]; /* UINT64_MAX: not set. seconds, bytes, count, count, bytes */
};

#endif
