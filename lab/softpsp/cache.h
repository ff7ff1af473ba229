/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What cpu_override.h puts in place of the kernel's function; see cache.c.
 */
#ifndef SOFTPSP_CACHE_H
#define SOFTPSP_CACHE_H

int softpsp_wbinvd_on_all_cpus(void);

#endif /* SOFTPSP_CACHE_H */
