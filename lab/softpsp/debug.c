// SPDX-License-Identifier: GPL-2.0-only
/*
 * softpsp: a guest's memory read and written for its debugger, where the
 * guest's policy allows that.
 */
#include "softpsp.h"

static u32 check(const struct softpsp_guest *guest,
		 const struct sev_data_dbg *dbg)
{
	if (guest->policy & SOFTPSP_POLICY_NODBG)
		return SEV_RET_POLICY_FAILURE;
	if (!IS_ALIGNED(dbg->src_addr, 16) || !IS_ALIGNED(dbg->dst_addr, 16))
		return SEV_RET_INVALID_ADDRESS;
	if (!dbg->len || !IS_ALIGNED(dbg->len, 16))
		return SEV_RET_INVALID_LEN;
	return SEV_RET_SUCCESS;
}

/* Of source and destination, the guest's has the address that counts. */
static u32 crypt(const struct softpsp_guest *guest,
		 const struct sev_data_dbg *dbg, u64 guest_address)
{
	u32 said = check(guest, dbg);
	u8 *src, *dst;

	if (said)
		return said;
	src = softpsp_memory(dbg->src_addr, dbg->len);
	dst = softpsp_memory(dbg->dst_addr, dbg->len);
	if (!src || !dst)
		return SEV_RET_INVALID_ADDRESS;
	softpsp_crypt(guest, guest_address, dst, src, dbg->len);
	return SEV_RET_SUCCESS;
}

/**
 * softpsp_dbg_decrypt - DBG_DECRYPT
 * @psp:   the platform
 * @guest: the guest
 * @data:  &struct sev_data_dbg, the source is the guest's
 *
 * Return: a sev_ret_code.
 */
u32 softpsp_dbg_decrypt(struct softpsp *psp, struct softpsp_guest *guest,
			void *data)
{
	struct sev_data_dbg *dbg = data;

	return crypt(guest, dbg, dbg->src_addr);
}

/**
 * softpsp_dbg_encrypt - DBG_ENCRYPT
 * @psp:   the platform
 * @guest: the guest
 * @data:  &struct sev_data_dbg, the destination is the guest's
 *
 * Return: a sev_ret_code.
 */
u32 softpsp_dbg_encrypt(struct softpsp *psp, struct softpsp_guest *guest,
			void *data)
{
	struct sev_data_dbg *dbg = data;

	return crypt(guest, dbg, dbg->dst_addr);
}
