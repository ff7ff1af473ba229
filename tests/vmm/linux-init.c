// SPDX-License-Identifier: MIT
/* The first process of a Linux guest under test: reports what it sees, and resets. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define CLOCKSOURCE "/sys/devices/system/clocksource/clocksource0/current_clocksource"
#define WORDS	(16UL << 20 >> 3)

/* The first line of a file. */
static const char *line_of(const char *path)
{
	static char line[256];
	int fd = open(path, O_RDONLY);
	ssize_t length = fd < 0 ? 0 : read(fd, line, sizeof(line) - 1);

	line[length > 0 ? length : 0] = '\0';
	line[strcspn(line, "\n")] = '\0';
	close(fd);
	return line;
}

/* Memory that is written is what is read. */
static int memory_is_whole(void)
{
	volatile uint64_t *words = malloc(WORDS * sizeof(*words));
	uint64_t i;

	for (i = 0; words && i < WORDS; i += 64)
		words[i] = ~i;
	for (i = 0; words && i < WORDS; i += 64)
		if (words[i] != ~i)
			return 0;
	return !!words;
}

int main(void)
{
	struct utsname name;

	uname(&name);
	mkdir("/sys", 0755);
	mount("sys", "/sys", "sysfs", 0, NULL);
	printf("userspace: Linux %s, %s, memory is %s\n", name.release,
	       line_of(CLOCKSOURCE), memory_is_whole() ? "whole" : "torn");
	fflush(stdout);
	reboot(RB_AUTOBOOT);
	return 1;
}
