// SPDX-License-Identifier: GPL-2.0-only
#include <string.h>

#include "crypto.h"

#define SHA256_BLOCK	64

struct sha256 {
	uint32_t state[8];
	uint8_t block[SHA256_BLOCK];
	uint64_t size;
};

/*
 * The constants of SHA-256 are the leading fraction bits of square and cube
 * roots of the first primes.
 */
static uint32_t root_fraction(unsigned int prime, unsigned int power)
{
	unsigned __int128 low = 0, high = (unsigned __int128)prime << 32;

	/* The largest x with (x / 2^32)^power <= prime. */
	while (high - low > 1) {
		unsigned __int128 x = low + (high - low) / 2;
		/* As x < 2^41, a cube has up to 123 bits. */
		unsigned __int128 y = power == 2 ? x * x : x * x * x;

		if (y <= (unsigned __int128)prime << (32 * power))
			low = x;
		else
			high = x;
	}
	return (uint32_t)low;
}

static unsigned int next_prime(unsigned int n)
{
	unsigned int d;

	do {
		n++;
		for (d = 2; d * d <= n && n % d; d++)
			;
	} while (n < 2 || d * d <= n);
	return n;
}

static uint32_t ror(uint32_t x, unsigned int n)
{
	return x >> n | x << (32 - n);
}

static void sha256_block(uint32_t state[8], const uint8_t block[SHA256_BLOCK])
{
	static uint32_t k[64];
	uint32_t w[64], s[8];

	if (!k[0]) {
		unsigned int i, prime = 1;

		for (i = 0; i < 64; i++) {
			prime = next_prime(prime);
			k[i] = root_fraction(prime, 3);
		}
	}
	for (int i = 0; i < 16; i++)
		w[i] = (uint32_t)block[4 * i] << 24 | block[4 * i + 1] << 16 |
			block[4 * i + 2] << 8 | block[4 * i + 3];
	for (int i = 16; i < 64; i++) {
		uint32_t a = w[i - 15], b = w[i - 2];

		w[i] = w[i - 16] + (ror(a, 7) ^ ror(a, 18) ^ a >> 3) +
			w[i - 7] + (ror(b, 17) ^ ror(b, 19) ^ b >> 10);
	}
	memcpy(s, state, sizeof(s));
	for (int i = 0; i < 64; i++) {
		uint32_t t1 = s[7] + (ror(s[4], 6) ^ ror(s[4], 11) ^ ror(s[4], 25)) +
			((s[4] & s[5]) ^ (~s[4] & s[6])) + k[i] + w[i];
		uint32_t t2 = (ror(s[0], 2) ^ ror(s[0], 13) ^ ror(s[0], 22)) +
			((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));

		memmove(s + 1, s, 7 * sizeof(*s));
		s[4] += t1;
		s[0] = t1 + t2;
	}
	for (int i = 0; i < 8; i++)
		state[i] += s[i];
}

static void sha256_begin(struct sha256 *sha)
{
	unsigned int prime = 1;

	memset(sha, 0, sizeof(*sha));
	for (int i = 0; i < 8; i++) {
		prime = next_prime(prime);
		sha->state[i] = root_fraction(prime, 2);
	}
}

static void sha256_add(struct sha256 *sha, const void *data, size_t size)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < size; i++) {
		sha->block[sha->size++ % SHA256_BLOCK] = bytes[i];
		if (sha->size % SHA256_BLOCK == 0)
			sha256_block(sha->state, sha->block);
	}
}

static void sha256_end(struct sha256 *sha, uint8_t digest[SHA256_SIZE])
{
	uint64_t bits = 8 * sha->size;
	uint8_t byte = 0x80;

	do {
		sha256_add(sha, &byte, 1);
		byte = 0;
	} while (sha->size % SHA256_BLOCK != SHA256_BLOCK - 8);
	for (int shift = 56; shift >= 0; shift -= 8) {
		byte = bits >> shift;
		sha256_add(sha, &byte, 1);
	}
	for (int i = 0; i < SHA256_SIZE; i++)
		digest[i] = sha->state[i / 4] >> (24 - 8 * (i % 4));
}

