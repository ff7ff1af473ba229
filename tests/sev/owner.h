/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest's owner: makes the transport keys, checks the measurement, sends a
 * secret. As the SEV API specification has it, but for the Diffie-Hellman
 * secret, for which softpsp takes the bytes of the certificate.
 */
#ifndef GMEM_TESTS_SEV_OWNER_H
#define GMEM_TESTS_SEV_OWNER_H

#include <stdbool.h>
#include <stdint.h>

#include "crypto.h"

struct session {
	uint8_t nonce[16];
	uint8_t wrap_tk[32];
	uint8_t wrap_iv[16];
	uint8_t wrap_mac[SHA256_SIZE];
	uint8_t policy_mac[SHA256_SIZE];
} __attribute__((packed));

struct owner {
	uint8_t certificate[100];
	struct session session;
	uint8_t tek[AES_SIZE];
	uint8_t tik[AES_SIZE];
	uint32_t policy;
};

struct measurement {
	uint8_t measure[SHA256_SIZE];
	uint8_t mnonce[16];
} __attribute__((packed));

struct packet_header {
	uint32_t flags;
	uint8_t iv[AES_SIZE];
	uint8_t mac[SHA256_SIZE];
} __attribute__((packed));

void owner_open_session(struct owner *owner, uint32_t policy);

/* Whether the measurement is that of a guest launched with @memory. */
bool owner_accepts(const struct owner *owner, const struct measurement *measurement,
		   const struct piece *memory);

/* Encrypts @secret in place and writes the header that goes with it. */
void owner_wrap(const struct owner *owner, const struct measurement *measurement,
		struct packet_header *header, void *secret, uint32_t size);

#endif /* GMEM_TESTS_SEV_OWNER_H */
