// SPDX-License-Identifier: GPL-2.0-only
/*
 * softpsp: entries of SEV-ES guests, which the emulated CPU can't carry out. What
 * KVM has set up for each is kept for a test to compare. A test may say what the
 * guest does next: it leaves with that at once, as if it had run. So KVM's
 * handling of VMGEXIT can be tested, with a GHCB that the test fills.
 */
#include <linux/export.h>
#include <linux/nospec.h>

#include "entry.h"
#include "softpsp.h"
#include "softpsp_ioctl.h"

#define VCPUS	4

static struct softpsp_entry entries[SOFTPSP_MIN_SEV_ASID][VCPUS];

static struct softpsp_entry *find(u32 asid, u32 vcpu)
{
	if (asid >= SOFTPSP_MIN_SEV_ASID || vcpu >= VCPUS)
		return NULL;
	return &entries[array_index_nospec(asid, SOFTPSP_MIN_SEV_ASID)]
		       [array_index_nospec(vcpu, VCPUS)];
}

/**
 * softpsp_enter - an SEV-ES guest is to be entered
 * @asid: its ASID
 * @vcpu: the vCPU's id
 * @now:  what KVM has set up, with the exit's members zero
 * @exit: where the exit goes that a test has asked for
 *
 * Called with interrupts disabled, between one state of the CPU and another: no
 * locks. A test gives a vCPU its next exit while that is not running.
 *
 * Return: whether there is one.
 */
bool softpsp_enter(u32 asid, u32 vcpu, const struct softpsp_entry *now,
		   struct softpsp_entry *exit)
{
	struct softpsp_entry *entry = find(asid, vcpu);

	if (!entry)
		return false;
	*exit = *entry;
	*entry = *now;
	return exit->exit_code;
}
EXPORT_SYMBOL_GPL(softpsp_enter);

/**
 * softpsp_exchange_entry - what the last entry was, and what the next exit is to be
 * @entry: in: ASID and vCPU, and the exit, if any; out: the last entry
 *
 * Return: 0, or -EINVAL.
 */
int softpsp_exchange_entry(struct softpsp_entry *entry)
{
	struct softpsp_entry *last = find(entry->asid, entry->vcpu);
	struct softpsp_entry next;

	if (!last)
		return -EINVAL;
	next = *last;
	next.exit_code = entry->exit_code;
	next.exit_info_1 = entry->exit_info_1;
	next.exit_ghcb = entry->exit_ghcb;
	*entry = *last;
	*last = next;
	return 0;
}