static void sha256_pieces(struct sha256 *sha, const struct piece *message)
{
	for (; message->data; message++)
		sha256_add(sha, message->data, message->size);
}

void sha256(uint8_t digest[SHA256_SIZE], const struct piece *message)
{
	struct sha256 sha;

	sha256_begin(&sha);
	sha256_pieces(&sha, message);
	sha256_end(&sha, digest);
}

void hmac_sha256(uint8_t mac[SHA256_SIZE], const void *key, size_t key_size,
		 const struct piece *message)
{
	uint8_t inner[SHA256_BLOCK] = { 0 }, outer[SHA256_BLOCK];
	const struct piece long_key[] = { { key, key_size }, { NULL, 0 } };
	struct sha256 sha;

	if (key_size > sizeof(inner))
		sha256(inner, long_key);
	else
		memcpy(inner, key, key_size);
	for (int i = 0; i < SHA256_BLOCK; i++) {
		outer[i] = inner[i] ^ 0x5c;
		inner[i] ^= 0x36;
	}
	sha256_begin(&sha);
	sha256_add(&sha, inner, sizeof(inner));
	sha256_pieces(&sha, message);
	sha256_end(&sha, mac);

	sha256_begin(&sha);
	sha256_add(&sha, outer, sizeof(outer));
	sha256_add(&sha, mac, SHA256_SIZE);
	sha256_end(&sha, mac);
}

/* Times x in GF(2^8). */
static uint8_t xtime(uint8_t a)
{
	return a << 1 ^ (a & 0x80 ? 0x1b : 0);
}

static uint8_t multiply(uint8_t a, uint8_t b)
{
	uint8_t product = 0;

	for (; b; b >>= 1, a = xtime(a))
		product ^= b & 1 ? a : 0;
	return product;
}

/* The inverse in GF(2^8), then an affine map of bits. */
static uint8_t sbox(uint8_t a)
{
	static uint8_t box[256];

	if (!box[0]) {
		for (int i = 0; i < 256; i++) {
			uint8_t inverse = 0, x = 0x63;

			for (int j = 1; j < 256; j++)
				inverse = multiply(i, j) == 1 ? j : inverse;
			for (int n = 0; n < 5; n++)
				x ^= inverse << n | inverse >> (8 - n);
			box[i] = x;
		}
	}
	return box[a];
}

static void aes128(uint8_t s[AES_SIZE], const uint8_t key[AES_SIZE])
{
	uint8_t k[AES_SIZE], t[AES_SIZE], rcon = 1;

	memcpy(k, key, sizeof(k));
	for (int round = 0; round <= 10; round++) {
		if (round) {
			/* The columns of t are those of s, each row shifted. */
			for (int i = 0; i < AES_SIZE; i++)
				t[i] = sbox(s[(i + 4 * (i % 4)) % AES_SIZE]);
			for (int i = 0; i < AES_SIZE; i++) {
				const uint8_t *c = t + i / 4 * 4;

				s[i] = round == 10 ? t[i] :
					xtime(c[i % 4]) ^ multiply(c[(i + 1) % 4], 3) ^
					c[(i + 2) % 4] ^ c[(i + 3) % 4];
			}
			for (int i = 0; i < 4; i++)
				k[i] ^= sbox(k[12 + (i + 1) % 4]) ^ (i ? 0 : rcon);
			for (int i = 4; i < AES_SIZE; i++)
				k[i] ^= k[i - 4];
			rcon = xtime(rcon);
		}
		for (int i = 0; i < AES_SIZE; i++)
			s[i] ^= k[i];
	}
}

void aes128_ctr(void *data, size_t size, const uint8_t key[AES_SIZE], const uint8_t iv[AES_SIZE])
{
	uint8_t counter[AES_SIZE], stream[AES_SIZE], *bytes = data;

	memcpy(counter, iv, sizeof(counter));
	for (size_t i = 0; i < size; i++) {
		if (i % AES_SIZE == 0) {
			memcpy(stream, counter, sizeof(stream));
			aes128(stream, key);
			for (int j = AES_SIZE - 1; j >= 0 && !++counter[j]; j--)
				;
		}
		bytes[i] ^= stream[i % AES_SIZE];
	}
}
