// SPDX-License-Identifier: MIT
/* Sections: a header of 32 bytes, and a content that is padded with zeroes to 8 bytes. */
#include <errno.h>
#include <stdbool.h>

#include <gmem.h>

#include "protocol/bytes.h"

enum { NAME = 0, VERSION = 16, NUMBER = 20, FLAGS = 24, LENGTH = 28 };

/* Printable characters, followed by zeroes. */
static bool good_name(const char *name)
{
	size_t length = strnlen(name, GMEM_SECTION_NAME), i;

	if (!length || length == GMEM_SECTION_NAME)
		return false;
	for (i = 0; i < length; i++)
		if (name[i] <= ' ' || name[i] > '~')
			return false;
	for (; i < GMEM_SECTION_NAME; i++)
		if (name[i])
			return false;
	return true;
}

int gmem_section_put(void *bytes, size_t size, size_t *used, const struct gmem_section *section)
{
	uint8_t *at = (uint8_t *)bytes + *used;
	size_t needed = GMEM_SECTION_HEADER + PADDED(section->length);

	if (!good_name(section->name) || section->flags & ~GMEM_SECTION_OPTIONAL ||
	    section->length > GMEM_SECTION_MOST)
		return -EINVAL;
	if (*used > size || needed > size - *used)
		return -ENOSPC;
	memset(at, 0, needed);
	memcpy(at + NAME, section->name, GMEM_SECTION_NAME);
	put32(at + VERSION, section->version);
	put32(at + NUMBER, section->number);
	put32(at + FLAGS, section->flags);
	put32(at + LENGTH, section->length);
	if (section->length)
		memcpy(at + GMEM_SECTION_HEADER, section->content, section->length);
	*used += needed;
	return 0;
}

int gmem_section_next(const void *bytes, size_t size, size_t *at, struct gmem_section *section)
{
	const uint8_t *header = (const uint8_t *)bytes + *at;
	size_t left;

	if (*at >= size)
		return *at == size ? 0 : -EBADMSG;
	left = size - *at;
	if (left < GMEM_SECTION_HEADER)
		return -EBADMSG;
	memcpy(section->name, header + NAME, GMEM_SECTION_NAME);
	section->version = get32(header + VERSION);
	section->number = get32(header + NUMBER);
	section->flags = get32(header + FLAGS);
	section->length = get32(header + LENGTH);
	section->content = header + GMEM_SECTION_HEADER;
	if (!good_name(section->name) || section->flags & ~GMEM_SECTION_OPTIONAL)
		return -EPROTO;
	if (section->length > GMEM_SECTION_MOST ||
	    PADDED(section->length) > left - GMEM_SECTION_HEADER)
		return -EBADMSG;
	*at += GMEM_SECTION_HEADER + PADDED(section->length);
	return 1;
}
