/* SPDX-License-Identifier: MIT */
	.section .rodata
	.balign	16
	.globl	acpi_dsdt, acpi_dsdt_end
acpi_dsdt:
	.incbin	"dsdt.aml"
acpi_dsdt_end:
	.section .note.GNU-stack, "", @progbits
