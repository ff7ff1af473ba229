// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations as text: see operation.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvm_util.h"
#include "operation.h"

/* VM, inode, slot, first page, number of pages, or any number. */
static const struct {
	const char *name;
	const char *args;
} operations[OPERATIONS] = {
	[OP_VM]		= { "vm", "vx" },		/* VM TYPE */
	[OP_DROP]	= { "drop", "v" },		/* VM: all of its fds */
	[OP_CREATE]	= { "create", "vixp" },		/* VM INODE FLAGS PAGES */
	[OP_LINK]	= { "link", "viv" },		/* VM INODE FROM-VM */
	[OP_CLOSE]	= { "close", "vi" },		/* VM INODE */
	[OP_SLOT]	= { "slot", "vsgnix" },		/* VM SLOT GFN PAGES INODE PAGE */
	[OP_UNSLOT]	= { "unslot", "vs" },		/* VM SLOT */
	[OP_ATTRIBUTES]	= { "attributes", "vgnx" },	/* VM GFN PAGES PRIVATE */
	[OP_CONVERT]	= { "convert", "vignx" },	/* VM INODE PAGE PAGES PRIVATE */
	[OP_PUNCH]	= { "punch", "vign" },		/* VM INODE PAGE PAGES */
	[OP_ALLOCATE]	= { "allocate", "vign" },	/* VM INODE PAGE PAGES */
	[OP_POPULATE]	= { "populate", "vgn" },	/* VM GFN PAGES */
	[OP_FILL]	= { "fill", "vign" },		/* VM INODE PAGE PAGES: by the view */
	[OP_FEED]	= { "feed", "ign" },		/* INODE PAGE PAGES: by a handle */
	[OP_WRITE]	= { "write", "vign" },		/* VM INODE PAGE PAGES */
	[OP_SEAL]	= { "seal", "vix" },		/* VM INODE SEALS */
	[OP_MMAP]	= { "mmap", "vi" },		/* VM INODE */
	[OP_MUNMAP]	= { "munmap", "vi" },		/* VM INODE */
	[OP_MOVE]	= { "move", "vvx" },		/* VM FROM-VM VCPUS */
	[OP_PREFAULT]	= { "prefault", "vgn" },	/* VM GFN PAGES */
	[OP_GUEST_READ]	= { "guest-read", "vgn" },	/* VM GFN PAGES */
	[OP_GUEST_WRITE] = { "guest-write", "vgn" },	/* VM GFN PAGES */
	[OP_EMULATED_READ] = { "emulated-read", "vgn" },	/* VM GFN PAGES: by KVM */
	[OP_EMULATED_WRITE] = { "emulated-write", "vgn" }, /* VM GFN PAGES */
	[OP_HOST_READ]	= { "host-read", "vign" },	/* VM INODE PAGE PAGES */
	[OP_HOST_WRITE]	= { "host-write", "vign" },	/* VM INODE PAGE PAGES */
	[OP_BEHIND_READ] = { "behind-read", "vgn" },	/* VM GFN PAGES: at userspace_addr */
	[OP_BEHIND_WRITE] = { "behind-write", "vgn" },	/* VM GFN PAGES */
	[OP_FACTS]	= { "facts", "vi" },		/* VM INODE */
	[OP_COMPARE]	= { "compare", "xp" },		/* TOUCH STRIDE: see check.c */
};

const char *operation_name(enum operation_kind kind)
{
	return operations[kind].name;
}

void operation_print(const struct operation *op, char *line)
{
	int n = snprintf(line, OPERATION_LINE, "%s", operations[op->kind].name);

	for (unsigned int i = 0; operations[op->kind].args[i]; i++)
		n += snprintf(line + n, OPERATION_LINE - n, " %ld", op->arg[i]);
}

static bool is_valid(char what, long arg, long before)
{
	switch (what) {
	case 'v':
		return arg >= 0 && arg < MODEL_VMS;
	case 'i':
		return arg >= 0 && arg < MODEL_INODES;
	case 's':
		return arg >= 0 && arg < MODEL_SLOTS;
	case 'p':
		return arg > 0 && arg <= (long)MODEL_PAGES;
	case 'g':
		return arg >= 0 && arg < (long)MODEL_PAGES;
	case 'n':
		return arg >= 0 && arg <= (long)MODEL_PAGES - before;
	default:
		return arg >= 0;
	}
}

static bool parse_args(struct operation *op, const char *text)
{
	const char *what = operations[op->kind].args;
	char *end;

	for (unsigned int i = 0; what[i]; i++) {
		op->arg[i] = strtol(text, &end, 0);
		if (end == text || !is_valid(what[i], op->arg[i], i ? op->arg[i - 1] : 0))
			return false;
		text = end;
	}
	return true;
}

bool operation_parse(struct operation *op, const char *line)
{
	*op = (struct operation){};
	for (; op->kind < OPERATIONS; op->kind++) {
		size_t len = strlen(operations[op->kind].name);

		if (!strncmp(line, operations[op->kind].name, len) && line[len] == ' ')
			return parse_args(op, line + len);
	}
	return false;
}

void sight_print(uint64_t sight, char *text)
{
	static const char * const names[] = {
		[SEES_DEVICE] = "a device", [SEES_PRIVATE_FAULT] = "a private memory fault",
		[SEES_SHARED_FAULT] = "a shared memory fault", [SEES_DEAD_VM] = "a dead VM",
		[SEES_SIGBUS] = "SIGBUS", [SEES_PRESENT] = "a page", [SEES_ABSENT] = "no page",
		[SEES_TORN] = "torn content", [SEES_NONSENSE] = "nonsense",
	};

	if (sight && sight < ARRAY_SIZE(names))
		snprintf(text, 32, "%s", names[sight]);
	else
		snprintf(text, 32, "content %#lx", sight);
}
