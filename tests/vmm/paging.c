// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest/layout.h"
#include "guest/pattern.h"
#include "image/image.h"
#include "paging.h"

#define SEED	0x5eed5eed5eedUL
#define COUNT	1000003

const char *file_path(const char *name)
{
	static char paths[6][128];
	static unsigned int used;
	unsigned int i;

	for (i = 0; i < used; i++)
		if (!strcmp(strrchr(paths[i], '/') + 1, name))
			return paths[i];
	assert_true(used < 6);
	strcpy(paths[used], socket_path(name));
	return paths[used++];
}

void image_make(unsigned int mib)
{
	struct guest_header header = { SEED, ~SEED, COUNT, 0 };
	const char *path = file_path("image"), *why;
	size_t size = (size_t)mib << 20, i;
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	uint64_t *words;

	assert_int_equal(ftruncate(fd, size), 0);
	words = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(words != MAP_FAILED);
	for (i = 0; i < size / 8; i++)
		words[i] = pattern_word(GUEST_PRIVATE_GPA + i * 8, SEED);
	memcpy(words, &header, sizeof(header));
	munmap(words, size);
	close(fd);
	assert_int_equal(image_make_sums(path, &why), 0);
}

void spoil(const char *path, uint64_t offset)
{
	int fd = open(path, O_RDWR);
	unsigned char byte;

	assert_int_equal(pread(fd, &byte, 1, offset), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
	close(fd);
}

void write_file(const char *path, const void *bytes, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(write(fd, bytes, size), size);
	close(fd);
}

const char *pager_io;

struct program *pager_start(const char *name, ...)
{
	const char *more[6] = { NULL };
	struct program *pager;
	va_list rest;
	int i = 0;

	if (pager_io) {
		more[i++] = "--io";
		more[i++] = pager_io;
	}
	va_start(rest, name);
	while (i < 6 && (more[i] = va_arg(rest, const char *)))
		i++;
	va_end(rest);
	pager = program_start(name, "pager", "--image", file_path("image"),
			      "--socket", socket_path("a"), "--user", "nobody",
			      more[0], more[1], more[2], more[3],
			      more[4], more[5], NULL);
	while (!child_event(&pager->child, "listening") &&
	       !child_gone(&pager->child))
		listen_for(5);
	return pager;
}

struct program *guest_start(void)
{
	char memory[16];

	snprintf(memory, sizeof(memory), "%d", IMAGE_MIB);
	return program_start("guest", "run", "--memory", memory, "--pager",
			     socket_path("a"), NULL);
}

uint64_t number_before(const struct program *program, const char *words)
{
	const char *found = NULL, *at = program->said;

	while ((at = strstr(at, words)))
		found = at++;
	assert_non_null(found);
	while (found > program->said &&
	       (found[-1] == ' ' || (found[-1] >= '0' && found[-1] <= '9')))
		found--;
	return strtoull(found, NULL, 10);
}

int images_remove(void **state)
{
	static const char *const names[] = { "image", "image.sums", "set", "a" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(file_path(names[i]));
	return sockets_remove(state);
}
