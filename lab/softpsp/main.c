// SPDX-License-Identifier: GPL-2.0-only
/*
 * softpsp: the module.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/init.h>
#include <linux/module.h>

#include "softpsp.h"

static int __init softpsp_module_init(void)
{
	int ret = softpsp_register_device();

	if (ret)
		return ret;
	pr_info("a PSP in software, for tests: protects nothing\n");
	return 0;
}

/* Its users, kvm-amd by symbols and programs by open files, are gone. */
static void __exit softpsp_module_exit(void)
{
	softpsp_unregister_device();
	softpsp_stop();
}

module_init(softpsp_module_init);
module_exit(softpsp_module_exit);
MODULE_DESCRIPTION("AMD Secure Processor (SEV firmware) in software, for the gmem lab");
MODULE_LICENSE("GPL");
