// SPDX-License-Identifier: GPL-2.0-only
#include <string.h>
#include <sys/random.h>

#include "expect.h"
#include "firmware.h"
#include "owner.h"

static void fill_random(void *data, size_t size)
{
	EXPECT_EQ(getrandom(data, size, 0), size);
}

/* NIST SP 800-108, counter mode; what is derived fits into one block. */
static void derive(uint8_t out[AES_SIZE], const void *key, size_t key_size, const char *label,
		   const struct piece *context)
{
	const uint32_t counter = 1, bits = 8 * AES_SIZE;
	const struct piece message[] = {
		{ &counter, sizeof(counter) },
		{ label, strlen(label) + 1 },
		{ context ? context->data : label, context ? context->size : 0 },
		{ &bits, sizeof(bits) },
		{ NULL, 0 },
	};
	uint8_t block[SHA256_SIZE];

	hmac_sha256(block, key, key_size, message);
	memcpy(out, block, AES_SIZE);
}

void owner_open_session(struct owner *owner, uint32_t policy)
{
	struct session *s = &owner->session;
	const struct piece nonce = { s->nonce, sizeof(s->nonce) };
	const struct piece wrapped[] = { { s->wrap_tk, sizeof(s->wrap_tk) }, { NULL, 0 } };
	const struct piece the_policy[] = { { &policy, sizeof(policy) }, { NULL, 0 } };
	uint8_t master[AES_SIZE], kek[AES_SIZE], kik[AES_SIZE];

	fill_random(owner, sizeof(*owner));
	owner->policy = policy;
	derive(master, owner->certificate, sizeof(owner->certificate), "sev-master-secret", &nonce);
	derive(kek, master, sizeof(master), "sev-kek", NULL);
	derive(kik, master, sizeof(master), "sev-kik", NULL);
	memcpy(s->wrap_tk, owner->tek, AES_SIZE);
	memcpy(s->wrap_tk + AES_SIZE, owner->tik, AES_SIZE);
	aes128_ctr(s->wrap_tk, sizeof(s->wrap_tk), kek, s->wrap_iv);
	hmac_sha256(s->wrap_mac, kik, sizeof(kik), wrapped);
	hmac_sha256(s->policy_mac, owner->tik, sizeof(owner->tik), the_policy);
}

bool owner_accepts(const struct owner *owner, const struct measurement *measurement,
		   const struct piece *memory)
{
	struct sev_user_data_status platform = fw_platform();
	const uint8_t head[] = {
		0x04, platform.api_major, platform.api_minor, platform.build,
	};
	uint8_t digest[SHA256_SIZE], mac[SHA256_SIZE];
	const struct piece message[] = {
		{ head, sizeof(head) },
		{ &owner->policy, sizeof(owner->policy) },
		{ digest, sizeof(digest) },
		{ measurement->mnonce, sizeof(measurement->mnonce) },
		{ NULL, 0 },
	};

	sha256(digest, memory);
	hmac_sha256(mac, owner->tik, sizeof(owner->tik), message);
	return !memcmp(mac, measurement->measure, sizeof(mac));
}

void owner_wrap(const struct owner *owner, const struct measurement *measurement,
		struct packet_header *header, void *secret, uint32_t size)
{
	const uint8_t prefix = 0x01;
	const struct piece message[] = {
		{ &prefix, sizeof(prefix) },
		{ &header->flags, sizeof(header->flags) },
		{ header->iv, sizeof(header->iv) },
		{ &size, sizeof(size) },
		{ &size, sizeof(size) },
		{ secret, size },
		{ measurement->measure, sizeof(measurement->measure) },
		{ NULL, 0 },
	};

	header->flags = 0;
	fill_random(header->iv, sizeof(header->iv));
	aes128_ctr(secret, size, owner->tek, header->iv);
	hmac_sha256(header->mac, owner->tik, sizeof(owner->tik), message);
}
