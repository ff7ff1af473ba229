// SPDX-License-Identifier: GPL-2.0-only
/*
 * softpsp: guest contexts and their handles.
 *
 * A handle is the lowest that is free, from 1: one that is used after its
 * guest was decommissioned soon names another guest, which tests are to notice.
 */
#include <linux/slab.h>

#include "softpsp.h"

/**
 * softpsp_find_guest - the guest of a handle
 * @psp:    the platform
 * @handle: the handle
 *
 * Return: the guest, or NULL.
 */
struct softpsp_guest *softpsp_find_guest(struct softpsp *psp, u32 handle)
{
	return handle ? xa_load(&psp->guests, handle) : NULL;
}

/**
 * softpsp_add_guest - give a new context a handle
 * @psp:   the platform
 * @guest: the context, complete but for the handle; the platform's on success
 *
 * Return: a sev_ret_code.
 */
u32 softpsp_add_guest(struct softpsp *psp, struct softpsp_guest *guest)
{
	if (xa_alloc(&psp->guests, &guest->handle, guest,
		     XA_LIMIT(1, SOFTPSP_MAX_GUESTS), GFP_KERNEL))
		return SEV_RET_RESOURCE_LIMIT;
	psp->guest_count++;
	psp->state = SEV_STATE_WORKING;
	return SEV_RET_SUCCESS;
}

/**
 * softpsp_remove_guest - free a context and its handle
 * @psp:   the platform
 * @guest: the context, of no ASID any more
 */
void softpsp_remove_guest(struct softpsp *psp, struct softpsp_guest *guest)
{
	xa_erase(&psp->guests, guest->handle);
	kfree_sensitive(guest);
	psp->guest_count--;
	if (!psp->guest_count)
		psp->state = SEV_STATE_INIT;
}

/**
 * softpsp_guest_status - GUEST_STATUS
 * @psp:   the platform
 * @guest: the guest
 * @data:  &struct sev_data_guest_status
 *
 * Return: a sev_ret_code.
 */
u32 softpsp_guest_status(struct softpsp *psp, struct softpsp_guest *guest,
			 void *data)
{
	struct sev_data_guest_status *status = data;

	status->policy = guest->policy;
	status->asid = guest->asid;
	status->state = guest->state;
	return SEV_RET_SUCCESS;
}

/**
 * softpsp_decommission - DECOMMISSION
 * @psp:   the platform
 * @guest: the guest; gone afterwards
 * @data:  &struct sev_data_decommission
 *
 * Return: a sev_ret_code.
 */
u32 softpsp_decommission(struct softpsp *psp, struct softpsp_guest *guest,
			 void *data)
{
	if (guest->asid)
		return SEV_RET_ACTIVE;
	softpsp_remove_guest(psp, guest);
	return SEV_RET_SUCCESS;
}
