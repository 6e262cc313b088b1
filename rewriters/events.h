/*
 * Event records as the engine hands them out in batches: binary, little-endian, each 8-byte aligned.
 * capwrap/observe/records.py decodes them; the published form is the NDJSON of capwrap-events(5).
 */
#ifndef CAPWRAP_EVENTS_H
#define CAPWRAP_EVENTS_H

#include <stdint.h>

enum cw_event_type {
	CW_EVENT_ACCESS = 1,
	CW_EVENT_REFUSAL = 2,
	CW_EVENT_ABSENT = 3,
	CW_EVENT_PROCESS = 4,
	CW_EVENT_LOST = 5,
	CW_EVENT_STACK = 6, /* comes before the first REFUSAL that has it */
};
enum cw_event_kind { /* of REFUSAL and ABSENT */
	             CW_KIND_NONE = 0,
	             CW_KIND_NOT_GRANTED = 1,
	             CW_KIND_RIGHT_MISSING = 2,
	             CW_KIND_ESCAPE = 3,
	             CW_KIND_SYSCALL = 4,
	             CW_KIND_SIGNAL = 5,
	             CW_KIND_PROCESS = 6,
	             CW_KIND_NETWORK = 7,
	             CW_KIND_EXEC = 8,
	             CW_KIND_DESCRIPTOR = 9,
};
enum cw_process_event { CW_PROCESS_START = 1, CW_PROCESS_EXEC = 2, CW_PROCESS_EXIT = 3 };

enum { CW_EVENT_STRINGS = 8 };

struct cw_event {
	uint32_t size; /* of the whole record with its strings, a multiple of 8 */
	uint8_t type;  /* enum cw_event_type */
	uint8_t kind;  /* enum cw_event_kind, or enum cw_process_event */
	uint16_t nr;   /* the syscall's number */
	uint64_t t;    /* ns since the start of the run */
	int32_t pid;
	int32_t tid;
	int64_t result;  /* ACCESS: the call's result or -errno; REFUSAL, ABSENT: the -errno that was answered;
	                    PROCESS start: parent pid; exit: wait status; LOST: how many records; STACK: its id */
	uint64_t rights; /* ACCESS: used; REFUSAL, ABSENT: needed */
	uint32_t grant;  /* node index of the grant that decided, or CW_NONE */
	uint32_t grant2; /* of the second name */
	uint32_t len[CW_EVENT_STRINGS]; /* bytes of the strings behind this struct, in this order, without NULs:
	                    virtual path, second virtual path (of a PROCESS start and exec the directory that it is in), host path, extra (exec: argv, each with a NUL behind it;
	                    network: the address as text; STACK: struct cw_stack_head and what follows it), the two paths as
	                    they were asked for where that is not what they lead to, the last symbolic link on the way, and of
	                    REFUSAL and ABSENT, and of ACCESS in a trace, the six argument registers, 8 bytes each */
	/* Behind the strings and their padding, of a REFUSAL whose stack is known: the id of a STACK record, uint64_t. */
};

/* What a thread's stack was when its call was refused. */
struct cw_stack_head {
	uint64_t regs[17]; /* as the psABI numbers them for DWARF; the last one is rip, behind the call */
	uint32_t n_codes;  /* this many struct cw_stack_code, each with its name behind it, padded to 8 bytes */
	uint32_t window;   /* then so many bytes of the stack, from rsp up */
	uint32_t python;   /* then so many bytes of struct cw_python_frame, each with what follows it */
	uint32_t zero;
};

/* An executable mapping that the stack refers to, as /proc/PID/maps has it. */
struct cw_stack_code {
	uint64_t start, end, offset, inode;
	uint32_t major, minor;
	uint32_t name_len, zero;
};

/* A function that CPython runs, innermost first. Behind it: file, qualified name, line table (co_linetable), then padding. */
struct cw_python_frame {
	int64_t instr; /* where it is, in bytes from the start of its code */
	int32_t first_line;
	uint32_t len[3];  /* bytes */
	uint32_t kind[2]; /* bytes a character of file and name */
};

#endif
