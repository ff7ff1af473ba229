// SPDX-License-Identifier: MIT
/* The threads of vCPUs: results of KVM_RUN that are not exits of the guest. */
#include <errno.h>
#include <linux/kvm.h>
#include <poll.h>
#include <stdlib.h>

#include <gmem.h>

#include "common/status.h"
#include "machine/exits.h"
#include "machine/vcpus.h"
#include "unit.h"

#define LATE	20000	/* ms */

static struct machine machine;
static struct vcpus vcpus;
static const int *script;	/* what KVM_RUN returns; the last one again and again */
static unsigned int runs, exits;

int __wrap_gmem_vcpu_run(struct gmem_vcpu *vcpu)
{
	int ret = *script;

	(void)vcpu;
	__atomic_fetch_add(&runs, 1, __ATOMIC_SEQ_CST);
	if (ret != 1 && script[1])
		script++;
	return ret == 1 ? 0 : ret;
}

enum verdict __wrap_exit_handle(struct machine *of, struct gmem_vcpu *vcpu, int ret, int *status)
{
	(void)of;
	(void)vcpu;
	(void)ret;
	exits++;
	*status = EXIT_GUEST;
	return ENDED;
}

void __wrap_gmem_vcpu_set_immediate_exit(struct gmem_vcpu *vcpu, int on)
{
	__atomic_store_n(&vcpu->run->immediate_exit, on, __ATOMIC_SEQ_CST);
}

uint64_t __wrap_machine_count(struct machine *of)
{
	(void)of;
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	machine = (struct machine){ .nr_vcpus = 1 };
	machine.vcpus[0].run = calloc(1, sizeof(*machine.vcpus[0].run));
	runs = 0;
	exits = 0;
	return vcpus_init(&vcpus, &machine);
}

static int tear_down(void **state)
{
	(void)state;
	vcpus_close(&vcpus);
	free(machine.vcpus[0].run);
	return 0;
}

static void run(const int *what, bool moved)
{
	script = what;
	vcpus.moved = moved;
	assert_int_equal(vcpus_go(&vcpus), 0);
}

static bool has_ended(void)
{
	struct pollfd end = { .fd = vcpus.ended_fd, .events = POLLIN };

	return poll(&end, 1, LATE) > 0;
}

static void what_passes_is_tried_again(void **state)
{
	static const int what[] = { -ENOMEM, -EINTR, -ENOMEM, -EAGAIN, 1 };

	(void)state;
	run(what, true);
	assert_true(has_ended());
	assert_int_equal(vcpus.status, EXIT_GUEST);
	assert_int_equal(runs, 5);
	assert_int_equal(exits, 1);
}

static void no_memory_elsewhere_is_the_end(void **state)
{
	static const int what[] = { -EINTR, -ENOMEM, 1 };

	(void)state;
	run(what, false);
	assert_true(has_ended());
	assert_int_equal(vcpus.status, EXIT_FAILED);
	assert_int_equal(exits, 0);
}

static void it_is_stopped_meanwhile(void **state)
{
	static const int what[] = { -ENOMEM, 0 };

	(void)state;
	run(what, true);
	while (__atomic_load_n(&runs, __ATOMIC_SEQ_CST) < 3)
		poll(NULL, 0, 1);
	vcpus_stop(&vcpus);
	assert_false(vcpus.ended);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_passes_is_tried_again),
		TEST(no_memory_elsewhere_is_the_end),
		TEST(it_is_stopped_meanwhile),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
