// SPDX-License-Identifier: GPL-2.0-only
/*
 * softpsp: HMAC-SHA256, key derivation and AES-CTR on the kernel's libraries,
 * which need no other module in the lab.
 */
#include <crypto/algapi.h>
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "softpsp.h"

/**
 * softpsp_hmac_init - begin an HMAC-SHA256
 * @hmac: the computation
 * @key:  the key
 * @len:  its length
 */
void softpsp_hmac_init(struct softpsp_hmac *hmac, const u8 *key, u32 len)
{
	u8 inner[SHA256_BLOCK_SIZE] = {};
	int i;

	if (len > sizeof(inner))
		sha256(key, len, inner);
	else
		memcpy(inner, key, len);
	for (i = 0; i < sizeof(inner); i++) {
		hmac->outer[i] = inner[i] ^ 0x5c;
		inner[i] ^= 0x36;
	}
	sha256_init(&hmac->inner);
	sha256_update(&hmac->inner, inner, sizeof(inner));
	memzero_explicit(inner, sizeof(inner));
}

/**
 * softpsp_hmac_update - go on with an HMAC
 * @hmac: the computation
 * @data: next piece of the message
 * @len:  its length
 */
void softpsp_hmac_update(struct softpsp_hmac *hmac, const void *data, u32 len)
{
	sha256_update(&hmac->inner, data, len);
}

/**
 * softpsp_hmac_final - end an HMAC
 * @hmac: the computation, forgotten
 * @mac:  out: the MAC
 */
void softpsp_hmac_final(struct softpsp_hmac *hmac, u8 mac[SHA256_DIGEST_SIZE])
{
	struct sha256_state outer;

	sha256_final(&hmac->inner, mac);
	sha256_init(&outer);
	sha256_update(&outer, hmac->outer, sizeof(hmac->outer));
	sha256_update(&outer, mac, SHA256_DIGEST_SIZE);
	sha256_final(&outer, mac);
	memzero_explicit(hmac, sizeof(*hmac));
}

/**
 * softpsp_hmac_matches - end an HMAC and compare
 * @hmac: the computation, forgotten
 * @mac:  what it should be
 *
 * Return: whether it is.
 */
bool softpsp_hmac_matches(struct softpsp_hmac *hmac,
			  const u8 mac[SHA256_DIGEST_SIZE])
{
	u8 is[SHA256_DIGEST_SIZE];

	softpsp_hmac_final(hmac, is);
	return !crypto_memneq(is, mac, sizeof(is));
}

/**
 * softpsp_derive_key - the specification's KDF
 * @out:         the key derived
 * @key:         the key to derive from
 * @key_len:     its length
 * @label:       what the derived key is for
 * @context:     what it depends on besides
 * @context_len: length of that
 *
 * NIST SP 800-108 in counter mode over HMAC-SHA256; the result fits into the
 * first block.
 */
void softpsp_derive_key(u8 out[AES_KEYSIZE_128], const u8 *key, u32 key_len,
			const char *label, const u8 *context, u32 context_len)
{
	const __le32 counter = cpu_to_le32(1);
	const __le32 bits = cpu_to_le32(8 * AES_KEYSIZE_128);
	u8 block[SHA256_DIGEST_SIZE];
	struct softpsp_hmac hmac;

	softpsp_hmac_init(&hmac, key, key_len);
	softpsp_hmac_update(&hmac, &counter, sizeof(counter));
	softpsp_hmac_update(&hmac, label, strlen(label) + 1);
	softpsp_hmac_update(&hmac, context, context_len);
	softpsp_hmac_update(&hmac, &bits, sizeof(bits));
	softpsp_hmac_final(&hmac, block);
	memcpy(out, block, AES_KEYSIZE_128);
	memzero_explicit(block, sizeof(block));
}

/**
 * softpsp_aes_ctr - AES-128 in counter mode, both ways
 * @dst: the result
 * @src: the input
 * @len: length of both
 * @key: the key
 * @iv:  first counter block
 *
 * Return: 0, or -errno.
 */
int softpsp_aes_ctr(u8 *dst, const u8 *src, u32 len,
		    const u8 key[AES_KEYSIZE_128], const u8 iv[AES_BLOCK_SIZE])
{
	u8 counter[AES_BLOCK_SIZE], stream[AES_BLOCK_SIZE];
	struct crypto_aes_ctx aes;
	int ret;

	ret = aes_expandkey(&aes, key, AES_KEYSIZE_128);
	if (ret)
		return ret;
	memcpy(counter, iv, sizeof(counter));
	while (len) {
		u32 n = min_t(u32, len, sizeof(stream));

		aes_encrypt(&aes, stream, counter);
		crypto_xor_cpy(dst, src, stream, n);
		crypto_inc(counter, sizeof(counter));
		dst += n;
		src += n;
		len -= n;
	}
	memzero_explicit(&aes, sizeof(aes));
	memzero_explicit(stream, sizeof(stream));
	return 0;
}
