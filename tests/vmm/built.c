// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "built.h"

const char *built_file(const char *name)
{
	static char paths[4][512];
	static unsigned int next;
	char *path = paths[next++ % 4];
	ssize_t length = readlink("/proc/self/exe", path, 400);

	assert_true(length > 0);
	path[length] = '\0';
	strcpy(strstr(path, "/build/tests/vmm/") + 1, name);
	return path;
}

const char *built_kernel(void)
{
	char name[128] = "kernel/root/boot/vmlinuz-";
	size_t length = strlen(name);
	FILE *release = fopen(built_file("kernel/release"), "r");

	assert_non_null(release);
	assert_non_null(fgets(name + length, sizeof(name) - length, release));
	fclose(release);
	name[strcspn(name, "\n")] = '\0';
	return built_file(name);
}
