/* SPDX-License-Identifier: MIT */
/*
 * First instruction of the guest, in 64-bit mode: the VMM has set up paging,
 * the stack, %rdi (a seed), %rsi (bytes of private memory) and %rdx (1: it has
 * been a guest's before).
 */
	.section .text.start, "ax"
	.globl	start
start:
	xorl	%ebp, %ebp
	call	guest_main
1:	hlt
	jmp	1b

	.section .note.GNU-stack, "", @progbits
