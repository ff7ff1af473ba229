// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/disks.h"
#include "common/say.h"
#include "common/status.h"
#include "machine/machine.h"

static int refuse(const char *option, const char *why)
{
	fprintf(stderr, "gmem: --disk %s: %s\n", option, why);
	return EXIT_USAGE;
}

/* Parse the path up to a comma; two commas stand for one in the path. Returns the rest. */
static const char *read_path(const char *option, char *path)
{
	for (; *option; option++) {
		if (*option == ',') {
			if (option[1] != ',')
				break;
			option++;
		}
		*path++ = *option;
	}
	*path = '\0';
	return option;
}

static int read_serial(struct block_options *disk, const char *text, size_t length)
{
	size_t i;

	if (!length || length > BLOCK_SERIAL)
		return -EINVAL;
	for (i = 0; i < length; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return -EINVAL;
	memcpy(disk->serial, text, length);
	disk->serial[length] = '\0';
	return 0;
}

/* Parse one word after the path. */
static const char *read_word(struct block_options *disk, const char *word, size_t length)
{
	static const char serial[] = "serial=";
	const size_t head = sizeof(serial) - 1;

	if (length == 8 && !memcmp(word, "readonly", length)) {
		disk->disk.readonly = true;
	} else if (length == 10 && !memcmp(word, "cache=none", length)) {
		disk->disk.direct = true;
	} else if (length >= head && !memcmp(word, serial, head)) {
		if (read_serial(disk, word + head, length - head))
			return "a serial has 1 to 20 printable characters, no space and no comma";
	} else {
		return "behind the path there may be ',readonly', ',cache=none' and "
		       "',serial=TEXT'; a comma of the path is written twice";
	}
	return NULL;
}

static int read_one(struct disks *disks, const char *option)
{
	struct block_options *disk = &disks->all[disks->nr];
	char *path = malloc(strlen(option) + 1);
	const char *rest, *why;

	if (!path)
		return say_failed(-ENOMEM, "reading the options");
	snprintf(disk->serial, sizeof(disk->serial), "disk%u", disks->nr);
	disks->paths[disks->nr++] = path;
	disk->disk.path = path;
	rest = read_path(option, path);
	if (!*path)
		return refuse(option, "a path is missing");
	while (*rest) {
		size_t length = strcspn(++rest, ",");

		why = read_word(disk, rest, length);
		if (why)
			return refuse(option, why);
		rest += length;
	}
	return 0;
}

int disks_read(struct disks *disks, const struct option_list *list)
{
	unsigned int i;
	int status = 0;

	for (i = 0; !status && i < list->nr; i++)
		status = read_one(disks, list->values[i]);
	return status;
}

int disks_add(struct disks *disks, struct machine *machine)
{
	char why[DISK_WHY];
	unsigned int i;
	int ret;

	for (i = 0; i < disks->nr; i++) {
		ret = block_add(machine, &disks->all[i], why);
		if (!ret)
			continue;
		snprintf(disks->step, sizeof(disks->step), "disk %.100s: %s",
			 disks->paths[i], why);
		make_printable(disks->step);
		machine->step = disks->step;
		return ret;
	}
	return 0;
}

void disks_free(struct disks *disks)
{
	while (disks->nr)
		free(disks->paths[--disks->nr]);
}
