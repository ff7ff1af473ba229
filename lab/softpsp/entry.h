/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What entry_override.h calls where a guest is to be entered; see entry.c.
 */
#ifndef SOFTPSP_ENTRY_H
#define SOFTPSP_ENTRY_H

#include <linux/types.h>

struct softpsp_entry;

bool softpsp_enter(u32 asid, u32 vcpu, const struct softpsp_entry *now,
		   struct softpsp_entry *exit);

#endif /* SOFTPSP_ENTRY_H */
