// SPDX-License-Identifier: GPL-2.0-only
/*
 * softpsp: the guest owner's session.
 *
 * A guest's owner makes two transport keys, TEK (encryption) and TIK
 * (integrity), and sends them with LAUNCH_START, wrapped under keys derived
 * from a Diffie-Hellman secret, together with a MAC of the policy. All of this
 * is as specified but for the secret itself: softpsp has no key pair that a
 * certificate could be checked against, so the bytes of the owner's
 * "certificate" are the secret. What follows from it - the derivation, the
 * wrapping, the MACs, the measurement under TIK - an owner's tools can check.
 */
#include <linux/random.h>
#include <linux/string.h>

#include "softpsp.h"

/**
 * struct softpsp_session - the session blob
 * @nonce:      goes into the master secret
 * @wrap_tk:    TEK and TIK, encrypted with KEK
 * @wrap_iv:    and this initial counter
 * @wrap_mac:   HMAC of @wrap_tk under KIK
 * @policy_mac: HMAC of the policy under TIK
 */
struct softpsp_session {
	u8 nonce[16];
	u8 wrap_tk[2 * AES_KEYSIZE_128];
	u8 wrap_iv[AES_BLOCK_SIZE];
	u8 wrap_mac[SHA256_DIGEST_SIZE];
	u8 policy_mac[SHA256_DIGEST_SIZE];
} __packed;

/* KEK and KIK: encryption and integrity of the wrapped keys. */
static void derive_wrapping_keys(u8 kek[AES_KEYSIZE_128],
				 u8 kik[AES_KEYSIZE_128],
				 const struct softpsp_session *session,
				 const u8 *secret, u32 secret_len)
{
	u8 master[AES_KEYSIZE_128];

	softpsp_derive_key(master, secret, secret_len, "sev-master-secret",
			   session->nonce, sizeof(session->nonce));
	softpsp_derive_key(kek, master, sizeof(master), "sev-kek", NULL, 0);
	softpsp_derive_key(kik, master, sizeof(master), "sev-kik", NULL, 0);
	memzero_explicit(master, sizeof(master));
}

static u32 unwrap(struct softpsp_guest *guest,
		  const struct softpsp_session *session,
		  const u8 *secret, u32 secret_len)
{
	u8 kek[AES_KEYSIZE_128], kik[AES_KEYSIZE_128];
	u8 tk[sizeof(session->wrap_tk)];
	struct softpsp_hmac hmac;
	__le32 policy = cpu_to_le32(guest->policy);
	u32 said = SEV_RET_BAD_MEASUREMENT;

	derive_wrapping_keys(kek, kik, session, secret, secret_len);
	softpsp_hmac_init(&hmac, kik, sizeof(kik));
	softpsp_hmac_update(&hmac, session->wrap_tk, sizeof(session->wrap_tk));
	if (!softpsp_hmac_matches(&hmac, session->wrap_mac))
		goto out;
	if (softpsp_aes_ctr(tk, session->wrap_tk, sizeof(tk), kek,
			    session->wrap_iv)) {
		said = SEV_RET_HWSEV_RET_PLATFORM;
		goto out;
	}
	memcpy(guest->tek, tk, sizeof(guest->tek));
	memcpy(guest->tik, tk + sizeof(guest->tek), sizeof(guest->tik));

	softpsp_hmac_init(&hmac, guest->tik, sizeof(guest->tik));
	softpsp_hmac_update(&hmac, &policy, sizeof(policy));
	if (softpsp_hmac_matches(&hmac, session->policy_mac))
		said = SEV_RET_SUCCESS;
out:
	memzero_explicit(kek, sizeof(kek));
	memzero_explicit(kik, sizeof(kik));
	memzero_explicit(tk, sizeof(tk));
	return said;
}

/**
 * softpsp_open_session - a new guest's transport keys
 * @guest: the guest, with its policy
 * @start: what LAUNCH_START was given
 *
 * Without a session of an owner the keys are random, and nobody can check the
 * measurement.
 *
 * Return: a sev_ret_code.
 */
u32 softpsp_open_session(struct softpsp_guest *guest,
			 const struct sev_data_launch_start *start)
{
	const struct softpsp_session *session;
	const u8 *secret;

	if (!start->dh_cert_address) {
		get_random_bytes(guest->tek, sizeof(guest->tek));
		get_random_bytes(guest->tik, sizeof(guest->tik));
		return SEV_RET_SUCCESS;
	}
	if (!start->dh_cert_len)
		return SEV_RET_INVALID_CERTIFICATE;
	if (start->session_len < sizeof(*session))
		return SEV_RET_INVALID_LEN;
	secret = softpsp_memory(start->dh_cert_address, start->dh_cert_len);
	session = softpsp_memory(start->session_address, sizeof(*session));
	if (!secret || !session)
		return SEV_RET_INVALID_ADDRESS;
	return unwrap(guest, session, secret, start->dh_cert_len);
}
