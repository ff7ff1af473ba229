// SPDX-License-Identifier: MIT
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"

static const char units[] = "KMGT";

int size_read(const char *text, uint64_t *bytes)
{
	unsigned long long number;
	unsigned int shift = 0;
	const char *unit;
	char *end;

	/* strtoull() would take a sign, and blanks. */
	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno)
		return -ERANGE;
	if (*end) {
		unit = strchr(units, toupper((unsigned char)*end));
		if (!unit || end[1])
			return -EINVAL;
		shift = 10 * (unit - units + 1);
	}
	if (number > UINT64_MAX >> shift)
		return -ERANGE;
	*bytes = (uint64_t)number << shift;
	return 0;
}

void size_show(char *text, size_t size, uint64_t bytes)
{
	int unit = 0;

	bytes >>= 10;
	while (bytes >= 10240 && unit < 3) {
		bytes >>= 10;
		unit++;
	}
	snprintf(text, size, "%" PRIu64 "%c", bytes, units[unit]);
}
