// SPDX-License-Identifier: GPL-2.0-only
/*
 * softpsp: the launch of a guest.
 *
 * LAUNCH_START makes the context (LUPDATE); LAUNCH_UPDATE_DATA and
 * LAUNCH_UPDATE_VMSA take memory and register state into the launch digest and
 * encrypt them in place; LAUNCH_MEASURE (to LSECRET) tells the owner the digest
 * under a MAC; LAUNCH_UPDATE_SECRET puts in what the owner then sends;
 * LAUNCH_FINISH (to RUNNING) ends it.
 */
#include <linux/bitfield.h>
#include <linux/random.h>
#include <linux/slab.h>

#include "softpsp.h"

/* What the MACs of the specification begin with, so that none stands for another. */
#define MAC_PREFIX_SECRET	0x01
#define MAC_PREFIX_MEASURE	0x04

/* The longest secret. */
#define MAX_SECRET		(16 * 1024)

/**
 * struct softpsp_measurement - what LAUNCH_MEASURE gives
 * @measure: the MAC
 * @mnonce:  random, part of what the MAC is over
 */
struct softpsp_measurement {
	u8 measure[SHA256_DIGEST_SIZE];
	u8 mnonce[16];
} __packed;

/**
 * struct softpsp_packet_header - what comes with a secret
 * @flags: bit 0: compressed
 * @iv:    first counter of its encryption with TEK
 * @mac:   under TIK
 */
struct softpsp_packet_header {
	__le32 flags;
	u8 iv[AES_BLOCK_SIZE];
	u8 mac[SHA256_DIGEST_SIZE];
} __packed;

static u32 check_policy(const struct softpsp *psp, u32 policy)
{
	/* The policy has the major version below the minor. */
	u32 major = FIELD_GET(GENMASK(23, 16), policy);
	u32 minor = FIELD_GET(GENMASK(31, 24), policy);

	if (policy & SOFTPSP_POLICY_RESERVED)
		return SEV_RET_POLICY_FAILURE;
	if (major > SOFTPSP_API_MAJOR ||
	    (major == SOFTPSP_API_MAJOR && minor > SOFTPSP_API_MINOR))
		return SEV_RET_POLICY_FAILURE;
	if ((policy & SOFTPSP_POLICY_ES) && !psp->config_es)
		return SEV_RET_POLICY_FAILURE;
	return SEV_RET_SUCCESS;
}

/* A key of its own, or that of another guest, if both policies allow it. */
static u32 choose_vek(struct softpsp *psp, struct softpsp_guest *guest, u32 with)
{
	struct softpsp_guest *other;

	if (!with) {
		get_random_bytes(guest->vek, sizeof(guest->vek));
		return SEV_RET_SUCCESS;
	}
	other = softpsp_find_guest(psp, with);
	if (!other)
		return SEV_RET_INVALID_GUEST;
	if ((guest->policy | other->policy) & SOFTPSP_POLICY_NOKS)
		return SEV_RET_POLICY_FAILURE;
	memcpy(guest->vek, other->vek, sizeof(guest->vek));
	return SEV_RET_SUCCESS;
}

/**
 * softpsp_launch_start - LAUNCH_START
 * @psp:   the platform
 * @guest: not used
 * @data:  &struct sev_data_launch_start
 *
 * Return: a sev_ret_code.
 */
u32 softpsp_launch_start(struct softpsp *psp, struct softpsp_guest *guest,
			 void *data)
{
	struct sev_data_launch_start *start = data;
	u32 said = check_policy(psp, start->policy);

	if (said)
		return said;
	guest = kzalloc(sizeof(*guest), GFP_KERNEL);
	if (!guest)
		return SEV_RET_RESOURCE_LIMIT;
	guest->policy = start->policy;
	guest->state = GSTATE_LUPDATE;
	guest->transform = softpsp_transforms();
	sha256_init(&guest->digest);
	said = choose_vek(psp, guest, start->handle);
	if (!said)
		said = softpsp_open_session(guest, start);
	if (!said)
		said = softpsp_add_guest(psp, guest);
	if (said) {
		kfree_sensitive(guest);
		return said;
	}
	start->handle = guest->handle;
	return SEV_RET_SUCCESS;
}

static u32 take_in(struct softpsp_guest *guest, u64 address, u32 len)
{
	u8 *memory = softpsp_memory(address, len);

	if (!memory)
		return SEV_RET_INVALID_ADDRESS;
	sha256_update(&guest->digest, memory, len);
	softpsp_crypt(guest, address, memory, memory, len);
	return SEV_RET_SUCCESS;
}

/**
 * softpsp_launch_update_data - LAUNCH_UPDATE_DATA
 * @psp:   the platform
 * @guest: the guest
 * @data:  &struct sev_data_launch_update_data
 *
 * Return: a sev_ret_code.
 */
u32 softpsp_launch_update_data(struct softpsp *psp, struct softpsp_guest *guest,
			       void *data)
{
	struct sev_data_launch_update_data *update = data;

	if (!IS_ALIGNED(update->address, 16))
		return SEV_RET_INVALID_ADDRESS;
	if (!update->len || !IS_ALIGNED(update->len, 16))
		return SEV_RET_INVALID_LEN;
	return take_in(guest, update->address, update->len);
}

/**
 * softpsp_launch_update_vmsa - LAUNCH_UPDATE_VMSA
 * @psp:   the platform
 * @guest: the guest
 * @data:  &struct sev_data_launch_update_vmsa
 *
 * Return: a sev_ret_code.
 */
