/* SPDX-License-Identifier: MIT */
/* The guest's flat image, as bytes of the VMM. */
	.section .rodata
	.globl	guest_image, guest_image_end
	.balign	16
guest_image:
	.incbin	"guest.bin"
guest_image_end:
	.section .note.GNU-stack, "", @progbits
