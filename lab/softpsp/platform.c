// SPDX-License-Identifier: GPL-2.0-only
/*
 * softpsp: platform commands and state.
 *
 * UNINIT --INIT--> INIT --first LAUNCH_START--> WORKING, and back to INIT when
 * the last guest is decommissioned; SHUTDOWN leads to UNINIT from anywhere.
 */
#include <linux/string.h>

#include "softpsp.h"

/* What GET_ID says of a socket: as long as a real one. */
static const char chip_id[64] = "softpsp: no chip";

/**
 * softpsp_reset - all that a shutdown forgets
 * @psp: the platform, back in UNINIT afterwards
 */
void softpsp_reset(struct softpsp *psp)
{
	struct softpsp_guest *guest;
	unsigned long handle;

	xa_for_each(&psp->guests, handle, guest) {
		softpsp_release_asid(psp, guest);
		softpsp_remove_guest(psp, guest);
	}
	memset(psp->asids, 0, sizeof(psp->asids));
	psp->config_es = false;
	psp->state = SEV_STATE_UNINIT;
}

/**
 * softpsp_init - INIT
 * @psp:   the platform, in UNINIT
 * @guest: not used
 * @data:  &struct sev_data_init
 *
 * The memory that the firmware asks for its own use (TMR) is not needed: what
 * it would hold are the states of SEV-ES guests that run.
 *
 * Return: a sev_ret_code.
 */
u32 softpsp_init(struct softpsp *psp, struct softpsp_guest *guest, void *data)
{
	struct sev_data_init *init = data;

	if (init->flags & ~SEV_INIT_FLAGS_SEV_ES)
		return SEV_RET_INVALID_PARAM;
	psp->config_es = init->flags & SEV_INIT_FLAGS_SEV_ES;
	psp->state = SEV_STATE_INIT;
	return SEV_RET_SUCCESS;
}

/**
 * softpsp_shutdown - SHUTDOWN: deletes all guests
 * @psp:   the platform
 * @guest: not used
 * @data:  none
 *
 * Return: a sev_ret_code.
 */
u32 softpsp_shutdown(struct softpsp *psp, struct softpsp_guest *guest,
		     void *data)
{
	softpsp_reset(psp);
	return SEV_RET_SUCCESS;
}

/**
 * softpsp_platform_status - PLATFORM_STATUS
 * @psp:   the platform
 * @guest: not used
 * @data:  &struct sev_user_data_status
 *
 * Return: a sev_ret_code.
 */
u32 softpsp_platform_status(struct softpsp *psp, struct softpsp_guest *guest,
			    void *data)
{
	struct sev_user_data_status *status = data;

	status->api_major = SOFTPSP_API_MAJOR;
	status->api_minor = SOFTPSP_API_MINOR;
	status->state = psp->state;
	status->flags = psp->config_es ? SEV_STATUS_FLAGS_CONFIG_ES : 0;
	status->build = SOFTPSP_BUILD;
	status->guest_count = psp->guest_count;
	return SEV_RET_SUCCESS;
}

/**
 * softpsp_get_id - GET_ID
 * @psp:   the platform
 * @guest: not used
 * @data:  &struct sev_data_get_id; a buffer that is too small is told the size
 *
 * Return: a sev_ret_code.
 */
u32 softpsp_get_id(struct softpsp *psp, struct softpsp_guest *guest, void *data)
{
	struct sev_data_get_id *get = data;
	void *to;

	if (get->len < sizeof(chip_id)) {
		get->len = sizeof(chip_id);
		return SEV_RET_INVALID_LEN;
	}
	to = softpsp_memory(get->address, sizeof(chip_id));
	if (!to)
		return SEV_RET_INVALID_ADDRESS;
	memcpy(to, chip_id, sizeof(chip_id));
	get->len = sizeof(chip_id);
	return SEV_RET_SUCCESS;
}