u32 softpsp_launch_update_vmsa(struct softpsp *psp, struct softpsp_guest *guest,
			       void *data)
{
	struct sev_data_launch_update_vmsa *update = data;

	if (!(guest->policy & SOFTPSP_POLICY_ES))
		return SEV_RET_UNSUPPORTED;
	if (!IS_ALIGNED(update->address, PAGE_SIZE))
		return SEV_RET_INVALID_ADDRESS;
	if (update->len != PAGE_SIZE)
		return SEV_RET_INVALID_LEN;
	return take_in(guest, update->address, update->len);
}

static void measure(struct softpsp_guest *guest, const u8 mnonce[16])
{
	const u8 head[] = {
		MAC_PREFIX_MEASURE, SOFTPSP_API_MAJOR, SOFTPSP_API_MINOR,
		SOFTPSP_BUILD,
	};
	__le32 policy = cpu_to_le32(guest->policy);
	u8 digest[SHA256_DIGEST_SIZE];
	struct softpsp_hmac hmac;

	sha256_final(&guest->digest, digest);
	softpsp_hmac_init(&hmac, guest->tik, sizeof(guest->tik));
	softpsp_hmac_update(&hmac, head, sizeof(head));
	softpsp_hmac_update(&hmac, &policy, sizeof(policy));
	softpsp_hmac_update(&hmac, digest, sizeof(digest));
	softpsp_hmac_update(&hmac, mnonce, 16);
	softpsp_hmac_final(&hmac, guest->measure);
}

/**
 * softpsp_launch_measure - LAUNCH_MEASURE
 * @psp:   the platform
 * @guest: the guest
 * @data:  &struct sev_data_launch_measure; a buffer that is too small is told
 *         the size, and nothing has happened
 *
 * Return: a sev_ret_code.
 */
u32 softpsp_launch_measure(struct softpsp *psp, struct softpsp_guest *guest,
			   void *data)
{
	struct sev_data_launch_measure *get = data;
	struct softpsp_measurement *to;

	if (get->len < sizeof(*to)) {
		get->len = sizeof(*to);
		return SEV_RET_INVALID_LEN;
	}
	to = softpsp_memory(get->address, sizeof(*to));
	if (!to)
		return SEV_RET_INVALID_ADDRESS;
	get_random_bytes(to->mnonce, sizeof(to->mnonce));
	measure(guest, to->mnonce);
	memcpy(to->measure, guest->measure, sizeof(to->measure));
	get->len = sizeof(*to);
	guest->state = GSTATE_LSECRET;
	return SEV_RET_SUCCESS;
}

static bool secret_is_genuine(const struct softpsp_guest *guest,
			      const struct softpsp_packet_header *header,
			      const struct sev_data_launch_secret *secret,
			      const u8 *sent)
{
	const u8 prefix = MAC_PREFIX_SECRET;
	__le32 guest_len = cpu_to_le32(secret->guest_len);
	__le32 trans_len = cpu_to_le32(secret->trans_len);
	struct softpsp_hmac hmac;

	softpsp_hmac_init(&hmac, guest->tik, sizeof(guest->tik));
	softpsp_hmac_update(&hmac, &prefix, sizeof(prefix));
	softpsp_hmac_update(&hmac, &header->flags, sizeof(header->flags));
	softpsp_hmac_update(&hmac, header->iv, sizeof(header->iv));
	softpsp_hmac_update(&hmac, &guest_len, sizeof(guest_len));
	softpsp_hmac_update(&hmac, &trans_len, sizeof(trans_len));
	softpsp_hmac_update(&hmac, sent, secret->trans_len);
	softpsp_hmac_update(&hmac, guest->measure, sizeof(guest->measure));
	return softpsp_hmac_matches(&hmac, header->mac);
}

/**
 * softpsp_launch_update_secret - LAUNCH_UPDATE_SECRET
 * @psp:   the platform
 * @guest: the guest
 * @data:  &struct sev_data_launch_secret
 *
 * Secrets that are compressed are not supported.
 *
 * Return: a sev_ret_code.
 */
u32 softpsp_launch_update_secret(struct softpsp *psp,
				 struct softpsp_guest *guest, void *data)
{
	struct sev_data_launch_secret *secret = data;
	struct softpsp_packet_header *header;
	u8 *sent, *memory;

	if (secret->hdr_len < sizeof(*header) ||
	    !secret->guest_len || secret->guest_len > MAX_SECRET ||
	    !IS_ALIGNED(secret->guest_len, 16) ||
	    secret->trans_len != secret->guest_len)
		return SEV_RET_INVALID_LEN;
	if (!IS_ALIGNED(secret->guest_address, 16))
		return SEV_RET_INVALID_ADDRESS;
	header = softpsp_memory(secret->hdr_address, sizeof(*header));
	sent = softpsp_memory(secret->trans_address, secret->trans_len);
	memory = softpsp_memory(secret->guest_address, secret->guest_len);
	if (!header || !sent || !memory)
		return SEV_RET_INVALID_ADDRESS;
	if (header->flags)
		return SEV_RET_UNSUPPORTED;
	if (!secret_is_genuine(guest, header, secret, sent))
		return SEV_RET_BAD_MEASUREMENT;
	if (softpsp_aes_ctr(memory, sent, secret->guest_len, guest->tek,
			    header->iv))
		return SEV_RET_HWSEV_RET_PLATFORM;
	softpsp_crypt(guest, secret->guest_address, memory, memory,
		      secret->guest_len);
	return SEV_RET_SUCCESS;
}

/**
 * softpsp_launch_finish - LAUNCH_FINISH
 * @psp:   the platform
 * @guest: the guest
 * @data:  &struct sev_data_launch_finish
 *
 * Return: a sev_ret_code.
 */
u32 softpsp_launch_finish(struct softpsp *psp, struct softpsp_guest *guest,
			  void *data)
{
	guest->state = GSTATE_RUNNING;
	return SEV_RET_SUCCESS;
}
