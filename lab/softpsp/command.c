// SPDX-License-Identifier: GPL-2.0-only
/*
 * softpsp: the mailbox.
 *
 * The firmware does one command at a time. The table says for each how large
 * its buffer is and in which states of platform and guest it may come; a
 * handler is only called when all of that holds.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/mutex.h>

#include "softpsp.h"

/* Sets of states. */
#define P_UNINIT	BIT(SEV_STATE_UNINIT)
#define P_INIT		BIT(SEV_STATE_INIT)
#define P_WORKING	BIT(SEV_STATE_WORKING)
#define P_ANY		(P_UNINIT | P_INIT | P_WORKING)

#define G_LUPDATE	BIT(GSTATE_LUPDATE)
#define G_LSECRET	BIT(GSTATE_LSECRET)
#define G_RUNNING	BIT(GSTATE_RUNNING)
#define G_ANY		(G_LUPDATE | G_LSECRET | G_RUNNING)

/**
 * struct softpsp_command_entry - one command
 * @id:       number, an enum sev_cmd
 * @size:     size of its buffer, 0: it has none
 * @platform: states of the platform that allow it
 * @guest:    states of the guest that allow it; 0: it names no guest. The
 *            buffer of one that does begins with the guest's handle.
 * @active:   the guest's key must be installed
 * @handler:  what does it
 */
struct softpsp_command_entry {
	int id;
	u16 size;
	u8 platform;
	u8 guest;
	bool active;
	softpsp_handler *handler;
};

/* A guest command exists where a guest does: the platform is in WORKING. */
#define PLATFORM(_id, _size, _states, _handler)				\
	{ .id = _id, .size = _size, .platform = _states, .handler = _handler }
#define GUEST(_id, _size, _states, _handler)				\
	{ .id = _id, .size = _size, .platform = P_WORKING,		\
	  .guest = _states, .handler = _handler }
#define ACTIVE_GUEST(_id, _size, _states, _handler)			\
	{ .id = _id, .size = _size, .platform = P_WORKING,		\
	  .guest = _states, .active = true, .handler = _handler }

static const struct softpsp_command_entry commands[] = {
	PLATFORM(SEV_CMD_INIT, sizeof(struct sev_data_init),
		 P_UNINIT, softpsp_init),
	PLATFORM(SEV_CMD_SHUTDOWN, 0,
		 P_ANY, softpsp_shutdown),
	PLATFORM(SEV_CMD_PLATFORM_STATUS, sizeof(struct sev_user_data_status),
		 P_ANY, softpsp_platform_status),
	PLATFORM(SEV_CMD_GET_ID, sizeof(struct sev_data_get_id),
		 P_ANY, softpsp_get_id),
	PLATFORM(SEV_CMD_DF_FLUSH, 0,
		 P_INIT | P_WORKING, softpsp_df_flush),
	PLATFORM(SEV_CMD_LAUNCH_START, sizeof(struct sev_data_launch_start),
		 P_INIT | P_WORKING, softpsp_launch_start),

	GUEST(SEV_CMD_GUEST_STATUS, sizeof(struct sev_data_guest_status),
	      G_ANY, softpsp_guest_status),
	GUEST(SEV_CMD_DECOMMISSION, sizeof(struct sev_data_decommission),
	      G_ANY, softpsp_decommission),
	GUEST(SEV_CMD_ACTIVATE, sizeof(struct sev_data_activate),
	      G_ANY, softpsp_activate),
	ACTIVE_GUEST(SEV_CMD_DEACTIVATE, sizeof(struct sev_data_deactivate),
		     G_ANY, softpsp_deactivate),

	ACTIVE_GUEST(SEV_CMD_LAUNCH_UPDATE_DATA,
		     sizeof(struct sev_data_launch_update_data),
		     G_LUPDATE, softpsp_launch_update_data),
	ACTIVE_GUEST(SEV_CMD_LAUNCH_UPDATE_VMSA,
		     sizeof(struct sev_data_launch_update_vmsa),
		     G_LUPDATE, softpsp_launch_update_vmsa),
	GUEST(SEV_CMD_LAUNCH_MEASURE, sizeof(struct sev_data_launch_measure),
	      G_LUPDATE, softpsp_launch_measure),
	ACTIVE_GUEST(SEV_CMD_LAUNCH_UPDATE_SECRET,
		     sizeof(struct sev_data_launch_secret),
		     G_LSECRET, softpsp_launch_update_secret),
	GUEST(SEV_CMD_LAUNCH_FINISH, sizeof(struct sev_data_launch_finish),
	      G_LSECRET, softpsp_launch_finish),

	ACTIVE_GUEST(SEV_CMD_DBG_DECRYPT, sizeof(struct sev_data_dbg),
		     G_ANY, softpsp_dbg_decrypt),
	ACTIVE_GUEST(SEV_CMD_DBG_ENCRYPT, sizeof(struct sev_data_dbg),
		     G_ANY, softpsp_dbg_encrypt),
};

