// SPDX-License-Identifier: MIT
/* The option --net. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cmd/nets.h"
#include "helper/helper.h"
#include "unit.h"

static int read_option(const char *option, struct nets *nets)
{
	struct option_list list = { .nr = 1, .values = { option } };
	int saved = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY), ret;

	dup2(null, STDERR_FILENO);
	ret = nets_read(nets, &list, "web");
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(null);
	return ret;
}

static void options_are_understood(void **state)
{
	static const uint8_t mac[] = { 2, 0, 0, 0, 0xab, 7 };
	struct nets nets, again;

	(void)state;
	assert_int_equal(read_option("user", &nets), 0);
	assert_int_equal(*nets.all[0].tap, 0);
	assert_int_equal(read_option("user,mtu=1400", &again), 0);
	assert_memory_equal(nets.all[0].mac, again.all[0].mac, 6);
	assert_int_equal(again.all[0].mtu, 1400);
	assert_int_equal(read_option("tap=t0,mac=02:00:00:00:aB:07", &nets), 0);
	assert_string_equal(nets.all[0].tap, "t0");
	assert_memory_equal(nets.all[0].mac, mac, 6);
	assert_int_equal(nets.all[0].vhost, VHOST_IF_THERE);
	assert_int_equal(read_option("tap=t0,vhost=on", &nets), 0);
	assert_int_equal(nets.all[0].vhost, VHOST_ON);
	assert_int_equal(read_option("tap=t0,vhost=off,mtu=1400", &nets), 0);
	assert_int_equal(nets.all[0].vhost, VHOST_OFF);
	assert_int_equal(nets.all[0].mtu, 1400);
}

static void wrong_options_are_refused(void **state)
{
	static const char *const wrong[] = {
		"", "users", "tap", "tap=", "tap=a-name-of-16-chars", "user,", "user,,",
		"user,mac=", "user,mac=02:00:00:00:00:0", "user,mac=03:00:00:00:00:07",
		"user,mac=02:00:00:00:00:0g", "user,mac=02-00:00:00:00:07", "user,mtu=",
		"user,mtu=67", "user,mtu=65521", "user,mtu=-5", "user,mtu=1400x", "user,tap=t0",
		"mtu=1400", "user,vhost=on", "user,vhost=off", "tap=t0,vhost=", "tap=t0,vhost",
		"tap=t0,vhost=yes", "tap=t0,vhost=onoff",
	};
	struct nets nets;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		if (!read_option(wrong[i], &nets))
			fail_msg("%s", wrong[i]);
}

/* The helper is asked for a passt for each card without a tap. */
static void only_those_without_a_tap_want_passt(void **state)
{
	struct helper_plan plan = { .nr_nets = 0 };
	struct nets nets = {
		.nr = 3, .all = { { .mtu = 1400 }, { .tap = "t0", .mtu = 9000 }, { .mtu = 0 } },
	};

	(void)state;
	nets_plan(&nets, &plan);
	assert_int_equal(plan.nr_nets, 2);
	assert_int_equal(plan.mtus[0], 1400);
	assert_int_equal(plan.mtus[1], 0);
}

int main(void)
{
	const struct CMUnitTest claims[] = {
		cmocka_unit_test(options_are_understood),
		cmocka_unit_test(wrong_options_are_refused),
		cmocka_unit_test(only_those_without_a_tap_want_passt),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(claims, NULL, NULL);
}
