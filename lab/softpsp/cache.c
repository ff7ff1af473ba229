// SPDX-License-Identifier: GPL-2.0-only
/*
 * softpsp: the caches. An encrypted guest's lines are written back under its
 * key whenever the cache likes, so KVM must flush them before a page is given to
 * somebody else. The emulated CPU has no caches: what can be seen is whether
 * KVM flushes, by this count.
 */
#include <linux/atomic.h>
#include <linux/export.h>
#include <linux/smp.h>

#include "cache.h"
#include "softpsp.h"

static atomic64_t flushes;

/**
 * softpsp_wbinvd_on_all_cpus - flush all caches, and count it
 *
 * Called by the lab's build of svm/sev.o in place of wbinvd_on_all_cpus().
 *
 * Return: what that returns.
 */
int softpsp_wbinvd_on_all_cpus(void)
{
	int ret = wbinvd_on_all_cpus();

	atomic64_inc(&flushes);
	return ret;
}
EXPORT_SYMBOL_GPL(softpsp_wbinvd_on_all_cpus);

/**
 * softpsp_flushes - how often all caches were flushed
 *
 * Return: the number since the module was loaded.
 */
u64 softpsp_flushes(void)
{
	return atomic64_read(&flushes);
}
