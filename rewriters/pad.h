/*
 * The pad: where it lies and what stands where in it. One memfd, written by the supervisor alone, mapped
 * read-only and executable into every process of the target at one fixed address and sealed.
 *
 * Low, below the shadow areas of the sanitizers (ASan: 0x7fff8000) and with an upper half of zero, so that
 * the seccomp program decides a pointer by one comparison of its upper and two of its lower half.
 * rewriters/generate.py turns these numbers into capwrap/policy/_pad.py; plain decimal or hex only.
 */
#ifndef CAPWRAP_PAD_H
#define CAPWRAP_PAD_H

#define CW_PAD_BASE 0x7f000000
#define CW_PAD_SIZE 0x480000     /* the sealed memfd */
#define CW_PAD_RESULT 0x7f480000 /* the result slots: a second memfd, which the target may write */
#define CW_PAD_RESULT_SIZE 0x8000
#define CW_PAD_END 0x7f488000 /* the protected range is [BASE, END) */

#define CW_PAD_STUB 0x7f000000 /* code */
#define CW_PAD_STUB_SIZE 0x2000
#define CW_PAD_STUB_READABLE 0x7f001040 /* the one instruction that prctl(PR_SET_DUMPABLE, 1) passes from */

/* struct open_how slots, 32 bytes apart; free ones hold all ones; never rewritten once published */
#define CW_PAD_HOW_RO 0x7f002000
#define CW_PAD_HOW_RO_END 0x7f004000
#define CW_PAD_HOW_RW 0x7f004000
#define CW_PAD_HOW_RW_END 0x7f00c000
#define CW_PAD_HOW_STRIDE 32

/* "/proc/self/fd/N" for each delivery descriptor */
#define CW_PAD_FDPATH 0x7f00c000
#define CW_PAD_FDPATH_END 0x7f00c200
#define CW_PAD_FDPATH_STRIDE 32
#define CW_PAD_DELIVERY_COUNT 16

/* published socket addresses: sockaddr_in (16), sockaddr_in6 (28), abstract sockaddr_un (3..110) */
#define CW_PAD_IN4 0x7f00d000
#define CW_PAD_IN4_END 0x7f00f000
#define CW_PAD_IN6 0x7f00f000
#define CW_PAD_IN6_END 0x7f011000
#define CW_PAD_IN_STRIDE 32
#define CW_PAD_ABSTRACT 0x7f019000
#define CW_PAD_ABSTRACT_END 0x7f021000
#define CW_PAD_UN_STRIDE 128
#define CW_PAD_UN_LEN 110

/* struct user_msghdr of a thread that is inside the stub: its name is NULL or a published address, always; and its control
 * data stands among that of the pad, where the policy holds internet addresses. Apart from
 * the slots, whose bytes may be anything and may run over several of them. */
#define CW_PAD_MSGHDR 0x7f021000
#define CW_PAD_MSGHDR_END 0x7f040000
#define CW_PAD_MSGHDR_STRIDE 64

/* one slot or several a thread that is inside the stub: frame, then bytes */
#define CW_PAD_SLOT 0x7f040000
#define CW_PAD_SLOT_END 0x7f440000
#define CW_PAD_SLOT_STRIDE 1024
#define CW_PAD_SLOT_DATA 256

/* control data of messages, of the kinds that lead nowhere, each at its place (engine/control.c) */
#define CW_PAD_CONTROL 0x7f440000
#define CW_PAD_CONTROL_END 0x7f480000
#define CW_PAD_CONTROL_STRIDE 8192

/*
 * Numbers that only the stub has a use for: calls that x86-64 has numbers for and never had code for (ENOSYS). The filters
 * of container runtimes know them by name and let them pass, where they answer unassigned numbers themselves.
 */
#define CW_NR_DELIVER 214 /* USER_NOTIF: the listener hands over a descriptor; ENOSYS without a pending plan */
#define CW_NR_RETRY 215   /* TRACE: the stub asks the supervisor to decide the original call again */
#define CW_NR_DONE 211    /* TRACE: the stub hands a result to the supervisor, which finishes the call */

/* Data of the program's verdict USER_NOTIF for a call that waits for an answer (`notify` in syscalls.tbl): the launcher makes
 * it a RET_TRACE where the listener could not answer. */
#define CW_RET_ANSWER 1

/* The capability range of the fd table: read-only capabilities, writable ones, then the auxiliary ones:
 * the pad's memfd, the result memfd, and the delivery descriptors. */
#define CW_AUX_PAD 0
#define CW_AUX_RESULT 1
#define CW_AUX_DELIVERY 2
#define CW_AUX_COUNT 18

#endif
