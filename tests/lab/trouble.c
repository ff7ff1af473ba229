// SPDX-License-Identifier: MIT
/*
 * A module that gets its kernel into trouble: insmod trouble.ko what=warn.
 * tests/lab/contract inserts it to see that the lab reports it.
 */
#include <linux/module.h>
#include <linux/sched.h>
#include <asm/desc.h>

static char *what = "";
module_param(what, charp, 0);

/* Waits for nobody, deaf to signals: a task that hangs. */
static void hang(void)
{
	for (;;) {
		set_current_state(TASK_UNINTERRUPTIBLE);
		schedule();
	}
}

/* Reads through a pointer that is only wrong at run time. */
static void oops(void)
{
	unsigned long nowhere = 16;

	OPTIMIZER_HIDE_VAR(nowhere);
	pr_info("%d\n", *(int *)nowhere);
}

/* An exception for which the CPU has no handler: it shuts down, and the kernel says nothing. */
static void triple_fault(void)
{
	struct desc_ptr none = { };

	native_load_idt(&none);
	asm volatile("ud2");
}

static int __init trouble_init(void)
{
	if (!strcmp(what, "warn"))
		WARN(1, "a warning that was asked for\n");
	else if (!strcmp(what, "oops"))
		oops();
	else if (!strcmp(what, "hang"))
		hang();
	else if (!strcmp(what, "triple-fault"))
		triple_fault();
	return -EAGAIN;
}
module_init(trouble_init);

MODULE_DESCRIPTION("Gets the kernel into trouble on request");
MODULE_LICENSE("Dual MIT/GPL");
