/*
 * The stub: code of the pad, which a stopped thread is sent to instead of the call that it made.
 *
 * rbx holds the thread's slot; its frame (struct cw_frame in state.h) has the registers to restore. No instruction
 * here but the calls themselves changes the flags, the stack, or a register that is not restored, so that the program
 * sees what syscall(2) leaves: rax, rcx = return address, r11 = flags. Conditions are tested by jrcxz for that reason.
 */
#include "rewriters/pad.h"

#define F_RDI 0
#define F_RSI 8
#define F_RDX 16
#define F_R10 24
#define F_R8 32
#define F_R9 40
#define F_RBX 48
#define F_RIP 56
#define F_R11 64
#define F_RESULT 72
#define F_EXPECT 80
#define F_NR 88
#define F_ARG 96

	.section .rodata
	.balign 16
	.globl cw_stub_begin, cw_stub_end, cw_stub_call, cw_stub_retry, cw_stub_done, cw_stub_both, cw_stub_deliver, cw_stub_start
	.globl cw_stub_readable, cw_stub_undo_from, cw_stub_undo_to
	.hidden cw_stub_begin, cw_stub_end, cw_stub_call, cw_stub_retry, cw_stub_done, cw_stub_both, cw_stub_deliver, cw_stub_start
	.hidden cw_stub_readable
	.hidden cw_stub_undo_from, cw_stub_undo_to
cw_stub_begin:

/* One call, then back. */
cw_stub_call:
	syscall
after:
	mov	F_RESULT(%rbx), %rcx
	mov	%rax, (%rcx)
	mov	F_RDI(%rbx), %rdi
	mov	F_RSI(%rbx), %rsi
	mov	F_RDX(%rbx), %rdx
	mov	F_R10(%rbx), %r10
	mov	F_R8(%rbx), %r8
	mov	F_R9(%rbx), %r9
	mov	F_R11(%rbx), %r11
	mov	F_RIP(%rbx), %rcx
	mov	F_RBX(%rbx), %rbx
	jmp	*%rcx

/* One call; where it ends in EXDEV, EAGAIN, EMFILE or EACCES the supervisor is asked what that means. */
	.balign 16
cw_stub_retry:
	syscall
	lea	18(%rax), %rcx
	jrcxz	1f
	lea	11(%rax), %rcx
	jrcxz	1f
	lea	24(%rax), %rcx
	jrcxz	1f
	lea	13(%rax), %rcx
	jrcxz	1f
	jmp	after
cw_stub_undo_from:
1:	mov	$CW_NR_RETRY, %eax
	syscall
	ud2
cw_stub_undo_to:

/* One call, whose result the supervisor turns into the answer. */
	.balign 16
cw_stub_done:
	syscall
	mov	%rax, %rdi
	mov	$CW_NR_DONE, %eax
	syscall
	ud2

/* Two calls, the second where the first gave what is expected. Behind the first also when a descriptor was handed over (the
 * number is in rax; the kernel may restart the hand-over, two bytes back): the second is the call that uses it. */
	.balign 16
cw_stub_both:
	syscall
cw_stub_deliver:
	mov	F_EXPECT(%rbx), %rcx
	lea	(%rcx, %rax), %rcx
	jrcxz	1f
	jmp	after
1:	mov	F_NR(%rbx), %rax
	mov	F_ARG+0(%rbx), %rdi
	mov	F_ARG+8(%rbx), %rsi
	mov	F_ARG+16(%rbx), %rdx
	mov	F_ARG+24(%rbx), %r10
	mov	F_ARG+32(%rbx), %r8
	mov	F_ARG+40(%rbx), %r9
	jmp	cw_stub_call

/* The first code of a new program: r12 the entry point, r13 the result memfd; rax what mapping the pad gave. */
	.balign 16
cw_stub_start:
	mov	$9, %eax		/* mmap */
	mov	$CW_PAD_RESULT, %edi
	mov	$CW_PAD_RESULT_SIZE, %esi
	mov	$3, %edx		/* PROT_READ | PROT_WRITE */
	mov	$0x100001, %r10d	/* MAP_SHARED | MAP_FIXED_NOREPLACE */
	mov	%r13, %r8
	xor	%r9d, %r9d
	syscall
	cmp	$CW_PAD_RESULT, %rax
	jne	2f
	mov	$462, %eax		/* mseal: not before Linux 6.10; the seccomp program guards the range anyway */
	mov	$CW_PAD_BASE, %edi
	mov	$(CW_PAD_END - CW_PAD_BASE), %esi
	xor	%edx, %edx
	syscall
	mov	%r12, %rcx
	xor	%eax, %eax
	xor	%ebx, %ebx
	xor	%edx, %edx
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%ebp, %ebp
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
	xor	%r12d, %r12d
	xor	%r13d, %r13d
	jmp	*%rcx
2:	mov	$231, %eax		/* exit_group: nothing runs without the whole pad */
	mov	$126, %edi
	syscall
	ud2
/* prctl(PR_SET_DUMPABLE, 1), after which its tracer can read the process, and then the call that it could not read. */
	.skip	CW_PAD_STUB_READABLE - CW_PAD_STUB - (. - cw_stub_begin)
cw_stub_readable:
	syscall
	mov	F_NR(%rbx), %rax
	jmp	after
cw_stub_end:

	.section .note.GNU-stack, "", @progbits
