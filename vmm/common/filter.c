// SPDX-License-Identifier: MIT
#include <errno.h>
#include <seccomp.h>

#include "common/filter.h"

static int add_rule(scmp_filter_ctx filter, const struct filter_rule *rule)
{
	const struct scmp_arg_cmp arguments[] = {
		{ .arg = rule->argument, .op = SCMP_CMP_MASKED_EQ,
		  .datum_a = rule->mask, .datum_b = rule->value },
		{ .arg = rule->argument + 1, .op = SCMP_CMP_MASKED_EQ,
		  .datum_a = rule->next, .datum_b = 0 },
	};

	const uint32_t action = rule->error ? SCMP_ACT_ERRNO(rule->error) : SCMP_ACT_ALLOW;

	if (rule->argument == FILTER_ANY)
		return seccomp_rule_add(filter, action, rule->call, 0);
	return seccomp_rule_add_array(filter, action, rule->call, rule->next ? 2 : 1,
				      arguments);
}

int filter_install(const struct filter_rule *rules, size_t nr)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	size_t i;
	int ret;

	if (!filter)
		return -ENOMEM;
	/* The numbers of another ABI mean other calls. */
	ret = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (!ret)
		ret = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	for (i = 0; !ret && i < nr; i++)
		ret = add_rule(filter, &rules[i]);
	if (!ret)
		ret = seccomp_load(filter);
	seccomp_release(filter);
	return ret;
}