/* Guards the whole of psp. */
static DEFINE_MUTEX(softpsp_mailbox);
static struct softpsp psp = {
	.state	= SEV_STATE_UNINIT,
	.guests	= XARRAY_INIT(psp.guests, XA_FLAGS_ALLOC1),
};

static const struct softpsp_command_entry *find_command(int id)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		if (commands[i].id == id)
			return &commands[i];
	}
	return NULL;
}

static u32 run(const struct softpsp_command_entry *command, void *data)
{
	struct softpsp_guest *guest = NULL;

	lockdep_assert_held(&softpsp_mailbox);

	if (!(command->platform & BIT(psp.state)))
		return SEV_RET_INVALID_PLATFORM_STATE;
	if (command->guest) {
		guest = softpsp_find_guest(&psp, *(u32 *)data);
		if (!guest)
			return SEV_RET_INVALID_GUEST;
		if (!(command->guest & BIT(guest->state)))
			return SEV_RET_INVALID_GUEST_STATE;
		if (command->active && !guest->asid)
			return SEV_RET_INACTIVE;
	}
	return command->handler(&psp, guest, data);
}

/**
 * softpsp_issue - have the firmware do a command
 * @id:    which, an enum sev_cmd
 * @data:  its buffer, NULL for a command without one
 * @error: out, may be NULL: what the firmware said, or SEV_RET_NO_FW_CALL
 *
 * Return: 0; -EIO if the firmware said other than success; -EINVAL if a buffer
 * is given where there must be none, or the other way round.
 */
int softpsp_issue(int id, void *data, int *error)
{
	const struct softpsp_command_entry *command = find_command(id);
	u32 said = SEV_RET_INVALID_COMMAND;

	if (error)
		*error = SEV_RET_NO_FW_CALL;
	if (command) {
		if (!data != !command->size)
			return -EINVAL;
		mutex_lock(&softpsp_mailbox);
		said = run(command, data);
		mutex_unlock(&softpsp_mailbox);
	}
	if (error)
		*error = said;
	pr_debug("command %#x: %#x\n", id, said);
	return said == SEV_RET_SUCCESS ? 0 : -EIO;
}

/**
 * softpsp_buffer_size - size of a command's buffer
 * @id: the command
 *
 * Return: the size, 0 for a command that has no buffer, -ENOENT for one that
 * is not known.
 */
int softpsp_buffer_size(int id)
{
	const struct softpsp_command_entry *command = find_command(id);

	return command ? command->size : -ENOENT;
}

/**
 * softpsp_stop - power off
 */
void softpsp_stop(void)
{
	mutex_lock(&softpsp_mailbox);
	softpsp_reset(&psp);
	mutex_unlock(&softpsp_mailbox);
	xa_destroy(&psp.guests);
}
