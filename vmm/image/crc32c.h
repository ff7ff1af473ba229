/* SPDX-License-Identifier: MIT */
/* CRC32C (Castagnoli), as iSCSI, ext4 and btrfs use it. */
#ifndef VMM_IMAGE_CRC32C_H
#define VMM_IMAGE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* @crc: 0, or what was returned for the bytes before these */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t size);

/* The same on processors without an instruction for it. */
uint32_t crc32c_by_table(uint32_t crc, const void *bytes, size_t size);

#endif /* VMM_IMAGE_CRC32C_H */
