// SPDX-License-Identifier: GPL-2.0-only
/*
 * softpsp: ASIDs.
 *
 * ACTIVATE installs a guest's key for an ASID, DEACTIVATE removes it. From then
 * on the caches may hold lines of that ASID, so that no guest gets it before
 * the data fabric was flushed (DF_FLUSH). The firmware also wants a WBINVD on
 * every core before that flush (WBINVD_REQUIRED); software does not see those.
 */
#include "softpsp.h"

/* SEV-ES guests have the ASIDs below MIN_SEV_ASID, SEV guests those from it. */
static bool asid_fits(u32 asid, u32 policy)
{
	if (policy & SOFTPSP_POLICY_ES)
		return asid >= 1 && asid < SOFTPSP_MIN_SEV_ASID;
	return asid >= SOFTPSP_MIN_SEV_ASID && asid <= SOFTPSP_MAX_SEV_ASID;
}

/**
 * softpsp_activate - ACTIVATE
 * @psp:   the platform
 * @guest: the guest
 * @data:  &struct sev_data_activate
 *
 * Return: a sev_ret_code.
 */
u32 softpsp_activate(struct softpsp *psp, struct softpsp_guest *guest,
		     void *data)
{
	struct sev_data_activate *activate = data;
	struct softpsp_asid *asid;

	if (guest->asid)
		return SEV_RET_ACTIVE;
	if (!asid_fits(activate->asid, guest->policy))
		return SEV_RET_INVALID_ASID;
	asid = &psp->asids[activate->asid];
	if (asid->guest)
		return SEV_RET_ASID_OWNED;
	if (asid->stale)
		return SEV_RET_DFFLUSH_REQUIRED;
	asid->guest = guest;
	guest->asid = activate->asid;
	return SEV_RET_SUCCESS;
}

/**
 * softpsp_release_asid - remove a guest's key from its ASID, if it has one
 * @psp:   the platform
 * @guest: the guest, not active afterwards
 */
void softpsp_release_asid(struct softpsp *psp, struct softpsp_guest *guest)
{
	struct softpsp_asid *asid = &psp->asids[guest->asid];

	if (!guest->asid)
		return;
	asid->guest = NULL;
	asid->stale = true;
	guest->asid = 0;
}

/**
 * softpsp_deactivate - DEACTIVATE
 * @psp:   the platform
 * @guest: the guest
 * @data:  &struct sev_data_deactivate
 *
 * Return: a sev_ret_code.
 */
u32 softpsp_deactivate(struct softpsp *psp, struct softpsp_guest *guest,
		       void *data)
{
	softpsp_release_asid(psp, guest);
	return SEV_RET_SUCCESS;
}

/**
 * softpsp_df_flush - DF_FLUSH
 * @psp:   the platform
 * @guest: not used
 * @data:  none
 *
 * Return: a sev_ret_code.
 */
u32 softpsp_df_flush(struct softpsp *psp, struct softpsp_guest *guest,
		     void *data)
{
	int asid;

	for (asid = 0; asid < ARRAY_SIZE(psp->asids); asid++)
		psp->asids[asid].stale = false;
	return SEV_RET_SUCCESS;
}
