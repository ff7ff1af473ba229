/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The cryptography of a guest's owner: SHA-256 (FIPS 180-4), HMAC (FIPS 198-1),
 * AES-128 in counter mode (FIPS 197, SP 800-38A). Written for these tests,
 * since what is tested must not be its own judge.
 */
#ifndef GMEM_TESTS_SEV_CRYPTO_H
#define GMEM_TESTS_SEV_CRYPTO_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE	32
#define AES_SIZE	16

/* A message in pieces: { data, size }..., { NULL, 0 }. */
struct piece {
	const void *data;
	size_t size;
};

void sha256(uint8_t digest[SHA256_SIZE], const struct piece *message);
void hmac_sha256(uint8_t mac[SHA256_SIZE], const void *key, size_t key_size,
		 const struct piece *message);
void aes128_ctr(void *data, size_t size, const uint8_t key[AES_SIZE], const uint8_t iv[AES_SIZE]);

#endif /* GMEM_TESTS_SEV_CRYPTO_H */
