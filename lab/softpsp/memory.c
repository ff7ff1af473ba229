// SPDX-License-Identifier: GPL-2.0-only
/*
 * softpsp: physical memory, and what "encrypted" looks like in it.
 *
 * A guest's memory is combined by exclusive-or with a stream of bytes that
 * depends on the guest's key and the physical address (ChaCha20, one block for
 * each 64 bytes of memory). So it shares with the real thing what tests can
 * rely on: it is not what was written, differs between guests and between
 * places, makes no sense when moved to another place, and doing it twice
 * undoes it. It protects nothing.
 *
 * The CPU of the lab knows nothing of it: a guest whose memory was transformed
 * cannot run. Tests that run SEV guests turn it off for guests to come, with
 * the parameter `transform`.
 */
#include <crypto/chacha.h>
#include <crypto/utils.h>
#include <linux/ioport.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched.h>

#include "softpsp.h"

static bool transform = true;
module_param(transform, bool, 0644);
MODULE_PARM_DESC(transform, "memory of guests launched from now on is really transformed (default: Y)");

/**
 * softpsp_transforms - whether memory of new guests is transformed
 *
 * Return: that.
 */
bool softpsp_transforms(void)
{
	return READ_ONCE(transform);
}

/* KVM names a guest's memory with or without the C-bit. */
static u64 without_c_bit(u64 address)
{
	return address & ~BIT_ULL(SOFTPSP_C_BIT);
}

/**
 * softpsp_memory - a range of physical memory
 * @address: where it begins, with or without the C-bit
 * @len:     its length
 *
 * Return: the range, or NULL if that is not all RAM.
 */
void *softpsp_memory(u64 address, u32 len)
{
	address = without_c_bit(address);
	if (!address || !len ||
	    region_intersects(address, len, IORESOURCE_SYSTEM_RAM,
			      IORES_DESC_NONE) != REGION_INTERSECTS)
		return NULL;
	return __va(address);
}

static void stream_block(const struct softpsp_guest *guest, u64 block,
			 u8 stream[CHACHA_BLOCK_SIZE])
{
	u32 state[CHACHA_STATE_WORDS];
	int i;

	chacha_init_consts(state);
	for (i = 0; i < CHACHA_KEY_SIZE / sizeof(u32); i++)
		state[4 + i] = get_unaligned_le32(guest->vek + i * sizeof(u32));
	state[12] = lower_32_bits(block);
	state[13] = upper_32_bits(block);
	state[14] = 0;
	state[15] = 0;
	chacha20_block(state, stream);
}

/**
 * softpsp_crypt - encrypt or decrypt, which is the same
 * @guest:   whose key it is
 * @address: physical address of what is encrypted
 * @dst:     the result
 * @src:     the input, may be @dst
 * @len:     length of both
 */
void softpsp_crypt(const struct softpsp_guest *guest, u64 address, u8 *dst,
		   const u8 *src, u32 len)
{
	u8 stream[CHACHA_BLOCK_SIZE];

	if (!guest->transform) {
		memmove(dst, src, len);
		return;
	}
	address = without_c_bit(address);
	while (len) {
		u32 offset = address % CHACHA_BLOCK_SIZE;
		u32 n = min_t(u32, len, CHACHA_BLOCK_SIZE - offset);

		stream_block(guest, address / CHACHA_BLOCK_SIZE, stream);
		crypto_xor_cpy(dst, src, stream + offset, n);
		address += n;
		dst += n;
		src += n;
		len -= n;
		if (!(address % PAGE_SIZE))
			cond_resched();
	}
	memzero_explicit(stream, sizeof(stream));
}
