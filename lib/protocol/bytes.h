/* SPDX-License-Identifier: MIT */
/* Numbers in messages and in the state page: little-endian. Not public. */
#ifndef GMEM_PROTOCOL_BYTES_H
#define GMEM_PROTOCOL_BYTES_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline void put16(void *to, uint16_t number)
{
	number = htole16(number);
	memcpy(to, &number, sizeof(number));
}

static inline void put32(void *to, uint32_t number)
{
	number = htole32(number);
	memcpy(to, &number, sizeof(number));
}

static inline void put64(void *to, uint64_t number)
{
	number = htole64(number);
	memcpy(to, &number, sizeof(number));
}

static inline uint16_t get16(const void *from)
{
	uint16_t number;

	memcpy(&number, from, sizeof(number));
	return le16toh(number);
}

static inline uint32_t get32(const void *from)
{
	uint32_t number;

	memcpy(&number, from, sizeof(number));
	return le32toh(number);
}

static inline uint64_t get64(const void *from)
{
	uint64_t number;

	memcpy(&number, from, sizeof(number));
	return le64toh(number);
}

#define PADDED(size)	(((size) + 7) & ~(size_t)7)

/* CRC-32C of @bytes, continuing from @crc; begin with 0. */
uint32_t gmem_checksum(uint32_t crc, const void *bytes, size_t size);

#endif /* GMEM_PROTOCOL_BYTES_H */
