// SPDX-License-Identifier: MIT
#include <nmmintrin.h>
#include <string.h>

#include "image/crc32c.h"

#define POLYNOMIAL	0x82f63b78	/* its bits the other way round */

uint32_t crc32c_by_table(uint32_t crc, const void *bytes, size_t size)
{
	static uint32_t table[256];
	const unsigned char *at = bytes;
	unsigned int i, bit;

	for (i = 1; !table[255] && i < 256; i++) {
		uint32_t value = i;

		for (bit = 0; bit < 8; bit++)
			value = value >> 1 ^ (value & 1 ? POLYNOMIAL : 0);
		table[i] = value;
	}
	crc = ~crc;
	while (size--)
		crc = crc >> 8 ^ table[(crc ^ *at++) & 0xff];
	return ~crc;
}

__attribute__((target("sse4.2")))
static uint32_t by_instruction(uint32_t crc, const void *bytes, size_t size)
{
	const unsigned char *at = bytes;
	uint64_t sum = ~crc, word;

	for (; size >= sizeof(word); size -= sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		sum = _mm_crc32_u64(sum, word);
		at += sizeof(word);
	}
	while (size--)
		sum = _mm_crc32_u8(sum, *at++);
	return ~(uint32_t)sum;
}

uint32_t crc32c(uint32_t crc, const void *bytes, size_t size)
{
	return __builtin_cpu_supports("sse4.2") ?
	       by_instruction(crc, bytes, size) :
	       crc32c_by_table(crc, bytes, size);
}
